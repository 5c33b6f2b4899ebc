"""`--track`: ids in every record, tracks.csv, and what the options refuse."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from ovdet_cli.results.runs import load_run

Ovdet = Callable[..., Result]
CLIP = Path(__file__).parents[2] / "samples" / "posts" / "clip.mp4"


@pytest.fixture(scope="module")
def cut() -> tuple[str, ...]:
    return "--end", "1.2", "--every", "3", "--device", "cpu", "--no-masks"


def test_objects_keep_their_ids_through_a_clip(ovdet: Ovdet, cut: tuple[str, ...], tmp_path: Path) -> None:
    result = ovdet(
        "video", CLIP, *cut, "--track", "--track-lost", "0.5", "--format", "jsonl,csv,coco", "-o", tmp_path / "r"
    )
    assert result.exit_code == 0, result.output
    found = load_run(tmp_path / "r").detections
    assert found["track_id"].notna().mean() > 0.5
    assert not found.dropna(subset="track_id").duplicated(["index", "track_id"]).any()
    assert load_run(tmp_path / "r" / "detections.csv").detections["track_id"].equals(found["track_id"])
    with (tmp_path / "r" / "tracks.csv").open(newline="", encoding="utf-8") as file:
        tracks = list(csv.DictReader(file))
    counts = found["track_id"].value_counts()
    assert {int(row["track_id"]): int(row["detections"]) for row in tracks} == counts.to_dict()
    longest = max(tracks, key=lambda row: int(row["detections"]))
    assert int(longest["detections"]) > 8, "one that is there all the time"
    info = json.loads((tmp_path / "r" / "run.json").read_text())
    assert info["settings"]["tracking"]["lost_s"] == 0.5
    assert info["settings"]["tracking"]["high"] == info["settings"]["threshold"]
    assert info["settings"]["record_threshold"] == info["settings"]["threshold"]
    assert (found["score"] > info["settings"]["threshold"]).all()
    assert (tmp_path / "r" / "videos" / "clip.mp4").exists()


def test_without_it_nothing_is_tracked(ovdet: Ovdet, cut: tuple[str, ...], tmp_path: Path) -> None:
    result = ovdet("video", CLIP, *cut, "--render", "none", "-o", tmp_path / "r")
    assert result.exit_code == 0, result.output
    assert "track_id" not in load_run(tmp_path / "r").detections
    assert not (tmp_path / "r" / "tracks.csv").exists()
    assert json.loads((tmp_path / "r" / "run.json").read_text())["settings"]["tracking"] is None


def test_two_runs_are_the_same(ovdet: Ovdet, cut: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("one", "two"):
        result = ovdet("video", CLIP, *cut, "--track", "--render", "none", "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
    for name in ("detections.jsonl", "detections.csv", "tracks.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_lost_time_needs_tracking(ovdet: Ovdet, tmp_path: Path) -> None:
    result = ovdet("video", CLIP, "--track-lost", "2", "-o", tmp_path / "r")
    assert result.exit_code == 2
    assert "add --track" in " ".join(result.stderr.split())


def test_the_record_threshold_may_still_not_be_above_the_threshold(ovdet: Ovdet, tmp_path: Path) -> None:
    result = ovdet(
        *("video", CLIP, "--track", "--threshold", "0.5", "--record-threshold", "0.8"),
        *("--device", "cpu", "-o", tmp_path / "r"),
    )
    assert result.exit_code == 2
