"""Words that a model has learnt nothing for."""

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.detector.familiarity import Acquaintance, acquaint
from ovdet_cli.models import store
from ovdet_cli.models.zoo import BUILTIN, MODELS, embeddings_of
from ovdet_cli.vocabulary.embed import read_embeddings
from ovdet_cli.vocabulary.vocabulary import Vocabulary

NAMES = Vocabulary.built_in("builtin").names


class Tower:
    """Knows "puppy", a little of "pooch", and that both are dogs; everything else is a toothbrush to it."""

    context = 16
    familiar_threshold = 0.5
    sure = MappingProxyType({"puppy": 0.9, "pooch": 0.5, "cat": 0.1})

    def num_tokens(self, sentence: str) -> int:
        return 3

    def encode(self, sentences: Sequence[str]) -> Tensor:
        vectors = read_embeddings(store.require(embeddings_of(BUILTIN)["builtin"]))
        rows = [NAMES.index("dog" if text in ("puppy", "pooch") else "toothbrush") for text in sentences]
        return torch.from_numpy(vectors[rows])

    def familiarity(self, sentences: Sequence[str]) -> np.ndarray:
        return np.array([self.sure.get(text, 0.2) for text in sentences], np.float32)


class UntaughtTower:
    """Like CLIP's: has vectors for everything, and no doubt."""

    context = 77

    def num_tokens(self, sentence: str) -> int:
        return 3

    def encode(self, sentences: Sequence[str]) -> Tensor:
        return torch.ones(len(sentences), 192)


def known(*names: str) -> list[Acquaintance]:
    found = acquaint(names, BUILTIN, Tower())
    assert found is not None
    return list(found)


def test_a_word_that_was_learnt() -> None:
    puppy, pooch = known("puppy", "pooch")
    assert (puppy.is_familiar, puppy.nearest) == (True, "dog")
    assert pooch.is_familiar, "at the threshold is familiar"
    assert abs(puppy.familiarity - 0.9) < 1e-6


def test_a_word_of_no_meaning_has_the_nearest_class() -> None:
    (word,) = known("qwxz")
    assert (word.is_familiar, word.nearest) == (False, "toothbrush")


def test_a_slip_is_led_to_what_is_spelt_like_it() -> None:
    assert [word.nearest for word in known("guitr", "Umbrela", "elefant")] == ["guitar", "umbrella", "elephant"]


def test_a_name_of_the_list_is_always_familiar() -> None:
    (word,) = known("cat")
    assert word.is_familiar


def test_a_tower_that_was_not_taught_cannot_tell() -> None:
    assert acquaint(["qwxz"], MODELS["detic-r18"], UntaughtTower()) is None


def test_the_built_in_tower_can_tell() -> None:
    from ovdet_cli.detector.text_tower import TextTower

    words = acquaint(["cat", "dog"], BUILTIN, TextTower(BUILTIN).encoder)
    assert words is not None
    assert all(0 <= word.familiarity <= 1 and word.nearest in NAMES for word in words)
