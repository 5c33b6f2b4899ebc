"""The data that a configuration names, opened: drawn scenes, or data sets on disk with one list of classes."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.errors import UsageError
from ovdet_cli.evaluation.names import join_names
from ovdet_cli.models.spec import ModelSpec, Preprocess
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.augment import EfficientDetResizeCrop
from ovdet_cli.training.camera_pictures import CameraPictures
from ovdet_cli.training.config import DataConfig, PhaseConfig, TrainConfig
from ovdet_cli.training.datasets import CocoBoxes, LabelledFolders, class_frequencies
from ovdet_cli.training.sampling import MixedStream, mixing_weights, repeat_factors
from ovdet_cli.training.sources import BatchSource, DiskSource, MixedSource, ScenePhase, SceneSource


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What the data of a configuration comes to.

    names: all classes in order. class_weights_C: how often each may be drawn into the federated set, None: alike.
    fingerprint: tells these data from others.
    """

    names: tuple[str, ...]
    source: BatchSource
    fingerprint: str
    artwork: Artwork | None = None
    class_weights_C: Tensor | None = None


def open_data(config: TrainConfig, spec: ModelSpec) -> TrainingData:
    """Opens the data of a configuration; InputError or UsageError where something is missing or does not fit."""
    kinds = {data.kind for data in config.data}
    for number, data in enumerate(config.data):
        if not data.path:
            raise UsageError(f"data[{number}] names no path")
    if "scenes" in kinds and len(kinds) > 1:
        raise UsageError("scenes and data sets on disk cannot be mixed in one run")
    return _open_scenes(config, spec) if "scenes" in kinds else _open_sets(config, spec)


def preprocess_of(spec: ModelSpec) -> Preprocess:
    """The model's preprocessing; UsageError for one that sees a canvas and cannot be trained here."""
    if not isinstance(spec.preprocess, Preprocess):
        raise UsageError(f"{spec.name} cannot be trained here: choose one of Detic's CenterNet2 models")
    return spec.preprocess


def phases_of(data: DataConfig) -> tuple[PhaseConfig, ...]:
    """What a run draws when; one phase of default scenes where nothing is said."""
    return data.phases or (PhaseConfig(share=1.0, batch=data.batch),)


def _open_scenes(config: TrainConfig, spec: ModelSpec) -> TrainingData:
    if len({data.path for data in config.data}) > 1:
        raise UsageError("all scenes of a run are drawn from one artwork store")
    if config.classes.names:
        raise UsageError("scenes name their classes themselves; leave out classes.names")
    artwork = Artwork.open(Path(config.data[0].path).expanduser())
    sources, sizes, fingerprint = [], [], artwork.fingerprint
    for number, data in enumerate(config.data):
        if data.photographs:
            fingerprint += CameraPictures(Path(data.photographs)).fingerprint
        phases, total, until = [], sum(p.share for p in phases_of(data)), 0.0
        for phase in phases_of(data):
            until += phase.share / total * config.schedule.iterations
            scenes = dataclasses.replace(phase.scenes, photographs=data.photographs or phase.scenes.photographs)
            if scenes.styles is None:
                scenes = dataclasses.replace(scenes, styles=artwork.training_styles)
            phases.append(ScenePhase(round(until), phase.batch, scenes, phase.names_only))
        seed = config.run.seed * len(config.data) + number
        sources.append(SceneSource(artwork, phases, seed, preprocess_of(spec), data.labels_only))
        sizes.append(max(phase.batch for phase in phases))
    ratios = [data.ratio for data in config.data]
    source = sources[0] if len(sources) == 1 else MixedSource(sources, ratios, sizes, config.run.seed)
    return TrainingData(artwork.categories, source, fingerprint, artwork)


def _open_sets(config: TrainConfig, spec: ModelSpec) -> TrainingData:
    sets = [_open_set(data) for data in config.data]
    names = config.classes.names or join_names(*(pictures.names for pictures in sets))
    sets = [pictures.with_names(names) for pictures in sets]
    factors = [
        repeat_factors([s.classes_of(i) for i in range(len(s))], len(names), d.repeat_threshold)
        if d.kind == "coco" and d.repeat_threshold
        else None
        for d, s in zip(config.data, sets, strict=True)
    ]
    weights = mixing_weights([len(s) for s in sets], [d.ratio for d in config.data], factors)
    # Pictures of a batch are all wider than high or all not, as published: less of it is padding.
    groups = [pictures.is_landscape for pictures in sets]
    stream = MixedStream(weights, [d.batch for d in config.data], config.run.seed, groups)
    augment = [EfficientDetResizeCrop(d.size, d.scale) for d in config.data]
    boxed = [class_frequencies(s) for d, s in zip(config.data, sets, strict=True) if d.kind == "coco"]
    counts = torch.from_numpy(sum(boxed, np.zeros(len(names), np.int64))).float()
    described = json.dumps([[d.path, len(s), list(s.names)] for d, s in zip(config.data, sets, strict=True)])
    return TrainingData(
        names,
        DiskSource(sets, stream, augment, preprocess_of(spec)),
        hashlib.sha256(described.encode()).hexdigest(),
        # LVIS's frequency weight: the square root of the number of pictures; 0 for a class without boxes.
        class_weights_C=counts.sqrt() if counts.any() else None,
    )


def _open_set(data: DataConfig) -> CocoBoxes | LabelledFolders:
    return LabelledFolders(Path(data.path)) if data.kind == "folders" else open_boxes(data.path, data.images)


def open_boxes(annotations: str, images: str) -> CocoBoxes:
    """COCO boxes, their pictures beside the annotation file where no folder is named."""
    path = Path(annotations).expanduser()
    return CocoBoxes(path, Path(images).expanduser() if images else path.parent)
