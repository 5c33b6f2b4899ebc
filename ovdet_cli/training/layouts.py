"""Where objects stand in a scene, and on what: scattered, as a sheet of icons, in lines of text, on cards, or alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ovdet_cli.training.screens import Slot, cards, chat

SizeHW = tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """Slots to be tried in turn until `wanted` of them hold an object.

    background: uint8 RGB (H, W, 3) if the layout brings its own, else None.
    """

    slots: list[Slot]
    wanted: int
    background: np.ndarray | None = None


Layout = Callable[[np.random.Generator, SizeHW, tuple[int, int], tuple[float, float]], Plan]
"""(rng, size_hw, least and most objects, least and most size_px) -> Plan"""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def anywhere(rng: np.random.Generator, size_hw: SizeHW, size_px: float) -> Slot:
    """A slot whose middle is in the picture, mostly with all of it."""
    height, width = size_hw
    reach_x, reach_y = (min(size_px * rng.uniform(0.1, 0.6), 0.45 * side) for side in (width, height))
    return Slot((rng.uniform(reach_x, width - reach_x), rng.uniform(reach_y, height - reach_y)), size_px)


def scatter(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """Objects anywhere, of all sizes, over each other."""
    wanted = int(rng.integers(count[0], count[1] + 1))
    low, high = size_px[0], min(size_px[1], 0.9 * min(size_hw))
    if rng.random() < 0.3:  # a picture of things of much the same size
        low = log_uniform(rng, low, high)
        high = min(high, low * 1.5)
    slots = [anywhere(rng, size_hw, log_uniform(rng, low, high)) for _ in range(2 * wanted + 2)]
    return Plan(slots, wanted)


def sheet(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """A jittered grid of 3 x 3 to 6 x 6."""
    height, width = size_hw
    rows, columns = int(rng.integers(3, 7)), int(rng.integers(3, 7))
    cell_w, cell_h = width / columns, height / rows
    jitter, fullness = rng.uniform(0, 0.12), rng.uniform(0.55, 0.95)
    spin = rng.choice([0.0, 0.4, 1.0])
    slots = []
    for row in range(rows):
        for column in range(columns):
            dx, dy = rng.normal(0, jitter, 2)
            size = min(cell_w, cell_h) * fullness * np.exp(rng.normal(0, jitter))
            slots.append(Slot(((column + 0.5 + dx) * cell_w, (row + 0.5 + dy) * cell_h), float(size), float(spin)))
    return Plan(slots, len(slots))


def _grid(rng: np.random.Generator, size_hw: SizeHW, number: int) -> Plan:
    """A full grid of so many rows and columns, upright or tilted."""
    height, width = size_hw
    spin, slots = rng.choice([0.4, 1.0]), []
    for row in range(number):
        for column in range(number):
            size = min(width, height) / number * rng.uniform(0.7, 1.0)
            centre = ((column + 0.5) * width / number, (row + 0.5) * height / number)
            slots.append(Slot(centre, float(size), float(spin)))
    return Plan(slots, len(slots))


def dense(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """A full grid of 5 x 5 or 6 x 6: the most names a pixel."""
    return _grid(rng, size_hw, int(rng.integers(5, 7)))


def grid(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """A full grid of 2 x 2 to 6 x 6: names at all sizes."""
    return _grid(rng, size_hw, int(rng.choice([2, 3, 4, 5, 6], p=[0.12, 0.22, 0.24, 0.22, 0.2])))


def line(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """Small objects among the words of a conversation, 14 to 40 pixels."""
    background, slots = chat(rng, size_hw, icons=rng.uniform(0.1, 0.5))
    return Plan(slots, len(slots), background)


def screen(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """Thumbnails on cards or in the rows of a list."""
    background, slots = cards(rng, size_hw, blank=rng.uniform(0.3, 1.0))
    return Plan(slots, len(slots), background)


def single(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """One large object, up to the whole picture."""
    size = rng.uniform(0.35, 1.05) * min(size_hw)
    height, width = size_hw
    dx, dy = rng.normal(0, 0.25, 2) * np.abs(np.array([width, height]) - 0.8 * size) / 2
    slots = [Slot((width / 2 + dx, height / 2 + dy), size, 0.7) for _ in range(3)]
    return Plan(slots, 1)


def labelled(rng: np.random.Generator, size_hw: SizeHW, count: tuple[int, int], size_px: tuple[float, float]) -> Plan:
    """One main object of a quarter to two thirds of the side: a picture that one label describes."""
    slots = [anywhere(rng, size_hw, rng.uniform(0.25, 0.69) * min(size_hw)) for _ in range(4)]
    return Plan(slots, 1)


LAYOUTS: dict[str, Layout] = {
    "scatter": scatter,
    "sheet": sheet,
    "dense": dense,
    "grid": grid,
    "line": line,
    "screen": screen,
    "single": single,
    "labelled": labelled,
}
