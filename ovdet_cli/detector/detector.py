"""The one inference interface: Detector.detect(images, vocabulary) -> Detections."""

# B pictures of a batch, R regions, N detections

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.detections import Detections
from ovdet_cli.detector.asking import OWN_COLUMNS
from ovdet_cli.detector.choosing import Chooser, RegionPolicy, finish
from ovdet_cli.detector.precision import exact_float32, resolve_device, resolve_precision
from ovdet_cli.detector.preprocess import Prepared, make_preprocessor
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.detector.words import WordMaker, Words
from ovdet_cli.errors import DeviceError, ModelError, UsageError
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of, recognise
from ovdet_cli.models.checkpoint import foreign_names, load_weights, read_checkpoint
from ovdet_cli.models.interface import Regions
from ovdet_cli.models.ops.boxes import box_iou
from ovdet_cli.models.spec import OFFICIAL, VILD_DEMO, Canvas, ModelSpec, Preprocess, Rules
from ovdet_cli.models.tensor_bundle import TensorBundle
from ovdet_cli.models.zoo import DEFAULT, MODELS, find_model
from ovdet_cli.regions import StoredRegions
from ovdet_cli.vocabulary.vocabulary import Vocabulary

Facts = TypeVar("Facts", Rules, Preprocess, Canvas)
_GPU_BATCH = 8
log = logging.getLogger(__name__)


def choose_model(model: str | None, weights: Path | None, names: Sequence[str] = ()) -> ModelSpec:
    """The model that is meant: named, told by the weight file's name or layout, the chosen default, or builtin."""
    if model is not None:
        return find_model(model)
    if weights is None:
        return find_model(store.default_model() or DEFAULT)
    # Some stems begin as others do.
    by_name = [spec for spec in MODELS.values() if weights.name.startswith(spec.stem)]
    found = max(by_name, key=lambda spec: len(spec.stem)).name if by_name else recognise(set(names))
    if found is None:
        raise ModelError(f"{weights} does not look like a model ovdet knows; say which with --model")
    return find_model(found)


