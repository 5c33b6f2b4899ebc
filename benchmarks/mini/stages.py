"""The benchmark's trainings: one start with base boxes a seed, and what follows from it."""

# C classes, D embedding width

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.mini import pictures
from benchmarks.mini.classes import Classes
from benchmarks.mini.pictures import Scenes
from ovdet_cli.models.detic.config import BackboneConfig, CenterNetConfig, DeticConfig
from ovdet_cli.models.detic.model import Detic, build_detic
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.batches import Batch
from ovdet_cli.training.centernet_targets import CenterNetRules
from ovdet_cli.training.detic import DeticRecipe, DeticStep
from ovdet_cli.training.loop import BatchSource, Loop, LoopConfig, Progress, autocast
from ovdet_cli.training.run import initialise
from ovdet_cli.training.schedule import OptimizerConfig, ScheduleConfig
from ovdet_cli.training.sources import MixedSource
from ovdet_cli.training.trained import TrainedDetic

MODEL = DeticConfig(
    BackboneConfig("basic-resnet", "1-1-1-1", (64, 128, 256)),
    CenterNetConfig(num_convs=2, pre_nms_top=300, nms_iou=0.8, post_nms_top=100),
    pyramid_channels=64,
    num_levels=3,
    roi_canonical=64.0,
    hidden=192,
    embedding=192,
    mask_convs=1,
    mask_channels=32,
    temperature=18.0,
    learned_scale=True,
    delta_weights=((10.0, 10.0, 5.0, 5.0),),
)
RECIPE = DeticRecipe(
    centernet=CenterNetRules(level_sizes=((0, 48), (32, 96), (64, 1e7)), strides=(8, 16, 32)),
    proposals=CenterNetConfig(pre_nms_top=300, nms_iou=0.9, post_nms_top=100),
    match_ious=(0.5,),
    regions=48,
    positive_share=0.5,
    mask_regions=4,
    federated=0,  # all boxed classes: see `BenchmarkLosses`
    softmax_weight=1.0,
    image_proposals=16,
)
OPTIMIZER = OptimizerConfig(learning_rate=3e-3, weight_decay=0.03, betas=(0.9, 0.98), clip="norm", clip_limit=5.0)


@dataclass(frozen=True)
class Stage:
    """One training.

    labels: the image loss of the image-labelled pictures; empty: boxes alone.
    kinds: the split of the parent: boxes of the kinds under the parent's name, image labels of the kinds.
    """

    name: str
    labels: str = ""
    kinds: bool = False


START = Stage("start")
STAGES = (
    Stage("boxes"),
    Stage("max_size", "max_size"),
    Stage("max_score", "max_score"),
    Stage("wsddn", "wsddn"),
    Stage("parent_boxes", kinds=True),
    Stage("parent_max_size", "max_size", kinds=True),
)


@dataclass(frozen=True)
class Plan:
    """The numbers that all trainings of a benchmark share."""

    start_iterations: int = 1000
    names_iterations: int = 400
    """The start's first ones, which learn names alone: see `pictures.NAMES`."""
    iterations: int = 900
    """Of each training with image labels, those of boxes and those of labels together."""
    box_batch: int = 8
    label_batch: int = 32
    label_ratio: float = 4.0
    """Image-labelled pictures for each one with boxes (published: 4)."""
    image_weight: float = 0.2
    """Of the sigmoid loss and the cross entropy beside it; published: 0.1, and no cross entropy."""
    rate: float = 2e-3
    """Learning rate at the beginning of what follows the start."""
    columns: str = "random"

    def iterations_of(self, stage: Stage) -> int:
        """Of a stage after the start: without image labels, as many as there are batches of boxes with them."""
        batches_of_labels = self.label_ratio * self.box_batch / self.label_batch
        return self.iterations if stage.labels else round(self.iterations / (1 + batches_of_labels))


def plan_of(stage: Stage, plan: Plan) -> Plan:
    """The plan without what a stage has no use for, so that runs with other label weights share their starts."""
    known = Plan()
    if not stage.labels:
        plan = replace(
            plan, image_weight=known.image_weight, label_ratio=known.label_ratio, label_batch=known.label_batch
        )
    return replace(plan, rate=known.rate) if stage is START else plan


class BenchmarkLosses:
    """A batch's losses; boxes never speak about classes that have none.

    The published federated loss draws its negatives by the number of a class's box pictures, so that a novel class is
    never one. With so few classes all boxed ones take part instead of 50 drawn ones: the same rule, less noise.
    """

    def __init__(self, trained: TrainedDetic, recipe: DeticRecipe, num_boxed: int, frozen_norms: bool) -> None:
        half = partial(autocast, torch.device("cpu"), "bfloat16")
        self._trained = trained
        self._num_boxed = num_boxed
        self._frozen = [m for m in trained.modules() if frozen_norms and isinstance(m, nn.BatchNorm2d)]
        self._step = DeticStep(trained.detector, recipe, None, trained.proposal_scores, half=half, half_heads=True)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        for norm in self._frozen:
            norm.eval()
        texts_CD = self._trained.texts_CD
        return self._step.losses(batch, texts_CD[: self._num_boxed] if batch.labels is None else texts_CD, generator)


