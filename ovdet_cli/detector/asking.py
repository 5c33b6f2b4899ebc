"""Stored regions and words -> detections, without pictures, network or GPU."""

# R regions of several frames, S sets of features a region has, D embedding width

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.detections import Detections
from ovdet_cli.detector.choosing import Chooser, finish
from ovdet_cli.detector.precision import exact_float32, one_thread_for
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.detector.words import WordMaker, Words
from ovdet_cli.errors import ModelError, UsageError
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import read_checkpoint
from ovdet_cli.models.interface import Regions
from ovdet_cli.models.ops.selection import select_detections
from ovdet_cli.models.spec import OFFICIAL, ModelSpec, Rules
from ovdet_cli.regions import StoredRegions
from ovdet_cli.vocabulary.vocabulary import Vocabulary

OWN_COLUMNS = "own_columns"
"""Beside the classifier's weights: the words of a model that knows no others, (S, C, D)."""


class Asker:
    """The half of a detector that scores regions, with its few weights alone.

    spec: the model that saw the pictures. weights: its file, for the few words that lie in there (its own classes, its
    own text tower); default: the pulled one. tensors: those of `Detector.classifier_tensors`; ModelError if they do not
    fit. rules, post: how scored regions become detections; UsageError for rules that the model does not know.
    """

    def __init__(
        self,
        spec: ModelSpec,
        tensors: Mapping[str, Tensor],
        rules: Rules,
        post: str = OFFICIAL,
        weights: Path | None = None,
    ) -> None:
        if post != OFFICIAL and post not in spec.posts:
            known = ", ".join((OFFICIAL, *spec.posts))
            raise UsageError(f"{spec.name} knows no rules called {post!r}; it knows {known}")
        self.spec = spec
        self.rules = rules
        self.post = post
        architecture = architecture_of(spec)
        with torch.device("meta"):  # shapes alone: the other weights are never touched
            self._model = (architecture.build_classifier or architecture.build)(spec.config)
        patterns = self._model.CLASSIFIER
        wanted = {
            name: t.shape
            for name, t in self._model.state_dict().items()
            if any(re.fullmatch(pattern, name) for pattern in patterns)
        }
        found = {name: tensors[name] for name in tensors if name != OWN_COLUMNS}
        if {name: t.shape for name, t in found.items()} != wanted:
            raise ModelError(f"the classifier's weights in the index are not those of {spec.name}: it is damaged")
        self._model.load_state_dict(found, strict=False, assign=True)
        self._tensors = tensors
        self._weights = store.weights_path(spec) if weights is None else weights

    @property
    def width(self) -> int:
        """Of features: that of the texts, and one more where the columns carry an offset."""
        return self._tensors[OWN_COLUMNS].shape[-1] if OWN_COLUMNS in self._tensors else self.spec.config.embedding

    def own_vocabulary(self) -> Vocabulary:
        """The checkpoint's own classes."""
        return self.word_maker.own_vocabulary()

    @cached_property
    def word_maker(self) -> WordMaker:
        """What makes vocabularies ready for the model."""
        weights = self._weights
        if self.spec.has_text_tower and weights.is_file():
            tower = TextTower(self.spec, read_checkpoint(weights), str(weights), lambda: store.sha256_of(weights))
        else:
            tower = TextTower(self.spec)
        return WordMaker(tower, self._own_columns, self.post)

    def _own_columns(self) -> Tensor:
        if OWN_COLUMNS in self._tensors:
            return self._tensors[OWN_COLUMNS]
        try:
            return architecture_of(self.spec).own_columns(
                read_checkpoint(self._weights if self._weights.is_file() else store.require(self.spec.weights))
            )
        except KeyError as error:
            raise ModelError(
                f"the weights hold no classifier of their own ({error.args[0]} is missing); name your words"
            ) from error

    @torch.inference_mode()
    def answer(
        self,
        frames: Sequence[tuple[StoredRegions, tuple[int, int]]],
        words: Words,
        *,
        with_masks: bool = True,
        least: float = 0.0,
    ) -> list[Detections]:
        """What the words find in frames, each with its size (h, w); in groups of some frames this is fastest.

        least: detections at this score and below are of no use.
        """
        if not frames:
            return []
        rules = replace(self.rules, threshold=max(self.rules.threshold, least))
        chooser = Chooser(self._model, rules, self.post)
        stored = [regions for regions, _ in frames]
        objectness_R = torch.from_numpy(np.concatenate([s.objectness for s in stored]))
        # The features of the others are never touched, let alone converted.
        rows = _rows_of(stored, chooser.are_worth(objectness_R, words).numpy())
        boxes_R4 = torch.from_numpy(np.concatenate([s.boxes_xyxy[own] for s, own in zip(stored, rows, strict=True)]))
        objectness_R = torch.from_numpy(
            np.concatenate([s.objectness[own] for s, own in zip(stored, rows, strict=True)])
        )
        num_products = len(boxes_R4) * math.prod(stored[0].features.shape[1:]) * words.num_columns
        with exact_float32(), one_thread_for(num_products):
            regions = Regions(boxes_R4, objectness_R, features_of(stored, rows))
            chosen = chooser.choose_each(regions, boxes_R4, [len(own) for own in rows], words)
        found = []
        for (seen, size_hw), own, (places, class_ids, scores) in zip(frames, rows, chosen, strict=True):
            kept = own[places.numpy()]
            masks = paste = None
            if with_masks and seen.masks is not None:
                masks, paste = seen.masks[kept].astype(np.float32) / 255, self.spec.paste
            found.append(finish(seen.boxes_xyxy[kept], size_hw, class_ids.numpy(), scores.numpy(), masks, paste))
        return found

    @torch.inference_mode()
    def find_similar(
        self, frames: Sequence[tuple[StoredRegions, tuple[int, int]]], example_SD: np.ndarray, least: float = 0.0
    ) -> list[Detections]:
        """Regions that look like an example, with the cosine as score, suppressed among each other in each frame."""
        if not frames:
            return []
        threshold = max(self.rules.threshold, least)
        with one_thread_for(sum(stored.features.size for stored, _ in frames)):
            cosines = _similar([stored for stored, _ in frames], example_SD).clamp(0, 1)
        found = []
        for (stored, size_hw), scores_R in zip(frames, cosines.split([len(s) for s, _ in frames]), strict=True):
            rows, class_ids, scores = select_detections(
                torch.tensor(stored.boxes_xyxy),  # a copy: torch warns of views that it may not write
                scores_R[:, None],
                threshold=threshold,
                nms_iou=self.rules.nms_iou,
                max_detections=self.rules.max_detections,
                one_class=False,
            )
            boxes = stored.boxes_xyxy[rows.numpy()]
            found.append(finish(boxes, size_hw, class_ids.numpy(), scores.numpy(), None, None))
        return found


