"""The benchmark's pictures: what training sees, and the fixed sets that it is measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.mini.classes import Classes
from ovdet_cli.models.spec import Preprocess
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.batches import Batch, make_batch
from ovdet_cli.training.samples import Sample
from ovdet_cli.training.scenes import SceneConfig, SceneGenerator, to_image_labels
from ovdet_cli.training.sources import EVALUATION_SEEDS, SEEDS_A_RUN

PREPROCESS = Preprocess(short_side=256, max_size=256)
POOL = 60  # costly backgrounds drawn once a process; they take 2 s
BOXES = SceneConfig(
    size_hw=(224, 224),
    size_px=(20.0, 160.0),
    layouts=(("sheet", 0.45), ("scatter", 0.4), ("single", 0.15)),
    strength=0.5,
    empty=0.05,
    clutter=0.2,
    pool_size=POOL,
)
NAMES = replace(BOXES, layouts=(("grid", 0.7), ("scatter", 0.2), ("single", 0.1)), empty=0.0, clutter=0.0)
"""The start's first part: full sheets, of which the true boxes are named and nothing else is learnt."""
# About half the resolution and, as ImageNet's, mostly filled by one object: where that is small, the largest proposal
# seldom shows it (in a trial with objects of 25 to 69 % of the side, 6 of 100).
LABELS = SceneConfig(
    size_hw=(96, 96),
    size_px=(20.0, 40.0),
    layouts=(("single", 1.0),),
    strength=0.5,
    empty=0.0,
    clutter=0.3,
    pool_size=POOL,
)
TESTS = SceneConfig(
    size_hw=(256, 256),
    size_px=(20.0, 160.0),
    layouts=(("sheet", 0.35), ("scatter", 0.5), ("single", 0.15)),
    strength=0.5,
    empty=0.05,
    clutter=0.2,
    pool_size=POOL,
)


@dataclass(frozen=True)
class TestSet:
    """Pictures to be measured on.

    roles: whose drawings they show. held_out: 'only' drawings that training leaves out, or none of them, or 'any'.
    """

    __test__ = False  # not a test of pytest's
    scenes: int
    roles: tuple[str, ...] = ("base", "novel")
    styles: tuple[str, ...] | None = None
    held_out: str = "exclude"


TEST_SETS = {
    "new scenes": TestSet(200),
    "held-out drawings": TestSet(150, held_out="only"),
    "fxemoji": TestSet(150, styles=("fxemoji",), held_out="any"),
    "openmoji": TestSet(150, styles=("openmoji",), held_out="any"),
    "kinds": TestSet(200, ("base", "kind")),
    "kinds in fxemoji": TestSet(150, ("base", "kind"), ("fxemoji",), "any"),
}
"""fxemoji and openmoji are styles that training never sees. The last two are for the split of the parent alone."""


def renamed(sample: Sample, class_of: np.ndarray) -> Sample:
    """The same with the benchmark's class ids in place of the store's."""
    return replace(sample, class_ids=class_of[sample.class_ids])


class Scenes:
    """Batches of scenes with the benchmark's class ids; what a batch holds depends on seed and iteration alone.

    categories: the store's, that objects come from. class_of: see `Classes.from_store`. names_until: the iterations
    before it are of `NAMES`.
    """

    def __init__(
        self,
        artwork: Artwork,
        config: SceneConfig,
        categories: Sequence[int],
        class_of: np.ndarray,
        batch: int,
        seed: int,
        labels_only: bool = False,
        names_until: int = 0,
    ) -> None:
        self._generator = SceneGenerator(artwork, replace(config, categories=tuple(categories)))
        self._names = SceneGenerator(artwork, replace(NAMES, categories=tuple(categories)))
        self._names_until = names_until
        self._class_of = class_of
        self._batch = batch
        self._first = seed * SEEDS_A_RUN
        self._labels_only = labels_only

    def batch(self, iteration: int) -> Batch:
        """The batch of an iteration, counted from 0."""
        first = self._first + iteration * self._batch
        names_only = iteration < self._names_until
        generator = self._names if names_only else self._generator
        samples = []
        for seed in range(first, first + self._batch):
            sample = renamed(generator.scene(seed), self._class_of)
            samples.append(to_image_labels(sample) if self._labels_only else sample)
        return replace(make_batch(samples, PREPROCESS), names_only=names_only)


def test_pictures(artwork: Artwork, classes: Classes, name: str) -> list[Sample]:
    """The pictures of a set in `TEST_SETS`: always the same for a store, for every seed of training."""
    wanted = TEST_SETS[name]
    categories = classes.store_ids(artwork, wanted.roles)
    config = replace(TESTS, categories=categories, styles=wanted.styles, held_out=wanted.held_out)
    generator = SceneGenerator(artwork, config)
    first = EVALUATION_SEEDS + list(TEST_SETS).index(name) * 10_000
    class_of = classes.from_store(artwork)
    return [renamed(generator.scene(first + i), class_of) for i in range(wanted.scenes)]
