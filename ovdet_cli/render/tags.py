"""Tags: a class name and score on a filled plate, and where each stands so that all can be read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ovdet_cli.render.colours import Colour, class_colour, text_colour
from ovdet_cli.render.shapes import Sticker, rounded_alpha
from ovdet_cli.render.text import fitted, line_height, text_tile

SMALLEST_TEXT = 9  # pixels of an em below which DejaVu's bold closes up
_CROWDED_SHARE = 0.11  # of the picture: above that, tags shrink instead of covering it
_LARGEST_SHARE = 0.3  # of the picture: never more than that is covered
_WIDEST_SHARE = 0.5  # of the picture's width: a longer name ends in an ellipsis
_WIDEST_SHARE_CROWDED = 0.2
_SCORE_INK = 0.78  # the score steps back behind the name

# Where a tag goes: the share of the box's free width left of it; its row (0 on the box, 1 inside at the top, 2 inside
# at the bottom, 3 below); and what choosing it costs, in shares of a tag hidden.
_PLACES = [
    *((0.0, 0, 0.00), (1.0, 0, 0.06), (0.5, 0, 0.08), (0.0, 1, 0.08), (1.0, 1, 0.12), (0.5, 1, 0.14)),
    *((0.0, 3, 0.16), (1.0, 3, 0.20), (0.5, 3, 0.22), (0.0, 2, 0.18), (1.0, 2, 0.20), (0.5, 2, 0.22)),
]
_MOVED_COST = 0.25  # for a tag pushed away from its box by the picture's edge


@dataclass(frozen=True)
class TagText:
    """What stands on one tag, and the size of its plate in pixels."""

    name: str
    score: str
    text_size: int
    colour: Colour
    width: int
    height: int


def tag_texts(names: Sequence[str], scores: Sequence[str], base_size: int, size_hw: tuple[int, int]) -> list[TagText]:
    """The tags of a picture, at the base size where they leave enough of it to see.

    Else smaller and shorter ones; if these still cover too much, without scores; and then only the first of them.
    """
    area = size_hw[0] * size_hw[1]
    tags = _at_size(names, scores, base_size, round(size_hw[1] * _WIDEST_SHARE), size_hw[1])
    covered = _total_area(tags) / area
    if covered <= _CROWDED_SHARE:
        return tags
    size = max(SMALLEST_TEXT, round(base_size * (_CROWDED_SHARE / covered) ** 0.5))
    widest = round(size_hw[1] * _WIDEST_SHARE_CROWDED)
    tags = _at_size(names, scores, size, widest, size_hw[1])
    if _total_area(tags) > _LARGEST_SHARE * area:
        tags = _at_size(names, [""] * len(names), size, widest, size_hw[1])
    while _total_area(tags) > _LARGEST_SHARE * area:
        tags.pop()
    return tags


def _total_area(tags: Sequence[TagText]) -> int:
    return sum(tag.width * tag.height for tag in tags)


def _at_size(names: Sequence[str], scores: Sequence[str], size: int, widest: int, picture_width: int) -> list[TagText]:
    widest = min(max(widest, 12 * size), picture_width)  # a dozen letters where the picture has the room
    return [tag_text(name, score, size, widest) for name, score in zip(names, scores, strict=True)]


@lru_cache(maxsize=8192)
def tag_text(name: str, score: str, text_size: int, widest: int) -> TagText:
    """A tag at most `widest` pixels wide (unless its score alone is wider): a name too long ends in an ellipsis."""
    pad, gap = _padding(text_size)
    score_width = text_tile(score, text_size).shape[1] + gap if score else 0
    shown = fitted(name, text_size, max(1, widest - 2 * pad - score_width))
    width = 2 * pad + text_tile(shown, text_size).shape[1] + score_width
    return TagText(shown, score, text_size, class_colour(name), width, line_height(text_size))


@lru_cache(maxsize=8192)
def coloured(tag: TagText, colour: Colour) -> TagText:
    """The tag with a plate of another colour."""
    return replace(tag, colour=colour)


@lru_cache(maxsize=512)  # up to 150 kB each in a picture of 12 megapixels
def tag_sticker(tag: TagText) -> Sticker:
    """The tag as it is stuck on a picture."""
    pad, gap = _padding(tag.text_size)
    ink = np.zeros((tag.height, tag.width), np.float32)
    name = text_tile(tag.name, tag.text_size)
    ink[:, pad : pad + name.shape[1]] = name / np.float32(255)
    if tag.score:
        score = text_tile(tag.score, tag.text_size)
        left = pad + name.shape[1] + gap
        ink[:, left : left + score.shape[1]] = score * np.float32(_SCORE_INK / 255)
    plate, letters = (np.array(colour, np.float32) for colour in (tag.colour, text_colour(tag.colour)))
    return Sticker.of(plate + ink[..., None] * (letters - plate), rounded_alpha(tag.width, tag.height, tag.height / 5))


def _padding(text_size: int) -> tuple[int, int]:
    """Pixels left and right of the text, and between name and score."""
    return max(2, round(0.36 * text_size)), max(3, round(0.38 * text_size))


def place_tags(boxes: np.ndarray, tags: Sequence[TagText], line: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Upper left corners of the tags, int64 (N, 2) as x, y: inside the picture, hiding each other as little as may be.

    boxes: int64 (N, 4), x1 y1 x2 y2 of the outlines. line: their width. An earlier tag chooses first.
    """
    sizes = np.array([(tag.width, tag.height) for tag in tags], np.int64).reshape(-1, 2)
    options, costs = _candidates(boxes, sizes, line, size_hw)
    cheapest = options[np.arange(len(tags)), costs.argmin(1)]
    placed: list[list[int]] = []
    for i, wanted in enumerate(cheapest.tolist()):
        if any(_meet(wanted, other) for other in placed):
            hidden = _overlap(options[i], np.array(placed)).sum(1) / (tags[i].width * tags[i].height)
            wanted = options[i, int(np.argmin(costs[i] + hidden))].tolist()
        placed.append(wanted)
    return np.array(placed, np.int64).reshape(-1, 4)[:, :2]


