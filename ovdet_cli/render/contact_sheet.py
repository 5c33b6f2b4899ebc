"""A contact sheet: crops of the best matches, each with its word, score and place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ovdet_cli.render.colours import class_colour
from ovdet_cli.render.shapes import draw_outline
from ovdet_cli.render.text import fitted, line_height, text_tile

_TILE, _GAP, _TEXT = 192, 12, 13
_MARGIN = 0.25  # of a box's longer side, kept around it so that one sees where the thing is
_PAPER, _INK = 250, 30


@dataclass(frozen=True, eq=False)
class Tile:
    """One match: its crop, RGB uint8, square, and the lines under it."""

    picture: np.ndarray
    lines: tuple[str, ...]


def crop_tile(image: np.ndarray | None, box_xyxy: np.ndarray, label: str, lines: tuple[str, ...]) -> Tile:
    """The tile of a box in a whole picture, RGB uint8 (H, W, 3); None: one that could not be read."""
    return Tile(np.full((_TILE, _TILE, 3), 225, np.uint8) if image is None else _crop(image, box_xyxy, label), lines)


def draw_sheet(tiles: Sequence[Tile], columns: int = 5) -> np.ndarray:
    """The sheet, RGB uint8 (H, W, 3), tiles row by row."""
    text = line_height(_TEXT)
    high = _TILE + max((len(tile.lines) for tile in tiles), default=0) * text + _GAP
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns) if tiles else 1
    sheet = np.full((rows * high + _GAP, columns * (_TILE + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * high + _GAP, number % columns * (_TILE + _GAP) + _GAP
        sheet[top : top + _TILE, left : left + _TILE] = tile.picture
        for line, words in enumerate(tile.lines):
            _write(sheet, fitted(words, _TEXT, _TILE), left, top + _TILE + line * text)
    return sheet


def _crop(image: np.ndarray, box_xyxy: np.ndarray, label: str) -> np.ndarray:
    """The box with some of what is around it, its outline drawn, in the middle of a square."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(v) for v in box_xyxy)
    margin = _MARGIN * max(x2 - x1, y2 - y1)
    left, top = max(int(x1 - margin), 0), max(int(y1 - margin), 0)
    right, bottom = min(int(np.ceil(x2 + margin)), width), min(int(np.ceil(y2 + margin)), height)
    crop = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = min(_TILE / crop.shape[0], _TILE / crop.shape[1])
    h, w = (max(round(side * scale), 1) for side in crop.shape[:2])
    small = np.array(Image.fromarray(np.ascontiguousarray(crop)).resize((w, h), Image.Resampling.LANCZOS))
    box = [round((x1 - left) * scale), round((y1 - top) * scale), round((x2 - left) * scale), round((y2 - top) * scale)]
    inside = (max(box[0], 0), max(box[1], 0), min(box[2], w), min(box[3], h))
    if inside[2] > inside[0] and inside[3] > inside[1]:
        draw_outline(small, inside, class_colour(label), 2)
    y, x = (_TILE - h) // 2, (_TILE - w) // 2
    square = np.full((_TILE, _TILE, 3), 225, np.uint8)
    square[y : y + h, x : x + w] = small
    return square


def _write(sheet: np.ndarray, words: str, left: int, top: int) -> None:
    ink = text_tile(words, _TEXT).astype(np.float32)[..., None] / 255
    h, w = min(ink.shape[0], sheet.shape[0] - top), min(ink.shape[1], sheet.shape[1] - left)
    place = sheet[top : top + h, left : left + w]
    place[...] = (place * (1 - ink[:h, :w]) + _INK * ink[:h, :w]).round().astype(np.uint8)
