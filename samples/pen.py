"""A pen that draws smooth, gently shaded shapes: the one way all sample pictures are drawn."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

SUPERSAMPLING = 4  # drawn this many times too large, then reduced: Pillow's polygons have hard edges
ROUND = math.inf  # the corner radius that turns a polygon into a blob

Points = Sequence[tuple[float, float]]


def mix(colour: str, other: str, share: float) -> str:
    """The colour with a share (0 to 1) of the other in it, as #rrggbb."""
    pairs = zip(ImageColor.getrgb(colour), ImageColor.getrgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def arc(x: float, y: float, rx: float, ry: float, start: float = 0.0, stop: float = 360.0) -> Points:
    """Points on an ellipse from angle start to stop, in degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 65))
    return list(zip(x + rx * np.cos(angles), y + ry * np.sin(angles), strict=True))


def round_corners(points: Points, radius: float, closed: bool = True) -> Points:
    """The path with a quadratic Bezier curve for each corner, starting at most `radius` (or half an edge) before it."""
    if radius == 0:
        return points
    path = np.asarray(points, dtype=float)
    before, after = np.roll(path, 1, axis=0), np.roll(path, -1, axis=0)
    curve = []
    for corner, previous, following in zip(path, before, after, strict=True):
        ends = [
            corner + (end - corner) * min(0.5, radius / max(np.linalg.norm(end - corner), 1e-9))
            for end in (previous, following)
        ]
        t = np.linspace(0, 1, 13)[:, None]
        curve.append((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * corner + t**2 * ends[1])
    kept = curve if closed else [path[:1], *curve[1:-1], path[-1:]]
    return [tuple(point) for point in np.concatenate(kept).tolist()]


class Pen:
    """Draws on an image in its own frame of reference: x to the right, y down, in picture pixels times its scale."""

    def __init__(self, image: Image.Image, frame: np.ndarray | None = None):
        self.image = image
        self.frame = np.diag([SUPERSAMPLING, SUPERSAMPLING, 1.0]) if frame is None else frame

    def at(self, x: float, y: float, scale: float = 1.0, turn: float = 0.0, squash: float = 1.0) -> "Pen":
        """A pen whose origin lies at (x, y): scaled, turned clockwise by degrees, then squashed in height."""
        cos, sin = scale * math.cos(math.radians(turn)), scale * math.sin(math.radians(turn))
        return Pen(self.image, self.frame @ np.array([[cos, -sin, x], [squash * sin, squash * cos, y], [0, 0, 1]]))

    def mirrored(self) -> "Pen":
        """A pen that draws everything facing the other way."""
        return Pen(self.image, self.frame @ np.diag([-1.0, 1.0, 1.0]))

    def fill(
        self,
        points: Points,
        colour: str,
        bottom: str | None = None,
        *,
        radius: float = 0.0,
        width: float | None = None,
        opacity: float = 1.0,
        blur: float = 0.0,
        inside: Points | None = None,
    ) -> Points:
        """Paint a polygon (or, given a width, a line) from its top colour to its bottom colour; gives its outline.

        Without a bottom colour it fades to a slightly darker one. `inside` clips it to another outline.
        """
        outline = round_corners(points, radius, closed=width is None)
        corners = self._place(outline)
        unit = math.sqrt(abs(np.linalg.det(self.frame[:2, :2])))
        margin = (blur * 2.5 + (width or 0) / 2) * unit + 2
        low = np.floor(corners.min(axis=0) - margin).astype(int)
        width_px, height_px = (np.ceil(corners.max(axis=0) + margin).astype(int) - low).tolist()
        mask = self._mask((width_px, height_px), corners - low, None if width is None else width * unit)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * unit))
        if inside is not None:
            mask = ImageChops.multiply(mask, self._mask(mask.size, self._place(inside) - low, None))
        mask = mask.point(lambda value: round(value * opacity))
        upper = Image.new("RGB", mask.size, mix(colour, "#ffffff", 0.06) if bottom is None else colour)
        lower = Image.new("RGB", mask.size, bottom or mix(colour, "#101840", 0.10))
        shaded = Image.composite(lower, upper, Image.linear_gradient("L").resize(mask.size))
        self.image.paste(shaded, tuple(low.tolist()), mask)
        return outline

    def line(self, points: Points, width: float, colour: str, bottom: str | None = None, **look) -> None:
        """A line with round ends."""
        self.fill(points, colour, bottom, width=width, **look)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: str, bottom: str | None = None, **look
    ) -> Points:
        """An ellipse around (x, y); gives its outline."""
        return self.fill(arc(x, y, rx, ry), colour, bottom, **look)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: str, bottom: str | None = None, **look) -> Points:
        """A rectangle between two corners; gives its outline."""
        return self.fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, bottom, **look)

    def shadow(self, x: float, y: float, rx: float, ry: float, opacity: float = 0.3) -> None:
        """The soft shadow under a thing that stands at (x, y)."""
        self.ellipse(x, y, rx, ry, "#1c2340", opacity=opacity, blur=ry * 0.55)

    def _place(self, points: Points) -> np.ndarray:
        return np.asarray(points, dtype=float) @ self.frame[:2, :2].T + self.frame[:2, 2]

    @staticmethod
    def _mask(size: tuple[int, int], corners: np.ndarray, width: float | None) -> Image.Image:
        mask = Image.new("L", size)
        draw = ImageDraw.Draw(mask)
        path = [tuple(corner) for corner in corners.tolist()]
        if width is None:
            draw.polygon(path, fill=255)
            return mask
        draw.line(path, fill=255, width=max(1, round(width)), joint="curve")
        for x, y in path:  # joint="curve" alone leaves slits in tight bends
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
        return mask
