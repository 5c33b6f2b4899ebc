"""Keys of metadata <-> files of a run: which row speaks of which file."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from ovdet_cli.analysis.sidecars import stem_of
from ovdet_cli.media.images import IMAGE_SUFFIXES
from ovdet_cli.media.video import VIDEO_SUFFIXES

_ENDINGS = tuple(IMAGE_SUFFIXES | VIDEO_SUFFIXES)
_AMBIGUOUS = -2  # in an index of names: more than one row
_NONE = -1
_PART = re.compile(r"(?:[_-]\d{1,3}| ?\(\d{1,3}\))$")
_BRACKETS = re.compile(r"\[([^\[\]]+)\]$")


class Keys:
    """The keys of a metadata file, one a row. Of two equal keys the first row counts.

    A key that ends like a picture or video names one file; any other names a post, which may have many files.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._exact: dict[str, int] = {}
        self.duplicates: list[int] = []
        for row, key in enumerate(keys):
            if self._exact.setdefault(key, row) != row:
                self.duplicates.append(row)
        self._refused: set[int] = set()

    def join(self, sources: Sequence[str]) -> np.ndarray:
        """The row of every source, -1 for none: int64.

        In this order: the very name; the same path from its end on ("feed/a/1.jpg" and "a/1.jpg"); the file's name,
        where no other row has it; its stem; the post's id at the end or beginning of its stem (`<id>_2.jpg`,
        `Title [<id>].mp4`). A row that names a file and would fit several equally well is used for none.
        """
        get = self._exact.get
        rows = np.fromiter((get(source, _NONE) for source in sources), np.int64, len(sources))
        missing = np.flatnonzero(rows == _NONE)
        if not len(missing):
            return rows
        claimed = set(rows[rows >= 0].tolist())
        claims: dict[int, list[tuple[int, int]]] = {}
        for place in missing.tolist():
            row, level = self._find(sources[place])
            if row == _NONE or row in self._refused:
                continue
            if level >= 3 or not self._names_file(row):
                rows[place] = row
            elif row not in claimed:
                claims.setdefault(row, []).append((level, place))
        for row, own in claims.items():
            best = min(own)[0]
            places = [place for level, place in own if level == best]
            if len(places) == 1:
                rows[places[0]] = row
            else:
                self._refused.add(row)
        return rows

    @property
    def ambiguous(self) -> list[int]:
        """The rows that fitted several files so far, and were used for none."""
        return sorted(self._refused)

    def _find(self, source: str) -> tuple[int, int]:
        """Row and level: 0 by path, 1 by name, 2 by stem, 3 by id."""
        path = _folded(source)
        name = path.rpartition("/")[2]
        rows = self._by_name.get(name, ())
        fitting = [row for row in rows if _fits(path, self._paths[row])]
        if len(fitting) > 1:
            longest = max(len(self._paths[row]) for row in fitting)
            fitting = [row for row in fitting if len(self._paths[row]) == longest]
        if fitting:
            return (fitting[0], 0) if len(fitting) == 1 else (_NONE, 0)
        if len(rows) == 1:
            return rows[0], 1
        stem = stem_of(name)
        row = self._by_stem.get(stem, _NONE)
        if row >= 0:
            return row, 2
        return next((row for id_ in _ids(stem) if (row := self._by_id.get(id_, _NONE)) >= 0), _NONE), 3

    def _names_file(self, row: int) -> bool:
        return self._paths[row].endswith(_ENDINGS)

    @cached_property
    def _paths(self) -> list[str]:
        return [_folded(_plain(key)) for key in self._keys]

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for row in self._exact.values():
            index.setdefault(self._paths[row].rpartition("/")[2], []).append(row)
        return index

    @cached_property
    def _by_stem(self) -> dict[str, int]:
        index: dict[str, int] = {}
        for name, rows in self._by_name.items():
            stem = stem_of(name) if name.endswith(_ENDINGS) else name
            index[stem] = rows[0] if len(rows) == 1 and stem not in index else _AMBIGUOUS
        return index

    @cached_property
    def _by_id(self) -> dict[str, int]:
        return {
            name: rows[0]
            for name, rows in self._by_name.items()
            if len(rows) == 1 and name and not name.endswith(_ENDINGS)
        }


def _plain(key: str) -> str:
    """A key as a path: `/` between folders; of an address its path alone."""
    if "://" in key[:8]:
        key = key.partition("://")[2].partition("?")[0].partition("#")[0]
    return key.replace("\\", "/").removeprefix("./")


def _folded(text: str) -> str:
    """Equal for names that some file systems take for one: another case, or an ü made of two signs."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def _fits(path: str, key: str) -> bool:
    """Whether one is the end of the other, folder by folder."""
    if len(path) == len(key):
        return path == key
    longer, shorter = (path, key) if len(path) > len(key) else (key, path)
    return longer.endswith(shorter) and longer[-len(shorter) - 1] == "/"


def _ids(stem: str) -> Iterator[str]:
    """What in a stem may be the post's id."""
    if match := _BRACKETS.search(stem):
        yield match[1]
    base = stem
    while match := _PART.search(base):
        base = base[: match.start()]
        yield base
    if "_" in stem:
        yield stem.partition("_")[0]  # gallery-dl: <id of the post>_<id of the picture>
