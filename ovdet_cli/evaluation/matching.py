"""Which detections are right: pairs of results and ground truth, and what follows at one score threshold."""

# D detections of a picture, G objects of a picture

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ovdet_cli.evaluation.datasets import GroundTruth, TruthObject


@dataclass(frozen=True)
class Matches:
    """Every counted detection, and how many objects there were to find.

    scores: float64 (N,). is_correct: bool (N,). Detections that fall on a crowd are not counted.
    """

    scores: np.ndarray
    is_correct: np.ndarray
    num_objects: int


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold gives. precision: None without detections. recall: None without objects."""

    threshold: float
    precision: float | None
    recall: float | None
    num_detections: int
    num_objects: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Detections with scores in [low, high). mean_score and correct (the share that is right): None where empty."""

    low: float
    high: float
    count: int
    mean_score: float | None
    correct: float | None


def match_boxes(
    truth: GroundTruth,
    results: Sequence[Mapping[str, Any]],
    *,
    iou: float = 0.5,
    category_ids: Collection[int] | None = None,
    is_class_agnostic: bool = False,
) -> Matches:
    """Matches results to objects as COCO does: surest first, each takes the best free object with at least this IoU.

    results: COCO results (image_id, category_id, bbox, score). category_ids: only these. Boxes count, not masks.
    """
    found: defaultdict[tuple[int, int], list[Mapping[str, Any]]] = defaultdict(list)
    there: defaultdict[tuple[int, int], list[TruthObject]] = defaultdict(list)
    for result in results:
        if category_ids is None or result["category_id"] in category_ids:
            found[result["image_id"], 0 if is_class_agnostic else result["category_id"]].append(result)
    for thing in truth.objects:
        if category_ids is None or thing.category_id in category_ids:
            there[thing.image_id, 0 if is_class_agnostic else thing.category_id].append(thing)
    scores, correct = [np.zeros(0)], [np.zeros(0, bool)]
    for key, detections in found.items():
        own_scores = np.array([result["score"] for result in detections], np.float64)
        order = np.argsort(-own_scores, kind="stable")
        boxes = np.array([result["bbox"] for result in detections], np.float64)[order]
        is_counted, is_correct = _match_picture(boxes, there.get(key, []), iou)
        scores.append(own_scores[order][is_counted])
        correct.append(is_correct[is_counted])
    count = sum(not thing.is_crowd for things in there.values() for thing in things)
    return Matches(np.concatenate(scores), np.concatenate(correct), count)


def operating_point(matches: Matches, threshold: float) -> OperatingPoint:
    """Precision and recall of the detections with score > threshold."""
    above = matches.is_correct[matches.scores > threshold]
    right = int(above.sum())
    return OperatingPoint(
        threshold,
        right / len(above) if len(above) else None,
        right / matches.num_objects if matches.num_objects else None,
        len(above),
        matches.num_objects,
    )


def reliability(scores: np.ndarray, correct: np.ndarray, bins: int = 10) -> list[ReliabilityBin]:
    """How often a score is right: bins of equal width over [0, 1], the last one with 1 in it.

    Calibrated scores have `correct` near `mean_score` in every bin.
    """
    if bins < 1:
        raise ValueError(f"there must be at least one bin, not {bins}")
    places = np.clip((np.asarray(scores, np.float64) * bins).astype(np.int64), 0, bins - 1)
    table = []
    for place in range(bins):
        inside = places == place
        count = int(inside.sum())
        mean_score = float(np.mean(scores[inside])) if count else None
        share = float(np.mean(correct[inside])) if count else None
        table.append(ReliabilityBin(place / bins, (place + 1) / bins, count, mean_score, share))
    return table


def calibration_error(table: Sequence[ReliabilityBin]) -> float | None:
    """Mean distance of score and share that is right, weighted by the bins' counts (ECE); None without detections."""
    gaps = [
        (b.count, abs(b.mean_score - b.correct)) for b in table if b.mean_score is not None and b.correct is not None
    ]
    total = sum(count for count, _ in gaps)
    return sum(count * gap for count, gap in gaps) / total if total else None


def _match_picture(boxes_D: np.ndarray, things: Sequence[TruthObject], iou: float) -> tuple[np.ndarray, np.ndarray]:
    """For boxes x y width height, surest first: which are counted and which are right, bool (D,) each."""
    is_counted, is_correct = np.ones(len(boxes_D), bool), np.zeros(len(boxes_D), bool)
    if not things:
        return is_counted, is_correct
    is_crowd = np.array([thing.is_crowd for thing in things])
    overlaps_DG = _overlaps(boxes_D, np.array([thing.box_xywh for thing in things]), is_crowd)
    is_free = ~is_crowd
    for i, overlaps in enumerate(overlaps_DG):
        best = int(np.argmax(np.where(is_free, overlaps, -1)))
        if is_free[best] and overlaps[best] >= iou:
            is_free[best], is_correct[i] = False, True
        elif (overlaps[is_crowd] >= iou).any():
            is_counted[i] = False
    return is_counted, is_correct


def _overlaps(boxes_D: np.ndarray, boxes_G: np.ndarray, is_crowd: np.ndarray) -> np.ndarray:
    """IoU (D, G) of boxes x y width height; for a crowd the share of the detection inside it."""
    top_left = np.maximum(boxes_D[:, None, :2], boxes_G[:, :2])
    bottom_right = np.minimum((boxes_D[:, :2] + boxes_D[:, 2:])[:, None], boxes_G[:, :2] + boxes_G[:, 2:])
    inside = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    areas_D, areas_G = boxes_D[:, 2:].prod(axis=1)[:, None], boxes_G[:, 2:].prod(axis=1)
    whole = np.where(is_crowd, areas_D, areas_D + areas_G - inside)
    return np.divide(inside, whole, out=np.zeros_like(inside), where=whole > 0)
