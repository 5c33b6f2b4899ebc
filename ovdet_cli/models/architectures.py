"""Architecture name -> what builds it and reads its files; the one place that knows them all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ovdet_cli.models.checkpoint import KeyMap
from ovdet_cli.models.detic import keys as detic_keys
from ovdet_cli.models.detic.c4 import build_c4
from ovdet_cli.models.detic.deformable_detr import build_deformable_detr
from ovdet_cli.models.detic.model import build_detic, build_detic_classifier
from ovdet_cli.models.dito import keys as dito_keys
from ovdet_cli.models.dito.model import build_dito
from ovdet_cli.models.fvlm import keys as fvlm_keys
from ovdet_cli.models.fvlm.model import build_fvlm
from ovdet_cli.models.interface import OpenVocabularyDetector
from ovdet_cli.models.spec import ModelSpec
from ovdet_cli.models.vild import keys as vild_keys
from ovdet_cli.models.vild.model import build_vild


@dataclass(frozen=True)
class Architecture:
    """How a `ModelSpec` becomes a model."""

    build: Callable[[Any], OpenVocabularyDetector]
    """The spec's config -> a model of random weights."""
    key_map: Callable[[Any], KeyMap]
    """Config -> how the names in a weight file become ours."""
    recognise: Callable[[set[str]], str | None]
    """Names in a weight file -> the zoo's name of a model with that layout, if it is one of these."""
    own_columns: Callable[[Mapping[str, Tensor]], Tensor]
    """Tensors of a weight file -> its own classifier (S, C, D), a row a class; KeyError where it has none."""
    build_classifier: Callable[[Any], OpenVocabularyDetector] | None = None
    """The spec's config -> the model with no more than `classify` needs, where that is made sooner."""


def no_columns(tensors: Mapping[str, Tensor]) -> Tensor:
    """Of files that hold no classifier of their own."""
    raise KeyError("classifier")


ARCHITECTURES = {
    "detic": Architecture(
        build_detic,
        lambda _: detic_keys.KEY_MAP,
        detic_keys.recognise,
        detic_keys.own_columns,
        build_detic_classifier,
    ),
    "detic-c4": Architecture(
        build_c4, lambda _: detic_keys.C4_KEY_MAP, detic_keys.recognise_c4, detic_keys.own_columns
    ),
    "detic-detr": Architecture(
        build_deformable_detr, lambda _: detic_keys.DETR_KEY_MAP, detic_keys.recognise_detr, detic_keys.own_detr_columns
    ),
    "dito": Architecture(build_dito, lambda _: dito_keys.KEY_MAP, dito_keys.recognise, no_columns),
    "fvlm": Architecture(build_fvlm, lambda _: fvlm_keys.KEY_MAP, fvlm_keys.recognise, no_columns),
    "vild": Architecture(build_vild, vild_keys.key_map, vild_keys.recognise, vild_keys.own_columns),
}


def architecture_of(spec: ModelSpec) -> Architecture:
    """The architecture that the spec names."""
    return ARCHITECTURES[spec.architecture]


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model whose weight file holds these names; None: no known layout."""
    return next((found for a in ARCHITECTURES.values() if (found := a.recognise(names))), None)
