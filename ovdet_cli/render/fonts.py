"""Fonts for every script without any system package: DejaVu Sans, then the system's own fonts, then Unifont's bitmaps.

The packaged fonts and their licences stand in `font_data/`. No font is opened before a character needs it.
"""

import lzma
import os
import re
import struct
import sys
import threading
import unicodedata
from collections.abc import Iterator
from functools import cache, cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageFont, features

FONT_DATA = Path(__file__).parent / "font_data"
MARK_ADVANCE = 0  # what Unifont's combining marks advance by: they lie on the character before

_FREETYPE_LOCK = threading.Lock()  # a FreeType face serves one thread at a time

# Outline fonts known to hold many characters, best first: one design for a script, then whatever has it.
_KNOWN_SYSTEM_FONTS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"Noto ?Sans ?CJK(sc|jp)?-(Bold|Medium|Regular)\.(ttc|otf)",
        r"(PingFang|Hiragino Sans GB|AppleSDGothicNeo)\.ttc",
        r"(msyhbd|msyh|YuGothB|YuGothM|meiryo|malgunbd|malgun|simhei)\.(ttc|ttf)",
        r"(SourceHanSans|wqy-|DroidSansFallback|NanumGothic).*\.(ttc|ttf|otf)",
        r"NotoSans[A-Z]\w*-(Bold|Regular)\.ttf",
        r"(NirmalaB?|Nirmala|LeelawUI|mangal|seguisym|seguiemj|ebrima|gadugi|mmrtext)\.(ttc|ttf)",
        r"(Kohinoor\w*|Thonburi|Apple Symbols|Arial Unicode|STHeiti Medium|Geeza Pro)\.(ttc|ttf)",
        r"(Lohit-\w+|Noto_?Emoji-\w+|NotoEmoji\S*|Symbola\S*|FreeSans|FreeSansBold|ArialUni)\.(ttf|otf)",
    )
]


class OutlineFont:
    """A TrueType or OpenType font file, the first face of a collection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._sizes: dict[int, ImageFont.FreeTypeFont] = {}

    @cached_property
    def _codes(self) -> np.ndarray:
        """The code points the font has, in order; none for a file we cannot use."""
        try:
            ImageFont.truetype(self.path, 16)  # a bitmap-only or broken font says so here, not in the middle of a run
            return read_coverage(self.path)
        except (OSError, struct.error, ValueError):
            return np.zeros(0, np.int64)

    def has(self, code: int) -> bool:
        """Whether the font has a glyph for the code point."""
        return _find(self._codes, code) >= 0

    def render(self, text: str, size: int, baseline: int, height: int) -> np.ndarray:
        """The text's ink, uint8 (height, w) with 255 for full ink; what leaves the height is cut off."""
        with _FREETYPE_LOCK:
            if size not in self._sizes:
                self._sizes[size] = ImageFont.truetype(self.path, size)
            font = self._sizes[size]
            mask, (left, top) = font.getmask2(text, mode="L", anchor="ls")
            advance = font.getlength(text)
            ink = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[1], mask.size[0])
        # The tile spans the pen's way and whatever ink stands out of it on either side.
        start = min(0, left)
        tile = np.zeros((height, max(1, round(advance) - start, left + ink.shape[1] - start)), np.uint8)
        y = baseline + top
        first, last = max(0, y), min(height, y + ink.shape[0])
        if first < last:
            tile[first:last, left - start : left - start + ink.shape[1]] = ink[first - y : last - y]
        return tile


