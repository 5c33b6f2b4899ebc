"""Backgrounds of scenes: cheap ones drawn for each scene, and a pool of costly ones, cropped and recoloured."""

# H height, W width

import functools
from collections.abc import Callable

import cv2
import numpy as np

from ovdet_cli.training import photographs
from ovdet_cli.training.screens import cards, chat
from ovdet_cli.training.textures import any_colour, field, flat, palette, polygon, ramp, textured

Painter = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

POOL_SIDE_PX = 400


class BackgroundPool:
    """A fixed set of costly pictures, each made when first asked for and then kept.

    Picture i depends on `seed` and i alone. A full pool of 400 takes 192 MB; call `fill` before worker processes are
    forked to share it, or leave it to each of them.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self._pictures: dict[int, np.ndarray] = {}

    def picture(self, index: int) -> np.ndarray:
        """Picture `index` of the pool, uint8 (400, 400, 3); read-only."""
        if not 0 <= index < self.size:
            raise ValueError(f"the pool has {self.size} pictures, none at {index}")
        if index not in self._pictures:
            self._pictures[index] = self._paint(index)
        return self._pictures[index]

    def fill(self) -> None:
        """Makes all pictures now."""
        for index in range(self.size):
            self.picture(index)

    def _paint(self, index: int) -> np.ndarray:
        rng = np.random.Generator(np.random.PCG64([self.seed, index]))
        image = _POOL_KINDS[index % len(_POOL_KINDS)](rng, (POOL_SIDE_PX, POOL_SIDE_PX))
        image.flags.writeable = False
        return image

    def crop(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
        """A new piece of one picture, uint8 (H, W, 3): zoomed, mirrored and, half of the time, recoloured."""
        source = self.picture(int(rng.integers(self.size)))
        height, width = size_hw
        side = rng.uniform(0.45, 1.0) * POOL_SIDE_PX / max(size_hw)
        rows, columns = int(height * side), int(width * side)
        y = int(rng.integers(POOL_SIDE_PX - rows + 1))
        x = int(rng.integers(POOL_SIDE_PX - columns + 1))
        image = cv2.resize(source[y : y + rows, x : x + columns], (width, height), interpolation=cv2.INTER_LINEAR)
        if rng.random() < 0.5:
            image = cv2.flip(image, 1)
        return _recoloured(rng, image) if rng.random() < 0.5 else image


@functools.lru_cache(maxsize=2)
def shared_pool(size: int, seed: int) -> BackgroundPool:
    """The one pool of this process with these parameters."""
    return BackgroundPool(size, seed)


def _recoloured(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Another cast: a random mixture of the channels near the identity, or their exchange."""
    mixture = np.eye(3)
    if rng.random() < 0.3:
        mixture = mixture[rng.permutation(3)]
    mixture = mixture * rng.uniform(0.6, 1.3) + rng.normal(0, 0.08, (3, 3))
    return cv2.transform(image, np.hstack([mixture, rng.normal(0, 15, (3, 1))]))


