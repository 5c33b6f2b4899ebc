"""What YAML, JSON, TOML and CSV have in common: a tree of texts, lists and mappings that know their place."""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ovdet_cli.errors import VocabularyError

MAX_DEPTH = 32
"""Lists and mappings inside one another; a vocabulary needs six."""

Kind = Literal["text", "plain", "cell", "number", "flag", "null", "other"]
"""What a format says of a scalar.

text: a string and nothing else. plain: a YAML scalar without quotes, cell: one of CSV; both are whatever is looked for.
number, flag, null: as JSON and TOML write them. other: TOML's dates.
"""


class Place(NamedTuple):
    """A place in a file; lines and columns count from 1, in characters.

    header: what a CSV column is called; there, column is the cell's number.
    """

    origin: str
    line: int
    column: int
    header: str = ""

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}" + (f" ({self.header})" if self.header else "")

    def error(self, message: str) -> VocabularyError:
        """The error to raise for what stands here."""
        return VocabularyError(f"{self.origin}, {self}: {message}")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. text: as the file spells it, without quotes and escapes."""

    kind: Kind
    text: str
    place: Place

    def __str__(self) -> str:
        if self.kind == "null" and not self.text:
            return "nothing"
        if self.kind in ("plain", "cell"):
            return shorten(self.text)
        if self.kind == "text":
            return f"the text {shorten(self.text)}"
        return self.text[:60]


@dataclass(frozen=True, slots=True)
class ListNode:
    """Values in order."""

    items: tuple["Node", ...]
    place: Place

    def __str__(self) -> str:
        return f"a list of {len(self.items)}"


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys, each once, with the place of the key and the value."""

    pairs: Mapping[str, tuple[Place, "Node"]]
    place: Place

    def __str__(self) -> str:
        return "a mapping"


Node = Scalar | ListNode | MappingNode


class Lines:
    """Places of a text by the offset of a character."""

    def __init__(self, text: str, origin: str) -> None:
        self._origin = origin
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]

    def place(self, offset: int) -> Place:
        """Where the character stands."""
        line = bisect_right(self._starts, offset)
        return Place(self._origin, line, offset - self._starts[line - 1] + 1)


def add_pair(pairs: dict[str, tuple[Place, Node]], key: str, place: Place, value: Node) -> None:
    """Puts a key and its value into a mapping; VocabularyError where the key is there already."""
    if key in pairs:
        raise place.error(
            f"the key {shorten(key)} stands here again, after line {pairs[key][0].line}; keep one of them"
        )
    pairs[key] = (place, value)


def check_depth(depth: int, place: Place) -> None:
    """VocabularyError where a list or mapping lies deeper than any vocabulary needs."""
    if depth > MAX_DEPTH:
        raise place.error(f"lists and mappings are nested more than {MAX_DEPTH} deep; this is no vocabulary")


def shorten(text: str) -> str:
    """The text in quotes, fit for one line of a message."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def decode_text(data: bytes, origin: str) -> str:
    """A vocabulary file's text; VocabularyError names the line that is not UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise VocabularyError(f"{origin} is UTF-16 text; save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")  # what Windows editors put before UTF-8
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VocabularyError(
            f"{origin}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8 (Latin-1?); save the file as UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise VocabularyError(f"{origin}, line {line}: a NUL character; this is no text file")
    return text
