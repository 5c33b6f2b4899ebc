"""Where the picture tower is that pictures given as examples go through, opened when they need it."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ovdet_cli.errors import UsageError
from ovdet_cli.models import store
from ovdet_cli.models.spec import Asset, ModelSpec
from ovdet_cli.models.zoo import IMAGE_ENCODERS

if TYPE_CHECKING:
    from ovdet_cli.models.image_encoders.clip import ClipImageEncoder


class ExampleTower:
    """The picture tower that was trained with a model's text tower, so that its vectors stand for words.

    UsageError if there is none: the words of the model do not go through CLIP.
    """

    def __init__(self, spec: ModelSpec) -> None:
        found = IMAGE_ENCODERS.get(f"{spec.text_encoder}-image") if spec.free_words else None
        if found is None:
            names = "a text name" if spec.free_words else "one of its own names"
            raise UsageError(
                f"pictures as examples need CLIP's picture tower, and {spec.name}'s words do not go through CLIP: give "
                f"the class {names} instead, or look for what resembles a picture with `ovdet query --like`"
            )
        self.asset: Asset = found
        self._name = spec.text_encoder

    @property
    def is_present(self) -> bool:
        """Whether it is on this machine."""
        return store.is_present(self.asset)

    @cached_property
    def encoder(self) -> "ClipImageEncoder":
        """The tower, loaded; MissingAssetError if it is not on this machine, ModelError if its tensors do not fit."""
        from ovdet_cli.models.image_encoders.clip import ClipImageEncoder

        return ClipImageEncoder.from_file(store.require(self.asset), self._name)

    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors float32 (N, D) of pictures, RGB uint8 (H, W, 3), one or more."""
        vectors: np.ndarray = self.encoder.encode(crops).numpy()
        return vectors
