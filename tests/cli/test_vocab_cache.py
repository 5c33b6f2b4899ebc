"""`ovdet vocab cache`: what is kept of embedded words."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from ovdet_cli.models import store
from ovdet_cli.vocabulary import cache as module
from ovdet_cli.vocabulary.cache import EmbeddingCache

Ovdet = Callable[..., Result]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> EmbeddingCache:
    """A cache with three vectors of two towers, one of them used 40 days ago."""
    cache = EmbeddingCache(store.home() / "text-cache")
    then_s = time.time() - 40 * 86400
    with monkeypatch.context() as patch:
        patch.setattr(module.time, "time", lambda: then_s)
        cache.put("one", ["a cat"], np.ones((1, 4), np.float32))
    cache.put("other", ["a cat", "a dog"], np.ones((2, 4), np.float32))
    return cache


def test_what_is_there(ovdet: Ovdet, kept: EmbeddingCache) -> None:
    result = ovdet("vocab", "cache")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 vectors of 2 text towers, ")
    assert str(kept.folder) in result.stdout
    assert result.stderr == ""


def test_json(ovdet: Ovdet, kept: EmbeddingCache) -> None:
    value = json.loads(ovdet("vocab", "cache", "--json").stdout)
    assert value.pop("bytes") == kept.facts().num_bytes > 0
    assert value == {"folder": str(kept.folder), "vectors": 3, "text_towers": 2}
    assert json.loads(ovdet("vocab", "cache", "--json", "--clear").stdout)["removed"] == 3


def test_nothing_is_there(ovdet: Ovdet) -> None:
    for options in ([], ["--clear"], ["--prune", "1"]):
        result = ovdet("vocab", "cache", *options)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("0 vectors of 0 text towers, 0 B")
    assert not store.home().exists()


def test_prune(ovdet: Ovdet, kept: EmbeddingCache) -> None:
    old = kept.folder / ("0" * 64 + ".npy")
    old.write_bytes(b"x")
    assert "removed 0 vectors" in ovdet("vocab", "cache", "--prune", "50").stderr
    assert not old.exists()
    result = ovdet("vocab", "cache", "--prune", "30")
    assert "removed 1 vectors" in result.stderr
    assert result.stdout.startswith("2 vectors of 1 text towers")
    assert list(kept.find("other", ["a dog"])) == ["a dog"]


def test_clear(ovdet: Ovdet, kept: EmbeddingCache) -> None:
    result = ovdet("vocab", "cache", "--clear")
    assert "removed 3 vectors" in result.stderr
    assert result.stdout.startswith("0 vectors")
    assert kept.find("other", ["a dog"]) == {}


def test_words_that_were_embedded_are_there(ovdet: Ovdet, tmp_path: Path) -> None:
    # The built-in model's own tower embeds them; its store is the test's.
    from ovdet_cli.detector.text_tower import TextTower
    from ovdet_cli.models.zoo import BUILTIN

    TextTower(BUILTIN).embed(["cat", "guitar"])
    assert json.loads(ovdet("vocab", "cache", "--json").stdout)["vectors"] == 2


def test_both_at_once(ovdet: Ovdet, kept: EmbeddingCache) -> None:
    result = ovdet("vocab", "cache", "--clear", "--prune", "3")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr
    assert kept.facts().num_vectors == 3


@pytest.mark.parametrize("days", ["-1", "many"])
def test_days_are_a_number(ovdet: Ovdet, days: str) -> None:
    assert ovdet("vocab", "cache", "--prune", days).exit_code == 2


def test_a_folder_that_cannot_be_changed(ovdet: Ovdet) -> None:
    (store.home() / "text-cache" / "vectors-1.sqlite").mkdir(parents=True)
    result = ovdet("vocab", "cache", "--clear")
    assert result.exit_code == 1
    assert "cannot be pruned" in result.stderr
