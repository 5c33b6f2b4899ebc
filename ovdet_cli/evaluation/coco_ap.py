"""COCO's average precision of boxes and masks, for groups of categories and pictures.

The numbers are those of faster-coco-eval, or of pycocotools where only that is installed; the two agree.
AP is the mean over IoU 0.50, 0.55 .. 0.95 of the precision at 101 recall levels, then over the categories that have
objects. A picture counts its `max_detections` surest results over all categories, as in LVIS.
"""

# T IoU thresholds, R recall levels, K categories, A ranges of area, M limits of detections

import contextlib
import io
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ovdet_cli.errors import OvdetError, RecordError
from ovdet_cli.evaluation.datasets import GroundTruth, decode_segmentation

IouType = Literal["bbox", "segm"]

_SIZES = ("all", "small", "medium", "large")  # the order of COCO's areas: below 32², below 96², above


@dataclass(frozen=True)
class AP:
    """Average precision of a group, in [0, 1]; None where no object tells.

    at_50, at_75: at that IoU alone. small, medium, large: objects below 32², below 96², above (pixels).
    recall: mean over IoUs of the largest recall. num_categories: those with objects. num_objects: crowds left out.
    """

    ap: float | None
    at_50: float | None
    at_75: float | None
    small: float | None
    medium: float | None
    large: float | None
    recall: float | None
    num_categories: int
    num_objects: int


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    category_groups, image_groups: by the names that were asked for. categories: by category name.
    """

    iou_type: IouType
    max_detections: int
    num_images: int
    num_results: int
    overall: AP
    category_groups: dict[str, AP] = field(default_factory=dict)
    image_groups: dict[str, AP] = field(default_factory=dict)
    categories: dict[str, AP] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def evaluate(
    truth: GroundTruth,
    results: Sequence[Mapping[str, Any]],
    *,
    category_groups: Mapping[str, Collection[int]] | None = None,
    image_groups: Mapping[str, Collection[int]] | None = None,
    iou_type: IouType = "bbox",
    max_detections: int = 300,
    is_class_agnostic: bool = False,
) -> Scores:
    """Average precision of COCO results.

    results: dicts of image_id, category_id, score, bbox (x y width height) and for "segm" segmentation (run lengths).
    category_groups, image_groups: name -> category or image ids. A group of categories is averaged over its own
    classes; what the others' names took from its objects counts against it, as it should.
    is_class_agnostic: any name is right. Then category groups are refused, and duplicates under two names are wrong.

    Raises:
        OvdetError: neither faster-coco-eval nor pycocotools is installed.
        RecordError: results name pictures or categories that the truth does not have, or lack masks.
    """
    if is_class_agnostic and category_groups:
        raise ValueError("without classes there are no groups of categories")
    if is_class_agnostic:
        truth, results = _without_classes(truth, results)
    kept = _prepare_results(truth, results, iou_type, max_detections)
    counts = _object_counts(truth, None)
    category_ids = [id_ for id_ in truth.categories if counts[id_]]
    run = _Evaluation(truth, kept, iou_type, max_detections, category_ids)
    whole = run.on([image.id for image in truth.images])
    return Scores(
        iou_type,
        max_detections,
        len(truth.images),
        len(kept),
        whole.of(category_ids),
        {name: whole.of(ids) for name, ids in (category_groups or {}).items()},
        {name: run.on(ids).of(category_ids) for name, ids in (image_groups or {}).items()},
        {} if is_class_agnostic else {truth.categories[id_]: whole.of([id_]) for id_ in category_ids},
    )


class _Evaluation:
    """The tool's two data sets, made once."""

    def __init__(
        self,
        truth: GroundTruth,
        results: Sequence[dict[str, Any]],
        iou_type: IouType,
        max_detections: int,
        category_ids: Sequence[int],
    ) -> None:
        self._truth, self._category_ids = truth, sorted(category_ids)
        self._iou_type, self._max_detections = iou_type, max_detections
        self._dataset_class, self._evaluator_class = _tool()
        self._given = self._dataset(_truth_entries(truth, iou_type))
        self._found = self._dataset(results)

    def on(self, image_ids: Collection[int]) -> "_Curves":
        """The precision curves on these pictures."""
        counts = _object_counts(self._truth, set(image_ids))
        if not sum(counts.values()):
            return _Curves([], np.zeros((10, 101, 0, 4, 1)), np.zeros((10, 0, 4, 1)), counts)
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            evaluator = self._evaluator_class(self._given, self._found, self._iou_type)
            evaluator.params.imgIds = sorted(image_ids)
            evaluator.params.catIds = self._category_ids
            evaluator.params.maxDets = [self._max_detections]
            evaluator.evaluate()
            evaluator.accumulate()
        precision, recall = (np.asarray(evaluator.eval[name]) for name in ("precision", "recall"))
        return _Curves(self._category_ids, precision, recall, counts)

    def _dataset(self, annotations: Sequence[dict[str, Any]]) -> Any:
        images = []
        for image in self._truth.images:
            height, width = image.size_hw or (0, 0)
            images.append({"id": image.id, "height": height, "width": width})
        dataset = self._dataset_class()
        categories = [{"id": id_, "name": name} for id_, name in self._truth.categories.items()]
        dataset.dataset = {"images": images, "categories": categories, "annotations": list(annotations)}
        with contextlib.redirect_stdout(io.StringIO()):
            dataset.createIndex()
        return dataset


