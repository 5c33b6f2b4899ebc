"""Entries of a vocabulary file -> the phrases that stand for each class, as vectors."""

# C classes, P phrases, D embedding width

from collections.abc import Sequence

import numpy as np

from ovdet_cli.detector.example_tower import ExampleTower
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.media.images import read_image
from ovdet_cli.vocabulary.entry import Entry, Example
from ovdet_cli.vocabulary.prompts import fill_templates

Phrases = list[np.ndarray]
"""Unit vectors float32 (P of the class, D), one array a class."""


def embed_entries(entries: Sequence[Entry], tower: TextTower) -> Phrases:
    """The phrases of each entry: its name and aliases, or their mean, each averaged with its examples."""
    groups, names = [], []
    for entry in entries:
        for phrase in entry.phrases:
            groups.append(fill_templates(entry.templates or (tower.spec.prompt,), phrase))
            names.append(phrase)
    vectors_PD = tower.embed_sentences(groups, names)
    examples = _embed_examples(entries, tower)
    found, first = [], 0
    for entry, example in zip(entries, examples, strict=True):
        own = vectors_PD[first : first + len(entry.phrases)]
        first += len(entry.phrases)
        if entry.combine == "mean" and len(own) > 1:
            own = unit(own.mean(axis=0, keepdims=True))
        found.append(own if example is None else unit((own + example) / 2))
    return found


def _embed_examples(entries: Sequence[Entry], tower: TextTower) -> list[np.ndarray | None]:
    """The mean of each entry's examples, a unit vector (D,), or None where it has none."""
    if not any(entry.examples for entry in entries):
        return [None] * len(entries)
    pictures = ExampleTower(tower.spec)
    means: list[np.ndarray | None] = []
    for entry in entries:
        if not entry.examples:
            means.append(None)
            continue
        means.append(unit(pictures.embed([_crop(example) for example in entry.examples]).mean(axis=0)))
    return means


def _crop(example: Example) -> np.ndarray:
    """The example's pixels, at least one each way."""
    image = read_image(example.path)
    if example.box_xyxy is None:
        return image
    height, width = image.shape[:2]
    x1, y1, x2, y2 = example.box_xyxy
    left, top = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
    right, bottom = max(min(int(np.ceil(x2)), width), left + 1), max(min(int(np.ceil(y2)), height), top + 1)
    return np.ascontiguousarray(image[top:bottom, left:right])


def unit(vectors: np.ndarray) -> np.ndarray:
    """The same at length 1; a zero vector stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: np.ndarray = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def columns_of_classes(entries: Sequence[Entry], num_phrases: Sequence[int]) -> list[list[int]] | None:
    """Which phrases stand for each class, by their places: its own, and of one that finds children theirs too.

    num_phrases: how many each class has itself, in order. None where each class is its one phrase.
    """
    firsts = np.concatenate(([0], np.cumsum(num_phrases))).tolist()
    own = [list(range(firsts[i], firsts[i + 1])) for i in range(len(entries))]
    if not any(entry.finds_children for entry in entries):
        return None if all(number == 1 for number in num_phrases) else own
    children: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        for parent in entry.parents:
            children.setdefault(parent, []).append(i)
    for i, entry in enumerate(entries):
        if entry.finds_children:
            heirs = sorted(_descendants(entry.name, entries, children) - {i})
            # A look-alike that absorbs is not what its parent finds.
            own[i] = own[i] + [place for h in heirs if not entries[h].is_negative for place in _own(firsts, h)]
    return own


def _own(firsts: Sequence[int], place: int) -> range:
    return range(firsts[place], firsts[place + 1])


def _descendants(name: str, entries: Sequence[Entry], children: dict[str, list[int]]) -> set[int]:
    """Places of all below a name; a cycle, which a file cannot have but code can, ends."""
    found: set[int] = set()
    ahead = list(children.get(name, ()))
    while ahead:
        place = ahead.pop()
        if place not in found:
            found.add(place)
            ahead += children.get(entries[place].name, ())
    return found