class BitmapFont:
    """GNU Unifont: 16-pixel bitmaps of nearly every character that DejaVu lacks; plain, but it can be read."""

    name = "GNU Unifont"
    cell = 16
    baseline = 14  # rows above the baseline

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _glyphs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Code points (G,), advances in pixels (G,), and bits by columns (G, 32)."""
        with np.load(self.path) as data:
            bits = np.frombuffer(lzma.decompress(data["bits_xz"].tobytes()), np.uint8).reshape(-1, 32)
            return np.cumsum(data["code_steps"], dtype=np.int64), data["advances"], bits

    def has(self, code: int) -> bool:
        """Whether there is a bitmap for the code point."""
        return _find(self._glyphs[0], code) >= 0

    def glyph(self, code: int) -> tuple[np.ndarray, int]:
        """The cell of a character, bool (16, 16), and its advance; an empty frame for one that is nowhere."""
        codes, advances, bits = self._glyphs
        place = _find(codes, code)
        if place < 0:
            frame = np.zeros((self.cell, self.cell), bool)
            frame[3:14, 2:13] = True
            frame[4:13, 3:12] = False
            return frame, self.cell
        return np.unpackbits(bits[place]).reshape(self.cell, self.cell).T.astype(bool), int(advances[place])

    def render(self, text: str, size: int, baseline: int, height: int) -> np.ndarray:
        """The text's ink, uint8 (height, w) with 255 for full ink."""
        line = np.zeros((self.cell, self.cell * (len(text) + 2)), bool)
        pen = self.cell  # room for a mark that stands left of a narrow character
        for character in text:
            cell, advance = self.glyph(ord(character))
            at = pen - self.cell if advance == MARK_ADVANCE else pen
            line[:, at : at + self.cell] |= cell
            if unicodedata.category(character) == "Mc" and advance and cell.any():
                advance = int(np.flatnonzero(cell.any(0))[-1]) + 2  # a vowel sign: its cell is wide and half empty
            pen += advance
        inked = np.flatnonzero(line.any(0))
        start = min(self.cell, int(inked[0])) if len(inked) else self.cell
        line = line[:, start : max(pen, start + 1, int(inked[-1]) + 1 if len(inked) else 0)]
        # Whole multiples of 16 stay crisp: a bitmap is only resampled where that is far from the size asked for.
        multiple = max(1, round(size / self.cell))
        em = multiple * self.cell if abs(multiple * self.cell - size) <= 0.3 * size else size
        scale = em / self.cell
        ink: np.ndarray = line.astype(np.uint8) * 255
        if em != self.cell:
            new_size = (max(1, round(line.shape[1] * scale)), em)
            ink = cv2.resize(ink, new_size, interpolation=cv2.INTER_AREA if em < self.cell else cv2.INTER_CUBIC)
        if scale > 1.5:  # rounds the staircase instead of showing it: smoothing, then a steep threshold
            ink = cv2.GaussianBlur(ink, (0, 0), 0.35 * scale)
            # Below one half, so that strokes grow a little: beside DejaVu's bold they look thin.
            ink = np.clip((ink.astype(np.float32) - 85) * scale + 127.5, 0, 255).astype(np.uint8)
        tile = np.zeros((height, ink.shape[1]), np.uint8)
        # Its full cells hang lower than letters do: centred on the line they look at home.
        y = min(max(0, (height - em + 1) // 2), max(0, baseline - round(self.baseline * scale) + em // 8))
        rows = min(height - y, em)
        tile[y : y + rows] = ink[:rows]
        return tile


Font = OutlineFont | BitmapFont


@cache
def first_font() -> OutlineFont:
    """DejaVu Sans: Latin, Greek, Cyrillic, Arabic, Hebrew, Georgian and some 3000 signs; condensed to cover less."""
    return OutlineFont(FONT_DATA / "DejaVuSansCondensed-Bold.ttf")


@cache
def last_font() -> BitmapFont:
    """GNU Unifont: all other scripts."""
    return BitmapFont(FONT_DATA / "unifont.npz")


@cache
def system_fonts() -> tuple[OutlineFont, ...]:
    """The known outline fonts of this machine, best first."""
    found = []
    for folder in _system_folders():
        for root, _, names in os.walk(folder):
            found += [Path(root, name) for name in names]
    ranked = [
        (rank, path.name, path)
        for path in found
        for rank, pattern in enumerate(_KNOWN_SYSTEM_FONTS)
        if pattern.fullmatch(path.name)
    ]
    return tuple(OutlineFont(path) for _, _, path in sorted(ranked))


def fonts_in_order() -> Iterator[Font]:
    """Every font, best first; the system's folders are walked only if one asks past DejaVu."""
    yield first_font()
    yield from system_fonts()
    yield last_font()


@lru_cache(maxsize=16384)
def font_for(cluster: str) -> Font:
    """The first font that has every character of a cluster (a base and what combines with it), or else its base."""
    for wanted in (cluster, cluster[:1]):
        for font in fonts_in_order():
            if all(font.has(ord(character)) for character in wanted):
                return font
    return last_font()


def available() -> list[tuple[str, str]]:
    """Every font labels can be drawn with, in the order they are asked: its name, and where it comes from."""
    system = [(font.name, str(font.path)) for font in system_fonts()]
    return [(first_font().name, "packaged"), *system, (last_font().name, "packaged bitmaps")]


@cache
def can_shape() -> bool:
    """Whether Pillow shapes text (Arabic joins, right-to-left) here: it needs Raqm, which its wheels contain."""
    return bool(features.check("raqm"))


def _find(codes: np.ndarray, code: int) -> int:
    """Where a code point stands among sorted ones, -1 if it does not."""
    place = int(np.searchsorted(codes, code))
    return place if place < len(codes) and codes[place] == code else -1


def read_coverage(path: Path) -> np.ndarray:
    """The code points a font has glyphs for, int64 (G,) in order, from its cmap table (formats 4 and 12).

    Raises OSError, struct.error or ValueError for a file that is not a font.
    """
    with path.open("rb") as file:
        data = memoryview(file.read())
    face = struct.unpack_from(">I", data, 12)[0] if bytes(data[:4]) == b"ttcf" else 0
    (num_tables,) = struct.unpack_from(">H", data, face + 4)
    directory = data[face + 12 : face + 12 + 16 * num_tables]
    tables = dict(struct.iter_unpack(">4s4xI4x", directory))
    if b"cmap" not in tables:
        raise ValueError(f"{path} has no cmap table")
    cmap = data[tables[b"cmap"] :]
    (num_subtables,) = struct.unpack_from(">H", cmap, 2)
    offsets = {offset for _, offset in struct.iter_unpack(">II", cmap[4 : 4 + 8 * num_subtables])}
    readers = {4: _codes_of_format_4, 12: _codes_of_format_12}
    codes = [np.zeros(0, np.int64)]
    for offset in offsets:
        subtable = cmap[offset:]
        (kind,) = struct.unpack_from(">H", subtable)
        if kind in readers:
            codes.append(readers[kind](subtable))
    return np.unique(np.concatenate(codes))


def _codes_of_format_4(subtable: memoryview) -> np.ndarray:
    """OpenType 1.9, "cmap", segment mapping to delta values: glyph 0 inside a segment means that there is none."""
    length, twice = struct.unpack_from(">2xH2xH", subtable)
    words = np.frombuffer(subtable[14 : length & ~1], ">u2").astype(np.int64)
    n = twice // 2
    ends, starts, deltas, offsets = (words[k : k + n] for k in (0, n + 1, 2 * n + 1, 3 * n + 1))
    glyphs = words[4 * n + 1 :]
    found = [np.zeros(0, np.int64)]
    for i, (first, last, delta, offset) in enumerate(zip(starts, ends, deltas, offsets, strict=True)):
        codes = np.arange(first, last + 1)
        if offset:
            places = offset // 2 + codes - first + i - n
            codes, places = codes[places < len(glyphs)], places[places < len(glyphs)]
            glyph = np.where(glyphs[places] == 0, 0, (glyphs[places] + delta) & 0xFFFF)
        else:
            glyph = (codes + delta) & 0xFFFF
        found.append(codes[glyph != 0])
    return np.concatenate(found)


def _codes_of_format_12(subtable: memoryview) -> np.ndarray:
    """OpenType 1.9, "cmap", segmented coverage."""
    (num_groups,) = struct.unpack_from(">12xI", subtable)
    groups = struct.iter_unpack(">III", subtable[16 : 16 + 12 * num_groups])
    # No font has code points past Unicode's end: a broken one must not make us count to 4 billion.
    ranges = [np.arange(first + (glyph == 0), min(last, 0x10FFFF) + 1) for first, last, glyph in groups]
    return np.concatenate([np.zeros(0, np.int64), *ranges])


def _system_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        folders = [Path(os.environ.get("WINDIR", r"C:\Windows"), "Fonts"), Path(local, "Microsoft", "Windows", "Fonts")]
    elif sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    else:
        data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        own = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
        folders = [Path(own, "fonts"), home / ".fonts", *(Path(folder, "fonts") for folder in data.split(":"))]
    return [folder for folder in folders if folder.is_dir()]
