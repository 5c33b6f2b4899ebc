"""`ovdet vocab`: what a model knows of words, and vocabularies united."""

import json
import tomllib
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


def test_merge(ovdet: Ovdet, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("cat\ndog\n")
    (tmp_path / "b.yaml").write_text("- {name: dog, aliases: puppy, threshold: 0.3}\n- 'no'\n")
    (tmp_path / "c.csv").write_text("name;threshold\ndog;0.5\n")
    out = tmp_path / "all.toml"
    sources = [tmp_path / name for name in ("a.txt", "b.yaml", "c.csv")]
    result = ovdet("vocab", "merge", *sources, "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert f"'dog': threshold 0.5 of {tmp_path / 'c.csv'} in place of 0.3" in result.stderr
    assert "3 classes" in result.stderr
    dog = {"name": "dog", "aliases": ["puppy"], "threshold": 0.5}
    assert tomllib.loads(out.read_text())["classes"] == [{"name": "cat"}, dog, {"name": "no"}]

    again = ovdet("vocab", "merge", "coco", "-o", out)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert ovdet("vocab", "merge", out, "coco", "-o", out, "--overwrite").exit_code == 0
    assert tomllib.loads(out.read_text())["classes"][1] == dog


def test_merge_into_text_would_lose_settings(ovdet: Ovdet, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- cat\n- {name: dog, threshold: 0.3}\n")
    result = ovdet("vocab", "merge", tmp_path / "a.yaml", "-o", tmp_path / "all.txt")
    assert result.exit_code == 1
    assert "would lose threshold of the class 'dog'" in result.stderr
    assert not (tmp_path / "all.txt").exists()


def test_merge_tells_what_is_wrong(ovdet: Ovdet, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- cat\n- {name: dog, treshold: 0.3}\n")
    result = ovdet("vocab", "merge", tmp_path / "a.yaml", "-o", tmp_path / "all.csv")
    assert result.exit_code == 1
    assert "a.yaml, line 2, column 15: the key 'treshold' is not known; did you mean threshold?" in result.stderr
    assert ovdet("vocab", "merge", "coco", "-o", tmp_path / "all.xml").exit_code == 2
    assert ovdet("vocab", "merge", "-o", tmp_path / "all.csv").exit_code == 2
    assert ovdet("vocab", "merge", "coco").exit_code == 2
