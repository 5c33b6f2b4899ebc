"""YAML text -> nodes, from the parser's events: nothing is constructed, expanded or typed."""

import re
from typing import Any

import yaml

from ovdet_cli.errors import VocabularyError
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

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it: ten times as fast
_TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")
_NULLS = ("", "~", "null", "Null", "NULL")
# What YAML allows in a file. The parser would refuse the rest as well, but without a place.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_yaml(text: str, origin: str) -> Node | None:
    """The one document of a text; None where there is none."""
    if found := _UNPRINTABLE.search(text):
        raise Lines(text, origin).place(found.start()).error(f"the character {found[0]!r} may not stand in YAML")
    try:
        return _build(text, origin)
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        if mark is None:
            raise VocabularyError(f"{origin} is not YAML: {what}") from error
        raise _place(mark, origin).error(f"this is not YAML: {what}{_hint(text, mark.line)}") from error
    except yaml.YAMLError as error:
        raise VocabularyError(f"{origin} is not YAML: {' '.join(str(error).split())}") from error


def _hint(text: str, line: int) -> str:
    """What to do about the two usual slips, where the line has one of them."""
    lines = text.split("\n")
    wrong = lines[line] if line < len(lines) else ""
    if "\t" in wrong[: len(wrong) - len(wrong.lstrip())]:
        return "; indent with blanks, not with a tab"
    return "; put a text with {} between quotes" if "{}" in wrong else ""


class _Open:
    """A list or mapping whose end has not come yet."""

    def __init__(self, place: Place, *, is_mapping: bool) -> None:
        self.place = place
        self.is_mapping = is_mapping
        self._items: list[Node] = []
        self._pairs: dict[str, tuple[Place, Node]] = {}
        self._key: Scalar | None = None

    def add(self, node: Node) -> None:
        if not self.is_mapping:
            self._items.append(node)
        elif self._key is not None:
            add_pair(self._pairs, self._key.text, self._key.place, node)
            self._key = None
        elif isinstance(node, Scalar):
            self._key = node
        else:
            raise node.place.error(f"{node} stands where a key is needed; write a text")

    def close(self) -> Node:
        return MappingNode(self._pairs, self.place) if self.is_mapping else ListNode(tuple(self._items), self.place)


def _build(text: str, origin: str) -> Node | None:
    stack: list[_Open] = []
    root: Node | None = None
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise _place(event.start_mark, origin).error("a second document begins; a vocabulary is one document")
        if isinstance(event, yaml.AliasEvent):
            raise _place(event.start_mark, origin).error(
                f"*{event.anchor} repeats what stands elsewhere; write it out, or use the key defaults"
            )
        node: Node | None = None
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event, origin)
        elif isinstance(event, yaml.CollectionStartEvent):
            _check_tag(event, origin)
            stack.append(_Open(_place(event.start_mark, origin), is_mapping=isinstance(event, yaml.MappingStartEvent)))
            check_depth(len(stack), stack[-1].place)
        elif isinstance(event, yaml.CollectionEndEvent):
            node = stack.pop().close()
        if node is not None and stack:
            stack[-1].add(node)
        elif node is not None:
            root = node
    return root


def _scalar(event: yaml.ScalarEvent, origin: str) -> Scalar:
    _check_tag(event, origin)
    place = _place(event.start_mark, origin)
    if event.style or event.tag:
        return Scalar("text", event.value, place)
    return Scalar("null" if event.value in _NULLS else "plain", event.value, place)


def _check_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent, origin: str) -> None:
    is_text = isinstance(event, yaml.ScalarEvent)
    if event.tag not in (_TEXT_TAGS if is_text else (None, "!")):
        raise _place(event.start_mark, origin).error(
            f"the tag {shorten(str(event.tag))} is not read here; leave it out"
        )


def _place(mark: Any, origin: str) -> Place:
    return Place(origin, mark.line + 1, mark.column + 1)
