"""The one inference interface: Detector.detect(images, vocabulary) -> Detections."""

# B pictures of a batch, R regions, N detections

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.detections import Detections
from ovdet_cli.detector.masks import paste_masks
from ovdet_cli.detector.precision import exact_float32, resolve_device, resolve_precision
from ovdet_cli.detector.preprocess import Prepared, make_preprocessor
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.detector.words import Words, novel_classes, prepare_words, text_rows
from ovdet_cli.errors import DeviceError, ModelError, UsageError
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of, recognise
from ovdet_cli.models.checkpoint import foreign_names, load_weights, read_checkpoint
from ovdet_cli.models.interface import Regions
from ovdet_cli.models.ops.selection import select_detections
from ovdet_cli.models.spec import OFFICIAL, VILD_DEMO, Canvas, ModelSpec, Preprocess, Rules
from ovdet_cli.models.tensor_bundle import TensorBundle
from ovdet_cli.models.vild.demo import BACKGROUND, select_as_demo
from ovdet_cli.models.zoo import DEFAULT, MODELS, find_model
from ovdet_cli.vocabulary.vocabulary import MODEL, Part, Vocabulary

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
        return TextTower(self.spec, self._tensors, str(self.weights), lambda: self.weights_sha256)

    def own_vocabulary(self) -> Vocabulary:
        """The checkpoint's own classes: LVIS names for the first 1203 columns, "class N" beyond them.

        Of weights whose classes are words alone (the built-in model's), the list of those.
        """
        if not self.spec.num_columns:
            return Vocabulary.built_in(self.spec.vocabulary)
        num_columns = self._own_columns.shape[1]
        (part,) = Vocabulary.built_in(self.spec.column_names).parts
        known = part.names[:num_columns]
        names = (*known, *(f"class {i}" for i in range(len(known), num_columns)))
        return Vocabulary(parts=[Part(names, MODEL, part.category_ids if names == part.names else None)])

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
        """Embeds a vocabulary once for many pictures; `embeddings` brings ready ones (C x D) from a file.

        novel: names that had no boxes in training, for models that score those otherwise (None: the official ones).
        background, num_rows: see `words.text_rows`.
        UsageError where a model with a closed vocabulary is given another one.
        """
        if self.spec.words == "closed" and (embeddings is not None or vocabulary != self.own_vocabulary()):
            raise UsageError(
                f"{self.spec.name} has a closed vocabulary of {self.spec.num_columns} classes: leave out --vocab, "
                "--classes and --embeddings, or choose another model"
            )
        has_own = any(part.origin == MODEL for part in vocabulary.parts)
        own = self._own_columns if has_own and embeddings is None else None
        words = prepare_words(vocabulary, self.text_tower, None if embeddings is None else Path(embeddings), own)
        if self.post == VILD_DEMO and embeddings is None:
            named = prepare_words(Vocabulary([BACKGROUND]), self.text_tower).texts[0]
            words = replace(words, background_D=named.to(self.device))
        is_novel_C = novel_classes(vocabulary, self.spec, novel)
        if is_novel_C is not None:
            is_novel_C = is_novel_C.to(self.device)
        rows = text_rows(self.text_tower, background, num_rows)
        if rows is not None:
            rows = replace(rows, background_D=rows.background_D.to(self.device), empty_D=rows.empty_D.to(self.device))
        return replace(words, texts=words.texts.to(self.device), is_novel_C=is_novel_C, rows=rows)

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
            batch = pictures[len(found) : len(found) + self.batch]
            try:
                found += self._detect_batch(batch, words)
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
    def _detect_batch(self, pictures: list[Prepared], words: Words) -> list[Detections]:
        pixels = self._preprocessor.stack(pictures, self.device)
        with exact_float32():
            pyramid = self._extract(pixels)
            regions = self._model.propose(pyramid, [p.size_hw for p in pictures])
            chosen = [self._choose(r, p, words) for r, p in zip(regions, pictures, strict=True)]
            masks = None
            if self.with_masks and any(len(scores) for _, _, scores in chosen):
                masks = self._model.predict_masks(pyramid, [boxes for boxes, _, _ in chosen])
        return [
            _finish(
                picture,
                boxes,
                class_ids,
                scores,
                masks[i] if masks else None,
                self.spec.paste if self.with_masks else None,
            )
            for i, (picture, (boxes, class_ids, scores)) in enumerate(zip(pictures, chosen, strict=True))
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

    def _choose(self, regions: Regions, picture: Prepared, words: Words) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes in network pixels, class ids and scores of the detections of one picture."""
        if self.post == VILD_DEMO:
            in_picture = picture.to_original(regions.boxes_R4, clip=False)
            rows, class_ids, scores = select_as_demo(
                regions, in_picture, words.texts, words.background_D, self.rules.max_detections
            )
            kept = scores > self.rules.threshold
            return regions.boxes_R4[rows[kept]], class_ids[kept], scores[kept]
        rows, class_ids, scores = select_detections(
            regions.boxes_R4,
            self._model.classify(regions, words.texts, words.is_novel_C, words.rows),
            threshold=self.rules.threshold,
            nms_iou=self.rules.nms_iou,
            max_detections=self.rules.max_detections,
            one_class=self.rules.one_class,
        )
        # Padding rows of a table of texts take part in the suppression, and are nothing that anybody asked for.
        is_class = class_ids < len(words.names)
        return regions.boxes_R4[rows[is_class]], class_ids[is_class], scores[is_class]


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


def _finish(
    picture: Prepared, boxes: Tensor, class_ids: Tensor, scores: Tensor, masks: Tensor | None, paste: str | None
) -> Detections:
    """Network pixels -> picture pixels, empty boxes dropped, masks pasted by the rule (None: no masks)."""
    boxes_xyxy = picture.to_original(boxes).cpu().numpy()
    keep = (boxes_xyxy[:, 2] > boxes_xyxy[:, 0]) & (boxes_xyxy[:, 3] > boxes_xyxy[:, 1])
    pasted = None
    if paste is not None:
        probabilities = np.zeros((0, 1, 1), np.float32) if masks is None else masks.cpu().numpy()[keep]
        whole = boxes_xyxy if paste == "detectron2" else picture.to_original(boxes, clip=False).cpu().numpy()
        pasted = paste_masks(probabilities, whole[keep], picture.original_hw, paste)
    return Detections(boxes_xyxy[keep], scores.cpu().numpy()[keep], class_ids.cpu().numpy()[keep], pasted)
