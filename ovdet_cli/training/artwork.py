"""The rasterised artwork as one folder of two files: drawings by style and category, memory-mapped.

`index.json` lists the drawings, `pixels.bin` holds their RGBA pixels one after another.
`ovdet_cli.training.artwork_build` makes the folder; it is never committed nor shipped.
"""

# H, W height and width of a drawing in pixels

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.training.artwork_sets import SETS, find_set

STORE_VERSION = 1
CLUTTER = -1
"""The category of a drawing that shows nothing in the list: never a target, but a background to be left alone."""
TRAINING_ROLES = {"train", "extra", "clutter"}


@dataclass(frozen=True)
class Drawing:
    """One drawing.

    style: the package it is from. name: its icon name there. category: place in `Artwork.categories`, or CLUTTER.
    held_out: drawn in a training style, but kept for evaluation: style and category have been seen, this has not.
    """

    style: str
    name: str
    category: int
    held_out: bool = False


class Artwork:
    """A folder of rasterised drawings, opened for reading.

    drawings: all of them; a place in it is what `pixels` takes. categories: names by class id. styles: in store order.
    fingerprint: SHA-256 of pixels and list, to be written beside what was trained on it.
    fluent-emoji and fluent-emoji-flat are two styles of the same drawings: leave out both or none.
    """

    def __init__(self, folder: Path, index: dict[str, Any], pixels: np.ndarray) -> None:
        self.folder = folder
        self.drawings = tuple(Drawing(style, name, cat, bool(held)) for style, name, cat, held, *_ in index["drawings"])
        self.categories: tuple[str, ...] = tuple(index["categories"])
        self.styles: tuple[str, ...] = tuple(dict.fromkeys(d.style for d in self.drawings))
        self.fingerprint: str = index["sha256"]
        self._places = [(start, height, width) for *_, start, height, width in index["drawings"]]
        self._pixels = pixels

    @classmethod
    def open(cls, folder: Path) -> "Artwork":
        """Maps a store. Raises InputError, which names the command that builds it, if it is missing, old or damaged."""
        build = f"build it with `python -m ovdet_cli.training.artwork_build {folder}`"
        try:
            index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            version = index["version"]
        except FileNotFoundError as error:
            raise InputError(f"{folder}: no artwork there; {build}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder}: the artwork's index cannot be read ({error}); delete it and {build}"
            ) from error
        if version != STORE_VERSION:
            raise InputError(f"{folder}: artwork of version {version}, not {STORE_VERSION}; delete it and {build}")
        path = folder / "pixels.bin"
        found = path.stat().st_size if path.is_file() else 0
        if found != index["bytes"] or not found:
            raise InputError(f"{path}: {found} bytes, not {index['bytes']}; delete {folder} and {build}")
        return cls(folder, index, np.memmap(path, dtype=np.uint8, mode="r"))

    def pixels(self, i: int) -> np.ndarray:
        """Drawing `i`: uint8 RGBA (H, W, 4), straight alpha, cropped to what is seen; a read-only view of the file."""
        start, height, width = self._places[i]
        return self._pixels[start : start + height * width * 4].reshape(height, width, 4)

    def select(
        self, styles: Collection[str] | None = None, categories: Collection[int] | None = None, held_out: bool = False
    ) -> dict[int, list[int]]:
        """Drawings for training: category -> places in `drawings`, clutter under CLUTTER, keys in rising order.

        styles: all training styles if None. categories: all, clutter too, if None.
        held_out: the drawings kept for evaluation instead of the ones to train on.
        Raises ValueError for a style that may not be trained on (unseen, or ShareAlike): ask `select_unseen`.
        """
        wanted = set(self.training_styles if styles is None else styles)
        refused = sorted(wanted - set(self.training_styles))
        if refused:
            raise ValueError(f"not for training, or not in this store: {', '.join(refused)}")
        return self._select(wanted, categories, held_out)

    def select_unseen(self, style: str, categories: Collection[int] | None = None) -> dict[int, list[int]]:
        """Drawings of one evaluation-only style, as `select` gives them. Raises ValueError for any other style."""
        if find_set(style).role != "unseen":
            raise ValueError(f"{style} is a training style")
        return self._select({style}, categories, held_out=False)

    @property
    def training_styles(self) -> tuple[str, ...]:
        """The store's styles that may be trained on."""
        allowed = {item.style for item in SETS if item.role in TRAINING_ROLES and not item.is_share_alike}
        return tuple(style for style in self.styles if style in allowed)

    def _select(self, styles: set[str], categories: Collection[int] | None, held_out: bool) -> dict[int, list[int]]:
        chosen: dict[int, list[int]] = {}
        for i, drawing in enumerate(self.drawings):
            wanted = drawing.style in styles and drawing.held_out == held_out
            if wanted and (categories is None or drawing.category in categories):
                chosen.setdefault(drawing.category, []).append(i)
        return dict(sorted(chosen.items()))
