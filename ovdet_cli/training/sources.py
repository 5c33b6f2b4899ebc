"""Where a training step's pictures come from: drawn scenes, or data sets on disk."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ovdet_cli.errors import InputError, TrainingError
from ovdet_cli.models.spec import Preprocess
from ovdet_cli.training.augment import EfficientDetResizeCrop
from ovdet_cli.training.batches import Batch, make_batch
from ovdet_cli.training.datasets import Dataset
from ovdet_cli.training.samples import Sample
from ovdet_cli.training.sampling import MixedStream
from ovdet_cli.training.scenes import DrawingStore, SceneConfig, SceneGenerator, to_image_labels

_log = logging.getLogger(__name__)

# Seeds of a run lie so far apart from those of the next run's seed; an evaluation's are beyond all of them.
SEEDS_A_RUN = 100_000_000
EVALUATION_SEEDS = 1_000_000_000_000


class BatchSource(Protocol):
    """Batches as a pure function of the iteration, so that a resumed run sees what the first would have seen."""

    def batch(self, iteration: int) -> Batch: ...


@dataclass(frozen=True)
class ScenePhase:
    """A stretch of iterations that draws one kind of scene."""

    until: int
    """First iteration that is no longer of it."""
    batch: int
    scenes: SceneConfig
    names_only: bool = False


class SceneSource:
    """Batches of scenes: what a batch holds depends on seed and iteration alone, not on who draws it.

    labels_only: the scenes tell which classes they show, and nothing of where.
    """

    def __init__(
        self,
        artwork: DrawingStore,
        phases: Sequence[ScenePhase],
        seed: int,
        preprocess: Preprocess,
        labels_only: bool = False,
    ) -> None:
        self._phases = [(phase, SceneGenerator(artwork, phase.scenes)) for phase in phases]
        self._first = seed * SEEDS_A_RUN
        self._stride = max(phase.batch for phase in phases)
        self._preprocess = preprocess
        self._labels_only = labels_only

    def batch(self, iteration: int) -> Batch:
        """The batch of an iteration, counted from 0."""
        phase, generator = next(((p, g) for p, g in self._phases if iteration < p.until), self._phases[-1])
        first = self._first + iteration * self._stride
        samples = [generator.scene(seed) for seed in range(first, first + phase.batch)]
        if self._labels_only:
            samples = [to_image_labels(sample) for sample in samples]
        return replace(make_batch(samples, self._preprocess), names_only=phase.names_only)


class MixedSource:
    """Draws each iteration's batch from one of several sources; shares are of pictures, as Detic's ratios are."""

    def __init__(self, sources: Sequence[BatchSource], ratios: Sequence[float], batches: Sequence[int], seed: int):
        self._sources = list(sources)
        rates = np.array([ratio / size for ratio, size in zip(ratios, batches, strict=True)])
        self._cumulative = np.cumsum(rates / rates.sum())
        self._seed = seed

    def batch(self, iteration: int) -> Batch:
        """The batch of an iteration, counted from 0."""
        chance = np.random.default_rng([self._seed, iteration]).random()
        choice = min(int(np.searchsorted(self._cumulative, chance, side="right")), len(self._sources) - 1)
        return self._sources[choice].batch(iteration)


class DiskSource:
    """Batches from data sets on disk, augmented; a picture that cannot be read is noted, another takes its place."""

    def __init__(
        self,
        sets: Sequence[Dataset],
        stream: MixedStream,
        augment: Sequence[EfficientDetResizeCrop],
        preprocess: Preprocess,
    ) -> None:
        self._sets = sets
        self._noted: set[str] = set()
        self._stream = stream
        self._augment = augment
        self._preprocess = preprocess

    def batch(self, iteration: int) -> Batch:
        """The batch of an iteration, counted from 0. TrainingError if many pictures in a row cannot be read."""
        draw = self._stream.at(iteration)
        pictures, augment = self._sets[draw.dataset], self._augment[draw.dataset]
        samples = []
        for place, index in enumerate(draw.indices):
            rng = draw.rng(place)
            samples.append(augment(self._read(pictures, int(index), rng), rng))
        return make_batch(samples, self._preprocess)

    def _read(self, pictures: Dataset, index: int, rng: np.random.Generator) -> Sample:
        for _ in range(20):
            try:
                return pictures.sample(index)
            except InputError as error:
                if (reason := str(error)) not in self._noted:
                    self._noted.add(reason)
                    _log.warning("left out of training: %s", reason)
                index = int(rng.integers(len(pictures)))
        raise TrainingError("20 pictures in a row cannot be read; the last lines of the log name them")
