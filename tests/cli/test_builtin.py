"""A fresh machine: the built-in model is what commands use, and it says what it does not know."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from ovdet_cli.detector import words as words_module
from ovdet_cli.detector.familiarity import Acquaintance

Ovdet = Callable[..., Result]

DRAWN = Path(__file__).parents[2] / "samples" / "posts" / "kitchen" / "breakfast.webp"
WORLD = "knows drawn things (emoji, icons, stickers); for photographs: ovdet models pull detic-swin-b"


def said(result: Result) -> str:
    return " ".join(result.stderr.split())


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two pictures with light and noise, as a camera's."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        light = np.linspace(40, 200, 160)[None, :, None] + np.zeros((120, 1, 3))
        Image.fromarray((light + rng.normal(0, 4, light.shape)).clip(0, 255).astype(np.uint8)).save(folder / name)
    return folder


def strange(*names: str) -> Callable[..., list[Acquaintance]]:
    return lambda given, *rest: [Acquaintance(n, 0.1, False, "guitar") for n in given if n in names]


def test_no_model_need_be_named(ovdet: Ovdet, tmp_path: Path) -> None:
    result = ovdet("detect", DRAWN, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "photograph" not in said(result)
    assert "takes seconds" not in said(result)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["model"]["name"] == "builtin"
    assert info["model"]["text_encoder"] == "builtin-text"
    assert info["vocabulary"]["origins"] == ["builtin"]
    assert info["vocabulary"]["embeddings"] == ["published"]
    assert info["vocabulary"]["unfamiliar"] == []


def test_photographs_are_outside_its_world(ovdet: Ovdet, photographs: Path, tmp_path: Path) -> None:
    result = ovdet("detect", photographs, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert said(result).count(WORLD) == 2, "once when the first one comes, and once where little was found"
    assert f"a.png looks like a photograph: the builtin model {WORLD}" in said(result)
    (note,) = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert note == f"0 found in 2 that look like photographs: the builtin model {WORLD}"


def test_quiet_says_nothing_of_it(ovdet: Ovdet, photographs: Path, tmp_path: Path) -> None:
    assert ovdet("detect", photographs, "-o", tmp_path / "run", "-q").stderr == ""


def test_weights_of_ones_own_may_know_the_world(ovdet: Ovdet, photographs: Path, tmp_path: Path) -> None:
    from ovdet_cli.models import store
    from ovdet_cli.models.zoo import BUILTIN

    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(store.weights_path(BUILTIN).read_bytes())
    result = ovdet("detect", photographs, "--weights", mine, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert WORLD not in said(result)


def test_words_that_it_has_not_learnt(ovdet: Ovdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words_module, "_unfamiliar", strange("guitr"))
    result = ovdet("detect", DRAWN, "--classes", "guitr,cat", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "'guitr' is unlike anything the model has learnt (nearest: guitar)" in said(result)
    assert "1 name unlike anything the model has learnt: guitr" in said(result)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["vocabulary"]["unfamiliar"] == [{"name": "guitr", "nearest": "guitar"}]


def test_many_strange_words_are_not_all_told(ovdet: Ovdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"word{i}" for i in range(12)]
    monkeypatch.setattr(words_module, "_unfamiliar", strange(*names))
    result = ovdet("detect", DRAWN, "--classes", ",".join(names), "-o", tmp_path / "run")
    assert said(result).count("(nearest: guitar)") == 8
    assert "4 more such names; `ovdet vocab show` lists them" in said(result)


def test_its_own_classes_are_its_list(ovdet: Ovdet, tmp_path: Path) -> None:
    result = ovdet("detect", DRAWN, "--vocab", "model", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run" / "run.json").read_text())["vocabulary"]["origins"] == ["builtin"]
