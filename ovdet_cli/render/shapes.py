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
        part = (slice(top - y, bottom - y), slice(left - x, right - x))
        kept = cv2.multiply(region, self.left[part], scale=1 / 255)
        # numpy, not cv2: OpenCV writes a view only if the array is laid out as it expects.
        np.add(kept, self.added[part], out=region)


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
    _darken(image[max(0, top - 1) : top, left + radius : right - radius])
    _darken(image[bottom : bottom + 1, left + radius : right - radius])
    _darken(image[top + radius : bottom - radius, max(0, left - 1) : left])
    _darken(image[top + radius : bottom - radius, right : right + 1])
    image[top : min(top + thickness, bottom), left + radius : right - radius] = colour
    image[max(bottom - thickness, top) : bottom, left + radius : right - radius] = colour
    image[top + radius : bottom - radius, left : min(left + thickness, right)] = colour
    image[top + radius : bottom - radius, max(right - thickness, left) : right] = colour
    if radius:
        upper_left, upper_right, lower_left, lower_right = _corner_stickers(colour, radius, thickness)
        upper_left.put(image, left - 1, top - 1)
        upper_right.put(image, right - radius, top - 1)
        lower_left.put(image, left - 1, bottom - radius)
        lower_right.put(image, right - radius, bottom - radius)


def _darken(strip: np.ndarray) -> None:
    np.right_shift(strip, 1, out=strip)  # HALO_OPACITY of black


@lru_cache(maxsize=1024)
def _corner_stickers(colour: Colour, radius: int, thickness: int) -> tuple[Sticker, Sticker, Sticker, Sticker]:
    """The corners of an outline with its rim: upper left, upper right, lower left, lower right."""
    offset = radius + 1 - (np.arange(radius + 1) + 0.5)
    distance = np.hypot(offset[None], offset[:, None])
    line = np.clip(radius - distance + 0.5, 0, 1) * np.clip(distance - (radius - thickness) + 0.5, 0, 1)
    rim = HALO_OPACITY * np.clip(radius + 1 - distance + 0.5, 0, 1) * np.clip(distance - radius + 0.5, 0, 1)
    alpha = line + (1 - line) * rim
    colours = np.array(colour, np.float64) * (line / np.maximum(alpha, 1e-6))[..., None]
    corners = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    upper_left, upper_right, lower_left, lower_right = (
        Sticker.of(colours[::dy, ::dx], alpha[::dy, ::dx]) for dy, dx in corners
    )
    return upper_left, upper_right, lower_left, lower_right


def draw_mask(
    image: np.ndarray, mask: Mask, box: tuple[int, int, int, int], colour: Colour, contour_thickness: int
) -> None:
    """Blends the part of a mask inside x1 y1 x2 y2 (ends excluded) into the picture in place, and draws its contour."""
    left, top, right, bottom = box
    piece = np.ascontiguousarray(mask.crop(left, top, right, bottom)).view(np.uint8)
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
    plain[0] = colour
    plain[1:] = plain[0]  # rows copied whole: thirty times faster than spreading three numbers over every pixel
    tinted = cv2.addWeighted(region, 1 - MASK_OPACITY, plain, MASK_OPACITY, 0, dst=plain)
    cv2.copyTo(tinted, piece, region)
