"""Writer and Reading: what a format of another tool is given, and what it must do."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.errors import RecordError
from ovdet_cli.results.record import Record, readable

_MAX_CLASSES = 1_000_000

ASSUMED_FPS = 30
"""Frames a second of a video of which nothing tells."""


class Classes:
    """Labels and their places, those of the vocabulary first, others as they come."""

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self.names: list[str] = []
        self._places: dict[str, int] = {}
        self.extend(labels)

    def extend(self, labels: Iterable[str]) -> None:
        """Appends labels, also those that are there."""
        for label in labels:
            self.names.append(readable(label))
            self._places.setdefault(self.names[-1], len(self.names) - 1)

    def place(self, label: str) -> int:
        """The place of the label; a new one comes last."""
        found = self._places.get(label)
        if found is None:
            found = self._places[label] = len(self.names)
            self.names.append(label)
        return found

    def put(self, label: str, place: int) -> int:
        """The place of a label that says its own; by its name where that is taken, or absurd."""
        if not 0 <= place < _MAX_CLASSES or (place < len(self.names) and self.names[place] not in ("", label)):
            return self.place(label)
        self.names += [""] * (place + 1 - len(self.names))
        self.names[place] = label
        self._places.setdefault(label, place)
        return place


@dataclass(frozen=True)
class Options:
    """What a person may choose.

    scores: YOLO's rows end with the score. url: what pictures' addresses begin with in Label Studio.
    """

    scores: bool = False
    url: str = "/data/local-files/?d="


class Writer(ABC):
    """Writes records in another tool's format; a context manager that owns its files.

    folder: where, and it is there. labels: the vocabulary of the run, as far as it is known.
    problems: what could not be written, a line each. left_out: what the format has no place for, and how often.
    """

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        self.folder = folder
        self.classes = Classes(labels)
        self.options = options
        self.problems: list[str] = []
        self.left_out: Counter[str] = Counter()

    @abstractmethod
    def write(self, record: Record) -> None:
        """Takes one picture or frame, in the order of the run; also one that failed."""

    @abstractmethod
    def close(self) -> None:
        """Finishes the files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Reading:
    """What a reader may use, and where it tells what went wrong.

    size_of: picture file -> (height, width), OvdetError where it is none. images: where the pictures lie, if told.
    problems: what could not be read, a line each; the rest goes on. notes: what was assumed. classes: labels found.
    """

    size_of: Callable[[Path], tuple[int, int]]
    images: Path | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    classes: Classes = field(default_factory=Classes)

    def failed(self, source: str, message: str) -> Record:
        """The record of a picture that cannot be had, told as a problem too."""
        self.problems.append(message)
        empty = Detections.empty()
        return Record(readable(source), 0, None, None, None, "error", readable(message), (), empty)

    def note(self, text: str) -> None:
        """Says once what was assumed."""
        if text not in self.notes:
            self.notes.append(text)


Reader = Callable[[Path, Reading], Iterator[Record]]


@dataclass(frozen=True)
class Format:
    """A format of another tool.

    holds: what it writes, in a line. loses: what it has no place for. entries: the files and folders that it makes.
    writer, reader: None where there is no such way. is_here: whether a path looks like it.
    """

    holds: str
    loses: str
    entries: tuple[str, ...]
    writer: Callable[[Path, Sequence[str], Options], Writer] | None = None
    reader: Reader | None = None
    is_here: Callable[[Path], bool] = lambda path: False


def make_record(
    source: str,
    index: int,
    time_s: float | None,
    size_hw: tuple[int | None, int | None],
    found: Sequence["Found"],
    classes: Classes,
) -> Record:
    """The record of a good frame. size_hw: (None, None) where it is not known.

    Raises:
        RecordError: a number is not finite.
    """
    boxes = np.array([item.box for item in found], np.float64).reshape(len(found), 4)
    scores = np.array([item.score for item in found], np.float64)
    with np.errstate(over="ignore"):
        boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise RecordError(f"a box or score of {source} is no finite number")
    labels = tuple(readable(item.label) for item in found)
    ids = [
        classes.place(label) if item.class_id is None else classes.put(label, item.class_id)
        for label, item in zip(labels, found, strict=True)
    ]
    masks = [item.mask for item in found]
    tracks = [item.track_id for item in found]
    detections = Detections(
        boxes,
        scores,
        np.array(ids, np.int64),
        _all_or_none(masks, size_hw),
        np.array([-1 if id_ is None else id_ for id_ in tracks], np.int64)
        if any(id_ is not None for id_ in tracks)
        else None,
    )
    height, width = size_hw
    return Record(readable(source), index, time_s, width, height, "ok", None, labels, detections)


def _all_or_none(masks: Sequence[Mask | None], size_hw: tuple[int | None, int | None]) -> list[Mask] | None:
    """As a record has masks: of all its detections or of none; what has none beside others has an empty one."""
    height, width = size_hw
    if all(mask is None for mask in masks) or height is None or width is None:
        return None
    empty = Mask((height, width), np.array([height * width], np.int64))
    return [empty if mask is None else mask for mask in masks]


@dataclass(frozen=True)
class Found:
    """One detection as a reader has it. box: x1, y1, x2, y2 in pixels. class_id: None, by its label."""

    label: str
    box: Sequence[float]
    score: float = 1.0
    class_id: int | None = None
    mask: Mask | None = None
    track_id: int | None = None


def number(value: Any, what: str) -> float:
    """The value as a finite number; ValueError names what it should have been."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{what} is {value!r:.40}, no number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{what} is {value!r:.40}, no number") from None
    if not math.isfinite(found):
        raise ValueError(f"{what} is {value!r:.40}, no finite number")
    return found


def rounded(values: np.ndarray, digits: int = 4) -> list[Any]:
    """Numbers in pixels as they are written: to a ten-thousandth, which is what float32 knows of them."""
    return (np.round(values.astype(np.float64), digits) + 0.0).tolist()


def boxes_xywh(boxes_xyxy: np.ndarray) -> list[list[float]]:
    """x1 y1 x2 y2 -> left, top, width, height."""
    boxes = boxes_xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return rounded(boxes)
