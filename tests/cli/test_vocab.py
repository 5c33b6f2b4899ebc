"""`ovdet vocab show`: what a model knows of words."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Ovdet = Callable[..., Result]


def test_names_with_familiarity_and_nearest_class(ovdet: Ovdet, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\nguitr\n")
    result = ovdet("vocab", "show", tmp_path / "words.txt", "--classes", "qwxz")
    assert result.exit_code == 0, result.output
    assert "nearest class" in result.stdout
    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == ["cat", "guitr", "qwxz"]


def test_json(ovdet: Ovdet) -> None:
    value = json.loads(ovdet("vocab", "show", "--classes", "cat,guitr", "--json").stdout)
    assert value["model"] == "builtin"
    cat, slip = value["names"]
    assert (cat["class_id"], cat["name"], cat["is_familiar"]) == (0, "cat", True)
    assert slip["nearest"] == "guitar" or slip["is_familiar"]
    assert 0 <= slip["familiarity"] <= 1


def test_a_model_that_cannot_tell_needs_no_tower_for_the_list(ovdet: Ovdet) -> None:
    result = ovdet("vocab", "show", "coco", "--model", "detic-r18")
    assert result.exit_code == 0, result.output
    assert "cannot tell" in result.stderr
    assert "toothbrush" in result.stdout


def test_nothing_named(ovdet: Ovdet) -> None:
    result = ovdet("vocab", "show")
    assert result.exit_code == 2
    assert "name a vocabulary" in result.stderr


def test_no_such_file(ovdet: Ovdet) -> None:
    assert ovdet("vocab", "show", "nowhere.txt").exit_code == 1
