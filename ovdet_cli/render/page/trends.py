"""Which labels rose or fell over the time of a report: the first half of the units against the second."""

import math
from dataclasses import dataclass
from typing import Any

_FALSE_DISCOVERIES = 0.05
_FEWEST_UNITS = 20  # below, a normal approximation of a difference of shares says little


@dataclass(frozen=True)
class Trend:
    """A label whose share differs between the halves, after adjusting for the number of labels looked at."""

    label: int
    """Its index in the payload's labels."""
    first: float
    """Share of the units in the first half, in [0, 1]."""
    second: float
    """The same in the second half."""
    q: float
    """p value of the two-sided z test of two shares, adjusted by Benjamini and Hochberg's procedure."""


def trends(payload: dict[str, Any]) -> list[Trend]:
    """Those that changed clearly, the largest change in points first. Empty where time or counts are not known."""
    halves = _halves(payload)
    if halves is None:
        return []
    second_half, bases = halves
    cube = payload["cube"]
    counts: dict[int, list[int]] = {}
    for label, bin_, units in zip(cube["label"], cube["bin"], cube["units"], strict=True):
        if bin_ >= 0:
            counts.setdefault(label, [0, 0])[bin_ >= second_half] += units
    tested = [
        (_p_value(first, bases[0], second, bases[1]), label, first / bases[0], second / bases[1])
        for label, (first, second) in counts.items()
        if first + second >= _FEWEST_UNITS
    ]
    clear, q = [], 1.0
    for rank, (p, label, first, second) in reversed(list(enumerate(sorted(tested), 1))):
        q = min(q, p * len(tested) / rank)
        if q < _FALSE_DISCOVERIES:
            clear.append(Trend(label, first, second, q))
    return sorted(clear, key=lambda trend: -abs(trend.second - trend.first))


def _halves(payload: dict[str, Any]) -> tuple[int, tuple[int, int]] | None:
    """The first bin of the second half, and the units of each; None where two halves cannot be made."""
    cube, bins = payload["cube"], payload["bins"]
    if not cube or not bins or len(bins["starts"]) < 2:
        return None
    units = [0] * len(bins["starts"])
    for bin_, num in zip(cube["base_bin"], cube["base_units"], strict=True):
        if bin_ >= 0:
            units[bin_] += num
    total, before = sum(units), 0
    second_half = 0
    # The cut goes where the halves come nearest to each other.
    while not before or abs(total - 2 * (before + units[second_half])) < abs(total - 2 * before):
        before += units[second_half]
        second_half += 1
        if second_half == len(units):
            return None
    return (second_half, (before, total - before)) if min(before, total - before) >= _FEWEST_UNITS else None


def _p_value(x1: int, n1: int, x2: int, n2: int) -> float:
    pooled = (x1 + x2) / (n1 + n2)
    variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2)
    return 1.0 if variance <= 0 else math.erfc(abs(x1 / n1 - x2 / n2) / math.sqrt(2 * variance))
