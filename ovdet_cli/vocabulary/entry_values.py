"""Nodes -> what an Entry holds: each value is checked, and an error tells its place."""

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary.entry import Example
from ovdet_cli.vocabulary.nodes import ListNode, MappingNode, Node, Place, Scalar, shorten
from ovdet_cli.vocabulary.prompts import SETS

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # escapes can write what UTF-8 cannot
_MAX_COUNT = 10**9

_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0"))

# https://www.w3.org/TR/css-color-4/#named-colors, the sixteen of CSS 1 with orange of CSS 2.1 and three second names
_COLOURS = {
    "black": "000000",
    "silver": "c0c0c0",
    "gray": "808080",
    "grey": "808080",
    "white": "ffffff",
    "maroon": "800000",
    "red": "ff0000",
    "purple": "800080",
    "fuchsia": "ff00ff",
    "magenta": "ff00ff",
    "green": "008000",
    "lime": "00ff00",
    "olive": "808000",
    "yellow": "ffff00",
    "navy": "000080",
    "blue": "0000ff",
    "teal": "008080",
    "aqua": "00ffff",
    "cyan": "00ffff",
    "orange": "ffa500",
}
_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def suggest(word: str, known: Collection[str]) -> str:
    """What to write instead of a word that is not known."""
    near = difflib.get_close_matches(word[:60].lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def items_of(node: Node) -> Sequence[Node]:
    """The values of a list, or the one value. A CSV cell holds a list between `|`."""
    if isinstance(node, ListNode):
        return node.items
    if isinstance(node, Scalar) and node.kind == "cell":
        return [Scalar("cell", part.strip(), node.place) for part in node.text.split("|") if part.strip()]
    return [node]


def to_text(key: str, node: Node) -> str:
    """A text, blanks around it removed; as the file spells it even where it looks like a number, yes or no."""
    is_text = isinstance(node, Scalar) and (
        node.kind in ("text", "plain", "cell", "null") or (node.kind == "number" and _INTEGER.fullmatch(node.text))
    )
    if not is_text or not isinstance(node, Scalar):
        raise node.place.error(f"{key} must be a text, not {node}; put it between quotes")
    text = node.text.strip()
    if not text:
        raise node.place.error(f"{key} is empty; write a text or leave it out")
    if found := _NO_TEXT.search(text):
        raise node.place.error(f"{key} holds U+{ord(found[0]):04X}, which is no character; leave it out")
    return text


def to_texts(key: str, node: Node) -> tuple[str, ...]:
    """One text or a list of them."""
    return tuple(to_text(key, item) for item in items_of(node))


def to_choice(key: str, node: Node, choices: Collection[str]) -> str:
    """One of a few words."""
    word = to_text(key, node)
    if word not in choices:
        raise node.place.error(f"{key} must be {' or '.join(choices)}, not {shorten(word)}")
    return word


def to_flag(key: str, node: Node) -> bool:
    """true or false; without quotes also yes, no, on and off, in CSV 1 and 0."""
    if isinstance(node, Scalar) and node.kind in ("flag", "plain", "cell"):
        word = node.text.lower()
        if word in _TRUE | _FALSE and (node.kind == "cell" or not word.isdigit()):
            return word in _TRUE
    raise node.place.error(f"{key} must be true or false, not {node}")


def to_number(key: str, node: Node, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within bounds."""
    if isinstance(node, Scalar) and node.kind in ("number", "plain", "cell") and _NUMBER.fullmatch(node.text):
        value = float(node.text)
        if math.isfinite(value) and low <= value <= high:
            return value
    limits = f" from {low:g} to {high:g}" if math.isfinite(high) else f" of at least {low:g}" if low > -math.inf else ""
    raise node.place.error(f"{key} must be a number{limits}, not {node}")


def to_count(key: str, node: Node, low: int, high: int = _MAX_COUNT) -> int:
    """A whole number within bounds."""
    if isinstance(node, Scalar) and _INTEGER.fullmatch(node.text):
        value = to_number(key, node)
        if low <= value <= high:
            return int(value)
    limits = f"of at least {low}" if high == _MAX_COUNT else f"from {low} to {high}"
    raise node.place.error(f"{key} must be a whole number {limits}, not {node}")


def to_colour(key: str, node: Node) -> tuple[int, int, int]:
    """Red, green, blue."""
    parts = items_of(node)
    if isinstance(node, ListNode) or len(parts) > 1:
        if len(parts) != 3:
            raise node.place.error(f"{key} has {len(parts)} numbers; three are needed: red, green, blue")
        red, green, blue = (to_count(key, part, 0, 255) for part in parts)
        return red, green, blue
    if isinstance(node, Scalar) and node.kind in ("text", "plain", "cell"):
        word = node.text.strip().lower()
        if _HEX.fullmatch(word) or word in _COLOURS:
            digits = _COLOURS.get(word, word.lstrip("#"))
            digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
            return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    raise node.place.error(f'{key} must be like "#ff8800", "orange" or [255, 136, 0], not {node}')


def to_template_set(name: str, node: Node) -> tuple[str, ...]:
    """The templates of a file's own set: templates, and names of built-in sets."""
    if not items_of(node):
        raise node.place.error(f"the template set {shorten(name)} is empty; write a template with {{}} in it")
    return to_templates("a template", node, {})


def to_templates(key: str, node: Node, own_sets: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Templates and names of built-in sets; a file's own sets are put in."""
    templates: list[str] = []
    for item in items_of(node):
        text = to_text(key, item)
        if text in own_sets:
            templates += own_sets[text]
        elif "{}" in text or text in SETS:
            templates.append(text)
        elif " " in text or "{" in text:
            raise item.place.error(f"the template {shorten(text)} has no {{}}; write {{}} where the name belongs")
        else:
            known = (*own_sets, *SETS)
            raise item.place.error(
                f"no template set is called {shorten(text)}: {suggest(text, known)} A template has {{}} for the name"
            )
    return tuple(templates)


def to_examples(key: str, node: Node, folder: Path) -> tuple[Example, ...]:
    """Pictures with their boxes; folder: of the vocabulary file."""
    nodes = [node] if isinstance(node, MappingNode) else items_of(node)
    return tuple(_example(key, item, folder) for item in nodes)


def split_box(text: str) -> tuple[str, str | None]:
    """The picture's path, and what stands behind its last colon where that is meant as a box."""
    path, colon, tail = text.rpartition(":")
    is_box = (
        bool(colon and path)
        and not set(tail) & set("/\\")
        and (tail.count(",") == 3 or re.fullmatch(r"[-+0-9.eE, ]*,[-+0-9.eE, ]*", tail) is not None)
    )
    return (path, tail) if is_box else (text, None)


def _example(key: str, node: Node, folder: Path) -> Example:
    if not isinstance(node, MappingNode):
        path, tail = split_box(to_text(key, node))
        is_plain = isinstance(node, Scalar) and node.kind == "plain"
        if is_plain and tail is None and _NUMBER.fullmatch(path):  # YAML parted [a.jpg:1,2,3,4] at the box's commas
            raise node.place.error(f'{path} is no picture; put quotes around "picture.jpg:x1,y1,x2,y2"')
        if tail is None:
            return Example(folder / path)
        numbers = [Scalar("plain", part.strip(), node.place) for part in tail.split(",")]
        return Example(folder / path, _box(ListNode(tuple(numbers), node.place)))
    for name, (place, _) in node.pairs.items():
        if name not in ("path", "box"):
            raise place.error(f"an example knows no key {shorten(name)}; there are path and box")
    if "path" not in node.pairs:
        raise node.place.error("the example has no path; name its picture")
    picture = folder / to_text("path", node.pairs["path"][1])
    if "box" not in node.pairs or is_nothing(node.pairs["box"][1]):
        return Example(picture)
    return Example(picture, _box(node.pairs["box"][1]))


def _box(node: Node) -> tuple[float, float, float, float]:
    if not isinstance(node, ListNode) or len(node.items) != 4:
        raise node.place.error(f"a box must be the four numbers x1, y1, x2, y2, not {node}")
    x1, y1, x2, y2 = (to_number("a box's side", item) for item in node.items)
    if x2 <= x1 or y2 <= y1:
        raise node.place.error(f"the box {x1:g},{y1:g},{x2:g},{y2:g} is empty; x2 must be above x1, and y2 above y1")
    return x1, y1, x2, y2


def is_nothing(node: Node) -> bool:
    """Whether a key's value is left open."""
    return isinstance(node, Scalar) and node.kind == "null"


def find_cycle(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Names that lead from one class over its parents back to it, the first one again at the end; empty: no cycle."""
    done: set[str] = set()
    for start in parents:
        chain, branches, on_chain = [start], [iter(parents[start])], {start}
        while chain and start not in done:
            parent = next(branches[-1], None)
            if parent is None:
                branches.pop()
                on_chain.remove(chain[-1])
                done.add(chain.pop())
            elif parent in on_chain:
                return [*chain[chain.index(parent) :], parent]
            elif parent in parents and parent not in done:
                chain.append(parent)
                branches.append(iter(parents[parent]))
                on_chain.add(parent)
    return []


def cycle_error(cycle: Sequence[str], place: Place | None = None) -> VocabularyError:
    """The error for a cycle of parents."""
    shown = [*cycle[:8], "...", cycle[-1]] if len(cycle) > 10 else cycle
    chain = " > ".join(name[:60] for name in shown)
    message = f"the parents lead in a circle: {chain}; leave one of them out"
    if len(cycle) == 2:
        message = f"the class {shorten(cycle[0])} is its own parent: {chain}; leave that parent out"
    return place.error(message) if place else VocabularyError(message)
