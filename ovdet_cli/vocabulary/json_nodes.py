"""JSON text -> nodes; the standard library's reader tells no places."""

import json
import re

from ovdet_cli.vocabulary.nodes import (
    Lines,
    ListNode,
    MappingNode,
    Node,
    Place,
    Scalar,
    add_pair,
    check_depth,
    shorten,
)

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[\w.+-]+")
_STRINGS = json.JSONDecoder()


def read_json(text: str, origin: str) -> Node:
    """The value of a text."""
    return _Reader(text, origin).read()


class _Reader:
    """Walks once through a text."""

    def __init__(self, text: str, origin: str) -> None:
        self._text = text
        self._lines = Lines(text, origin)
        self._offset = 0

    def read(self) -> Node:
        node = self._value(1)
        if self._next():
            raise self._error("something stands behind the end of the value")
        return node

    def _place(self) -> Place:
        return self._lines.place(self._offset)

    def _error(self, message: str) -> Exception:
        return self._place().error(f"this is not JSON: {message}")

    def _next(self) -> str:
        """The next character that is not blank, empty at the end."""
        match = _BLANK.match(self._text, self._offset)
        assert match is not None  # it matches nothing at all too
        self._offset = match.end()
        return self._text[self._offset : self._offset + 1]

    def _take(self, sign: str) -> bool:
        """Whether the sign is next, and goes past it."""
        is_there = self._next() == sign
        self._offset += is_there
        return is_there

    def _value(self, depth: int) -> Node:
        sign = self._next()
        place = self._place()
        if sign in ("[", "{"):
            check_depth(depth, place)
            self._offset += 1
            return self._list(place, depth) if sign == "[" else self._mapping(place, depth)
        if sign == '"':
            return Scalar("text", self._string(), place)
        if number := _NUMBER.match(self._text, self._offset):
            self._offset = number.end()
            return Scalar("number", number[0], place)
        word = _WORD.match(self._text, self._offset)
        if word is None:
            raise self._error(
                f"a value is missing before {sign!r}" if sign else "the file ends where a value is needed"
            )
        if word[0] not in ("true", "false", "null"):
            raise self._error(f"{shorten(word[0])} is no value; put texts between double quotes")
        self._offset = word.end()
        return Scalar("null", "", place) if word[0] == "null" else Scalar("flag", word[0], place)

    def _string(self) -> str:
        try:
            text, self._offset = _STRINGS.raw_decode(self._text, self._offset)
        except json.JSONDecodeError as error:
            self._offset = min(error.pos, len(self._text))
            what = error.msg.removesuffix(" at").removesuffix(" starting")
            raise self._error(what[:1].lower() + what[1:]) from error
        return str(text)

    def _list(self, place: Place, depth: int) -> ListNode:
        items: list[Node] = []
        if not self._take("]"):
            items.append(self._value(depth + 1))
            while self._take(","):
                items.append(self._value(depth + 1))
            if not self._take("]"):
                raise self._error("a comma or ] is missing")
        return ListNode(tuple(items), place)

    def _mapping(self, place: Place, depth: int) -> MappingNode:
        pairs: dict[str, tuple[Place, Node]] = {}
        if not self._take("}"):
            self._add_pair(pairs, depth)
            while self._take(","):
                self._add_pair(pairs, depth)
            if not self._take("}"):
                raise self._error("a comma or } is missing")
        return MappingNode(pairs, place)

    def _add_pair(self, pairs: dict[str, tuple[Place, Node]], depth: int) -> None:
        if self._next() != '"':
            raise self._error("a key between double quotes is missing")
        place = self._place()
        key = self._string()
        if not self._take(":"):
            raise self._error("a colon is missing behind the key")
        add_pair(pairs, key, place, self._value(depth + 1))
