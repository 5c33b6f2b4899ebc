"""Regions and words -> detections: the second half of a detector, which needs no picture."""

# R regions (of one picture, or of several one after another), N detections

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.detections import Detections
from ovdet_cli.detector.masks import paste_masks
from ovdet_cli.detector.words import Words
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions
from ovdet_cli.models.ops.selection import (
    Candidates,
    are_finite,
    find_candidates,
    keep_allowed,
    keep_best,
    keep_best_each,
)
from ovdet_cli.models.spec import OFFICIAL, Rules
from ovdet_cli.models.vild.demo import select_as_demo

_AT_ONCE = 1 << 23
"""Scores that are in memory together: 32 MB, and some copies of it."""


class Chooser:
    """Scores regions and keeps what the rules keep. post: whose rules, see `ModelSpec.posts`."""

    def __init__(self, model: OpenVocabularyDetector, rules: Rules, post: str = OFFICIAL) -> None:
        self._model = model
        self.rules = rules
        self.post = post

    def choose(self, regions: Regions, in_picture_R4: Tensor, words: Words) -> Candidates:
        """(region rows, class ids, scores) of one picture's detections, surest first.

        in_picture_R4: the boxes in pixels of the picture, not clipped to it.
        """
        ((rows, class_ids, scores),) = self.choose_each(regions, in_picture_R4, [len(regions.boxes_R4)], words)
        return rows, class_ids, scores

    def choose_each(
        self, regions: Regions, in_picture_R4: Tensor, counts: Sequence[int], words: Words
    ) -> list[Candidates]:
        """The same for several pictures whose regions stand one after another; rows count within each picture."""
        if self.post != OFFICIAL:
            starts = [sum(counts[:i]) for i in range(len(counts))]
            places = [torch.arange(start, start + count) for start, count in zip(starts, counts, strict=True)]
            return [self._choose_as_demo(regions.select(p), in_picture_R4[p], words) for p in places]
        found = self._find(regions, in_picture_R4, words)
        ends = torch.tensor(counts, device=found[0].device).cumsum(0)
        if len(counts) > 1 and (chosen := self._keep_each(regions.boxes_R4, found, ends, words)) is not None:
            return chosen
        rows, class_ids, scores = found
        # Candidates come by region, so those of a picture stand together.
        cuts = torch.searchsorted(rows, ends).tolist()
        chosen, begin, first = [], 0, 0
        for end, last in zip(cuts, ends.tolist(), strict=True):
            own = (rows[begin:end] - first, class_ids[begin:end], scores[begin:end])
            chosen.append(self._keep(regions.boxes_R4[first:last], own, words) if end > begin else own)
            begin, first = end, last
        return chosen

    def are_worth(self, objectness_R: Tensor, words: Words) -> Tensor:
        """Which regions (bool (R,)) a word could lift above the threshold; the others are nothing to any rule."""
        if self.post != OFFICIAL:
            return torch.ones_like(objectness_R, dtype=torch.bool)
        return self._model.best_scores(objectness_R) > self._lowest(words)

    def _lowest(self, words: Words) -> float:
        """The lowest score of any detection."""
        threshold = self.rules.threshold
        return threshold if words.classes is None else words.classes.lowest(threshold)

    def _find(self, regions: Regions, in_picture_R4: Tensor, words: Words) -> Candidates:
        """What could be a detection, by region.

        Regions that no word could lift above the threshold, or plainly does not, are not scored at all; the others a
        few at a time, so that memory does not grow with regions x classes.
        """
        rules = self.rules
        worth = torch.nonzero(self.are_worth(regions.objectness_R, words)).squeeze(1)
        part = regions if len(worth) == len(regions.boxes_R4) else regions.select(worth)
        may_reach = self._model.may_reach(part, words.texts, self._lowest(words))
        if may_reach is not None:
            worth = worth[may_reach]
        areas_R = None
        if words.classes is not None:
            areas_R = areas(in_picture_R4)
        found = []
        for rows in worth.split(max(_AT_ONCE // words.num_columns, 1)) if len(worth) else [worth]:
            part = regions if len(rows) == len(regions.boxes_R4) else regions.select(rows)
            scores_RC = self._model.classify(part, words.texts, words.is_novel_C, words.rows, words.class_of_P)
            is_finite = are_finite(part.boxes_R4) & are_finite(scores_RC)
            own, class_ids, scores = find_candidates(
                scores_RC,
                is_finite,
                rules.threshold,
                one_class=rules.one_class,
                classes=words.classes,
                areas_R=None if areas_R is None else areas_R[rows],
            )
            found.append((rows[own], class_ids, scores))
        all_rows, all_ids, all_scores = (torch.cat(parts) for parts in zip(*found, strict=True))
        return all_rows, all_ids, all_scores

    def _keep(self, boxes_R4: Tensor, candidates: Candidates, words: Words) -> Candidates:
        rules = self.rules
        rows, class_ids, scores = keep_best(
            boxes_R4,
            candidates,
            nms_iou=rules.nms_iou,
            max_detections=rules.max_detections,
            classes=words.classes,
        )
        # Padding rows of a table of texts take part in the suppression, and are nothing that anybody asked for.
        is_class = class_ids < len(words.names)
        return rows[is_class], class_ids[is_class], scores[is_class]

    def _keep_each(
        self, boxes_R4: Tensor, candidates: Candidates, ends: Tensor, words: Words
    ) -> list[Candidates] | None:
        """The same for pictures whose regions end there; None where they must be looked at one by one."""
        rules = self.rules
        best = keep_best_each(
            boxes_R4,
            candidates,
            torch.searchsorted(ends, candidates[0], right=True),
            nms_iou=rules.nms_iou,
            max_detections=rules.max_detections,
            classes=words.classes,
        )
        if best is None:
            return None
        (rows, class_ids, scores), pictures = best
        is_class = class_ids < len(words.names)
        rows, class_ids, scores, pictures = rows[is_class], class_ids[is_class], scores[is_class], pictures[is_class]
        firsts = torch.nn.functional.pad(ends, (1, -1))
        counts = torch.bincount(pictures, minlength=len(ends)).tolist()
        parts = ((rows - firsts[pictures]).split(counts), class_ids.split(counts), scores.split(counts))
        return list(zip(*parts, strict=True))

    def _choose_as_demo(self, regions: Regions, in_picture_R4: Tensor, words: Words) -> Candidates:
        rows, class_ids, scores = select_as_demo(
            regions, in_picture_R4, words.texts, words.background_D, self.rules.max_detections
        )
        if words.class_of_P is not None:  # the nearest phrase names its class
            class_ids = words.class_of_P[class_ids]
        named = (rows, class_ids, scores)
        if words.classes is not None:
            return keep_allowed(named, self.rules.threshold, words.classes, areas(in_picture_R4[rows]))
        kept = scores > self.rules.threshold
        return rows[kept], class_ids[kept], scores[kept]


def areas(boxes_R4: Tensor) -> Tensor:
    """Square pixels of boxes, float32 (R,)."""
    return (boxes_R4[:, 2:] - boxes_R4[:, :2]).clamp(min=0).prod(dim=1)


@dataclass(frozen=True)
class RegionPolicy:
    """Which regions an index keeps.

    most: the regions a picture that can score highest, at most so many; None: no limit. floor: regions that no word
    could lift above this score are left out. with_masks: whether their masks are computed and kept.
    """

    most: int | None = None
    floor: float = 0.0
    with_masks: bool = False

    def choose(self, regions: Regions, best_R: Tensor) -> Tensor:
        """Rows of the regions to keep, in their order; those that are not finite can never be found."""
        is_finite = torch.isfinite(regions.boxes_R4).all(dim=1) & torch.isfinite(regions.features_RSD).all(dim=(1, 2))
        rows = torch.nonzero(is_finite & (best_R > self.floor)).squeeze(1)
        if self.most is None or len(rows) <= self.most:
            return rows
        return rows[best_R[rows].sort(descending=True, stable=True).indices[: self.most]].sort().values


def finish(
    boxes_N4: np.ndarray,
    size_hw: tuple[int, int],
    class_ids: np.ndarray,
    scores: np.ndarray,
    masks: np.ndarray | None,
    paste: str | None,
) -> Detections:
    """Detections of a picture: boxes clipped to it, empty ones dropped, masks pasted.

    boxes_N4: in pixels of the picture, not clipped. masks: float32 (N, M, M). paste: the rule; None: no masks.
    """
    height, width = size_hw
    boxes_xyxy = np.clip(boxes_N4, 0, np.array([width, height, width, height], np.float32))
    keep = (boxes_xyxy[:, 2] > boxes_xyxy[:, 0]) & (boxes_xyxy[:, 3] > boxes_xyxy[:, 1])
    pasted = None
    if paste is not None:
        probabilities = np.zeros((0, 1, 1), np.float32) if masks is None else masks[keep]
        whole = boxes_xyxy if paste == "detectron2" else boxes_N4
        pasted = paste_masks(probabilities, whole[keep], size_hw, paste)
    return Detections(boxes_xyxy[keep], scores[keep], class_ids[keep], pasted)
