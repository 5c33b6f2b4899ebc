"""TOML text -> nodes: the standard library's values, with places from a second look at the text."""

import re
import tomllib
from typing import Any

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary.nodes import MAX_DEPTH, Lines, ListNode, MappingNode, Node, Place, Scalar, check_depth

Path = tuple[str | int, ...]
"""Keys and numbers of list items that lead from the root to a value."""

_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_INT64 = 2**63  # what TOML promises to hold


class _Float(str):
    """A float as the file writes it."""


def read_toml(text: str, origin: str) -> MappingNode:
    """The table of a text."""
    lines = Lines(text, origin)
    try:
        # Its own line ends are those of TOML; a lone CR is none.
        table = tomllib.loads(text, parse_float=_Float)
    except RecursionError as error:
        raise VocabularyError(f"{origin} is nested too deep; this is no vocabulary") from error
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        message = str(error)
        found = _WHERE.search(message)
        what = _WHERE.sub("", message)
        if found is None:
            raise VocabularyError(f"{origin} is not TOML: {what}") from error
        at = Place(origin, int(found[1]), int(found[2])) if found[1] else lines.place(len(text))
        raise at.error(f"this is not TOML: {what[:1].lower()}{what[1:]}") from error
    keys, values = _offsets(text)
    key_places = {path: lines.place(offset) for path, offset in keys.items()}
    value_places = {path: lines.place(offset) for path, offset in values.items()}

    def build(value: Any, path: Path, around: Place) -> Node:
        place = value_places.get(path, around)
        if isinstance(value, list | dict):
            check_depth(len(path) + 1, place)
        if isinstance(value, list):
            return ListNode(tuple(build(item, (*path, i), place) for i, item in enumerate(value)), place)
        if isinstance(value, dict):
            pairs = {k: (key_places.get((*path, k), place), build(v, (*path, k), place)) for k, v in value.items()}
            return MappingNode(pairs, place)
        return _scalar(value, place)

    root = build(table, (), Place(origin, 1, 1))
    assert isinstance(root, MappingNode)
    return root


def _scalar(value: Any, place: Place) -> Scalar:
    if isinstance(value, _Float):
        return Scalar("number", str(value).replace("_", ""), place)
    if isinstance(value, str):
        return Scalar("text", value, place)
    if isinstance(value, bool):
        return Scalar("flag", str(value).lower(), place)
    if not isinstance(value, int):
        return Scalar("other", str(value), place)
    if not -_INT64 <= value < _INT64:
        raise place.error("the number is too large")
    return Scalar("number", str(value), place)


_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+ | \#[^\n]*)
  | (?P<end>\n)
  | (?P<string>\"\"\" (?:[^"\\] | \\. | "(?!""))* \"{3,5} | ''' (?:[^'] | '(?!''))* '{3,5}
             | " (?:[^"\\] | \\.)* " | ' [^']* ')
  | (?P<sign>[][{}=,.])
  | (?P<bare>[^][{}=,.\s\#"']+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)


def _offsets(text: str) -> tuple[dict[Path, int], dict[Path, int]]:
    """Where keys and values begin, by path. The text is known to be TOML."""
    scan = _Scan()
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "blank":
            scan.take(str(match.lastgroup), match[0], match.start())
    scan.take("end", "\n", len(text))
    return scan.keys, scan.values


class _Scan:
    """State of a walk over TOML's tokens; a stack in place of recursion."""

    def __init__(self) -> None:
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {(): 0}
        self._tables: dict[Path, int] = {}  # array of tables -> how many it has by now
        self._base: Path = ()  # the table that statements belong to
        self._open: list[tuple[Path, int | None]] = []  # lists with the number of the item, inline tables with None
        self._key: list[str] = []  # no longer than what will be told to be too deep
        self._key_offset = 0
        self._is_key = True
        self._brackets = 0  # of the [table] or [[table]] that is being read

    def take(self, kind: str, token: str, offset: int) -> None:
        if token == "[" and kind == "sign" and self._is_key and not self._open:
            self._key_offset = self._key_offset if self._brackets else offset
            self._brackets += 1
        elif self._brackets:
            self._take_header(kind, token)
        elif self._is_key:
            self._take_key(kind, token, offset)
        else:
            self._take_value(kind, token, offset)

    def _take_header(self, kind: str, token: str) -> None:
        if kind in ("bare", "string") and len(self._key) <= MAX_DEPTH:
            self._key.append(_unquote(kind, token))
        elif kind == "end":
            path: Path = ()
            for key in self._key[:-1]:
                path = self._last((*path, key))
            path = (*path, self._key[-1])
            self.keys.setdefault(path, self._key_offset)
            if self._brackets == 2:
                self.values.setdefault(path, self._key_offset)
                self._tables[path] = self._tables.get(path, 0) + 1
            self._base = self._last(path)
            self.values.setdefault(self._base, self._key_offset)
            self._key, self._brackets = [], 0

    def _last(self, path: Path) -> Path:
        """The path of the table meant, the last one where it is an array of tables."""
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _take_key(self, kind: str, token: str, offset: int) -> None:
        if token == "=" and kind == "sign":
            self._is_key = False
        elif token == "}" and kind == "sign":
            self._close()
        elif kind in ("bare", "string") and len(self._key) <= MAX_DEPTH:
            if not self._key:
                self._key_offset = offset
            self._key.append(_unquote(kind, token))
            self.keys.setdefault(self._path(), self._key_offset)

    def _path(self) -> Path:
        """Of the value that is being read."""
        if not self._open:
            return (*self._base, *self._key)
        path, item = self._open[-1]
        return (*path, *self._key) if item is None else (*path, item)

    def _take_value(self, kind: str, token: str, offset: int) -> None:
        is_sign = kind == "sign"
        if is_sign and token in "]}":
            self._close()
        elif is_sign and token == ",":
            self._next_item()
        elif kind == "end":
            if not self._open:
                self._key, self._is_key = [], True
        else:
            path = self._path()
            self.values.setdefault(path, offset)
            if is_sign and token in "[{":
                self._open.append((path, 0 if token == "[" else None))
                self._key, self._is_key = [], token == "{"

    def _next_item(self) -> None:
        path, item = self._open[-1]
        self._open[-1] = (path, None if item is None else item + 1)
        self._key, self._is_key = [], item is None

    def _close(self) -> None:
        """Back in the value around, which goes on behind what was closed."""
        self._open.pop()
        self._key, self._is_key = [], False


def _unquote(kind: str, token: str) -> str:
    if kind == "bare":
        return token
    return str(tomllib.loads(f"key = {token}")["key"])
