"""How well a text tower knows its words: all through the tower alone, against the vectors of all names."""

# N texts, C classes, D embedding width

import random
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ovdet_cli.models.text_encoders.mini import MiniTextEncoder
from ovdet_cli.training.word_forms import dress, misspell, pluralise


class Listed(Protocol):
    """What is read of a category."""

    @property
    def name(self) -> str: ...

    @property
    def synonyms(self) -> Sequence[str]: ...

    @property
    def held_out(self) -> str: ...


def measure_words(
    encoder: MiniTextEncoder,
    class_vectors: np.ndarray,
    categories: Sequence[Listed],
    is_word: Callable[[str], bool],
    seed: int = 99,
) -> dict[str, float]:
    """Rates from 0 to 1 by name: what was named right, and what was reported as unfamiliar.

    top1, top3: the right class is the nearest, or one of the three nearest, among the tower's vectors of all names. A
    synonym of several classes may be any of them. reported: its familiarity is below the tower's threshold; wanted high
    for slips of one letter, low for the rest. cosine: of the names' vectors to the class vectors.
    """
    draw = random.Random(seed)
    names = {category.name: {c} for c, category in enumerate(categories)}
    synonyms: dict[str, set[int]] = {}
    for c, category in enumerate(categories):
        for synonym in category.synonyms:
            synonyms.setdefault(synonym, set()).add(c)
    texts = {
        "names": names,
        "plurals": {pluralise(text): classes for text, classes in names.items()},
        "forms": {dress(text, draw): classes for text, classes in names.items()},
        "keywords": synonyms,
        "plurals of keywords": {pluralise(text): classes for text, classes in synonyms.items()},
        "held-out synonyms": {category.held_out: {c} for c, category in enumerate(categories) if category.held_out},
    }
    named_CD = encoder.encode(list(names)).numpy()
    found = {"cosine": float((named_CD * class_vectors).sum(axis=1).mean())}
    for kind, wanted in texts.items():
        if wanted:
            top1, top3 = _hits(encoder, named_CD, wanted)
            found |= {f"{kind}, top1": top1, f"{kind}, top3": top3, f"{kind}, reported": _reported(encoder, wanted)}
    for kind, right in (("names", names), ("keywords", synonyms)):
        if slips := [slip for text in right for _ in range(2) if (slip := misspell(text, draw, is_word))]:
            found[f"slips in {kind}, reported"] = _reported(encoder, slips)
    return found | _spread(named_CD)


def _hits(encoder: MiniTextEncoder, named_CD: np.ndarray, wanted: dict[str, set[int]]) -> tuple[float, float]:
    nearest_NC = np.argsort(-(encoder.encode(list(wanted)).numpy() @ named_CD.T), axis=1, kind="stable")[:, :3]
    hits = np.array([[c in right for c in row] for row, right in zip(nearest_NC, wanted.values(), strict=True)])
    return float(hits[:, 0].mean()), float(hits.any(axis=1).mean())


def _reported(encoder: MiniTextEncoder, texts: "dict[str, set[int]] | list[str]") -> float:
    return float((encoder.familiarity(list(texts)) < encoder.familiar_threshold).mean())


def _spread(named_CD: np.ndarray) -> dict[str, float]:
    """Whether the names collapsed into a cone: mean cosine between two names, median cosine to the nearest other."""
    cosines_CC = named_CD @ named_CD.T
    others = ~np.eye(len(cosines_CC), dtype=bool)
    if not others.any():
        return {}
    nearest = np.where(others, cosines_CC, -1.0).max(axis=1)
    return {"cosine between names": float(cosines_CC[others].mean()), "nearest name": float(np.median(nearest))}
