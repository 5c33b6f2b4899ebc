"""The one inference interface: Detector.detect(images, vocabulary) -> Detections."""

# B pictures of a batch, R regions, N detections

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.detections import Detections
from ovdet_cli.detector.masks import paste_masks
from ovdet_cli.detector.precision import exact_float32, resolve_device, resolve_precision
from ovdet_cli.detector.preprocess import Prepared, Preprocessor
from ovdet_cli.detector.words import Words, prepare_words
from ovdet_cli.errors import DeviceError, ModelError, UsageError
from ovdet_cli.models import store
from ovdet_cli.models.checkpoint import load_weights, read_checkpoint
from ovdet_cli.models.detic.keys import COLUMNS, KEY_MAP, recognise
from ovdet_cli.models.detic.model import build_detic
from ovdet_cli.models.interface import Regions
from ovdet_cli.models.ops.selection import select_detections
from ovdet_cli.models.zoo import MODELS, RECOMMENDED, ModelSpec, find_model
from ovdet_cli.vocabulary.vocabulary import MODEL, Part, Vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How pictures are detected; None stands for the model's own default."""

    threshold: float | None = None
    """A detection's score is above this."""
    nms_iou: float | None = None
    """IoU above which the weaker of two boxes of a class goes."""
    max_detections: int | None = None
    """At most so many a picture."""
    one_class: bool | None = None
    """A region may take its best class only."""
    short_side: int | None = None
    """Pixels of the network input's shorter side."""
    max_size: int | None = None
    """Limit of its longer side."""
    with_masks: bool = True
    """Run the mask head."""
    max_batch: int = 1
    """Pictures that go through the network together, at most."""

    def __post_init__(self) -> None:
        for name, low, high in (("threshold", 0.0, 1.0), ("nms_iou", 0.0, 1.0)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} must lie between {low:g} and {high:g}, not {value:g}")
        for name in ("max_detections", "short_side", "max_size", "max_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")

    def completed(self, spec: ModelSpec) -> "Settings":
        """These settings with the model's defaults where None stood."""
        defaults = {
            "threshold": spec.rules.threshold,
            "nms_iou": spec.rules.nms_iou,
            "max_detections": spec.rules.max_detections,
            "one_class": spec.rules.one_class,
            "short_side": spec.preprocess.short_side,
            "max_size": spec.preprocess.max_size,
        }
        return replace(self, **{k: v for k, v in defaults.items() if getattr(self, k) is None})


def choose_model(model: str | None, weights: Path | None, names: Sequence[str] = ()) -> ModelSpec:
    """The model that is meant: named, told by the weight file's name or layout, the default, or the recommended."""
    if model is not None:
        return find_model(model)
    if weights is None:
        return find_model(store.default_model() or RECOMMENDED)
    by_name = next((spec for spec in MODELS.values() if weights.name.startswith(spec.stem)), None)
    found = by_name.name if by_name else recognise(set(names))
    if found is None:
        raise ModelError(f"{weights} does not look like a model ovdet knows; say which with --model")
    return find_model(found)