def _screen(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    return (chat if rng.random() < 0.5 else cards)(rng, size_hw, 0.0)[0]


def _lit(painter: Painter) -> Painter:
    """The painter's picture under uneven light, sometimes out of focus, as a camera would give it."""

    def paint(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
        image = textured(painter(rng, size_hw), field(rng, size_hw, 0.3, (1, 1), 2), rng.uniform(0.05, 0.3))
        if rng.random() < 0.5:
            image = cv2.GaussianBlur(image, (0, 0), float(np.exp(rng.uniform(np.log(0.5), np.log(5)))))
        return textured(image, rng.standard_normal(size_hw, dtype=np.float32), rng.uniform(0.0, 0.05))

    return paint


_POOL_KINDS: tuple[Painter, ...] = (
    photographs.leaves,
    _screen,
    _lit(photographs.scenery),
    photographs.cloud,
    _lit(photographs.material),
    _lit(photographs.room),
    _lit(photographs.leaves),
    _screen,
    _lit(photographs.crowd),
    _lit(photographs.scenery),
    photographs.bokeh,
    _lit(photographs.leaves),
)


def plain(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """One colour; one in three times white or nearly so."""
    colour = any_colour(rng) if rng.random() < 0.66 else (int(rng.integers(235, 256)),) * 3
    return flat(size_hw, colour)


def gradient(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """A passage between colours, of one family or of any."""
    return ramp(rng, size_hw, palette(rng, 4) if rng.random() < 0.5 else None)


def value_noise(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Soft random blots."""
    colours = palette(rng, int(rng.integers(2, 6)))
    cells = int(np.exp(rng.uniform(np.log(3), np.log(60))))
    blots = colours[rng.integers(len(colours), size=(cells, cells))]
    way = (cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_NEAREST)[rng.integers(3)]
    return cv2.resize(blots, size_hw[::-1], interpolation=way)


def stripes(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Parallel bands at any angle, or a checkerboard of them."""
    height, width = size_hw
    colours = palette(rng, int(rng.integers(2, 5)))
    image = flat(size_hw, colours[0].tolist())
    period, angle = rng.uniform(6, 60), rng.uniform(0, np.pi)
    reach = height + width
    for turn in (angle, angle + np.pi / 2)[: 1 + (rng.random() < 0.3)]:
        along = np.array([np.cos(turn), np.sin(turn)]) * reach
        across = np.array([-np.sin(turn), np.cos(turn)]) * period
        middle = np.array([width / 2, height / 2])
        weight = max(1, int(period * rng.uniform(0.15, 0.6)))
        count = int(reach / period / 2) + 1
        for i in range(-count, count + 1):
            start, end = middle + i * across - along, middle + i * across + along
            colour = colours[1 + i % (len(colours) - 1)].tolist()
            cv2.line(image, start.astype(int).tolist(), end.astype(int).tolist(), colour, weight, cv2.LINE_AA)
    return image


def shapes(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Discs, boxes, polygons and lines on a plain or passing ground: clutter that has no name."""
    height, width = size_hw
    image = gradient(rng, size_hw) if rng.random() < 0.5 else plain(rng, size_hw)
    for _ in range(int(rng.integers(3, 25))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        size = float(np.exp(rng.uniform(np.log(6), np.log(90))))
        colour, kind = any_colour(rng), rng.integers(4)
        weight = -1 if rng.random() < 0.7 else int(rng.integers(1, 6))
        if kind == 0:
            axes = (int(size), max(1, int(size * rng.uniform(0.3, 1))))
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, weight, cv2.LINE_AA)
        elif kind == 1:
            far = (int(centre[0] + size * rng.uniform(0.3, 2)), int(centre[1] + size * rng.uniform(0.3, 2)))
            cv2.rectangle(image, centre, far, colour, weight)
        elif kind == 2:
            cv2.fillPoly(image, [polygon(rng, centre, size, int(rng.integers(3, 9)))], colour, cv2.LINE_AA)
        else:
            far = (int(rng.integers(width)), int(rng.integers(height)))
            cv2.line(image, centre, far, colour, max(1, int(size / 8)), cv2.LINE_AA)
    return image


def horizon(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Sky over ground."""
    height, width = size_hw
    edge = int(height * rng.uniform(0.25, 0.85))
    colours = palette(rng, 4)
    image = np.empty((height, width, 3), np.uint8)
    image[:edge] = cv2.resize(colours[:2, None], (width, edge), interpolation=cv2.INTER_LINEAR)
    image[edge:] = cv2.resize(colours[2:, None], (width, height - edge), interpolation=cv2.INTER_LINEAR)
    return image


PAINTERS: tuple[Painter, ...] = (plain, gradient, value_noise, stripes, shapes, horizon)


def blurred(rng: np.random.Generator, drawings: list[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    """Drawings (uint8 RGBA) so large and so far out of focus that nobody could name them, uint8 (H, W, 3)."""
    cells = int(rng.integers(5, 9))
    small: np.ndarray = np.full((cells, cells, 3), any_colour(rng), np.float32)
    for drawing in drawings:
        spot = cv2.resize(drawing, (cells, cells), interpolation=cv2.INTER_AREA).astype(np.float32)
        spot = np.roll(spot, rng.integers(-cells // 2, cells // 2 + 1, 2), (0, 1))
        alpha = spot[..., 3:] / 255
        small = small * (1 - alpha) + spot[..., :3] * alpha
    return cv2.resize(cv2.convertScaleAbs(small), size_hw[::-1], interpolation=cv2.INTER_CUBIC)
