"""The README's commands and claims, as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli import load_run
from ovdet_cli.models.zoo import DEFAULT, MODELS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETS_UP = ("python3 -m venv", "pip install", "ovdet models pull")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the samples, as a person who follows the README has them."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "samples").symlink_to(ROOT / "samples")
    return folder


def test_the_main_command_works_on_the_samples(workplace: Path) -> None:
    set_up, main, report = blocks("bash")[0].strip().splitlines()
    assert set_up.startswith(SETS_UP)
    environment = {**os.environ, "OVDET_HOME": str(workplace / "home"), "OVDET_OFFLINE": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    # Only every tenth frame of the clip is analysed here, to save time.
    done = {
        command: subprocess.run(command, shell=True, cwd=workplace, env=environment, capture_output=True, text=True)
        for command in (f"{main} --every 10", report)
    }
    assert all(result.returncode == 0 for result in done.values()), [result.stderr for result in done.values()]
    assert "looks like a photograph" not in done[f"{main} --every 10"].stderr
    run = workplace / "posts-ovdet"
    shown = re.search(r"    posts-ovdet/\n(.*?)\n\n", README, re.DOTALL)
    assert shown
    promised = {line.split()[0].rstrip("/") for line in shown[1].splitlines()}
    assert {path.name for path in run.iterdir()} == promised
    pictures = {path.relative_to(run / "images").as_posix() for path in (run / "images").rglob("*.*")}
    assert pictures == {"chat.png", "stickers.jpg", "park.jpg", "kitchen/breakfast.webp"}
    frames = load_run(run).frames
    assert set(frames["status"]) == {"ok"}
    assert (frames["source"] == "clip.mp4").sum() == 10


def test_the_index_is_asked_as_shown(workplace: Path) -> None:
    (shown,) = (block for block in blocks("bash") if "ovdet query" in block)
    index, *queries = shown.strip().splitlines()
    environment = {**os.environ, "OVDET_HOME": str(workplace / "home"), "OVDET_OFFLINE": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for command in (f"{index} --every 10 --render none", *queries):
        done = subprocess.run(command, shell=True, cwd=workplace, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert len(load_run(workplace / "new-words").detections) > 10
    assert (workplace / "matches.png").stat().st_size > 10_000


def test_the_python_lines_work(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    (code,) = blocks("python")
    names = {"image": np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)}
    exec(code, names)
    assert len(names["found"].boxes_xyxy) == len(names["found"].masks)


def test_the_model_table_is_the_zoos() -> None:
    own, *rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    assert own[0] == DEFAULT
    assert own[2] == MODELS[DEFAULT].trained_on
    assert len(rows) == 10
    for name, stem, trained_on, figure in rows:
        spec = MODELS[name]
        assert (spec.stem, spec.trained_on) == (stem, trained_on)
        assert any(value in figure for _, value in spec.results)
    assert sum(spec.architecture.startswith("detic") for spec in MODELS.values() if spec.name != DEFAULT) == 22
    assert "All 22 of Detic's zoo" in README


def test_ci_runs_the_readmes_test_command() -> None:
    test_command = blocks("bash")[-1].strip().splitlines()[-1]
    assert f"\n{test_command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_command_line_is_known() -> None:
    """Options that the README names exist."""
    shown = "".join(
        subprocess.run(
            [sys.executable, "-m", "ovdet_cli", *command.split(), "--help"], capture_output=True, text=True
        ).stdout
        for command in ("detect", "query", "eval", "train", "vocab cache", "video", "report", "convert")
    )
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)):
        assert option in shown, f"{option} is in no command's --help"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
