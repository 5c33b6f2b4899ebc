"""A training run from its configuration: model, classes, data, loop, and the files that come out."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ovdet_cli.detector.precision import resolve_device
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.detector.words import prepare_words
from ovdet_cli.errors import InputError, OutputError, UsageError
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import load_weights, read_checkpoint, write_safetensors
from ovdet_cli.models.detic.cascade import CascadeStage
from ovdet_cli.models.detic.config import DeticConfig
from ovdet_cli.models.detic.model import Detic
from ovdet_cli.models.spec import ModelSpec
from ovdet_cli.models.zoo import find_model
from ovdet_cli.training.augment import EfficientDetResizeCrop
from ovdet_cli.training.config import TrainConfig
from ovdet_cli.training.data import TrainingData, open_boxes, open_data, phases_of, preprocess_of
from ovdet_cli.training.loop import Loop, LoopConfig, Progress, Window, autocast
from ovdet_cli.training.measuring import measure
from ovdet_cli.training.samples import Sample
from ovdet_cli.training.scenes import SceneGenerator
from ovdet_cli.training.sources import EVALUATION_SEEDS
from ovdet_cli.training.trained import DeticLosses, TrainedDetic
from ovdet_cli.vocabulary.embed import check_embeddings, read_embeddings
from ovdet_cli.vocabulary.vocabulary import Vocabulary

WEIGHTS = "weights.safetensors"
CLASSES = "classes.safetensors"
NAMES = "classes.txt"

_SEEDS_AN_EVALUATION = 1_000_000

_log = logging.getLogger(__name__)


class TrainingRun:
    """One run in a folder: takes up the folder's checkpoint if there is one, else begins.

    device: auto, cpu, cuda, cuda:N. Raises UsageError where parts of the configuration do not go together.
    """

    def __init__(self, config: TrainConfig, folder: Path, device: str = "auto") -> None:
        self.config = config
        self.folder = folder
        self.device = resolve_device(device)
        self.spec = find_model(config.model.name)
        _check(config, self.spec)
        self.data = open_data(config, self.spec)
        torch.manual_seed(config.run.seed)
        detector = _build_detector(config, self.spec)
        texts = _class_vectors(config, self.spec, self.data.names)
        self.trained = TrainedDetic(detector, texts, config.classes.vectors == "learned", config.recipe)
        self.trained.to(self.device)
        if self.device.type == "cpu":
            self.trained.to(memory_format=torch.channels_last)
        half = partial(autocast, self.device, config.run.precision)
        weights = None if self.data.class_weights_C is None else self.data.class_weights_C.to(self.device)
        losses = DeticLosses(self.trained, config.recipe, weights, half, config.run.half_heads)
        self.loop = Loop(
            folder,
            self.trained,
            losses,
            self.data.source,
            LoopConfig(
                config.schedule.iterations,
                config.run.seed,
                config.run.workers,
                config.run.ema,
                config.run.log_every,
                config.run.checkpoint_every,
                config.run.evaluate_every,
            ),
            config.schedule,
            config.optimizer,
            fingerprint=_fingerprint(config, self.data),
            device=self.device,
            scaler=torch.amp.GradScaler(self.device.type, enabled=config.run.precision == "float16"),
        )

    def resume(self) -> int:
        """Takes up the folder's checkpoint; gives the iteration that it stood at, 0 where there is none."""
        self.loop.restore()
        return self.loop.iteration

    def run(
        self,
        show: Callable[[Progress], None],
        until: int | None = None,
        *,
        tick: Callable[[int], None] = lambda iteration: None,
        window: Window = nullcontext,
    ) -> None:
        """Trains to the end (or to `until`), evaluates and writes the weights. For tick and window see `Loop.run`."""
        self._write("config.json", json.dumps(dataclasses.asdict(self.config), indent=1) + "\n")
        evaluate = self.evaluate if self.can_evaluate else None
        self.loop.run(evaluate=evaluate, show=show, until=until, tick=tick, window=window)
        self.export()

    @property
    def can_evaluate(self) -> bool:
        """Whether the configuration names something to evaluate on."""
        evaluation = self.config.evaluation
        return evaluation.scenes > 0 if self.data.artwork is not None else bool(evaluation.path)

    def averaged(self) -> TrainedDetic:
        """The model with the averaged weights where they are kept, else as it is."""
        if self.loop.average is None:
            return self.trained
        return _with_state(self.config, self.spec, self.trained, self.loop.average.state).to(self.device)

    def evaluate(self) -> Mapping[str, float]:
        """AP on scenes that training never draws, of the last phase's kind; or on the pictures that are named."""
        trained = self.averaged()
        with torch.inference_mode():
            texts = trained.texts_CD
        samples = self._fresh_scenes() if self.data.artwork is not None else self._evaluation_pictures()
        # Pictures of one size go through the network together, others each alone.
        batch = 8 if self.data.artwork is not None else 1
        return measure(trained.detector, texts, samples, preprocess_of(self.spec), self.data.names, batch)

    def _fresh_scenes(self) -> Iterator[Sample]:
        assert self.data.artwork is not None
        boxed = [d for d in self.config.data if not d.labels_only] or self.config.data
        generator = SceneGenerator(self.data.artwork, phases_of(boxed[0])[-1].scenes)
        first = EVALUATION_SEEDS + self.config.evaluation.seed * _SEEDS_AN_EVALUATION
        return (generator.scene(first + i) for i in range(self.config.evaluation.scenes))

    def _evaluation_pictures(self) -> Iterator[Sample]:
        evaluation = self.config.evaluation
        pictures = open_boxes(evaluation.path, evaluation.images).with_names(self.data.names)
        fitted = EfficientDetResizeCrop(evaluation.size)
        for i in range(len(pictures)):
            try:
                sample = pictures.sample(i)
            except InputError as error:
                _log.warning("left out of the evaluation: %s", error)
                continue
            yield fitted.view(sample.image.shape[:2], 1.0, (0.0, 0.0), False).apply(sample)

    def export(self) -> None:
        """Writes the detector's weights and the classes' vectors with their names."""
        trained = self.averaged()
        state = trained.detector.state_dict()
        weights = {n: t.detach().cpu().contiguous() for n, t in state.items() if not n.endswith("num_batches_tracked")}
        write_safetensors(weights, self.folder / WEIGHTS)
        write_safetensors({"embeddings": trained.texts_CD.detach().cpu().contiguous()}, self.folder / CLASSES)
        self._write(NAMES, "".join(f"{name}\n" for name in self.data.names))

    def _write(self, name: str, text: str) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {self.folder / name}: {error.strerror or error}") from error


