"""run(job): what is written, what is counted, and how a run ends."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.words import Words
from ovdet_cli.errors import OutputError, TooManyFailuresError, UndrawableError
from ovdet_cli.media.sources import collect_inputs
from ovdet_cli.pipeline.folder import RunFolder
from ovdet_cli.pipeline.job import DetectJob
from ovdet_cli.pipeline.run import run
from ovdet_cli.pipeline.summary import RunSummary
from ovdet_cli.render import annotate
from ovdet_cli.results.runs import load_run
from ovdet_cli.vocabulary.vocabulary import Vocabulary
from tests.parity.reference import load_script, seeded_embeddings


@pytest.fixture(scope="module")
def detector(r18_weights: Path) -> Detector:
    return Detector(weights=r18_weights, device="cpu", threshold=0.4, short_side=64)


@pytest.fixture(scope="module")
def words(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Words:
    path = tmp_path_factory.mktemp("words") / "embeddings.npy"
    np.save(path, seeded_embeddings())
    return detector.prepare_words(Vocabulary([f"thing {i}" for i in range(40)]), path)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Six pictures, the second of them broken."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(load_script("picture").picture(64, 80, i)).save(folder / f"{i}.png")
    (folder / "1.png").write_bytes(b"broken")
    return folder


def carry_out(
    detector: Detector,
    words: Words,
    inputs: Path,
    output: Path,
    max_failures: int | None = None,
) -> RunSummary:
    with RunFolder(output) as folder:
        found = collect_inputs([str(inputs)])
        return run(DetectJob(found, detector, words, folder, threshold=0.6, max_failures=max_failures))


def test_the_summary_counts_what_the_records_hold(
    detector: Detector, words: Words, inputs: Path, tmp_path: Path
) -> None:
    summary = carry_out(detector, words, inputs, tmp_path / "run")
    loaded = load_run(tmp_path / "run")
    strong = loaded.detections[loaded.detections["score"] > np.float32(0.6)]
    assert (summary.status, summary.pictures, summary.failed) == ("done", 5, 1)
    assert summary.recorded == len(loaded.detections) > summary.detections == len(strong) > 0
    assert dict(summary.labels) == strong["label"].value_counts().to_dict()
    assert summary.frames_with_detections == strong["source"].nunique()
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["counts"] == summary.counts()
    assert (info["settings"]["threshold"], info["settings"]["record_threshold"]) == (0.6, 0.4)
    assert info["timings"]["total_s"] > 0


def test_records_are_on_disk_as_soon_as_they_are_made(
    detector: Detector, words: Words, inputs: Path, tmp_path: Path
) -> None:
    seen = []

    def look(summary: RunSummary) -> None:
        done = summary.frames + summary.failed
        seen.append(done)
        assert len(load_run(tmp_path / "run").frames) == done
        assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"

    with RunFolder(tmp_path / "run") as folder:
        run(DetectJob(collect_inputs([str(inputs)]), detector, words, folder, threshold=0.6), look)
    assert seen[-1] == 6


def test_an_interruption_is_noted_and_passed_on(detector: Detector, words: Words, inputs: Path, tmp_path: Path) -> None:
    def stop(summary: RunSummary) -> None:
        if summary.frames == 2:
            raise KeyboardInterrupt

    with RunFolder(tmp_path / "run") as folder, pytest.raises(KeyboardInterrupt):
        run(DetectJob(collect_inputs([str(inputs)]), detector, words, folder, threshold=0.6), stop)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert load_run(tmp_path / "run").frames["status"].tolist() == ["ok", "error", "ok"]


def test_failures_within_the_limit_do_not_end_a_run(
    detector: Detector, words: Words, inputs: Path, tmp_path: Path
) -> None:
    assert carry_out(detector, words, inputs, tmp_path / "run", max_failures=1).status == "done"
    with pytest.raises(TooManyFailuresError, match=r"1\.png"):
        carry_out(detector, words, inputs, tmp_path / "strict", max_failures=0)
    assert json.loads((tmp_path / "strict" / "run.json").read_text())["status"] == "failed"


def test_a_full_disk_ends_the_run_and_keeps_the_records(
    detector: Detector, words: Words, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, rgb: np.ndarray, quality: int = 92) -> None:
        raise OutputError(f"cannot write {path}: no space left on device")

    monkeypatch.setattr(annotate, "write_image", no_space)
    with pytest.raises(OutputError, match="no space"):
        carry_out(detector, words, inputs, tmp_path / "run")
    assert len(load_run(tmp_path / "run").frames) == 1


def test_a_picture_that_no_format_holds_is_noted_and_recorded(
    detector: Detector, words: Words, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(path: Path, rgb: np.ndarray, quality: int = 92) -> None:
        raise UndrawableError(f"cannot write {path}: 70000 is more than JPEG holds")

    monkeypatch.setattr(annotate, "write_image", too_large)
    summary = carry_out(detector, words, inputs, tmp_path / "run")
    assert (summary.status, summary.pictures) == ("done", 5)
    assert summary.undrawn == len(summary.notes) == 5
    assert "0.png is not drawn" in summary.notes[0]


def test_entries_of_a_list_that_are_missing_become_records(
    detector: Detector, words: Words, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"{inputs / '0.png'}\n{inputs / 'gone.png'}\n")
    with RunFolder(tmp_path / "run") as folder:
        found = collect_inputs([f"@{tmp_path / 'list.txt'}"])
        summary = run(DetectJob(found, detector, words, folder, threshold=0.6))
    assert (summary.pictures, summary.failed, summary.inputs_total) == (1, 1, 2)
    assert set(load_run(tmp_path / "run").frames["status"]) == {"ok", "error"}
