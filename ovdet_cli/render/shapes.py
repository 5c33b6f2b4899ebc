"""Shapes drawn in place on an RGB picture: stickers with soft edges, rounded outlines, filled masks."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ovdet_cli.detections import Mask
from ovdet_cli.render.colours import BLACK, Colour, mix

MASK_OPACITY = 0.375  # an exact binary fraction, so that the blend rounds the same everywhere
HALO_OPACITY = 0.5  # the dark rim outside an outline: it parts the colour from a background of the same colour


@dataclass(frozen=True, eq=False)
class Sticker:
    """A small picture with soft edges: what it adds, and what it leaves of the picture below.

    added: uint8 (h, w, 3), colour times opacity. left: uint8 (h, w, 3), 255 times transparency.
    """

    added: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, colours: np.ndarray, alpha: np.ndarray) -> "Sticker":
        """From colours, float (h, w, 3) or (3,) in 0..255, and opacity, float (h, w) in 0..1."""
        opacity = np.repeat(alpha[..., None], 3, axis=2)
        added = np.rint(np.broadcast_to(colours, opacity.shape) * opacity).astype(np.uint8)
        return cls(added, np.rint(255 - 255 * opacity).astype(np.uint8))

    def put(self, image: np.ndarray, x: int, y: int) -> None:
        """Draws it with its upper left corner at (x, y); what leaves the picture is cut off."""
        height, width = image.shape[:2]
        h, w = self.added.shape[:2]
        top, left, bottom, right = max(0, y), max(0, x), min(height, y + h), min(width, x + w)
        if top >= bottom or left >= right:
            return
        region = image[top:bottom, left:right]
        added, kept = self.added, self.left
        if bottom - top != h or right - left != w:
            part = (slice(top - y, bottom - y), slice(left - x, right - x))
            added, kept = added[part], kept[part]
        # numpy, not cv2: OpenCV writes a view only if the array is laid out as it expects.
        np.add(cv2.multiply(region, kept, scale=1 / 255), added, out=region)


def rounded_alpha(width: int, height: int, radius: float) -> np.ndarray:
    """Opacity of a filled rounded rectangle that fills its picture, float32 (height, width)."""
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    distance = np.hypot(np.maximum(x, 0)[None], np.maximum(y, 0)[:, None])
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


def draw_outline(image: np.ndarray, box: tuple[int, int, int, int], colour: Colour, thickness: int) -> None:
    """Draws a rounded outline in place: its line inside x1 y1 x2 y2 (ends excluded), a dark rim one pixel outside.

    A box of a few pixels gets a thinner line.
    """
    left, top, right, bottom = box
    short = min(right - left, bottom - top)
    thickness = min(thickness, max(1, short // 10))  # a thick line would hide a small object
    radius = min(2 * thickness + 1, short // 2)
    if radius <= thickness:  # too small for rounded corners
        radius = 0
    beside, below = image[top + radius : bottom - radius], image[:, left + radius : right - radius]
    _darken(below[max(0, top - 1) : top])
    _darken(below[bottom : bottom + 1])
    _darken(beside[:, max(0, left - 1) : left])
    _darken(beside[:, right : right + 1])
    across = _row(colour, right - left - 2 * radius)
    below[top : min(top + thickness, bottom)] = across
    below[max(bottom - thickness, top) : bottom] = across
    along = _row(colour, min(thickness, right - left))
    beside[:, left : min(left + thickness, right)] = along
    beside[:, max(right - thickness, left) : right] = along
    if radius:
        _put_corners(image, box, colour, radius, thickness)


def _put_corners(
    image: np.ndarray, box: tuple[int, int, int, int], colour: Colour, radius: int, thickness: int
) -> None:
    left, top, right, bottom = box
    height, width = image.shape[:2]
    corners = _corner_stickers(colour, radius, thickness)
    if image.flags.c_contiguous and left > 0 and top > 0 and right < width and bottom < height:
        # All four are one array, a view with a jump from left to right and from top to bottom: one call, not four.
        rows, columns = image.strides[:2]
        sheet: np.ndarray = np.ndarray(
            (2, radius + 1, 2, radius + 1, 3),
            np.uint8,
            image,
            (top - 1) * rows + (left - 1) * columns,
            ((bottom - radius - top + 1) * rows, rows, (right - radius - left + 1) * columns, columns, 1),
        )
        whole = corners[4]
        kept = cv2.multiply(sheet.reshape(whole.left.shape), whole.left, scale=1 / 255)
        np.add(kept.reshape(sheet.shape), whole.added.reshape(sheet.shape), out=sheet)
        return
    places = [(x, y) for y in (top - 1, bottom - radius) for x in (left - 1, right - radius)]
    for (x, y), corner in zip(places, corners[:4], strict=True):
        corner.put(image, x, y)


@lru_cache(maxsize=256)
def _stock(colour: Colour, length: int) -> np.ndarray:
    return np.full((length, 3), colour, np.uint8)


def _row(colour: Colour, length: int) -> np.ndarray:
    """Pixels of one colour, uint8 (length, 3), shared: copied whole, far faster than three numbers for every pixel."""
    return _stock(colour, 1 << max(length - 1, 63).bit_length())[:length]


def _darken(strip: np.ndarray) -> None:
    np.right_shift(strip, 1, out=strip)  # HALO_OPACITY of black


@lru_cache(maxsize=1024)
def _corner_stickers(colour: Colour, radius: int, thickness: int) -> tuple[Sticker, Sticker, Sticker, Sticker, Sticker]:
    """The corners of an outline with its rim: upper left, upper right, lower left, lower right, and the four as one."""
    offset = radius + 1 - (np.arange(radius + 1) + 0.5)
    distance = np.hypot(offset[None], offset[:, None])
    line = np.clip(radius - distance + 0.5, 0, 1) * np.clip(distance - (radius - thickness) + 0.5, 0, 1)
    rim = HALO_OPACITY * np.clip(radius + 1 - distance + 0.5, 0, 1) * np.clip(distance - radius + 0.5, 0, 1)
    alpha = line + (1 - line) * rim
    colours = np.array(colour, np.float64) * (line / np.maximum(alpha, 1e-6))[..., None]
    whole = Sticker.of(*(np.concatenate([up, up[::-1]]) for up in (_mirrored(colours), _mirrored(alpha))))
    near, far = slice(radius + 1), slice(radius + 1, None)
    upper_left, upper_right, lower_left, lower_right = (
        Sticker(whole.added[y, x].copy(), whole.left[y, x].copy()) for y in (near, far) for x in (near, far)
    )
    return upper_left, upper_right, lower_left, lower_right, whole


def _mirrored(corner: np.ndarray) -> np.ndarray:
    return np.concatenate([corner, corner[:, ::-1]], axis=1)


def mask_piece(mask: Mask, box: tuple[int, int, int, int]) -> np.ndarray:
    """The part of a mask inside x1 y1 x2 y2 (ends excluded), uint8 (h, w), 0 or 1."""
    left, top, right, bottom = box
    height, width = mask.size_hw
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        return np.ascontiguousarray(mask.crop(left, top, right, bottom)).view(np.uint8)
    # What `Mask.crop` does, without its copies; and OpenCV turns the columns into rows faster than numpy.
    begin, stop = left * height, right * height
    ends = np.cumsum(mask.runs)
    first, last = ends.searchsorted((begin + 1, stop)).tolist()
    lengths = ends[first : last + 1]
    lengths[-1:] = stop
    lengths[1:] -= ends[first:last].copy()
    lengths[0] -= begin
    is_set = np.zeros(len(lengths), np.uint8)
    is_set[1 - first % 2 :: 2] = 1  # odd runs are of ones
    return cv2.transpose(is_set.repeat(lengths).reshape(right - left, height)[:, top:bottom])


def draw_mask(
    image: np.ndarray, mask: Mask, box: tuple[int, int, int, int], colour: Colour, contour_thickness: int
) -> None:
    """Blends the part of a mask inside x1 y1 x2 y2 (ends excluded) into the picture in place, and draws its contour."""
    left, top, right, bottom = box
    piece = mask_piece(mask, box)
    if not piece.size:
        return
    region = image[top:bottom, left:right]
    fill_region(region, piece, colour)
    if contour_thickness:
        contours, _ = cv2.findContours(piece, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.polylines(region, contours, True, mix(colour, BLACK, 0.35), contour_thickness, cv2.LINE_AA)


def fill_region(region: np.ndarray, piece: np.ndarray, colour: Colour) -> None:
    """Blends a colour into the pixels of `region`, uint8 (h, w, 3), where `piece`, uint8 (h, w), is not zero."""
    plain = np.empty_like(region)
    plain[:] = _row(colour, region.shape[1])
    tinted = cv2.addWeighted(region, 1 - MASK_OPACITY, plain, MASK_OPACITY, 0, dst=plain)
    cv2.copyTo(tinted, piece, region)