def use_threads(count: int) -> None:
    """Lets the network compute in so many CPU threads."""
    torch.set_num_threads(count)


def _check(config: TrainConfig, spec: ModelSpec) -> None:
    """UsageError where the recipe does not fit the model."""
    if not isinstance(spec.config, DeticConfig):
        raise UsageError(f"{spec.name} cannot be trained here: choose one of Detic's CenterNet2 models")
    stages, levels = spec.config.num_stages, spec.config.num_levels
    if len(config.recipe.match_ious) != stages:
        raise UsageError(f"recipe.match_ious must have {stages} entries, one for each stage of {spec.name}")
    if len(config.recipe.centernet.strides) != levels:
        raise UsageError(
            f"recipe.centernet.strides and .level_sizes must have {levels} entries, one for each level of {spec.name}"
        )


def _build_detector(config: TrainConfig, spec: ModelSpec) -> Detic:
    detector = architecture_of(spec).build(spec.config)
    if not isinstance(detector, Detic):
        raise UsageError(f"{spec.name} cannot be trained yet: only Detic's models can")
    if config.model.weights:
        path = (
            store.require(spec.weights)
            if config.model.weights == "published"
            else Path(config.model.weights).expanduser()
        )
        load_weights(detector, read_checkpoint(path), architecture_of(spec).key_map(spec.config), str(path))
    else:
        initialise(detector)
    return detector


def initialise(detector: Detic) -> None:
    """Starts necks and heads as the official code does.

    Variance is kept from layer to layer and offsets are 0: with PyTorch's own start the regions' differences fade on
    the way through pyramid and fully connected layers, and hundreds of steps pass before a name is learnt.
    """
    head = detector.proposal_head
    convolutions = [m for m in detector.neck.modules() if isinstance(m, nn.Conv2d)]
    tower = [m for m in (*head.tower, head.heat, head.ltrb) if isinstance(m, nn.Conv2d)]
    stages = cast(list[CascadeStage], list(detector.stages))
    linear = [cast(nn.Linear, m) for s in stages for m in (s.fc1, s.fc2, s.project, s.deltas[0])]
    last = [cast(nn.Linear, s.deltas[2]) for s in stages]
    mask = [*cast(list[nn.Conv2d], list(detector.mask_head.convs)), detector.mask_head.upsample]
    for convolution in convolutions:
        nn.init.kaiming_uniform_(convolution.weight, a=1)
    for convolution in tower:
        nn.init.normal_(convolution.weight, std=0.01)
    for layer in linear:
        nn.init.kaiming_normal_(layer.weight)
    for layer in last:
        nn.init.normal_(layer.weight, std=0.001)
    for mask_layer in mask:
        nn.init.kaiming_normal_(mask_layer.weight, mode="fan_out", nonlinearity="relu")
    # CenterNet2 8745e012: heat begins at 0.01 (bias -4.6), distances at 8 strides.
    offsets = {id(head.heat): -4.6, id(head.ltrb): 8.0}
    for module in (*convolutions, *tower, *linear, *last, *mask):
        assert isinstance(module.bias, Tensor)
        nn.init.constant_(module.bias, offsets.get(id(module), 0.0))


def _class_vectors(config: TrainConfig, spec: ModelSpec, names: Sequence[str]) -> Tensor:
    width = spec.config.embedding
    if config.classes.file:
        matrix = read_embeddings(Path(config.classes.file).expanduser())
        check_embeddings(matrix, len(names), width, config.classes.file)
        return torch.from_numpy(matrix)
    if config.classes.vectors == "learned":
        return torch.randn(len(names), width, generator=torch.Generator().manual_seed(config.run.seed))
    return prepare_words(Vocabulary(names), TextTower(spec)).texts


def _with_state(config: TrainConfig, spec: ModelSpec, like: TrainedDetic, state: Mapping[str, Tensor]) -> TrainedDetic:
    detector = architecture_of(spec).build(spec.config)
    assert isinstance(detector, Detic)
    copy = TrainedDetic(detector, like.class_vectors.detach(), config.classes.vectors == "learned", config.recipe)
    copy.load_state_dict(dict(state))
    return copy.to(memory_format=torch.channels_last)


def _fingerprint(config: TrainConfig, data: TrainingData) -> str:
    """What a checkpoint must agree on; how often is logged and how many workers there are does not matter."""
    table = dataclasses.asdict(config)
    for name in ("workers", "log_every", "checkpoint_every", "evaluate_every"):
        del table["run"][name]
    del table["evaluation"]
    text = json.dumps(table, sort_keys=True) + data.fingerprint
    return hashlib.sha256(text.encode()).hexdigest()
