"""Which threshold to use for a label: from its scores alone, or from labelled pictures.

Scores alone can only show a valley between two humps, one of them hopefully of mistakes; most labels have one hump,
which says nothing, and then nothing is suggested. Labelled pictures show what each threshold costs: the suggestion is
the one with the highest F1, or the lowest one that reaches a wanted precision, and pictures drawn anew from those
labelled (the bootstrap; Efron 1979, Ann. Stat. 7:1) tell how far it can be trusted. Detections count as in
`evaluation/matching.py`: score > threshold, an IoU of 0.5.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ovdet_cli.analysis.intervals import CONFIDENCE
from ovdet_cli.analysis.valleys import MIN_COUNT, find_valleys
from ovdet_cli.evaluation.datasets import GroundTruth
from ovdet_cli.evaluation.matching import match_boxes

# D detections, P pictures, R resamples, C candidate thresholds

# Fewer objects than these say nothing about a threshold; fewer than MANY_OBJECTS say it with a warning.
MIN_OBJECTS, MANY_OBJECTS, MIN_PICTURES = 10, 50, 5
# Detections above a threshold, at least, before their precision counts as one.
_MIN_ABOVE = 10
_RESAMPLES = 400
# Bounds the memory and time of the bootstrap: thresholds tried.
_MAX_CUTS = 1_000


@dataclass(frozen=True)
class Measured:
    """What the labelled pictures say of a threshold that they chose; the pairs are 95 % intervals (bootstrap)."""

    precision: float
    precision_interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]
    f1: float
    threshold_interval: tuple[float, float]
    num_pictures: int
    num_objects: int


@dataclass(frozen=True)
class Suggestion:
    """threshold: None where there is no reason for one. why: in words, either way. measured: from labelled pictures."""

    threshold: float | None
    why: str
    measured: Measured | None = None


@dataclass(frozen=True, eq=False)
class Labelled:
    """One label's detections on labelled pictures.

    scores: float64 (D,). is_correct: bool (D,). picture: int (D,), place of each one's picture. objects: int (P,), how
    many each picture has to find; pictures without any belong to it, since detections there are mistakes.
    """

    scores: np.ndarray
    is_correct: np.ndarray
    picture: np.ndarray
    objects: np.ndarray


def suggest_from_scores(counts_LB: np.ndarray, edges: np.ndarray) -> list[Suggestion]:
    """From histograms of scores alone, one a label: the valley between two humps.

    counts_LB: int (L, B), 100 bins or more from the recorded threshold up. edges: float (B + 1,), of equal width.
    """
    totals = counts_LB.sum(axis=1)
    found = find_valleys(counts_LB, edges)
    suggestions = []
    for total, valley in zip(totals.tolist(), found, strict=True):
        if valley is not None:
            why = (
                f"two humps, around {valley.left:.2f} ({valley.below:,} detections) and {valley.right:.2f} "
                f"({valley.above:,}), and {valley.depth:.0%} fewer than in the smaller one between them; "
                "look at pictures on both sides before you use it"
            )
            suggestions.append(Suggestion(_short(valley.place, edges[0], edges[-1]), why))
        elif total < MIN_COUNT:
            why = f"too few to see humps: {_many(total, 'detection')}; {MIN_COUNT} are needed"
            suggestions.append(Suggestion(None, why))
        else:
            suggestions.append(Suggestion(None, "one hump: the histogram does not tell"))
    return suggestions


def label_pictures(
    truth: GroundTruth, results: Sequence[Mapping[str, Any]], image_ids: Collection[int] | None = None
) -> dict[int, Labelled]:
    """Matches results to a ground truth picture by picture, for each category that either has.

    results: COCO results with the truth's ids (`evaluation/alignment.py`). image_ids: the pictures that were analysed;
    the others are left out. All of the truth's where None.
    """
    images = [image for image in truth.images if image_ids is None or image.id in image_ids]
    place_of = {image.id: place for place, image in enumerate(images)}
    found: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for result in results:
        if result["image_id"] in place_of:
            found.setdefault((result["category_id"], result["image_id"]), []).append(result)
    objects = {category: np.zeros(len(images), np.int64) for category in truth.categories}
    for thing in truth.objects:
        if thing.image_id in place_of and not thing.is_crowd:
            objects[thing.category_id][place_of[thing.image_id]] += 1
    image_of = {image.id: image for image in images}
    columns: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for (category, image_id), own in found.items():
        things = tuple(truth.objects_of[image_id])
        alone = GroundTruth(truth.path, (image_of[image_id],), truth.categories, things)
        matches = match_boxes(alone, own, category_ids={category})
        pictures = np.full(len(matches.scores), place_of[image_id])
        columns.setdefault(category, []).append((matches.scores, matches.is_correct, pictures))
    joined = {}
    for category, counts in objects.items():
        parts = columns.get(category, [(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))])
        scores, is_correct, picture = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        joined[category] = Labelled(scores, is_correct, picture, counts)
    return joined


def suggest_from_truth(
    labelled: Labelled, lowest: float, *, precision: float | None = None, seed: int = 0
) -> Suggestion:
    """The threshold with the highest F1, or with `precision` the lowest one that reaches it.

    lowest: the threshold down to which detections were recorded; no suggestion is below it.
    """
    num_objects, num_pictures = int(labelled.objects.sum()), len(labelled.objects)
    rests_on = f"{_many(num_objects, 'object')} in {_many(num_pictures, 'labelled picture')}"
    if num_objects < MIN_OBJECTS or num_pictures < MIN_PICTURES:
        least = f"{MIN_OBJECTS} objects and {MIN_PICTURES} pictures"
        return Suggestion(None, f"too little for a threshold: {rests_on}; at least {least} are needed")
    if not labelled.is_correct.any():
        return Suggestion(None, f"none of {_many(len(labelled.scores), 'detection')} is right ({rests_on})")
    thresholds, right, above = _count(labelled, lowest)
    whole = np.ones((1, num_pictures))
    best = int(_choose(whole @ right, whole @ above, whole @ labelled.objects, precision)[0])
    if best < 0:
        num_right, num_above = right.sum(axis=0), above.sum(axis=0)
        reached = (num_right / num_above)[num_above >= min(_MIN_ABOVE, num_above[-1])].max()
        why = f"no threshold reaches a precision of {precision:.0%}; {reached:.0%} is the most ({rests_on})"
        return Suggestion(None, why)
    draws = np.random.default_rng(seed).multinomial(num_pictures, np.full(num_pictures, 1 / num_pictures), _RESAMPLES)
    drawn_right, drawn_above, drawn_total = (
        draws.astype(float) @ counts for counts in (right, above, labelled.objects)
    )
    drawn_best = _choose(drawn_right, drawn_above, drawn_total, precision)
    num_right, num_above = right[:, best].sum(), above[:, best].sum()
    measured = Measured(
        precision=float(num_right / num_above),
        precision_interval=_spread(drawn_right[:, best], drawn_above[:, best]),
        recall=float(num_right / num_objects),
        recall_interval=_spread(drawn_right[:, best], drawn_total),
        f1=float(2 * num_right / (num_above + num_objects)),
        threshold_interval=_quantiles(thresholds[drawn_best[drawn_best >= 0]]),
        num_pictures=num_pictures,
        num_objects=num_objects,
    )
    threshold = float(thresholds[best])
    return Suggestion(
        threshold, _words(measured, threshold, lowest, precision, float((drawn_best >= 0).mean())), measured
    )


def _count(labelled: Labelled, lowest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds (C,), high to low, with right and all detections of each picture above them, float64 (P, C)."""
    order = np.argsort(-labelled.scores, kind="stable")
    scores = labelled.scores[order]
    # A cut lies behind the last of equal scores; there it keeps the detections up to it.
    cuts = np.flatnonzero(np.append(scores[:-1] > scores[1:], True))
    cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, _MAX_CUTS).astype(np.int64))]
    place = np.searchsorted(cuts, np.arange(len(scores)))
    cells = labelled.picture[order] * len(cuts) + place
    shape = len(labelled.objects), len(cuts)
    above = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    right = np.bincount(cells, labelled.is_correct[order], shape[0] * shape[1]).reshape(shape)
    thresholds = np.array([_between(scores, cut, lowest) for cut in cuts.tolist()])
    return thresholds, np.cumsum(right, axis=1), np.cumsum(above, axis=1, dtype=np.float64)


