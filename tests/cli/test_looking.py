"""Crops, stills, clips, blurring and what is drawn on videos: the options of `ovdet detect` and `ovdet video`."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from ovdet_cli.results.runs import load_run
from tests.media.clips import make_clip, set_display_matrix
from tests.parity.reference import load_script

Ovdet = Callable[..., Result]


def clip_at(path: Path, frames: int = 30, size_wh: tuple[int, int] = (121, 91), audio: str | None = "aac") -> Path:
    draw = load_script("picture").picture
    pictures = [draw(size_wh[1], size_wh[0], seed // 6) for seed in range(frames)]
    settings = {"pix_fmt": "yuv444p"} if size_wh[0] % 2 else {}
    ticks = range(0, frames * 3600, 3600)
    return make_clip(path, ticks=ticks, size_wh=size_wh, pictures=pictures, audio=audio, options={"g": "5"}, **settings)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A picture, one that cannot be read, and a video with odd sides."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(load_script("picture").picture(64, 80, 3)).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"broken")
    clip_at(folder / "c.mkv")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_everything_at_once_on_pictures_and_videos(
    ovdet: Ovdet, model_options: list[str], inputs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    looking = ["--save-crops", "--stills", "--clips", "--clip-padding", 0.1, "--ruler", "--crop-margin", 0]
    result = ovdet("detect", inputs, *model_options, *looking, "--every", 6, "-o", run)
    assert result.exit_code == 3, result.output  # b.png
    found = load_run(run).detections
    crops = rows(run / "crops.csv")
    assert len(crops) == len(found) > 0
    columns = ["source", "index", "label"]
    assert [[row["source"], int(row["index"]), row["label"]] for row in crops] == found[columns].to_numpy().tolist()
    for row in crops:
        with Image.open(run / row["file"]) as crop:
            assert crop.width == pytest.approx(float(row["x2"]) - float(row["x1"]), abs=2)
    stills, clips = rows(run / "stills.csv"), rows(run / "clips.csv")
    assert stills and all((run / row["file"]).is_file() and row["source"] == "c.mkv" for row in stills)
    assert Image.open(run / stills[0]["file"]).size == (121, 91)
    for row in clips:
        with av.open(str(run / row["file"])) as container:
            assert len(list(container.decode(video=0))) == pytest.approx(
                25 * (float(row["until_s"]) - float(row["from_s"])), abs=1.1
            )
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert (settings["save_crops"], settings["stills"], settings["clips"]) == (True, True, True)
    assert (settings["clip_padding_s"], settings["ruler"], settings["blur"]) == (0.1, True, [])

    again = ovdet("detect", inputs, *model_options, "--every", 30, "--render", "none", "-o", run, "--overwrite")
    assert again.exit_code == 3
    assert sorted(path.name for path in run.iterdir()) == sorted(
        ["detections.csv", "detections.jsonl", "frames.csv", "run.json"]
    )


def test_stills_and_clips_without_a_rendered_video(
    ovdet: Ovdet, model_options: list[str], inputs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = ovdet("video", inputs, *model_options, "--stills", "--clips", "--render", "none", "--every", 4, "-o", run)
    assert result.exit_code == 0, result.output
    assert rows(run / "clips.csv") and rows(run / "stills.csv") and not (run / "videos").exists()
    shown = [(row["first_s"], row["last_s"]) for row in rows(run / "clips.csv")]
    found = load_run(run).detections
    assert (float(shown[0][0]), float(shown[-1][1])) == (found["time_s"].min(), found["time_s"].max())


def test_a_turned_video(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    clip = set_display_matrix(clip_at(tmp_path / "c.mp4", 12, (120, 64), audio=None), 0, 1, -1, 0)
    run = tmp_path / "run"
    looking = ["--stills", "--clips", "--save-crops", "--track", "--ruler"]
    result = ovdet("video", clip, *model_options, *looking, "-o", run)
    assert result.exit_code == 0, result.output
    assert Image.open(run / rows(run / "stills.csv")[0]["file"]).size == (64, 120)
    with av.open(str(run / rows(run / "clips.csv")[0]["file"])) as container:
        assert next(container.decode(video=0)).rotation == -90
    tracks = [row["track_id"] for row in rows(run / "crops.csv")]
    assert len(tracks) == len(set(tracks)) > 0 and "" not in tracks


def test_what_has_a_label_is_pixelated_everywhere_and_still_counted(
    ovdet: Ovdet, model_options: list[str], inputs: Path, tmp_path: Path
) -> None:
    ovdet("detect", inputs, *model_options, "--every", 10, "--render", "none", "-o", tmp_path / "plain")
    label = load_run(tmp_path / "plain").detections.query("source == 'a.png'")["label"].iloc[0]
    blurring = ["--blur", label.upper(), "--blur-only", "--save-crops", "--stills"]
    result = ovdet("detect", inputs, *model_options, *blurring, "--every", 10, "-o", tmp_path / "run")
    assert result.exit_code == 3, result.output
    found = load_run(tmp_path / "run").detections
    assert found.drop(columns="mask").equals(load_run(tmp_path / "plain").detections.drop(columns="mask"))
    before = np.asarray(Image.open(inputs / "a.png"))
    after = np.asarray(Image.open(tmp_path / "run" / "images" / "a.png"))
    inside = np.zeros(before.shape[:2], bool)
    for x1, y1, x2, y2 in found[(found["source"] == "a.png") & (found["label"] == label)][
        ["x1", "y1", "x2", "y2"]
    ].to_numpy():
        grown = 3 + 0.1 * min(x2 - x1, y2 - y1)
        inside[max(int(y1 - grown), 0) : int(y2 + grown) + 1, max(int(x1 - grown), 0) : int(x2 + grown) + 1] = True
    different = (before != after).any(axis=2)
    assert different.any() and not different[~inside].any()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["blur"] == [label.upper()]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--blur", "thing 1,face,plate"], "face, plate"),
        (["--blur", "thing 1", "--clips"], "--clips copies"),
        (["--blur-only"], "needs --blur"),
        (["--blur", " , "], "names no label"),
        (["--blur", "thing 1", "--render", "none"], "nothing to hide"),
        (["--stills", "-o", "-"], "need a run folder"),
        (["--crop-margin", "9"], "crop-margin"),
    ],
)
def test_contradictions_are_refused(
    ovdet: Ovdet, model_options: list[str], inputs: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    result = ovdet("detect", inputs / "a.png", *model_options, "-o", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_folder_of_someone_else_stays(ovdet: Ovdet, model_options: list[str], inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "crops").mkdir(parents=True)
    result = ovdet("detect", inputs, *model_options, "-o", tmp_path / "run", "--overwrite")
    assert result.exit_code != 0 and (tmp_path / "run" / "crops").is_dir()


def test_a_clip_that_breaks_half_way(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    data = clip_at(tmp_path / "whole.mkv", frames=60).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    run = tmp_path / "run"
    looking = ["--save-crops", "--stills", "--clips", "--every", "6"]
    result = ovdet("video", tmp_path / "cut.mkv", *model_options, *looking, "-o", run)
    assert result.exit_code == 3, result.output
    assert rows(run / "crops.csv") and rows(run / "stills.csv") and rows(run / "clips.csv")


def test_an_interruption_leaves_whole_files(model_options: list[str], tmp_path: Path) -> None:
    clip = clip_at(tmp_path / "clip.mp4", frames=400, size_wh=(64, 48))
    run = tmp_path / "run"
    looking = ["--save-crops", "--stills", "--clips", "--ruler", "--track"]
    command = [sys.executable, "-m", "ovdet_cli", "video", str(clip), *model_options, *looking, "-o", str(run)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (run / "frames.csv").is_file() or (run / "frames.csv").read_bytes().count(b"\n") < 8:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    clips = rows(run / "clips.csv")
    assert clips and float(clips[-1]["last_s"]) < 15
    for row in clips:
        with av.open(str(run / row["file"])) as container:
            assert next(container.decode(video=0))
    assert rows(run / "stills.csv") and not [path for path in run.rglob("*") if ".part" in path.name]
    assert all((run / row["file"]).is_file() for row in rows(run / "crops.csv"))