def class_columns(classes: Classes, kind: str) -> Tensor:
    """The classifier's fixed columns (C, D).

    random: unit vectors that know nothing of the names, the same for every seed of training: what image labels teach
    is then all that a novel class can know. text: the built-in model's text tower.
    """
    if kind == "random":
        generator = torch.Generator().manual_seed(20_241)
        return F.normalize(torch.randn(len(classes.names), MODEL.embedding, generator=generator), dim=1)
    from ovdet_cli.detector.words import prepare_words
    from ovdet_cli.models.zoo import find_model
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

    return prepare_words(Vocabulary(classes.names), find_model("builtin"), None, None).texts.float().clone()


def build(classes: Classes, columns: str, recipe: DeticRecipe) -> TrainedDetic:
    """The detector of random weights with its columns."""
    detector: Detic = build_detic(MODEL)
    initialise(detector)
    return TrainedDetic(detector, class_columns(classes, columns), False, recipe).to(memory_format=torch.channels_last)


def load_average(folder: Path, trained: TrainedDetic) -> None:
    """Takes the averaged weights of a finished training; a head that it had not keeps its random ones."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)["average"]
    found = trained.load_state_dict(state, strict=False)
    odd = [name for name in (*found.missing_keys, *found.unexpected_keys) if not name.startswith("proposal_scores")]
    if odd:
        raise ValueError(f"{folder}: these weights do not fit: {odd[:3]}")


def make_source(artwork: Artwork, classes: Classes, stage: Stage, plan: Plan, seed: int) -> BatchSource:
    """The pictures of a training."""
    class_of = classes.from_store(artwork)
    boxed = classes.store_ids(artwork, ("base", "kind") if stage.kinds else ("base",))
    number = 10 * seed + (0 if stage is START else 1)  # what follows never repeats the start's scenes
    boxes = Scenes(
        artwork,
        pictures.BOXES,
        boxed,
        classes.from_store(artwork, as_parent=True),
        plan.box_batch,
        4 * number,
        names_until=plan.names_iterations if stage is START else 0,
    )
    if not stage.labels:
        return boxes
    # As ImageNet has as many pictures of a rare class as of a frequent one: half of the labels are of unboxed classes.
    labels = [
        Scenes(
            artwork,
            pictures.LABELS,
            classes.store_ids(artwork, (role,)),
            class_of,
            plan.label_batch,
            4 * number + part,
            labels_only=True,
        )
        for part, role in enumerate(("base", "kind" if stage.kinds else "novel"), start=1)
    ]
    ratios = [1.0, plan.label_ratio / 2, plan.label_ratio / 2]
    return MixedSource([boxes, *labels], ratios, [plan.box_batch, plan.label_batch, plan.label_batch], seed)


def train(
    folder: Path,
    start: Path | None,
    artwork: Artwork,
    classes: Classes,
    stage: Stage,
    plan: Plan,
    seed: int,
    show: Callable[[str], None],
) -> TrainedDetic:
    """Trains a stage in its folder, going on where it stopped; the averaged weights come back."""
    recipe = replace(RECIPE, image_loss=stage.labels or "max_size", image_weight=plan.image_weight)
    torch.manual_seed(1000 + seed)
    trained = build(classes, plan.columns, recipe)
    if start is not None:
        load_average(start, trained)
    iterations = plan.start_iterations if start is None else plan.iterations_of(stage)
    optimizer = replace(OPTIMIZER, learning_rate=plan.rate) if start is not None else OPTIMIZER
    chosen = asdict(plan_of(stage, plan)) | {"iterations": iterations}
    text = json.dumps([chosen, asdict(stage), asdict(RECIPE), seed, artwork.fingerprint], sort_keys=True)
    loop = Loop(
        folder,
        trained,
        BenchmarkLosses(trained, recipe, classes.num_boxed, frozen_norms=start is not None),
        make_source(artwork, classes, stage, plan, seed),
        LoopConfig(iterations, seed, workers=0, ema=0.99, log_every=50, checkpoint_every=100),
        ScheduleConfig(iterations, warmup_iterations=50, warmup_factor=0.01),
        optimizer,
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )
    clock = CpuClock(folder)

    def note(progress: Progress) -> None:
        losses = {name: round(value, 3) for name, value in progress.losses.items() if value}
        show(f"{folder.name} {progress.iteration}/{progress.iterations}, {clock.note():.0f} CPU-s {losses}")

    loop.run(show=note)
    load_average(folder, trained)
    return trained.eval()


class CpuClock:
    """CPU-seconds of a training, over all its processes; kept in its folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "cpu_seconds.txt"
        self._before = read_cpu_seconds(folder)
        self._began = time.process_time()

    def note(self) -> float:
        """Writes and gives the sum so far."""
        total = self._before + time.process_time() - self._began
        self._path.write_text(f"{total:.1f}\n", encoding="utf-8")
        return total


def read_cpu_seconds(folder: Path) -> float:
    """What was noted; 0 if nothing was."""
    path = folder / "cpu_seconds.txt"
    return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0
