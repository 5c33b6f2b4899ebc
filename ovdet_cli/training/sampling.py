"""Which pictures a training step takes: repeat factors, mixed data sets, and a stream that any position can enter.

Rules: LVIS (arXiv:1908.03195, appendix B.2) for repeat factors; Detic's `MultiDatasetSampler` (facebookresearch/Detic
436cda2a, Apache-2.0) for the mixture. The official loader draws pictures one by one and fills a buffer for each data
set and aspect ratio; here each batch is drawn at once, with the chance that the buffers give it in the long run, so
that a batch depends on seed and position alone and a resumed training sees what the first one would have seen.
"""

# P pictures, C classes

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def class_factors(pictures_of_class: np.ndarray, num_pictures: int, threshold: float = 0.001) -> np.ndarray:
    """How often a class's pictures are repeated: max(1, sqrt(t / f)), f being its share of pictures, float64 (C,)."""
    shares = np.maximum(np.asarray(pictures_of_class, np.float64), 1) / num_pictures
    return np.maximum(1.0, np.sqrt(threshold / shares))


def repeat_factors(
    classes_of_pictures: Sequence[Sequence[int]], num_classes: int, threshold: float = 0.001
) -> np.ndarray:
    """A picture's factor is the largest of its classes', 1 without any; float64 (P,)."""
    counts = np.zeros(num_classes, np.int64)
    for classes in classes_of_pictures:
        counts[list(set(classes))] += 1
    factors = class_factors(counts, len(classes_of_pictures), threshold)
    return np.array([max((factors[c] for c in classes), default=1.0) for classes in classes_of_pictures])


def mixing_weights(
    sizes: Sequence[int], ratios: Sequence[float], factors: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """For each data set the chance of each picture, up to a common scale; float64 (P,) each.

    A data set gets its share `ratio` of all draws whatever its size; within it, pictures go by their repeat factors.
    """
    weights = []
    for size, ratio, factor in zip(sizes, ratios, factors, strict=True):
        relative = np.ones(size) if factor is None else factor * (size / factor.sum())
        weights.append(relative * (max(sizes) / size * ratio / sum(ratios)))
    return weights


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step takes. indices: int64 (batch size,) pictures of data set `dataset`; one may stand twice."""

    dataset: int
    indices: np.ndarray
    seed: int
    position: int

    def rng(self, place: int) -> np.random.Generator:
        """The random numbers for the picture at `place`, the same whoever asks and whenever."""
        return np.random.default_rng([self.seed, self.position, 1 + place])


@dataclass(frozen=True, eq=False)
class _Bucket:
    dataset: int
    indices: np.ndarray
    cumulative: np.ndarray  # of the weights, ends at their sum


class MixedStream:
    """An endless row of batches, each a pure function of seed and position."""

    def __init__(
        self,
        weights: Sequence[np.ndarray],
        batch_sizes: Sequence[int],
        seed: int,
        groups: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        """One entry a data set: the pictures' weights, the batch size, and optionally a group for each picture.

        groups: a batch holds pictures of one group only (landscape or portrait: less padding).
        """
        groups = [None] * len(weights) if groups is None else groups
        self._seed, self._batch_sizes = seed, tuple(batch_sizes)
        self._buckets: list[_Bucket] = []
        masses = []
        for dataset, (weight, size, group) in enumerate(zip(weights, batch_sizes, groups, strict=True)):
            if size < 1 or weight.ndim != 1 or not (np.isfinite(weight).all() and (weight >= 0).all()):
                raise ValueError(f"data set {dataset}: batches of {size}, weights {weight.dtype} {weight.shape}")
            for indices in _split(len(weight), group):
                if (mass := weight[indices].sum()) > 0:
                    self._buckets.append(_Bucket(dataset, indices, np.cumsum(weight[indices])))
                    masses.append(mass / size)  # shares are of pictures; a large batch uses up many at once
        if not self._buckets:
            raise ValueError("there is no picture with a weight above 0")
        self._cumulative = np.cumsum(masses)

    def at(self, position: int) -> Batch:
        """The batch of step `position`, counted from 0."""
        rng = np.random.default_rng([self._seed, position])
        bucket = self._buckets[_pick(self._cumulative, rng.random(1))[0]]
        places = _pick(bucket.cumulative, rng.random(self._batch_sizes[bucket.dataset]))
        return Batch(bucket.dataset, bucket.indices[places], self._seed, position)


def _split(count: int, group: np.ndarray | None) -> list[np.ndarray]:
    if group is None:
        return [np.arange(count)]
    if group.shape != (count,):
        raise ValueError(f"{count} pictures, but groups of shape {group.shape}")
    return [np.flatnonzero(group == value) for value in np.unique(group)]


def _pick(cumulative: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Places drawn with the chances whose running sum is given; uniform: numbers in [0, 1)."""
    places = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    # The product may round up to the sum itself; then the last place with a weight is meant.
    return np.minimum(places, np.searchsorted(cumulative, cumulative[-1]))
