"""Architecture name -> what builds it and reads its files; the one place that knows them all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ovdet_cli.models.checkpoint import KeyMap
from ovdet_cli.models.detic import keys as detic_keys
from ovdet_cli.models.detic.model import build_detic
from ovdet_cli.models.interface import OpenVocabularyDetector
from ovdet_cli.models.zoo import ModelSpec


@dataclass(frozen=True)
class Architecture:
    """How a `ModelSpec` becomes a model."""

    build: Callable[[Any], OpenVocabularyDetector]
    """The spec's config -> a model of random weights."""
    key_map: KeyMap
    recognise: Callable[[set[str]], str | None]
    """Names in a weight file -> the zoo's name of a model with that layout, if it is one of these."""
    column_keys: Callable[[Any], list[str]]
    """Config -> the names, one a set of region features, of the checkpoint's own classifier [D, C + 1]."""


ARCHITECTURES = {
    "detic": Architecture(build_detic, detic_keys.KEY_MAP, detic_keys.recognise, detic_keys.column_keys),
}


def architecture_of(spec: ModelSpec) -> Architecture:
    """The architecture that the spec names."""
    return ARCHITECTURES[spec.architecture]


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model whose weight file holds these names; None: no known layout."""
    return next((found for a in ARCHITECTURES.values() if (found := a.recognise(names))), None)