def _rows_of(stored: Sequence[StoredRegions], are_worth: np.ndarray) -> list[np.ndarray]:
    """The rows of each frame's regions that are, where bools (R,) tell it of all."""
    places = np.flatnonzero(are_worth)
    ends = np.cumsum([len(s) for s in stored])
    cuts = np.searchsorted(places, ends)
    begins = np.append(0, ends[:-1])
    places -= np.repeat(begins, np.diff(cuts, prepend=0))
    return np.split(places, cuts[:-1])


def features_of(stored: Sequence[StoredRegions], rows: Sequence[np.ndarray] | None = None) -> Tensor:
    """The features float32 (R, S, D) of several frames, or of these rows of each."""
    chosen = [np.arange(len(s)) for s in stored] if rows is None else rows
    ends = np.cumsum([len(own) for own in chosen]).tolist()
    first = stored[0].features
    features = np.empty((ends[-1], *first.shape[1:]), first.dtype)
    for s, own, end in zip(stored, chosen, ends, strict=True):
        # Rows are in range: "raise" would have the result copied once more.
        np.take(s.features, own, axis=0, out=features[end - len(own) : end], mode="clip")
    features_RSD = torch.from_numpy(features).float()
    if stored[0].scales is None:
        return features_RSD
    scales = np.concatenate([s.scales[own] for s, own in zip(stored, chosen, strict=True) if s.scales is not None])
    parts = features_RSD.view(*scales.shape, features_RSD.shape[2] // scales.shape[2])
    parts.mul_(torch.from_numpy(scales)[..., None])
    return features_RSD


def _similar(stored: Sequence[StoredRegions], example_SD: np.ndarray) -> Tensor:
    """Cosines (R,) of regions with an example's features, the mean over their sets."""
    features_RSD = torch.nn.functional.normalize(features_of(stored), dim=2)
    example = torch.nn.functional.normalize(torch.from_numpy(example_SD), dim=1)
    return (features_RSD * example).sum(dim=2).mean(dim=1)


def classifier_path(index_folder: Path) -> Path:
    """Where an index keeps the classifier's weights."""
    return index_folder / "classifier.safetensors"
