"""A drawing turned, scaled, tinted and cut out, ready to be laid on a picture."""

# h, w the size of a tile

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ovdet_cli.training.restyling import padded

OPAQUE = 128
"""From this alpha on, a pixel shows the object."""


@dataclass(frozen=True)
class Cutout:
    """A piece to be laid on a picture.

    paint: uint8 RGBA (h, w, 4), colours already multiplied by alpha.
    corner_xy: the picture pixel of its first pixel; may lie outside.
    shape: bool (h, w), the pixels that show the object itself; neither rim nor shadow.
    """

    paint: np.ndarray
    corner_xy: tuple[int, int]
    shape: np.ndarray


@dataclass(frozen=True)
class Pose:
    """How a drawing lies in the picture: about its middle, in radians and pixels.

    size_px: longer side of the drawing before it is turned.
    """

    centre_xy: tuple[float, float]
    size_px: float
    angle: float = 0.0
    shear: float = 0.0
    squeeze: float = 1.0
    mirrored: bool = False

    def matrix(self, width: int, height: int) -> np.ndarray:
        """Takes points of the drawing to points of the picture, float64 (2, 3)."""
        scale = self.size_px / max(width, height)
        cos, sin = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        turn = np.array([[cos, -sin], [sin, cos]])
        lean = np.array([[self.squeeze * (-1 if self.mirrored else 1), self.shear], [0, 1 / self.squeeze]])
        linear = turn @ lean
        middle = linear @ np.array([width / 2, height / 2])
        return np.column_stack([linear, np.array(self.centre_xy) - middle])


def any_pose(rng: np.random.Generator, centre_xy: tuple[float, float], size_px: float, spin: float) -> Pose:
    """A likely pose: turned by 14 degrees or so, 15 % at any angle, half of them mirrored. `spin` 0: upright."""
    angle = rng.normal(0, math.radians(14)) * spin
    if rng.random() < 0.15 * spin:
        angle = rng.uniform(-math.pi, math.pi)
    shear, squeeze = rng.normal(0, 0.08) * spin, math.exp(rng.normal(0, 0.07) * spin)
    return Pose(centre_xy, size_px, angle, shear, squeeze, mirrored=rng.random() < 0.5)


def cut_out(drawing: np.ndarray, pose: Pose, tint: np.ndarray | None = None) -> Cutout:
    """Draws the pose, by area averages where it gets smaller, so that nothing aliases.

    drawing: uint8 RGBA (h, w, 4), straight alpha. tint: see `any_tint`.
    """
    height, width = drawing.shape[:2]
    source = _premultiplied(_shrunk(drawing, 1.25 * pose.size_px / max(height, width)))
    if tint is not None:
        source = cv2.transform(source, tint)
    rows, columns = source.shape[:2]
    matrix = pose.matrix(width, height)
    matrix[:, 0] *= width / columns
    matrix[:, 1] *= height / rows
    corners = matrix @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    low = np.floor(corners.min(1)).astype(int) - 1
    wide, high = (np.ceil(corners.max(1)).astype(int) + 1 - low).tolist()
    # warpAffine counts from pixel centres, boxes and poses from pixel edges: hence the halves.
    shift = matrix[:, :2] @ [0.5, 0.5] + matrix[:, 2] - low - 0.5
    paint = cv2.warpAffine(source, np.column_stack([matrix[:, :2], shift]), (wide, high), flags=cv2.INTER_LINEAR)
    return Cutout(_capped(paint), (int(low[0]), int(low[1])), paint[..., 3] >= OPAQUE)


def _shrunk(drawing: np.ndarray, scale: float) -> np.ndarray:
    if scale > 0.8:
        return drawing
    height, width = drawing.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(drawing, size, interpolation=cv2.INTER_AREA)


def _premultiplied(drawing: np.ndarray) -> np.ndarray:
    red, green, blue, alpha = cv2.split(drawing)
    return cv2.merge([cv2.multiply(c, alpha, scale=1 / 255) for c in (red, green, blue)] + [alpha])


