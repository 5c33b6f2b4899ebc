"""Where a model's text tower is, opened when words need it."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from torch import Tensor

from ovdet_cli.models import store
from ovdet_cli.models.spec import ModelSpec
from ovdet_cli.models.zoo import TEXT_ENCODERS
from ovdet_cli.vocabulary.cache import EmbeddingCache
from ovdet_cli.vocabulary.embed import TextEmbedder, TextEncoder

# Detic's models trained on captions carry the tower that saw these (detic.md, section 7).
_OWN = re.compile(r"(?:roi_heads\.)?text_encoder\.(.*)")


class TextTower:
    """A model's text tower: the one within its weights where they carry one, else the one that a pull brings.

    weights, origin, weights_sha256: the weights that are in use, the name of their file and what tells their hash.
    """

    def __init__(
        self,
        spec: ModelSpec,
        weights: Mapping[str, Tensor] | None = None,
        origin: str = "",
        weights_sha256: Callable[[], str] = str,
    ) -> None:
        self.spec = spec
        self._weights = {} if weights is None else weights
        self._origin = origin
        self._weights_sha256 = weights_sha256
        matches = [_OWN.fullmatch(name) for name in self._weights]
        self._own = {match[1]: match[0] for match in matches if match}

    @property
    def is_own(self) -> bool:
        """Whether the weights carry it."""
        return bool(self._own)

    @property
    def is_present(self) -> bool:
        """Whether it is on this machine."""
        return self.is_own or store.is_present(TEXT_ENCODERS[self.spec.text_encoder])

    @property
    def sha256(self) -> str:
        """Hash of the file that holds it; MissingAssetError if none is on this machine."""
        if self.is_own:
            return self._weights_sha256()
        return store.sha256_of(store.require(TEXT_ENCODERS[self.spec.text_encoder]))

    @cached_property
    def encoder(self) -> TextEncoder:
        """The tower, loaded; MissingAssetError if it is not on this machine, ModelError if its tensors do not fit."""
        if self.spec.text_encoder == "builtin-text":
            from ovdet_cli.models.text_encoders.mini import MiniTextEncoder

            return MiniTextEncoder.from_file(store.require(TEXT_ENCODERS[self.spec.text_encoder]))
        from ovdet_cli.models.text_encoders.clip import ClipTextEncoder

        if self.is_own:
            tensors = {name: self._weights[foreign] for name, foreign in self._own.items()}
            return ClipTextEncoder(tensors, f"the text tower in {self._origin}", self.spec.text_encoder)
        path = store.require(TEXT_ENCODERS[self.spec.text_encoder])
        return ClipTextEncoder.from_file(path, self.spec.text_encoder)

    def embed(self, names: Sequence[str]) -> np.ndarray:
        """Unit vectors float32 (C, D) of names in the model's own prompts, out of the cache where it has them."""
        return self._embedder.embed(names)

    def embed_sentences(self, groups: Sequence[Sequence[str]], names: Sequence[str]) -> np.ndarray:
        """Unit vectors float32 (G, D): of each group of sentences, which say one name, the mean."""
        return self._embedder.embed_sentences(groups, names)

    @property
    def _embedder(self) -> TextEmbedder:
        cache = EmbeddingCache(store.home() / "text-cache")
        return TextEmbedder(lambda: self.encoder, self.sha256, self.spec.prompt, cache)
