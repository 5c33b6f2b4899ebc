"""`ovdet detect`: folders in, run folders out, and every way to get it wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from ovdet_cli.results.jsonl import read_records
from ovdet_cli.results.runs import load_run
from tests.parity.reference import load_script

Ovdet = Callable[..., Result]


def draw(path: Path, seed: int = 3, size: tuple[int, int] = (96, 128)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(load_script("picture").picture(*size, seed)).save(path)
    return path


def said(result: Result) -> str:
    """What stderr says, line breaks of the terminal's width undone."""
    return " ".join(result.stderr.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good, broken and foreign files, the same name twice, one hidden."""
    root = tmp_path / "posts"
    draw(root / "a.jpg", 1)
    draw(root / "more" / "a.jpg", 2)
    draw(root / "more" / "b10.png", 4)
    draw(root / "more" / "b9.webp", 5)
    draw(root / ".hidden.png", 6)
    (root / "empty.jpg").write_bytes(b"")
    (root / "text.jpg").write_text("this is no picture")
    (root / "cut.jpg").write_bytes((root / "a.jpg").read_bytes()[:900])
    (root / "notes.txt").write_text("hello")
    return root


def test_a_folder_with_broken_files_is_done_to_its_end(
    ovdet: Ovdet, model_options: list[str], folder: Path, tmp_path: Path
) -> None:
    result = ovdet("detect", folder, *model_options, "-o", tmp_path / "run")
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    assert "skipped 1 .txt" in said(result)
    run = load_run(tmp_path / "run")
    assert run.frames["source"].tolist() == [
        *("a.jpg", "cut.jpg", "empty.jpg", "more/a.jpg", "more/b9.webp", "more/b10.png", "text.jpg")
    ]
    failed = run.frames[run.frames["status"] == "error"]
    assert failed["source"].tolist() == ["cut.jpg", "empty.jpg", "text.jpg"]
    assert all(failed["error"])
    images = tmp_path / "run" / "images"
    drawn = {path.relative_to(images).as_posix() for path in images.rglob("*.*")}
    assert drawn == {"a.jpg", "more/a.jpg", "more/b9.webp", "more/b10.png"}
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["status"] == "done"
    assert info["counts"]["pictures"] == 4
    assert info["counts"]["failed"] == 3
    assert info["counts"]["detections"] == len(run.detections) > 0
    assert info["inputs"]["skipped"] == {".txt": 1}
    assert len(info["model"]["weights_sha256"]) == 64


def test_records_hold_every_picture_in_upright_pixels(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    picture = Image.fromarray(load_script("picture").picture(60, 90, 3))
    exif = picture.getexif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "turned.png", exif=exif)
    assert ovdet("detect", tmp_path / "in", *model_options, "-o", tmp_path / "run").exit_code == 0
    (line,) = (tmp_path / "run" / "detections.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert list(record) == ["schema", "source", "index", "time_s", "width", "height", "status", "detections"]
    assert (record["width"], record["height"]) == (60, 90)
    assert (record["index"], record["time_s"], record["status"]) == (0, None, "ok")
    for found in record["detections"]:
        assert list(found) == ["label", "class_id", "score", "box_xyxy", "mask"]
        assert found["label"] == f"thing {found['class_id']}"
        x1, y1, x2, y2 = found["box_xyxy"]
        assert 0 <= x1 < x2 <= 60
        assert 0 <= y1 < y2 <= 90
    assert Image.open(tmp_path / "run" / "images" / "turned.png").size == (60, 90)


def test_the_run_folder_is_found_again_and_refused(
    ovdet: Ovdet, model_options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "posts" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert ovdet("detect", "posts", *model_options, "-q").exit_code == 0
    assert (tmp_path / "posts-ovdet" / "run.json").is_file()
    again = ovdet("detect", "posts", *model_options)
    assert again.exit_code == 1
    assert "already holds a run" in said(again)
    broken = ovdet("detect", "posts", *model_options, "--overwrite", "--weights", "nowhere.pth")
    assert broken.exit_code == 1
    assert (tmp_path / "posts-ovdet" / "detections.jsonl").is_file(), "a run that cannot start removes nothing"
    assert ovdet("detect", "posts", *model_options, "--overwrite", "-q").exit_code == 0


def test_the_run_folder_is_never_an_input(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "posts" / "a.png")
    for name in ("run", "second run"):
        assert ovdet("detect", tmp_path / "posts", *model_options, "-o", tmp_path / "posts" / name).exit_code == 0
        assert len(load_run(tmp_path / "posts" / name).frames) == 1
    itself = ovdet("detect", tmp_path / "posts", *model_options, "-o", tmp_path / "posts")
    assert itself.exit_code == 2
    assert "input folder itself" in said(itself)


def test_records_on_standard_output(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    result = ovdet("detect", picture, *model_options, "-o", "-")
    assert result.exit_code == 0
    (record,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert record["source"] == "a.png"
    assert record["detections"]
    assert not list(tmp_path.glob("*ovdet"))


def test_summary_as_json(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    result = ovdet("detect", draw(tmp_path / "a.png"), *model_options, "-o", tmp_path / "run", "--json")
    assert json.loads(result.stdout) == json.loads((tmp_path / "run" / "run.json").read_text())
    both = ovdet("detect", tmp_path / "a.png", *model_options, "-o", "-", "--json")
    assert both.exit_code == 2


def test_overwriting_never_removes_its_own_inputs(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    ovdet("detect", draw(tmp_path / "a.png"), *model_options, "-o", run)
    again = ovdet("detect", run / "images", *model_options, "-o", run, "--overwrite")
    assert again.exit_code == 2
    assert "part of the run that --overwrite removes" in said(again)
    assert (run / "images" / "a.png").is_file()


def test_weaker_detections_are_recorded_but_not_counted(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    ovdet("detect", picture, *model_options, "-o", tmp_path / "strong")
    ovdet("detect", picture, *model_options, "-o", tmp_path / "weak", "--record-threshold", "0.3")
    (strong,), (weak,) = (read_records(tmp_path / name / "detections.jsonl") for name in ("strong", "weak"))
    is_strong = weak.detections.scores > np.float32(0.6)
    assert len(weak.detections) > len(strong.detections) > 0
    np.testing.assert_array_equal(weak.detections.boxes_xyxy[is_strong], strong.detections.boxes_xyxy)
    counts = json.loads((tmp_path / "weak" / "run.json").read_text())["counts"]
    assert counts["detections"] == len(strong.detections)
    assert counts["recorded"] == len(weak.detections)
    pictures = [np.asarray(Image.open(tmp_path / name / "images" / "a.png")) for name in ("strong", "weak")]
    np.testing.assert_array_equal(*pictures)


def test_render_and_masks(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "in" / "hit.png")
    Image.new("RGB", (64, 64), "white").save(tmp_path / "in" / "plain.png")
    sure = [*model_options, "--threshold", "0.8"]
    ovdet("detect", tmp_path / "in", *sure, "-o", tmp_path / "none", "--render", "none")
    assert not (tmp_path / "none" / "images").exists()
    ovdet("detect", tmp_path / "in", *sure, "-o", tmp_path / "hits", "--render", "hits", "--no-masks")
    frames = load_run(tmp_path / "hits").frames.set_index("source")["detections"]
    drawn = {path.name for path in (tmp_path / "hits" / "images").iterdir()}
    assert drawn == {source for source, count in frames.items() if count} != set()
    assert '"mask"' not in (tmp_path / "hits" / "detections.jsonl").read_text()
    assert '"mask"' in (tmp_path / "none" / "detections.jsonl").read_text()


def test_coco_files_have_official_ids(ovdet: Ovdet, r18_weights: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((80, 512), dtype=np.float32)
    np.save(tmp_path / "coco.npy", vectors)
    options = ["--weights", r18_weights, "--vocab", "coco", "--embeddings", tmp_path / "coco.npy", "--imgsz", 96]
    picture = draw(tmp_path / "a.png")
    result = ovdet("detect", picture, *options, "--conf", 0.4, "-o", tmp_path / "run", "--format", "coco,jsonl")
    assert result.exit_code == 0, result.output
    categories = json.loads((tmp_path / "run" / "coco_images.json").read_text())["categories"]
    assert categories[-1] == {"id": 90, "name": "toothbrush"}
    results = json.loads((tmp_path / "run" / "coco_results.json").read_text())
    assert results
    assert {r["category_id"] for r in results} <= {c["id"] for c in categories}
    assert not (tmp_path / "run" / "detections.csv").exists()


def test_words_add_up(ovdet: Ovdet, r18_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# mine\ncat\n\ncat\n", encoding="utf-8")
    np.save(tmp_path / "e.npy", np.eye(3, 512, dtype=np.float32))
    result = ovdet(
        *("detect", draw(tmp_path / "a.png"), "--weights", r18_weights, "--imgsz", 64, "-o", tmp_path / "run"),
        *("--vocab", tmp_path / "words.txt", "--classes", "hot dog", "--embeddings", tmp_path / "e.npy"),
    )
    assert result.exit_code == 0, result.output
    assert "1 name more than once in the vocabulary, each row kept: cat" in said(result)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["vocabulary"]["names"] == ["cat", "cat", "hot dog"]


def test_the_checkpoints_own_classes(ovdet: Ovdet, r18_weights: Path, tmp_path: Path) -> None:
    options = ["--weights", r18_weights, "--vocab", "model", "--imgsz", 96, "--threshold", 0.3, "-o", tmp_path / "run"]
    result = ovdet("detect", draw(tmp_path / "a.png"), *options)
    assert result.exit_code == 0, result.output
    names = json.loads((tmp_path / "run" / "run.json").read_text())["vocabulary"]["names"]
    assert len(names) == 22047
    assert (names[0], names[1203], names[-1]) == ("aerosol can", "class 1203", "class 22046")


def test_a_dry_run_does_nothing(ovdet: Ovdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "posts" / "a.png")
    monkeypatch.chdir(tmp_path)
    result = ovdet("detect", "posts", "--classes", "cat,dog", "-n")
    assert result.exit_code == 0, result.output
    assert result.stdout == "a.png\n"
    assert not (tmp_path / "posts-ovdet").exists()
    plan = json.loads(ovdet("detect", "posts", "--classes", "cat,dog", "-n", "--json").stdout)
    assert plan["model"] == "builtin"
    assert plan["num_classes"] == 2
    assert plan["weights_present"] is True
    plan = json.loads(ovdet("detect", "posts", "-m", "detic-swin-b", "-n", "--json").stdout)
    assert plan["weights_present"] is False


def test_too_many_failures_end_the_run_and_keep_its_records(
    ovdet: Ovdet, model_options: list[str], folder: Path, tmp_path: Path
) -> None:
    result = ovdet("detect", folder, *model_options, "-o", tmp_path / "run", "--max-failures", 1)
    assert result.exit_code == 1
    assert "more than --max-failures 1" in said(result)
    assert load_run(tmp_path / "run").frames["status"].tolist() == ["ok", "error", "error"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["nowhere.jpg"], 2, "nowhere.jpg"),
        (["a.png", "--format", "xml"], 2, "'xml'"),
        (["a.png", "--render", "some"], 2, "--render"),
        (["a.png", "--every", "2", "--fps", "3"], 2, "exclude"),
        (["a.png", "--fps", "quick"], 2, "--fps quick"),
        (["a.png", "--start", "1:99"], 2, "1:99"),
        (["a.png", "--start", "5", "--end", "4"], 2, "after the start"),
        (["a.png", "--threshold", "0.3", "--record-threshold", "0.4"], 2, "above --threshold"),
        (["a.png", "--threshold", "7"], 2, "--conf"),
        (["a.png", "--batch", "0"], 2, "--batch"),
        (["a.png", "--model", "detic-swin"], 1, "detic-swin-b"),
        (["a.png", "--weights", "nowhere.pth"], 1, "no weight file at nowhere.pth"),
        (["a.png", "--device", "tpu9"], 2, "tpu9"),
        (["a.png", "--precision", "fp8"], 2, "fp8"),
        (["a.png", "--classes", " , "], 1, "no class name"),
        (["a.png", "--vocab", "nowhere.txt"], 1, "nowhere.txt"),
        (["a.png", "--vocab", "latin1.txt"], 1, "latin1.txt, line 2: byte 0xe9 is not UTF-8"),
        (["a.png", "--vocab", "empty.txt"], 1, "holds no name"),
        (["empty"], 2, "empty"),
        (["a.png", "-m", "detic-swin-b"], 1, "ovdet models pull detic-swin-b"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    options: list[str], code: int, message: str, ovdet: Ovdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin1.txt").write_bytes("chat\ncafé\n".encode("latin-1"))
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    result = ovdet("detect", *options)
    assert result.exit_code == code, result.output
    assert message in said(result)
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("*-ovdet")), "a run that could not start leaves no folder"


def test_names_are_printed_as_they_are(ovdet: Ovdet, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a:smile:[b].png")
    assert ovdet("detect", tmp_path / "in", "--classes", "cat", "-n", "-q").stdout == "a:smile:[b].png\n"


def test_a_list_may_name_a_folder_and_its_files(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    picture = draw(tmp_path / "in" / "a.png")
    (tmp_path / "list.txt").write_text(f"{picture}\n{tmp_path / 'in'}\n")
    result = ovdet("detect", f"@{tmp_path / 'list.txt'}", *model_options, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert load_run(tmp_path / "run").frames["source"].tolist() == ["a.png"]


def test_what_cannot_be_drawn_is_recorded_and_told(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.gif")
    draw(tmp_path / "in" / "a.gif.jpg" / "b.png")  # a folder where the first one's annotated copy belongs
    result = ovdet("detect", tmp_path / "in", *model_options, "-o", tmp_path / "run")
    assert result.exit_code == 3, result.output
    assert set(load_run(tmp_path / "run").frames["status"]) == {"ok"}
    assert "is not drawn" in said(result)


def test_embeddings_that_do_not_fit(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    for shape in ((39, 512), (40, 256)):
        np.save(tmp_path / "wrong.npy", np.zeros(shape, np.float32))
        result = ovdet("detect", tmp_path / "a.png", *model_options, "--embeddings", tmp_path / "wrong.npy")
        assert result.exit_code == 1
        assert f"is {shape[0]} x {shape[1]}" in said(result)
        assert "40 x 512 is needed" in said(result)


def test_words_without_a_text_tower_name_the_pull(ovdet: Ovdet, r18_weights: Path, tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    own = ovdet("detect", picture, "--weights", r18_weights, "--classes", "cat")
    assert own.exit_code == 1
    assert "ovdet models pull clip-vit-b-32" in said(own)
    assert "--embeddings FILE" in said(own)
    built_in = ovdet("detect", picture, "--weights", r18_weights)
    assert "ovdet models pull lvis" in said(built_in)


def test_an_unwritable_output_folder(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = ovdet("detect", draw(tmp_path / "a.png"), *model_options, "-o", tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert "cannot write the run folder" in said(result)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has(sent: signal.Signals, model_options: list[str], tmp_path: Path) -> None:
    for i in range(300):
        draw(tmp_path / "in" / f"{i}.png", i % 7, (48, 64))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "ovdet_cli", "detect", str(tmp_path / "in"), *model_options, "-o", str(run)]
    process = subprocess.Popen(command, env={**os.environ}, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (run / "detections.jsonl").is_file() and (run / "detections.jsonl").read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.05)
    else:
        process.kill()
        pytest.fail(f"no record after a minute: {process.communicate()[1]}")
    process.send_signal(sent)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert 3 <= len(load_run(run).frames) < 300
