"""Which words a model has learnt something for: a word that means nothing has a nearest class too.

Only a text tower that was taught the difference can tell; the built-in model's is one, CLIP's is not.
"""

# N names, C known classes, D embedding width

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from ovdet_cli.models import store
from ovdet_cli.models.spec import ModelSpec
from ovdet_cli.models.zoo import embeddings_of
from ovdet_cli.vocabulary.embed import TextEncoder, read_embeddings
from ovdet_cli.vocabulary.prompts import fill_prompts
from ovdet_cli.vocabulary.vocabulary import Vocabulary

_ALIKE = 0.75  # of difflib's ratio: one letter in four or more


@runtime_checkable
class TaughtEncoder(Protocol):
    """A text tower that knows what it has learnt."""

    familiar_threshold: float

    def familiarity(self, sentences: Sequence[str]) -> np.ndarray:
        """How sure it is that it learnt such words, float32 (N,) in 0 to 1."""

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Unit vectors float32 (N, D)."""


@dataclass(frozen=True)
class Acquaintance:
    """What a model has learnt of a word."""

    name: str
    familiarity: float
    """0 to 1."""
    is_familiar: bool
    nearest: str
    """The class that it comes nearest to."""


def acquaint(names: Sequence[str], spec: ModelSpec, encoder: TextEncoder) -> tuple[Acquaintance, ...] | None:
    """What the model knows of each name, in order; None where its text tower cannot tell."""
    if not isinstance(encoder, TaughtEncoder):
        return None
    known = Vocabulary.built_in(spec.vocabulary).names
    sentences = [fill_prompts(spec.prompt, name)[0] for name in names]
    familiar_N = encoder.familiarity(sentences)
    is_familiar_N = (familiar_N >= encoder.familiar_threshold) | np.isin(list(names), known)
    asset = embeddings_of(spec)[spec.vocabulary]
    vectors_CD = read_embeddings(store.require(asset))
    nearest_N = (encoder.encode(sentences).numpy() @ vectors_CD.T).argmax(axis=1)
    return tuple(
        Acquaintance(
            name, float(sure), is_familiar, known[nearest] if is_familiar else _spelt_like(name, known, nearest)
        )
        for name, sure, nearest, is_familiar in zip(
            names, familiar_N, nearest_N.tolist(), is_familiar_N.tolist(), strict=True
        )
    )


def _spelt_like(name: str, known: Sequence[str], nearest: int) -> str:
    """The known name that was perhaps meant: one that is spelt alike, else the nearest."""
    alike = difflib.get_close_matches(name.lower(), known, n=1, cutoff=_ALIKE)
    return alike[0] if alike else known[nearest]
