"""Class name -> colour: the same on every frame, in every run and on every machine."""

import hashlib
import math
from functools import cache, lru_cache

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255 (sRGB)."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

_NUM_HUES = 24  # 15 degrees: about the closest pair one still tells apart in a crowded picture
_LIGHTNESS_STEPS = (0.0, -0.08, 0.08)
_LIGHTNESS_RANGE = (0.62, 0.80)  # OKLab: seen on white and on black alike
_CHROMA = 0.21  # vivid; what sRGB cannot show at a hue is pulled in


@lru_cache(maxsize=16384)
def class_colour(label: str) -> Colour:
    """The colour of a class, chosen by a hash of its name alone."""
    digest = hashlib.blake2s(label.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    colours = palette()
    return colours[int.from_bytes(digest, "big") % len(colours)]


def track_colour(track_id: int) -> Colour:
    """The colour of an object by its id: as many as the palette has that follow each other differ, neighbours a lot."""
    # 29 steps of 5 degrees are 145, near the golden angle, and share no factor with the 72 colours.
    return palette()[track_id * 29 % len(palette())]


@cache
def palette() -> tuple[Colour, ...]:
    """Every colour a class can have: hues evenly spread in OKLCH, each at three lightnesses."""
    colours = []
    for k in range(_NUM_HUES):
        hue = 2 * math.pi * k / _NUM_HUES
        # The lightness at which sRGB is most colourful differs by hue: yellow is light, blue is dark.
        grid = [_LIGHTNESS_RANGE[0] + i * (_LIGHTNESS_RANGE[1] - _LIGHTNESS_RANGE[0]) / 18 for i in range(19)]
        best = max(grid, key=lambda lightness: min(_largest_chroma(lightness, hue), _CHROMA))
        for step in _LIGHTNESS_STEPS:
            lightness = min(max(best + step, 0.58), 0.86)
            colours.append(_encode(_oklch_to_linear(lightness, min(_CHROMA, _largest_chroma(lightness, hue)), hue)))
    return tuple(colours)


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever has the higher contrast (at least 4.58 : 1, WCAG 2's formula)."""
    luminance = relative_luminance(background)
    return BLACK if (luminance + 0.05) ** 2 >= 0.05 * 1.05 else WHITE


def relative_luminance(colour: Colour) -> float:
    """WCAG 2's relative luminance, 0 (black) to 1 (white)."""
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0..1) of `other` in it."""
    red, green, blue = (round(a * (1 - share) + b * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _largest_chroma(lightness: float, hue: float) -> float:
    """The highest chroma that sRGB shows at this lightness and hue."""
    low, high = 0.0, 0.4
    for _ in range(20):
        middle = (low + high) / 2
        inside = all(-1e-4 <= v <= 1 + 1e-4 for v in _oklch_to_linear(lightness, middle, hue))
        low, high = (middle, high) if inside else (low, middle)
    return low


def _oklch_to_linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """OKLCH to linear sRGB; matrices of B. Ottosson, "A perceptual color space for image processing" (2020)."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _encode(linear: tuple[float, float, float]) -> Colour:
    """Linear light to 8-bit sRGB."""
    clipped = (min(max(v, 0.0), 1.0) for v in linear)
    curved = (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in clipped)
    red, green, blue = (round(255 * v) for v in curved)
    return red, green, blue