def _choose(right: np.ndarray, above: np.ndarray, total: np.ndarray, precision: float | None) -> np.ndarray:
    """The chosen threshold of each resample, int (R,); -1 where none reaches the precision.

    right, above: detections (R, C). total: objects (R,).
    """
    if precision is None:
        f1 = 2 * right / np.maximum(above + total[:, None], 1)
        return np.argmax(f1, axis=1)
    enough = np.minimum(_MIN_ABOVE, above[:, -1:])
    reaches = (right >= precision * above) & (above >= enough) & (above > 0)
    last = reaches.shape[1] - 1 - np.argmax(reaches[:, ::-1], axis=1)
    return np.where(reaches.any(axis=1), last, -1)


def _between(scores: np.ndarray, cut: int, lowest: float) -> float:
    """A threshold that keeps the detections up to `cut`, with as few digits as do it."""
    if cut + 1 == len(scores):
        return lowest
    below, above = float(scores[cut + 1]), float(scores[cut])
    return _short((below + above) / 2, below, above)


def _short(value: float, low: float, high: float) -> float:
    """The value rounded to two digits, or to as many as keep it strictly between the bounds."""
    return next((short for digits in range(2, 12) if low < (short := round(value, digits)) < high), value)


def _spread(numerators: np.ndarray, denominators: np.ndarray) -> tuple[float, float]:
    is_some = denominators > 0
    return _quantiles(numerators[is_some] / denominators[is_some]) if is_some.any() else (0.0, 1.0)


def _quantiles(values: np.ndarray) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _words(measured: Measured, threshold: float, lowest: float, precision: float | None, reached: float) -> str:
    low, high = measured.threshold_interval
    aim = "the highest F1" if precision is None else f"the lowest threshold with a precision of {precision:.0%}"
    rests_on = f"{_many(measured.num_objects, 'object')} in {_many(measured.num_pictures, 'labelled picture')}"
    other = f"{low:.2f} to {high:.2f}" if f"{low:.2f}" != f"{high:.2f}" else "the same"
    text = (
        f"{aim}: precision {measured.precision:.0%}, recall {measured.recall:.0%}, by {rests_on}; "
        f"other such pictures could have given {other}"
    )
    if precision is not None and reached < CONFIDENCE:
        text += f", or none at all ({1 - reached:.0%} of them)"
    if measured.num_objects < MANY_OBJECTS:
        text += f"; fewer than {MANY_OBJECTS} objects: label more before you rely on it"
    if threshold <= lowest:
        text += "; lower scores were not recorded, so a lower threshold may do better still"
    return text


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
