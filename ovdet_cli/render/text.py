"""Any text -> a tile of ink: characters grouped into clusters, clusters into runs of one font, runs side by side."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from ovdet_cli.render.fonts import BitmapFont, Font, can_shape, font_for

ELLIPSIS = "…"

_LONGEST = 500  # characters of a name that are ever drawn

_JOINERS = "\u200c\u200d"  # zero-width (non-)joiner: they steer shaping, so they stay; other format characters go
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
_PLAIN = dict.fromkeys(map(ord, _JOINERS))  # what a font may lack, or not know what to do with
# Vowel signs stored after their consonant but written before it; a shaper knows, the bitmap font does not.
_WRITTEN_BEFORE = frozenset(
    "\u093f\u09bf\u09c7\u09c8\u0a3f\u0abf\u0b47\u0bc6\u0bc7\u0bc8\u0d46\u0d47\u0d48\u17c1\u1031"
)


def line_height(size: int) -> int:
    """Height in pixels of every tile of a text size."""
    return max(round(1.3 * size), size + 3)


def baseline(size: int) -> int:
    """Rows of a tile above the line the letters stand on."""
    return round(1.0 * size)


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """The text as it is drawn: one line, composed, without what cannot be seen."""
    kept = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp", "Zs"):
            kept.append(" ")
        elif category == "Cs":  # half of a surrogate pair
            kept.append("\ufffd")
        elif character in _SKIN_TONES and kept and kept[-1] != " ":
            continue  # no font without colours has a use for it
        elif (category != "Cf" or character in _JOINERS) and character not in _VARIATION_SELECTORS:
            kept.append(character)
    return " ".join("".join(kept).split())


@lru_cache(maxsize=2048)
def text_tile(text: str, size: int) -> np.ndarray:
    """The ink of one line of text, uint8 (line_height(size), w), 255 for full ink; shared, so read-only.

    size: pixels of an em. A text with nothing to see is one empty column.
    """
    pieces = [_render_run(run, font, size) for run, font in font_runs(clean(text))]
    tile = np.concatenate(pieces, axis=1) if pieces else np.zeros((line_height(size), 1), np.uint8)
    tile.setflags(write=False)
    return tile


@lru_cache(maxsize=8192)
def fitted(text: str, size: int, width: int) -> str:
    """The text, its end replaced by an ellipsis where it would be wider than `width` pixels."""
    text = clean(text)[:_LONGEST]
    if text_tile(text, size).shape[1] <= width:
        return text
    pieces = clusters(text)
    fits, too_many = 0, len(pieces)
    while fits + 1 < too_many:
        middle = (fits + too_many) // 2
        shortened = "".join(pieces[:middle]).rstrip() + ELLIPSIS
        fits, too_many = (middle, too_many) if text_tile(shortened, size).shape[1] <= width else (fits, middle)
    return "".join(pieces[:fits]).rstrip() + ELLIPSIS


def clusters(text: str) -> list[str]:
    """The text cut where it may be cut: a base stays with its marks, and with what a joiner joins to it."""
    found: list[str] = []
    for character in text:
        combines = unicodedata.category(character) in ("Mn", "Mc", "Me") or character in _JOINERS
        joined = bool(found) and found[-1][-1] == "\u200d"
        if found and (combines or joined) and found[-1] != " ":
            found[-1] += character
        else:
            found.append(character)
    return found


def font_runs(text: str) -> Iterator[tuple[str, Font]]:
    """The text in runs that one font draws."""
    run, run_font = "", None
    for cluster in clusters(text):
        font = font_for(cluster.translate(_PLAIN) or cluster)
        if run_font is not None and font is not run_font:
            yield run, run_font
            run = ""
        run, run_font = run + cluster, font
    if run_font is not None:
        yield run, run_font


def _render_run(run: str, font: Font, size: int) -> np.ndarray:
    if isinstance(font, BitmapFont):
        pieces = [piece.translate(_PLAIN) or piece for piece in clusters(run)]
        ordered = ["".join(sorted(piece, key=lambda c: c not in _WRITTEN_BEFORE)) for piece in pieces]
        if unicodedata.bidirectional(run[0]) in ("R", "AL"):
            ordered.reverse()
        run = "".join(ordered)
    elif not can_shape():
        run = run.translate(_PLAIN)
    return font.render(run, size, baseline(size), line_height(size))
