"""Entry: one class of a vocabulary file, with all that such a file may say of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Combine = Literal["best", "mean"]
"""How several phrasings of a class are scored: by the best of them, or by the mean of their vectors."""


@dataclass(frozen=True)
class Example:
    """A picture crop as query.

    path: the picture. box_xyxy: in pixels of the upright picture; None: all of it.
    """

    path: Path
    box_xyxy: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Entry:
    """One class.

    name: what records call it. aliases: other phrasings of the same class.
    templates: sentences with {} in the name's place; empty: the model's own.
    is_negative: it absorbs look-alikes and is never reported.
    threshold: of its scores, in place of the run's. min_area: of its boxes, in square pixels of the picture.
    max_per_image: the surest so many of a picture or frame are kept.
    parents: broader classes, under which reports count it too. finds_children: it is scored as its descendants as well.
    colour: of its boxes, red green blue 0..255. is_novel: held out from the model's base list (None: not said).
    examples: pictures of it, whose vectors are averaged with that of its words.
    """

    name: str
    aliases: tuple[str, ...] = ()
    combine: Combine = "best"
    templates: tuple[str, ...] = ()
    is_negative: bool = False
    threshold: float | None = None
    min_area: float | None = None
    max_per_image: int | None = None
    parents: tuple[str, ...] = ()
    finds_children: bool = False
    colour: tuple[int, int, int] | None = None
    is_novel: bool | None = None
    examples: tuple[Example, ...] = ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)
