"""Colours and random fields from which backgrounds are made."""

# H height, W width

import colorsys

import cv2
import numpy as np

Colour = tuple[int, int, int]


def any_colour(rng: np.random.Generator) -> Colour:
    """An RGB colour, 0..255, uniform over the cube."""
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def flat(size_hw: tuple[int, int], colour: Colour) -> np.ndarray:
    """One colour everywhere, uint8 (H, W, 3)."""
    return cv2.resize(np.array([[colour]], np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST)


def shade(rng: np.random.Generator, dark: bool) -> Colour:
    """A colour that a screen has behind (or, `dark`, on) its text: near white or near black, slightly tinted."""
    low, high = (0, 70) if dark else (205, 256)
    grey = rng.integers(low, high)
    red, green, blue = np.clip(grey + rng.integers(-10, 11, 3), 0, 255).tolist()
    return red, green, blue


def palette(rng: np.random.Generator, size: int) -> np.ndarray:
    """Colours that go together, uint8 (size, 3): one to three hues, and a common liveliness."""
    hues = rng.random(rng.integers(1, 4))
    liveliness = rng.uniform(0.02, 0.9) ** 1.5
    low, high = sorted(rng.uniform(0.1, 1.0, 2).tolist())
    colours = [
        colorsys.hsv_to_rgb(
            (hues[rng.integers(len(hues))] + rng.normal(0, 0.04)) % 1,
            min(1.0, liveliness * rng.uniform(0.4, 1.5)),
            rng.uniform(low, min(1.0, high + 0.2)),
        )
        for _ in range(size)
    ]
    return (np.array(colours) * 255).astype(np.uint8)


def field(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    falloff: float = 0.6,
    cells_hw: tuple[float, float] = (3, 3),
    octaves: int = 6,
) -> np.ndarray:
    """Noise over many scales, float32 (H, W), about zero with deviation one.

    Each octave has twice the cells of the one before and `falloff` times its strength: 0.5 gives the 1/f spectrum of
    photographs, more is rougher. Unequal `cells_hw` give grain in one direction, as in wood, cloth or grass.
    """
    height, width = size_hw
    total = np.zeros(size_hw, np.float32)
    strength, rows, columns = 1.0, *cells_hw
    for _ in range(octaves):
        shape = (min(int(rows) + 2, height), min(int(columns) + 2, width))
        layer = rng.standard_normal(shape, dtype=np.float32) * np.float32(strength)
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR)
        strength, rows, columns = strength * falloff, rows * 2, columns * 2
    return (total - total.mean()) / (total.std() + 1e-6)


def ramp(rng: np.random.Generator, size_hw: tuple[int, int], colours: np.ndarray | None = None) -> np.ndarray:
    """A smooth passage between two to nine colours, uint8 (H, W, 3)."""
    rows, columns = rng.integers(1, 4, 2).tolist()
    columns += rows == columns == 1
    if colours is None:
        corners = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    else:
        corners = colours[rng.integers(len(colours), size=(rows, columns))]
    return cv2.resize(corners, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


def colourise(rng: np.random.Generator, values: np.ndarray, colours: np.ndarray, spread: float = 45.0) -> np.ndarray:
    """Maps a field (H, W) through a run of colours (K, 3): uint8 (H, W, 3). `spread`: steps of 256 to a deviation."""
    run = cv2.resize(colours[None], (256, 1), interpolation=cv2.INTER_LINEAR)
    index = cv2.convertScaleAbs(values * np.float32(spread) + np.float32(rng.uniform(100, 156)))
    return cv2.LUT(cv2.merge([index] * 3), run)


def textured(image: np.ndarray, grain: np.ndarray, strength: float) -> np.ndarray:
    """The picture with its brightness varied by a field (H, W) of deviation one."""
    gain = np.clip(1 + strength * grain, 0, 2).astype(np.float32)
    return cv2.convertScaleAbs(image * gain[..., None])


def polygon(rng: np.random.Generator, centre_xy: tuple[float, float], radius: float, corners: int) -> np.ndarray:
    """A rough closed outline about a centre: int32 (corners, 2) for cv2.fillPoly."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = radius * rng.uniform(0.5, 1.2, corners)
    points = np.stack([centre_xy[0] + radii * np.cos(angles), centre_xy[1] + radii * np.sin(angles)], 1)
    return points.astype(np.int32)
