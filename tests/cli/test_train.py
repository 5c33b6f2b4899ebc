"""`ovdet train` as a person calls it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from ovdet_cli.models import zoo
from ovdet_cli.training import artwork_build
from ovdet_cli.training.sources import DiskSource
from tests.training.tiny import RECIPE_TOML, SPEC, picture, write_artwork, write_coco, write_labelled

SCENES = """
[[data]]
kind = "scenes"
path = "art"
[[data.phases]]
share = 1
batch = 2
[data.phases.scenes]
size_hw = [64, 64]
layouts = [["scatter", 1.0]]
objects = [1, 2]
size_px = [16, 40]
pool_size = 0
"""
OWN = """
[[data]]
kind = "coco"
path = "coco/boxes.json"
images = "coco/pictures"
batch = 2
size = 64
[[data]]
kind = "folders"
path = "labelled"
ratio = 4
batch = 2
size = 64
scale = [0.5, 1.5]
"""
HEAD = """
[model]
name = "tiny"
[classes]
vectors = "learned"
[schedule]
iterations = 4
warmup_iterations = 1
[run]
workers = 0
log_every = 1
[evaluation]
scenes = 2
"""


@pytest.fixture(autouse=True)
def _tiny_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(zoo.MODELS, "tiny", SPEC)


def write_config(folder: Path, data: str) -> Path:
    (folder / "train.toml").write_text(HEAD + RECIPE_TOML + data)
    return folder / "train.toml"


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    write_artwork(tmp_path / "art")
    return write_config(tmp_path, SCENES)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_coco(tmp_path / "coco")
    write_labelled(tmp_path / "labelled")
    return write_config(tmp_path, OWN)


def test_a_run_on_scenes_ends_with_weights_numbers_and_what_to_do(ovdet, scenes, tmp_path):
    pytest.importorskip("faster_coco_eval")
    result = ovdet("train", scenes, "-o", tmp_path / "run", "--device", "cpu", "--set", "run.seed=2", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "tiny on cpu: 2 classes, 4 iterations" in result.stderr
    assert "4 of 4 iterations" in result.stderr
    assert "last losses: total" in result.stderr
    assert "evaluation at iteration 4: ap " in result.stderr
    assert f"ovdet detect PICTURES --model tiny --weights {tmp_path}/run/weights.safetensors" in result.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["run"]["seed"] == 2


def test_photographs_lie_behind_the_scenes(ovdet, scenes, tmp_path):
    call = ("train", scenes, "-o", tmp_path / "run", "--device", "cpu", "--set", "data.0.photographs=backgrounds")
    call = (*call, "--set", "data.0.phases.0.scenes.photograph_share=1", "--until")
    (tmp_path / "backgrounds").mkdir()
    missing = ovdet(*call, 2)
    assert missing.exit_code != 0
    assert "no photographs there" in missing.stderr

    from ovdet_cli.media.images import write_image

    write_image(tmp_path / "backgrounds" / "red.png", np.full((80, 80, 3), (255, 0, 0), np.uint8))
    assert ovdet(*call, 2).exit_code == 0
    write_image(tmp_path / "backgrounds" / "blue.png", np.full((80, 80, 3), (0, 0, 255), np.uint8))
    other = ovdet(*call, 4)
    assert other.exit_code != 0
    assert "another" in other.stderr, "a run does not go on with other photographs"


def test_what_is_suggested_works(ovdet, own, tmp_path):
    run = tmp_path / "run"
    assert ovdet("train", own, "-o", run, "--device", "cpu", "-q").exit_code == 0
    from ovdet_cli.media.images import write_image

    write_image(tmp_path / "p.png", picture([(0, (10, 10, 40, 40))]))
    result = ovdet(
        *("detect", tmp_path / "p.png", "--model", "tiny", "--weights", run / "weights.safetensors"),
        *("--vocab", run / "classes.txt", "--embeddings", run / "classes.safetensors"),
        *("--device", "cpu", "--render", "none", "-o", tmp_path / "found", "--threshold", 0),
    )
    assert result.exit_code == 0, result.output


def test_a_run_goes_on_and_says_so(ovdet, own, tmp_path):
    first = ovdet("train", own, "-o", tmp_path / "run", "--device", "cpu", "--until", 2)
    assert first.exit_code == 0, first.output
    assert "2 of 4 iterations" in first.stderr
    second = ovdet("train", own, "-o", tmp_path / "run", "--device", "cpu", "--json")
    assert "goes on: 2 of 4 iterations are done" in second.stderr
    summary = json.loads(second.stdout)
    assert summary["iteration"] == 4
    assert summary["losses"]["total"] > 0
    assert "is finished: 4 of 4" in ovdet("train", own, "-o", tmp_path / "run", "--device", "cpu").stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_after_the_step_at_hand(ovdet, own, tmp_path, monkeypatch, number):
    batch = DiskSource.batch

    def interrupting(self, iteration):
        if iteration == 2:
            os.kill(os.getpid(), number)
        return batch(self, iteration)

    monkeypatch.setattr(DiskSource, "batch", interrupting)
    result = ovdet("train", own, "-o", tmp_path / "run", "--device", "cpu")
    assert result.exit_code == 130, result.output
    assert "stopped after iteration 2 of 4" in result.stderr
    assert "the same command goes on" in result.stderr
    monkeypatch.undo()
    monkeypatch.setitem(zoo.MODELS, "tiny", SPEC)
    again = ovdet("train", own, "-o", tmp_path / "run", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert "goes on: 2 of 4" in again.stderr


def test_quiet_says_nothing(ovdet, own, tmp_path):
    result = ovdet("train", own, "-o", tmp_path / "run", "--device", "cpu", "-q", "--until", 1)
    assert (result.exit_code, result.output) == (0, "")


def test_a_broken_picture_is_told(ovdet, own, tmp_path):
    (tmp_path / "labelled" / "fox" / "1.png").write_bytes(b"")
    result = ovdet("train", own, "-o", tmp_path / "run", "--device", "cpu", "--set", "schedule.iterations=8")
    assert result.exit_code == 0, result.output
    assert "warning: left out of training" in result.stderr


def test_artwork_is_built_where_it_is_missing(ovdet, scenes, own, tmp_path, monkeypatch):
    built = []

    def build(folder, progress):
        progress("drawn 4 of 4")
        built.append(folder)
        write_artwork(folder)

    monkeypatch.setattr(artwork_build, "build", build)
    scenes = write_config(tmp_path, SCENES)
    command = ("train", scenes, "-o", tmp_path / "run", "--device", "cpu", "--until", 1, "--fetch-artwork")
    assert ovdet(*command).exit_code == 0
    assert built == []  # it is there
    result = ovdet(*command[:3], tmp_path / "run2", *command[4:], "--set", "data.0.path=art2")
    assert result.exit_code == 0, result.output
    assert built == [tmp_path / "art2"]
    assert "drawn 4 of 4" in result.stderr
    write_config(tmp_path, OWN)
    assert "draws no scenes" in ovdet(*command).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("gone.toml",),
            2,
            "no configuration at gone.toml; name a TOML file, or one that comes with ovdet: add-classes",
        ),
        (("{config}", "--set", "run.sed=1"), 2, "did you mean seed"),
        (("{config}", "--set", "data.0.path=gone.json"), 1, "gone.json"),
        (("{config}", "--set", "model.name=detic-r81"), 1, "near: detic-r18"),
        (("{config}", "--set", "model.weights=published"), 1, "ovdet models pull"),
        (("{config}", "--device", "cuda:99"), 1, "--device cuda:99"),
    ],
)
def test_errors_are_one_line_with_a_way_out(ovdet, own, tmp_path, arguments, code, message):
    arguments = [argument.format(config=own) for argument in arguments]
    result = ovdet("train", *arguments, "-o", tmp_path / "run")
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_a_checkpoint_of_another_configuration_is_refused(ovdet, own, tmp_path):
    command = ("train", own, "-o", tmp_path / "run", "--device", "cpu", "--until", 1)
    assert ovdet(*command).exit_code == 0
    result = ovdet(*command, "--set", "optimizer.learning_rate=1")
    assert result.exit_code == 1
    assert "belongs to another configuration" in result.stderr
    assert ovdet("train", own, "-o", own).exit_code == 2


def test_help_is_light():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom ovdet_cli.cli.main import app\n"
        "assert CliRunner().invoke(app, ['train', '--help']).exit_code == 0\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_official_layout_is_trained_and_detects(ovdet, r18_weights, tmp_path):
    """One step of the shipped recipe on r18's real layout; `ovdet detect` takes what comes out."""
    write_coco(tmp_path / "coco", count=2)
    write_labelled(tmp_path / "labelled")
    np.save(tmp_path / "words.npy", np.eye(3, 512, dtype=np.float32))
    changes = {
        "model.weights": r18_weights,
        "classes.file": tmp_path / "words.npy",
        "data.0.path": tmp_path / "coco" / "boxes.json",
        "data.0.images": tmp_path / "coco" / "pictures",
        "data.1.path": tmp_path / "labelled",
        "data.0.size": 64,
        "data.1.size": 64,
        "data.0.batch": 1,
        "data.1.batch": 1,
        "schedule.iterations": 2,
        "schedule.warmup_iterations": 0,
        "run.precision": "bfloat16",
        "run.workers": 0,
        "run.checkpoint_every": 1000,
        # No moments to keep: the checkpoint is a third as large.
        "optimizer.kind": "sgd",
        "optimizer.momentum": 0.0,
    }
    settings = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    run = tmp_path / "run"
    result = ovdet("train", "add-classes", "-o", run, "--device", "cpu", *settings)
    assert result.exit_code == 0, result.output
    assert (run / "classes.txt").read_text().split() == ["cat", "dog", "fox"]
    before, after = load_file(r18_weights), load_file(run / "weights.safetensors")
    assert not any("num_batches" in name for name in after)
    name = "proposal_head.heat.weight"
    assert after[name].shape == before["proposal_generator.centernet_head.agn_hm.weight"].shape
    assert (after["stages.0.project.weight"] != before["roi_heads.box_predictor.0.cls_score.linear.weight"]).any()
    # Batch norm is frozen in training too.
    assert (after["backbone.bn1.weight"] == before["backbone.bottom_up.base.bn1.weight"]).all()
    found = ovdet(
        *("detect", tmp_path / "labelled" / "fox" / "0.png", "--model", "detic-r18"),
        *("--weights", run / "weights.safetensors", "--vocab", run / "classes.txt"),
        *("--embeddings", run / "classes.safetensors", "--imgsz", 64, "--device", "cpu", "-o", tmp_path / "found"),
    )
    assert found.exit_code == 0, found.output
