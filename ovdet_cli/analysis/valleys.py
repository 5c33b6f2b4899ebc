"""Is there a valley between two humps of a histogram, or does it only look so?

The test is the excess mass of Müller and Sawitzki 1991 (J. Am. Stat. Assoc. 86:738), which is twice the dip of Hartigan
and Hartigan 1985 (Ann. Stat. 13:70): how much more of the data two intervals can enclose than one, at a price lambda
per length, for the best lambda. Zero for one hump, whatever its form; a falling slope is one hump.
"""

# L labels, B bins, W prices

from dataclasses import dataclass

import numpy as np

# sqrt(n) * excess mass of n uniform numbers, of all one-hump laws the one that looks most like two (Hartigan 1985),
# is above this in one of a thousand; simulated, 200 to 50,000 numbers in 50 and 100 bins: 0.68 to 1.3.
_CRITICAL = 1.3
# Prices, as multiples of the mean density. What the grid misses only makes the test stricter.
_PRICES_W = np.geomspace(0.02, 20, 60)
# A ripple is significant among millions of detections. It is a valley where the two humps differ by this much of the
# data, the smaller one holds this part of it, and this part of the smaller hump's height is gone in between.
_LEAST_EXCESS, _LEAST_HUMP, _LEAST_DEPTH = 0.02, 0.05, 0.25
MIN_COUNT = 200


@dataclass(frozen=True)
class Valley:
    """A valley at `place` between humps at `left` and `right`, on the axis of the bins.

    below, above: data on either side of it. depth: how far it lies under the smaller hump, as a part of its height.
    """

    place: float
    left: float
    right: float
    below: int
    above: int
    depth: float


def find_valleys(counts_LB: np.ndarray, edges: np.ndarray) -> list[Valley | None]:
    """The valley of each histogram; None where there are fewer than MIN_COUNT data or not two humps.

    counts_LB: int (L, B), best with 100 bins or more. edges: float (B + 1,), bins of equal width.
    """
    counts_LB = np.asarray(counts_LB, np.float64)
    if counts_LB.ndim != 2 or edges.shape != (counts_LB.shape[1] + 1,):
        raise ValueError(f"counts of shape {counts_LB.shape} do not fit {edges.shape} edges")
    total = counts_LB.sum(axis=1)
    is_enough = total >= MIN_COUNT
    valleys: list[Valley | None] = [None] * len(counts_LB)
    if not is_enough.any():
        return valleys
    shares = counts_LB[is_enough] / total[is_enough, None]
    excess, price = excess_mass(shares)
    is_two = excess > np.maximum(_CRITICAL / np.sqrt(total[is_enough]), _LEAST_EXCESS)
    for place in np.flatnonzero(is_two):
        label = int(np.flatnonzero(is_enough)[place])
        gap = _gap(shares[place] - price[place] / shares.shape[1])
        valleys[label] = _measure(counts_LB[label], gap, edges)
    return valleys


def excess_mass(shares_LB: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By histogram of shares that sum to 1: the gain of a second interval, and the price at which it is largest."""
    num_labels, num_bins = shares_LB.shape
    shares_BL = np.ascontiguousarray(shares_LB.T)
    best, best_price = np.zeros(num_labels), np.zeros(num_labels)
    for price in _PRICES_W:
        fee = price / num_bins
        # The best sum of one and of two disjoint intervals: open (ending in this bin) and so far.
        one_open = two_open = np.full(num_labels, -np.inf)
        one = two = np.zeros(num_labels)
        for shares in shares_BL:
            gains = shares - fee
            two_open = np.maximum(two_open, one) + gains
            one_open = np.maximum(one_open, 0) + gains
            one = np.maximum(one, one_open)
            two = np.maximum(np.maximum(two, two_open), one)
        is_better = two - one > best
        best, best_price = np.where(is_better, two - one, best), np.where(is_better, price, best_price)
    return best, best_price


def _gap(gains: np.ndarray) -> slice:
    """The bins between the two intervals of the largest sum together."""
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    # The best interval that ends by each edge, and the best one that starts at or after each edge.
    ends = sums - np.minimum.accumulate(sums)
    starts = np.maximum.accumulate(sums[::-1])[::-1] - sums
    left_ends, right_starts = np.maximum.accumulate(ends), np.maximum.accumulate(starts[::-1])[::-1]
    middle = int(np.argmax(left_ends + right_starts))
    first = int(np.argmax(ends[: middle + 1]))
    last = middle + int(len(starts[middle:]) - 1 - np.argmax(starts[middle:][::-1]))
    return slice(first, max(last, first + 1))


def _measure(counts: np.ndarray, gap: slice, edges: np.ndarray) -> Valley | None:
    smooth = _smoothed(counts)
    inside = smooth[gap]
    floor = inside.min()
    if gap.start == 0 or gap.stop >= len(counts):
        return None
    # The middle of what is about as low: the lowest bin of an empty stretch would be any of it.
    lowest = int(np.argmin(inside))
    is_low = inside <= 1.25 * floor + 0.5
    first = lowest - int(np.argmin(np.append(is_low[: lowest + 1][::-1], False))) + 1
    last = lowest + int(np.argmin(np.append(is_low[lowest:], False))) - 1
    cut = gap.start + (first + last + 1) // 2
    centres = (edges[:-1] + edges[1:]) / 2
    left, right = int(np.argmax(smooth[:cut])), cut + int(np.argmax(smooth[cut:]))
    place = float(edges[gap.start + first] + edges[gap.start + last + 1]) / 2
    below, above = int(counts[:cut].sum()), int(counts[cut:].sum())
    depth = 1 - floor / min(smooth[left], smooth[right])
    if depth < _LEAST_DEPTH or min(below, above) < _LEAST_HUMP * (below + above):
        return None
    return Valley(place, float(centres[left]), float(centres[right]), below, above, float(depth))


def _smoothed(counts: np.ndarray) -> np.ndarray:
    """Mean counts under a triangle as wide as a tenth of the axis; beyond the ends as inside them."""
    reach = max(1, len(counts) // 20)
    kernel = np.concatenate([np.arange(1, reach + 1), np.arange(reach - 1, 0, -1)], dtype=np.float64)
    padded = np.pad(counts, reach - 1, mode="reflect") if reach > 1 else counts
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")
