"""`ovdet vocab lint`: what will not work in a vocabulary."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Ovdet = Callable[..., Result]


def lint(ovdet: Ovdet, *words: object) -> dict[str, Any]:
    result = ovdet("vocab", "lint", *words, "--json")
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    assert set(value) == {"model", "findings", "more", "left_out"}
    assert all(set(finding) == {"kind", "names", "message", "suggestion"} for finding in value["findings"])
    return value


def kinds(value: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in value["findings"]:
        found.setdefault(finding["kind"], []).append(", ".join(finding["names"]))
    return found


def test_all_kinds_of_findings(ovdet: Ovdet, tmp_path: Path) -> None:
    long = " ".join(["apple"] * 20)
    (tmp_path / "words.txt").write_text(f"cat\ncat\nguitr\nperson or dog\n猫\n{long}\n", encoding="utf-8")
    value = lint(ovdet, tmp_path / "words.txt", "--classes", "dog,puppy")
    found = kinds(value)
    assert value["model"] == "builtin"
    assert value["left_out"] == []
    assert found["duplicate"] == ["cat"]
    assert found["misspelling"] == ["guitr"]
    assert found["collapse"] == ["person or dog"]
    assert found["language"] == ["猫"]
    assert found["cut"] == [long]
    assert "dog, puppy" in found["near-duplicate"]
    assert "guitr" in found["unfamiliar"]
    assert "cat" not in found["unfamiliar"]


def test_a_table_for_people(ovdet: Ovdet) -> None:
    result = ovdet("vocab", "lint", "--classes", "cat,no smoking,cat")
    assert result.exit_code == 0, result.output
    assert result.stdout.split()[:4] == ["kind", "names", "what", "suggestion"]
    assert "duplicate" in result.stdout
    assert "3 findings in 3 names: 1 duplicate, 1 collapse, 1 unfamiliar" in result.stderr


def test_a_good_vocabulary(ovdet: Ovdet) -> None:
    result = ovdet("vocab", "lint", "--classes", "cat,dog,guitar")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "nothing found in 3 names\n"


@pytest.mark.parametrize("name", ["coco", "lvis", "builtin"])
def test_the_lists_are_no_false_alarms(ovdet: Ovdet, name: str) -> None:
    # Most of their words are unfamiliar to the built-in model, and some are one to it.
    assert set(kinds(lint(ovdet, name, "--model", "builtin"))) <= {"unfamiliar", "near-duplicate", "inseparable"}


def test_without_the_tower_words_are_looked_at_all_the_same(ovdet: Ovdet) -> None:
    long = " ".join(["apple"] * 100)
    value = lint(ovdet, "--classes", f"guitr,dog,puppy,{long}", "--model", "detic-r18")
    assert kinds(value) == {"misspelling": ["guitr"], "cut": [long]}
    (reason,) = value["left_out"]
    assert "ovdet models pull clip-vit-b-32" in reason
    result = ovdet("vocab", "lint", "--classes", "dog", "--model", "detic-r18")
    assert "warning: left out: the checks on text vectors" in result.stderr


@pytest.mark.parametrize("model", ["dito-vit-l", "detic-deformdetr-r50", "detic-lbase-cccapimg-r50"])
def test_models_whose_text_tower_is_not_to_be_had(ovdet: Ovdet, model: str) -> None:
    value = lint(ovdet, "--classes", "dog,puppy", "--model", model)
    assert (value["findings"], len(value["left_out"])) == ([], 1)


def test_many_findings_are_counted(ovdet: Ovdet) -> None:
    names = ",".join(f"qwxz{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    result = ovdet("vocab", "lint", "--classes", names)
    assert result.exit_code == 0
    assert result.stdout.count("unfamiliar") == 20
    assert "26 unfamiliar" in result.stderr
    assert "the table shows 20 of a kind, --json more" in result.stderr


def test_the_wildest_names(ovdet: Ovdet, tmp_path: Path) -> None:
    names = ["🐈", "\u202eقطة", "a" * 5000, "-", "<end_of_text>", "%s {} \\x", "\u0301", "ﬁre", "[bold]x[/bold]"]
    (tmp_path / "words.txt").write_text("\n".join(names), encoding="utf-8")
    for arguments in ((), ("--json",), ("--model", "detic-r18")):
        result = ovdet("vocab", "lint", tmp_path / "words.txt", *arguments)
        assert result.exit_code == 0, result.output


def test_errors(ovdet: Ovdet) -> None:
    assert ovdet("vocab", "lint").exit_code == 2
    assert ovdet("vocab", "lint", "nowhere.txt").exit_code == 1
    assert ovdet("vocab", "lint", "coco", "--threshold", "3").exit_code == 2