def _meet(a: Sequence[int], b: Sequence[int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _candidates(
    boxes: np.ndarray, sizes: np.ndarray, line: int, size_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Where each tag may stand, int64 (N, K, 4), and what that costs before other tags are looked at, (N, K)."""
    share = np.array([x for x, _, _ in _PLACES])
    row = np.array([y for _, y, _ in _PLACES])
    left, top, right, bottom = (boxes[:, k, None] for k in range(4))
    w, h = sizes[:, :1], sizes[:, 1:]
    x = left + np.rint(share * (right - left - w)).astype(np.int64)
    # On and below the box it overlaps the outline, so that the two are one shape.
    y = np.choose(row[None], [top - h + line, top, bottom - h, bottom - line])
    wanted = np.stack([x, y], axis=-1)
    corners = np.clip(wanted, 0, np.maximum(np.array(size_hw[::-1]) - sizes, 0)[:, None])
    moved = np.abs(corners - wanted) / sizes[:, None]
    rectangles = np.concatenate([corners, corners + sizes[:, None]], axis=2)
    covered = _overlap(rectangles.reshape(-1, 4), boxes)  # (N * K, N): how much of each object a tag would cover
    areas = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1)
    shares = (covered / areas).sum(1).reshape(corners.shape[:2])
    costs = np.array([cost for _, _, cost in _PLACES]) + shares + moved[..., 0] * 0.5 * _MOVED_COST
    return rectangles, costs + np.minimum(moved[..., 1], 1) * _MOVED_COST


def _overlap(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Shared area of each pair of rectangles (A, 4) and (B, 4), (A, B)."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1]