def _capped(paint: np.ndarray) -> np.ndarray:
    """No colour above its alpha, as a tint or rounding may leave it."""
    alpha = paint[..., 3]
    return cv2.min(paint, cv2.merge([alpha, alpha, alpha, alpha]))


def any_tint(rng: np.random.Generator, strength: float) -> np.ndarray | None:
    """A change of hue, saturation, brightness and contrast as a matrix (4, 4) on premultiplied RGBA; or None."""
    if rng.random() > 0.75 * strength:
        return None
    hue = rng.normal(0, math.radians(10)) * strength
    saturation, gain = math.exp(rng.normal(0, 0.25) * strength), math.exp(rng.normal(0, 0.15) * strength)
    # Turning about the grey axis keeps greys as they are.
    cos, sin = math.cos(hue) * saturation, math.sin(hue) * saturation / math.sqrt(3)
    grey = (1 - cos) / 3
    turn = np.array([[cos + grey, grey - sin, grey + sin], [grey + sin, cos + grey, grey - sin], [0, 0, 0]])
    turn[2] = grey - sin, grey + sin, cos + grey
    tint = np.eye(4)
    tint[:3, :3] = turn * gain
    tint[:3, 3] = rng.normal(0, 0.06, 3) * strength
    return tint


def grown(cutout: Cutout, margin: int) -> Cutout:
    """With clear pixels around it."""
    paint = padded(cutout.paint, margin)
    height, width = cutout.shape.shape
    shape = np.zeros((height + 2 * margin, width + 2 * margin), bool)
    shape[margin : margin + height, margin : margin + width] = cutout.shape
    return Cutout(paint, (cutout.corner_xy[0] - margin, cutout.corner_xy[1] - margin), shape)


def rimmed(cutout: Cutout, width: int) -> Cutout:
    """As a sticker: with a white rim, which is not part of the object."""
    cutout = grown(cutout, width + 1)
    oval = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    rim = cv2.GaussianBlur(cv2.dilate(cutout.paint[..., 3], oval), (0, 0), 0.7)
    return _backed(cutout, rim, 255)


def shaded(cutout: Cutout, offset_xy: tuple[int, int], blur_px: float, opacity: float) -> Cutout:
    """With a soft shadow, which is not part of the object."""
    cutout = grown(cutout, int(2 * blur_px) + max(abs(offset_xy[0]), abs(offset_xy[1])) + 1)
    shift = np.array([[1, 0, offset_xy[0]], [0, 1, offset_xy[1]]], np.float32)
    shadow = cv2.warpAffine(cutout.paint[..., 3], shift, cutout.shape.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), blur_px)
    return _backed(cutout, cv2.convertScaleAbs(shadow, alpha=opacity), 0)


def _backed(cutout: Cutout, alpha: np.ndarray, grey: int) -> Cutout:
    """Lies on a ground of one grey with the given alpha."""
    red, green, blue, front = cv2.split(cutout.paint)
    rest = cv2.multiply(cv2.bitwise_not(front), alpha, scale=1 / 255)
    colours = [cv2.add(c, rest) for c in (red, green, blue)] if grey else [red, green, blue]
    return Cutout(cv2.merge([*colours, cv2.add(front, rest)]), cutout.corner_xy, cutout.shape)


def faded(cutout: Cutout, opacity: float) -> Cutout:
    """Half clear; the object stays as large as it was."""
    return Cutout(cv2.convertScaleAbs(cutout.paint, alpha=opacity), cutout.corner_xy, cutout.shape)


def softened(cutout: Cutout, blur_px: float) -> Cutout:
    """Slightly out of focus."""
    cutout = grown(cutout, int(2 * blur_px) + 1)
    paint = cv2.GaussianBlur(cutout.paint, (0, 0), blur_px)
    return Cutout(paint, cutout.corner_xy, paint[..., 3] >= OPAQUE)