@dataclass(frozen=True)
class _Curves:
    """precision: (T, R, K, A, M), recall: (T, K, A, M), both with -1 where there is no object."""

    category_ids: Sequence[int]
    precision: np.ndarray
    recall: np.ndarray
    counts: Mapping[int, int]

    def of(self, ids: Collection[int]) -> AP:
        """The averages over these categories."""
        counts = [self.counts.get(id_, 0) for id_ in ids]
        rows = [k for k, id_ in enumerate(self.category_ids) if id_ in set(ids)]
        precision, recall = self.precision[..., -1][:, :, rows], self.recall[:, :, 0, -1][:, rows]
        areas = dict(zip(_SIZES, (_mean(precision[..., area]) for area in range(len(_SIZES))), strict=True))
        return AP(
            ap=areas["all"],
            at_50=_mean(precision[0, ..., 0]),
            at_75=_mean(precision[5, ..., 0]),
            small=areas["small"],
            medium=areas["medium"],
            large=areas["large"],
            recall=_mean(recall),
            num_categories=sum(count > 0 for count in counts),
            num_objects=sum(counts),
        )


def _mean(values: np.ndarray) -> float | None:
    values = values[values > -1]
    return float(values.mean()) if values.size else None


def _tool() -> tuple[Any, Any]:
    """Data set and evaluator classes of the faster tool, or of pycocotools."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster

        return COCO, COCOeval_faster
    except ImportError:
        pass
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise OvdetError("evaluation needs faster-coco-eval: pip install 'ovdet[eval]'") from error
    return COCO, COCOeval


def _without_classes(
    truth: GroundTruth, results: Sequence[Mapping[str, Any]]
) -> tuple[GroundTruth, list[Mapping[str, Any]]]:
    """The same with one class for everything."""
    objects = tuple(replace(thing, category_id=1) for thing in truth.objects)
    truth = replace(truth, categories={1: "object"}, objects=objects)
    return truth, [{**result, "category_id": 1} for result in results]


def _object_counts(truth: GroundTruth, image_ids: set[int] | None) -> Mapping[int, int]:
    """Number of objects of each category, crowds left out."""
    counts: defaultdict[int, int] = defaultdict(int)
    for thing in truth.objects:
        if not thing.is_crowd and (image_ids is None or thing.image_id in image_ids):
            counts[thing.category_id] += 1
    return counts


def _truth_entries(truth: GroundTruth, iou_type: IouType) -> list[dict[str, Any]]:
    """The objects as the tools want them; ids from 1, as 0 means "no match" to them."""
    sizes = {image.id: image.size_hw for image in truth.images}
    entries = []
    for number, thing in enumerate(truth.objects, start=1):
        entry: dict[str, Any] = {"id": number, "image_id": thing.image_id, "category_id": thing.category_id}
        entry |= {"bbox": list(thing.box_xywh), "area": thing.area, "iscrowd": int(thing.is_crowd)}
        if iou_type == "segm":
            if thing.segmentation is None:
                raise RecordError(f"{truth.path}: annotations[{number - 1}] has no mask; evaluate boxes instead")
            if sizes[thing.image_id] is None:
                raise RecordError(f"{truth.path}: image {thing.image_id} has no width and height; masks need them")
            entry["segmentation"] = thing.segmentation
        entries.append(entry)
    return entries


def _prepare_results(
    truth: GroundTruth, results: Sequence[Mapping[str, Any]], iou_type: IouType, max_detections: int
) -> list[dict[str, Any]]:
    """The surest results of each picture, checked, with what the tools want beside them."""
    image_ids = {image.id for image in truth.images}
    by_image: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for place, result in enumerate(results):
        try:
            by_image[result["image_id"]].append(_result_entry(result, iou_type))
            if result["image_id"] not in image_ids or result["category_id"] not in truth.categories:
                raise ValueError(f"image {result['image_id']}, category {result['category_id']}: not in {truth.path}")
        except KeyError as error:
            raise RecordError(f"results[{place}] has no {error}") from error
        except (TypeError, ValueError) as error:
            raise RecordError(f"results[{place}] is no COCO result: {error}") from error
    kept = []
    for found in by_image.values():
        found.sort(key=lambda entry: -entry["score"])
        kept += found[:max_detections]
    for number, entry in enumerate(kept, start=1):
        entry["id"] = number
    return kept


def _result_entry(result: Mapping[str, Any], iou_type: IouType) -> dict[str, Any]:
    box = [float(number) for number in result["bbox"]]
    score = float(result["score"])
    if len(box) != 4 or not np.isfinite([*box, score]).all():
        raise ValueError(f"bbox {result['bbox']} and score {result['score']} are not five finite numbers")
    entry = {"image_id": result["image_id"], "category_id": result["category_id"], "bbox": box, "score": score}
    entry |= {"area": box[2] * box[3], "iscrowd": 0}
    if iou_type == "segm":
        entry["segmentation"] = result["segmentation"]
        entry["area"] = decode_segmentation(result["segmentation"]).area
    return entry