class Detector:
    """A model with its weights on a device.

    model: short name or official file stem; default: the one `ovdet models use` set, else builtin.
    weights: a local checkpoint (`.pth` as published, or `.safetensors`) in place of the pulled one.
    device: auto, cpu, cuda, cuda:N or mps. precision: auto, fp32, bf16 or fp16.
    threshold, nms_iou, max_detections, one_class: the model's `Rules`; short_side, max_size: the network input's
    size in pixels; None stands for the model's official default. masks: whether to run the mask head. batch: pictures
    that go through the network together, at most (default: 8 on an NVIDIA GPU, else 1); halved for good when memory
    runs out. post: whose rules make detections of scored regions, one of the model's `posts`.
    Raises MissingAssetError where weights are not on this machine; nothing is ever downloaded here.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int | None = None,
        one_class: bool | None = None,
        short_side: int | None = None,
        max_size: int | None = None,
        masks: bool = True,
        batch: int | None = None,
        post: str = OFFICIAL,
    ) -> None:
        if batch is not None and batch < 1:
            raise UsageError(f"the batch must be at least 1, not {batch}")
        self.device = resolve_device(device)
        self.dtype = resolve_precision(precision, self.device)
        given = None if weights is None else Path(weights).expanduser()
        tensors = None if given is None else read_checkpoint(given)
        self.spec = choose_model(model, given, list(tensors or ()))
        self.weights = tensors.index if isinstance(tensors, TensorBundle) else given or store.require(self.spec.weights)
        self._tensors = tensors if tensors is not None else read_checkpoint(self.weights)
        self.rules = _override(
            self.spec.rules,
            threshold=threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
            one_class=one_class,
        )
        architecture = architecture_of(self.spec)
        self._model = architecture.build(self.spec.config)
        key_map = architecture.key_map(self.spec.config)
        if isinstance(self._tensors, TensorBundle) and self._tensors.is_nameless:  # out of a SavedModel
            self._tensors = self._tensors.named(foreign_names(self._model, key_map))
        load_weights(self._model, self._tensors, key_map, str(self.weights))
        self._model.to(self.device)
        self._preprocessor = make_preprocessor(_resized(self.spec, short_side, max_size))
        if post != OFFICIAL and post not in self.spec.posts:
            known = ", ".join((OFFICIAL, *self.spec.posts))
            raise UsageError(f"{self.spec.name} knows no rules called {post!r}; it knows {known}")
        if post == VILD_DEMO and (nms_iou is not None or one_class is not None):
            raise UsageError(f"--post {post} has rules of its own: leave out --nms, --one-class and --all-classes")
        self.post = post
        self.with_masks = masks and self.spec.has_masks
        self.batch = batch or (_GPU_BATCH if self.device.type == "cuda" else 1)
        self._words: Words | None = None
        log.info("%s from %s on %s in %s", self.spec.name, self.weights, self.device, self.dtype)

    @property
    def preprocess(self) -> Preprocess | Canvas:
        """How pictures become the network's input."""
        return self._preprocessor.spec

    @property
    def knows(self) -> str:
        """The little that these weights know ("drawn things ..."), or "" where it is not little or not known."""
        return self.spec.knows if self.weights == store.weights_path(self.spec) else ""

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weight file."""
        return store.sha256_of(self.weights)

    @cached_property
    def text_tower(self) -> TextTower:
        """What makes words embeddings: the tower in the weights, or the one that a pull brings."""
        weights = self.weights  # not self: a circle would keep the weights in memory until Python's collector comes
        return TextTower(self.spec, self._tensors, str(weights), lambda: store.sha256_of(weights))

    @property
    def word_maker(self) -> WordMaker:
        """What makes vocabularies ready for this model."""
        return WordMaker(self.text_tower, lambda: self._own_columns, self.post)

    def own_vocabulary(self) -> Vocabulary:
        """The checkpoint's own classes, see `WordMaker.own_vocabulary`."""
        return self.word_maker.own_vocabulary()

    def classifier_tensors(self) -> dict[str, Tensor]:
        """All that stored regions need to be asked: the weights that `classify` reads, and a closed vocabulary."""
        state = self._model.state_dict()
        patterns = self._model.CLASSIFIER
        chosen = {name: t.cpu() for name, t in state.items() if any(re.fullmatch(p, name) for p in patterns)}
        return chosen | ({OWN_COLUMNS: self._own_columns.contiguous()} if self.spec.words == "closed" else {})

    @cached_property
    def _own_columns(self) -> Tensor:
        """The checkpoint's classifier without its background column, (S, C, D)."""
        try:
            return architecture_of(self.spec).own_columns(self._tensors)
        except KeyError as error:
            raise ModelError(
                f"the weights hold no classifier of their own ({error.args[0]} is missing); name your words"
            ) from error

    def prepare_words(
        self,
        vocabulary: Vocabulary,
        embeddings: str | Path | None = None,
        novel: Sequence[str] | None = None,
        background: Path | None = None,
        num_rows: int | None = None,
    ) -> Words:
        """Embeds a vocabulary once for many pictures, see `WordMaker.prepare`."""
        path = None if embeddings is None else Path(embeddings)
        return self.word_maker.prepare(vocabulary, path, novel, background, num_rows).to(self.device)

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
        return [detections for detections, _ in self.analyse(images, vocabulary)]

    def analyse(
        self, images: Sequence[np.ndarray], vocabulary: Vocabulary | Words, keep: RegionPolicy | None = None
    ) -> list[tuple[Detections, StoredRegions | None]]:
        """As `detect`, and beside each picture's detections the regions that an index keeps (None without `keep`)."""
        words = self._ready(vocabulary)
        prepared = [self._preprocessor.prepare(_checked(image)) for image in images]
        groups: dict[tuple[int, int], list[int]] = {}
        for i, picture in enumerate(prepared):
            groups.setdefault(picture.padded_hw, []).append(i)
        results: dict[int, tuple[Detections, StoredRegions | None]] = {}
        for rows in groups.values():
            results.update(zip(rows, self._detect_group([prepared[i] for i in rows], words, keep), strict=True))
        return [results[i] for i in range(len(prepared))]

    @torch.inference_mode()
    def describe(
        self, image: np.ndarray, box_xyxy: tuple[float, float, float, float] | None = None
    ) -> tuple[np.ndarray, float]:
        """Features float32 (S, D) of the region that covers a box best, and their IoU; None: the whole picture.

        UsageError where the picture holds no region at all.
        """
        picture = self._preprocessor.prepare(_checked(image))
        height, width = picture.original_hw
        wanted = torch.tensor([box_xyxy or (0.0, 0.0, float(width), float(height))])
        with exact_float32():
            pyramid = self._extract(self._preprocessor.stack([picture], self.device))
            (regions,) = self._model.propose(pyramid, [picture.size_hw])
        if not len(regions.boxes_R4):
            raise UsageError("the model sees nothing in the example; choose another picture or box")
        overlaps = box_iou(wanted, picture.to_original(regions.boxes_R4).cpu())[0]
        best = int(overlaps.argmax())
        return regions.features_RSD[best].cpu().numpy(), float(overlaps[best])

    def _ready(self, vocabulary: Vocabulary | Words) -> Words:
        if isinstance(vocabulary, Words):
            return vocabulary
        if self._words is None or self._words.vocabulary != vocabulary:
            self._words = self.prepare_words(vocabulary)
        return self._words

    def _detect_group(
        self, pictures: list[Prepared], words: Words, keep: RegionPolicy | None
    ) -> list[tuple[Detections, StoredRegions | None]]:
        """Detections of pictures of one padded size; halves the batch for good when memory runs out."""
        found: list[tuple[Detections, StoredRegions | None]] = []
        while len(found) < len(pictures):
            batch = pictures[len(found) : len(found) + self.batch]
            try:
                found += self._detect_batch(batch, words, keep)
                continue
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
            # Outside `except`, whose traceback would keep the failed batch in memory.
            if len(batch) == 1:
                h, w = batch[0].size_hw
                raise DeviceError(
                    f"the memory of {self.device} does not hold one picture of {w}x{h}; "
                    "try a smaller --imgsz or --max-size, --precision fp16, or --device cpu"
                )
            self.batch = len(batch) // 2
            log.warning("out of memory: going on with batches of %d", self.batch)
        return found

    @torch.inference_mode()
    def _detect_batch(
        self, pictures: list[Prepared], words: Words, keep: RegionPolicy | None
    ) -> list[tuple[Detections, StoredRegions | None]]:
        pixels = self._preprocessor.stack(pictures, self.device)
        with exact_float32():
            pyramid = self._extract(pixels)
            regions = self._model.propose(pyramid, [p.size_hw for p in pictures])
            chooser, chosen = Chooser(self._model, self.rules, self.post), []
            for found, picture in zip(regions, pictures, strict=True):
                in_picture = picture.to_original(found.boxes_R4, clip=False)
                rows, class_ids, scores = chooser.choose(found, in_picture, words)
                chosen.append((found.boxes_R4[rows], class_ids, scores))
            masks = None
            if self.with_masks and any(len(scores) for _, _, scores in chosen):
                masks = self._model.predict_masks(pyramid, [boxes for boxes, _, _ in chosen])
            kept = self._store(pyramid, regions, pictures, keep)
        return [
            (
                finish(
                    picture.to_original(boxes, clip=False).cpu().numpy(),
                    picture.original_hw,
                    class_ids.cpu().numpy(),
                    scores.cpu().numpy(),
                    masks[i].cpu().numpy() if masks else None,
                    self.spec.paste if self.with_masks else None,
                ),
                kept[i],
            )
            for i, (picture, (boxes, class_ids, scores)) in enumerate(zip(pictures, chosen, strict=True))
        ]

    def _store(
        self, pyramid: list[Tensor], regions: list[Regions], pictures: list[Prepared], keep: RegionPolicy | None
    ) -> list[StoredRegions | None]:
        """What an index keeps of each picture: the regions that can score most, in their own order."""
        if keep is None:
            return [None] * len(pictures)
        chosen = [r.select(keep.choose(r, self._model.best_scores(r.objectness_R))) for r in regions]
        masks = None
        if keep.with_masks and self.spec.has_masks:
            masks = self._model.predict_masks(pyramid, [r.boxes_R4 for r in chosen])
        return [
            StoredRegions(
                picture.to_original(r.boxes_R4, clip=False).cpu().numpy(),
                r.objectness_R.cpu().numpy(),
                r.features_RSD.cpu().numpy(),
                None,
                (masks[i] * 255).round().byte().cpu().numpy() if masks else None,
            )
            for i, (picture, r) in enumerate(zip(pictures, chosen, strict=True))
        ]

    def _extract(self, pixels: Tensor) -> list[Tensor]:
        """The feature pyramid in float32.

        As in Detic's training, backbone and pyramid alone run in half precision. Where that overflows, which would
        show as nothing found, the batch is done again in float32.
        """
        if self.dtype == torch.float32:
            return self._model.extract(pixels)
        with torch.autocast(self.device.type, dtype=self.dtype):
            pyramid = [level.float() for level in self._model.extract(pixels)]
        if all(bool(torch.isfinite(level).all()) for level in pyramid):
            return pyramid
        log.warning("%s overflows in this model: float32 is used for this batch", self.dtype)
        return self._model.extract(pixels)


def _override(defaults: Facts, **values: Any) -> Facts:
    """The defaults with the values that are not None in their place."""
    return replace(defaults, **{name: value for name, value in values.items() if value is not None})


def _resized(spec: ModelSpec, short_side: int | None, max_size: int | None) -> Preprocess | Canvas:
    """The model's preprocessing with a person's sizes."""
    if not isinstance(spec.preprocess, Canvas):
        return _override(spec.preprocess, short_side=short_side, max_size=max_size)
    if max_size is not None:
        raise UsageError(f"{spec.name} sees a square of one size: --imgsz sets it, and --max-size does not apply")
    return _override(spec.preprocess, side=short_side)


def _is_out_of_memory(error: Exception) -> bool:
    """True for the GPU's error, numpy's, and those of torch on CPU and Apple GPUs, which have no type of their own."""
    signs = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in signs)


def _checked(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"a picture is RGB uint8 (H, W, 3), not {image.dtype} {image.shape}")
    return image
