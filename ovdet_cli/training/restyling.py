"""Other ways to draw a drawing: outlines, flat or few colours, borders, other colours.

They stand in for drawing styles that training does not see. All take and give uint8 RGBA (h, w, 4) with straight alpha
and never write into what they are given, which may be a view of the store.
"""

import cv2
import numpy as np

from ovdet_cli.training.textures import any_colour

_OVAL = {width: cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)) for width in range(1, 24)}


def restyled(rng: np.random.Generator, drawing: np.ndarray, strength: float) -> np.ndarray:
    """The drawing as it is, or redrawn; redrawn for about a third of the calls at strength 1, for none at 0."""
    if rng.random() < 0.15 * strength:
        return outlined(rng, drawing)
    if rng.random() < 0.07 * strength:
        drawing = posterised(drawing, int(rng.integers(2, 6)))
    if rng.random() < 0.04 * strength:
        drawing = swapped(rng, drawing)
    if rng.random() < 0.08 * strength:
        colour = any_colour(rng) if rng.random() < 0.2 else (int(rng.integers(0, 60)),) * 3
        drawing = bordered(drawing, int(rng.integers(2, 7)), colour)
    return drawing


def padded(drawing: np.ndarray, margin: int) -> np.ndarray:
    """With clear pixels around it."""
    return cv2.copyMakeBorder(drawing, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))


def bordered(drawing: np.ndarray, width: int, colour: tuple[int, ...]) -> np.ndarray:
    """With a line of `width` pixels around its silhouette."""
    drawing = padded(drawing, width + 1)
    alpha = drawing[..., 3]
    wide = cv2.GaussianBlur(cv2.dilate(alpha, _OVAL[2 * width + 1]), (0, 0), 0.7)
    return over(drawing, cv2.merge([*(np.full_like(alpha, c) for c in colour), wide]))


def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """One drawing lying on another of the same size, which is at least as opaque."""
    *colours, weight = cv2.split(front)
    *behind, alpha = cv2.split(back)
    rest = cv2.bitwise_not(weight)
    mixed = [
        cv2.add(cv2.multiply(above, weight, scale=1 / 255), cv2.multiply(below, rest, scale=1 / 255))
        for above, below in zip(colours, behind, strict=True)
    ]
    return cv2.merge([*mixed, cv2.max(weight, alpha)])


def posterised(drawing: np.ndarray, levels: int) -> np.ndarray:
    """With `levels` values a colour channel; alpha stays."""
    steps = np.arange(256) * levels // 256
    table = np.repeat((steps * 255 // (levels - 1)).astype(np.uint8)[:, None], 4, axis=1)
    table[:, 3] = np.arange(256)
    return cv2.LUT(drawing, table[None])


def swapped(rng: np.random.Generator, drawing: np.ndarray) -> np.ndarray:
    """With its colour channels exchanged, or in greys."""
    if rng.random() < 0.5:
        grey = cv2.cvtColor(drawing, cv2.COLOR_RGBA2GRAY)
        return cv2.merge([grey, grey, grey, drawing[..., 3]])
    return drawing[..., [*rng.permutation(3).tolist(), 3]]


def recoloured(rng: np.random.Generator, drawing: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """A silhouette in another colour; 15 % of the time on a badge, so that it stands on its own ground."""
    alpha = drawing[..., 3]
    painted = cv2.merge([*(np.full_like(alpha, c) for c in colour), alpha])
    if rng.random() > 0.15:
        return painted
    painted = padded(painted, max(alpha.shape) // 5)
    height, width = painted.shape[:2]
    badge = np.zeros_like(alpha, shape=(height, width))
    if rng.random() < 0.5:
        cv2.ellipse(badge, (width // 2, height // 2), (width // 2 - 1, height // 2 - 1), 0, 0, 360, 255, -1)
    else:
        badge[:] = 255
    ground = 255 - np.array(colour) if rng.random() < 0.5 else rng.integers(0, 256, 3)
    if np.abs(ground - np.array(colour)).sum() < 200:
        ground = np.full(3, 255 if sum(colour) < 380 else 0)
    clear = np.full_like(badge, 0)
    back = cv2.merge([*(clear + np.uint8(c) for c in ground.tolist()), badge])
    return over(cv2.merge([*cv2.split(painted)[:3], cv2.min(painted[..., 3], badge)]), back)


def outlined(rng: np.random.Generator, drawing: np.ndarray) -> np.ndarray:
    """As a line drawing: dark lines along its silhouette and its inner edges, filled flat, palely or in part."""
    width = int(rng.integers(2, 6))
    drawing = padded(drawing, 4)
    colours, alpha = np.ascontiguousarray(drawing[..., :3]), drawing[..., 3]
    solid = cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1]
    colours[solid == 0] = 128
    smooth = cv2.medianBlur(colours, 5)
    low = float(rng.uniform(40, 120))
    inner = cv2.bitwise_and(cv2.Canny(smooth, low, 2.2 * low), cv2.erode(solid, _OVAL[5]))
    lines = cv2.bitwise_or(cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, _OVAL[3]), inner)
    lines = cv2.GaussianBlur(cv2.dilate(lines, _OVAL[width]), (0, 0), 0.7)
    paint = _fill(rng, smooth, solid)
    is_dim = cv2.mean(paint, solid)[1] < 110
    ink = 255 if is_dim and rng.random() < 0.4 else int(rng.integers(0, 50))
    line = np.full_like(lines, ink)
    return over(cv2.merge([line, line, line, lines]), cv2.merge([*cv2.split(paint), cv2.max(solid, lines)]))


def _fill(rng: np.random.Generator, smooth: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """What is between the lines: white, few flat colours, pale colours, or colours beside the lines."""
    kind = rng.random()
    if kind < 0.2:
        return np.full_like(smooth, 255)
    levels = int(rng.integers(2, 6))
    flat = np.ascontiguousarray(posterised(cv2.merge([*cv2.split(smooth), solid]), levels)[..., :3])
    if kind < 0.55:
        return flat
    if kind < 0.75:
        return cv2.addWeighted(flat, 0.5, np.full_like(flat, 255), 0.5, 0)
    # Printed askew: white where the colour has slipped away.
    dx, dy = rng.integers(-12, 13, 2).tolist()
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = flat.shape[1::-1]
    inside = cv2.warpAffine(solid, shift, size)
    flat = cv2.warpAffine(flat, shift, size)
    flat[inside == 0] = 255
    return flat