class Detector:
    """A model with its weights on a device.

    model: short name or official file stem; default: the one `ovdet models use` set, else detic-swin-b.
    weights: a local checkpoint (`.pth` as published, or `.safetensors`) in place of the pulled one.
    device: auto, cpu, cuda, cuda:N or mps. precision: auto, fp32, bf16 or fp16.
    Raises MissingAssetError where weights are not on this machine; nothing is ever downloaded here.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        settings: Settings = Settings(),  # noqa: B008  frozen
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_precision(precision, self.device)
        given = None if weights is None else Path(weights).expanduser()
        tensors = None if given is None else read_checkpoint(given)
        self.spec = choose_model(model, given, list(tensors or ()))
        self.weights = given or store.require(self.spec.weights)
        self._tensors = tensors if tensors is not None else read_checkpoint(self.weights)
        self._model = build_detic(self.spec.config)
        load_weights(self._model, self._tensors, KEY_MAP, str(self.weights))
        self._model.to(self.device)
        self.settings = settings.completed(self.spec)
        self._preprocessor = Preprocessor(self.spec.preprocess, self.settings.short_side, self.settings.max_size)
        self._max_batch = self.settings.max_batch
        self._words: Words | None = None

    def weights_sha256(self) -> str:
        """SHA-256 of the weight file."""
        noted = store.facts(self.spec.weights)
        if self.weights == store.converted_path(self.spec.weights) and noted:
            return str(noted["sha256"])
        with self.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def own_vocabulary(self) -> Vocabulary:
        """The checkpoint's own classes: LVIS names for the first 1203 columns, "class N" beyond them."""
        return _own_vocabulary(self._tensors, self.spec)

    def prepare_words(self, vocabulary: Vocabulary, embeddings: str | Path | None = None) -> Words:
        """Embeds a vocabulary once for many pictures; `embeddings` brings ready ones (C x D) from a file."""
        has_own = any(part.origin == MODEL for part in vocabulary.parts)
        own = _own_columns(self._tensors, self.spec) if has_own and embeddings is None else None
        words = prepare_words(vocabulary, self.spec, None if embeddings is None else Path(embeddings), own)
        return Words(vocabulary, words.texts.to(self.device))

    @overload
    def detect(self, images: np.ndarray, vocabulary: Vocabulary | Words) -> Detections: ...

    @overload
    def detect(self, images: Sequence[np.ndarray], vocabulary: Vocabulary | Words) -> list[Detections]: ...

    def detect(
        self, images: np.ndarray | Sequence[np.ndarray], vocabulary: Vocabulary | Words
    ) -> Detections | list[Detections]:
        """What the vocabulary names in RGB uint8 pictures (H, W, 3): one picture -> Detections, several -> a list.

        Only pictures that pad to the same size go through the network together, so a batch changes no result beyond
        rounding. DeviceError if the device's memory does not hold a single picture.
        """
        if isinstance(images, np.ndarray):
            return self.detect([images], vocabulary)[0]
        words = self._ready(vocabulary)
        prepared = [self._preprocessor.prepare(_checked(image)) for image in images]
        groups: dict[tuple[int, int], list[int]] = {}
        for i, picture in enumerate(prepared):
            groups.setdefault(picture.padded_hw, []).append(i)
        results: dict[int, Detections] = {}
        for rows in groups.values():
            results.update(zip(rows, self._detect_group([prepared[i] for i in rows], words), strict=True))
        return [results[i] for i in range(len(prepared))]

    def _ready(self, vocabulary: Vocabulary | Words) -> Words:
        if isinstance(vocabulary, Words):
            return vocabulary
        if self._words is None or self._words.vocabulary != vocabulary:
            self._words = self.prepare_words(vocabulary)
        return self._words

    def _detect_group(self, pictures: list[Prepared], words: Words) -> list[Detections]:
        """Detections of pictures of one padded size; halves the batch for good when memory runs out."""
        found: list[Detections] = []
        while len(found) < len(pictures):
            batch = pictures[len(found) : len(found) + self._max_batch]
            try:
                found += self._detect_batch(batch, words)
            except torch.OutOfMemoryError as error:
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                if len(batch) == 1:
                    h, w = batch[0].size_hw
                    raise DeviceError(
                        f"the memory of {self.device} does not hold one picture of {w}x{h}; "
                        "try a smaller --imgsz or --max-size, --precision fp16, or --device cpu"
                    ) from error
                self._max_batch = len(batch) // 2
                log.warning("out of memory: going on with batches of %d", self._max_batch)
        return found

    @torch.inference_mode()
    def _detect_batch(self, pictures: list[Prepared], words: Words) -> list[Detections]:
        pixels = self._preprocessor.stack(pictures, self.device)
        with exact_float32():
            # As in Detic's training, backbone and pyramid alone run in half precision; what follows is float32.
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
                pyramid = self._model.extract(pixels)
            pyramid = [level.float() for level in pyramid]
            regions = self._model.propose(pyramid, [p.size_hw for p in pictures])
            chosen = [self._choose(r, words) for r in regions]
            masks = None
            if self.settings.with_masks and any(len(scores) for _, _, scores in chosen):
                masks = self._model.predict_masks(pyramid, [boxes for boxes, _, _ in chosen])
        return [
            _finish(picture, boxes, class_ids, scores, masks[i] if masks else None, self.settings.with_masks)
            for i, (picture, (boxes, class_ids, scores)) in enumerate(zip(pictures, chosen, strict=True))
        ]

    def _choose(self, regions: Regions, words: Words) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes in network pixels, class ids and scores of the detections of one picture."""
        settings = self.settings
        assert settings.threshold is not None and settings.nms_iou is not None
        assert settings.max_detections is not None and settings.one_class is not None
        rows, class_ids, scores = select_detections(
            regions.boxes_R4,
            self._model.classify(regions, words.texts),
            threshold=settings.threshold,
            nms_iou=settings.nms_iou,
            max_detections=settings.max_detections,
            one_class=settings.one_class,
        )
        return regions.boxes_R4[rows], class_ids, scores


def _checked(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"a picture is RGB uint8 (H, W, 3), not {image.dtype} {image.shape}")
    return image


def _finish(
    picture: Prepared, boxes: Tensor, class_ids: Tensor, scores: Tensor, masks: Tensor | None, with_masks: bool
) -> Detections:
    """Network pixels -> picture pixels, empty boxes dropped, masks pasted."""
    boxes_xyxy = picture.to_original(boxes).cpu().numpy()
    keep = (boxes_xyxy[:, 2] > boxes_xyxy[:, 0]) & (boxes_xyxy[:, 3] > boxes_xyxy[:, 1])
    pasted = None
    if with_masks:
        probabilities = np.zeros((0, 1, 1), np.float32) if masks is None else masks.cpu().numpy()[keep]
        pasted = paste_masks(probabilities, boxes_xyxy[keep], picture.original_hw)
    return Detections(boxes_xyxy[keep], scores.cpu().numpy()[keep], class_ids.cpu().numpy()[keep], pasted)


def _own_columns(tensors: Mapping[str, Tensor], spec: ModelSpec) -> Tensor:
    """The checkpoint's classifier without its background column, (S, C, D)."""
    names = [COLUMNS.format(stage) for stage in range(spec.config.num_stages)]
    if missing := [name for name in names if name not in tensors]:
        raise ModelError(f"the weights hold no classifier of their own ({missing[0]} is missing); name your words")
    return torch.stack([tensors[name].float()[:, :-1].T for name in names])


def _own_vocabulary(tensors: Mapping[str, Tensor], spec: ModelSpec) -> Vocabulary:
    num_columns = _own_columns(tensors, spec).shape[1]
    known = Vocabulary.built_in(spec.column_names).names[:num_columns]
    return Vocabulary(parts=[Part((*known, *(f"class {i}" for i in range(len(known), num_columns))), MODEL)])
