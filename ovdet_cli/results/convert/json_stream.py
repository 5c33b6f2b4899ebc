"""Long JSON lists, written and read an item at a time: ten million annotations are more than fits in memory."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import orjson

from ovdet_cli.errors import RecordError
from ovdet_cli.results.sink import writing

_CHUNK = 1 << 20
_MAX_TAIL = 1000
_SPACE = " \t\n\r"


class JsonList:
    """A file that is `head`, items separated by commas, and what `close` adds."""

    def __init__(self, path: Path, head: bytes = b"[") -> None:
        self.path = path
        self._lead = b"\n"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=_CHUNK)
            self._file.write(head)

    def add(self, item: Any) -> None:
        """Appends an item."""
        with writing(self.path):
            self._file.write(self._lead + orjson.dumps(item))
        self._lead = b",\n"

    def close(self, tail: bytes = b"\n]\n", then: "JsonList | None" = None, last: bytes = b"") -> None:
        """Ends the file with `tail`, the content of another one, which goes, and `last`."""
        with writing(self.path):
            if self._file.closed:
                return
            self._file.write(tail)
            if then is not None:
                then.close(b"")
                with then.path.open("rb") as file:
                    shutil.copyfileobj(file, self._file, _CHUNK)
                then.path.unlink()
            self._file.write(last)
            self._file.close()


class JsonItems:
    """The items of a file that is a list, or an object of lists: (key, item) in order, key "" of a list's own.

    What is no list comes as one item. keys: those met so far.

    Raises:
        RecordError: while iterating, if the file cannot be read or is no such JSON; it names the place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                yield from self._items(_Scanner(file))
        except OSError as error:
            raise RecordError(f"cannot read {self.path}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{self.path}: no JSON ({error})") from error

    def _items(self, scanner: "_Scanner") -> Iterator[tuple[str, Any]]:
        if scanner.peek() == "[":
            self.keys.add("")
            for item in scanner.items():
                yield "", item
        elif scanner.peek() == "{":
            scanner.take("{")
            while scanner.peek() != "}":
                key = str(scanner.value())
                self.keys.add(key)
                scanner.take(":")
                if scanner.peek() == "[":
                    for item in scanner.items():
                        yield key, item
                else:
                    yield key, scanner.value()
                if scanner.peek() != "}":
                    scanner.take(",")
            scanner.take("}")
        else:
            raise ValueError("neither a list nor an object")
        if scanner.peek():
            raise ValueError(f"something comes after its end, at character {scanner.place}")


class _Scanner:
    """Reads values from a text, of which only the part at hand is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._before = 0
        self._decoder = json.JSONDecoder()

    @property
    def place(self) -> int:
        return self._before + self._at

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(_CHUNK):
                return ""

    def take(self, sign: str) -> None:
        if (found := self.peek()) != sign:
            raise ValueError(f"{sign!r} expected, not {found!r}, at character {self.place}")
        self._at += 1

    def items(self) -> Iterator[Any]:
        """The items of the list that begins here."""
        self.take("[")
        if self.peek() != "]":
            while True:
                yield self.value()
                if self.peek() == "]":
                    break
                self.take(",")
        self.take("]")

    def value(self) -> Any:
        """The value that begins here, whole."""
        self.peek()
        wanted = _CHUNK
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more(wanted):
                    raise ValueError(f"{error.msg}, at character {self._before + error.pos}") from error
            else:
                # A number near the end of what is here may go on: 12 and 12.5e+10.
                is_whole = isinstance(found, dict | list | str) or end + _MAX_TAIL < len(self._text)
                if is_whole or not self._more(max(wanted, _MAX_TAIL)):
                    self._at = end
                    return found
            wanted *= 2

    def _more(self, size: int) -> bool:
        data = self._file.read(size)
        if not data:
            return False
        self._before += self._at
        self._text = self._text[self._at :] + data
        self._at = 0
        return True
