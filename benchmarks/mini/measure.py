"""What a trained stage is worth: average precision on the fixed sets, by groups of classes and sizes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.mini import pictures
from benchmarks.mini.classes import Classes
from ovdet_cli.detections import Mask
from ovdet_cli.detector.masks import paste_masks
from ovdet_cli.evaluation.coco_ap import AP, evaluate
from ovdet_cli.evaluation.datasets import GroundTruth, TruthImage, TruthObject
from ovdet_cli.models.ops.selection import select_detections
from ovdet_cli.results.rle import encode_rle
from ovdet_cli.training.batches import make_batch
from ovdet_cli.training.measuring import AP_RULES
from ovdet_cli.training.samples import Sample
from ovdet_cli.training.trained import TrainedDetic


def truth_with_masks(samples: Sequence[Sample], names: Sequence[str]) -> GroundTruth:
    """Boxes and masks of samples; the ids of pictures and classes count from 1, areas are the masks'."""
    images, objects = [], []
    for number, sample in enumerate(samples, start=1):
        height, width = sample.image.shape[:2]
        images.append(TruthImage(number, f"{number:04d}.png", (height, width)))
        assert sample.masks is not None
        for box, class_id, mask in zip(
            sample.boxes_xyxy.tolist(), sample.class_ids.tolist(), sample.masks, strict=True
        ):
            x1, y1, x2, y2 = box
            rle = encode_rle(Mask.from_piece(np.asarray(mask), 0, 0, (height, width)))
            area = float(np.asarray(mask).sum())
            objects.append(TruthObject(number, class_id + 1, (x1, y1, x2 - x1, y2 - y1), area, rle, False))
    return GroundTruth(Path("mini"), tuple(images), {i + 1: n for i, n in enumerate(names)}, tuple(objects))


@torch.inference_mode()
def detect(trained: TrainedDetic, samples: Sequence[Sample], batch: int = 8) -> list[dict[str, Any]]:
    """COCO results with masks, ids as in `truth_with_masks`."""
    detector, texts = trained.detector, trained.texts_CD
    results: list[dict[str, Any]] = []
    for start in range(0, len(samples), batch):
        some = [replace(s, labels=None) for s in samples[start : start + batch]]
        prepared = make_batch(some, pictures.PREPROCESS)
        pyramid = detector.extract(prepared.pixels)
        for i, regions in enumerate(detector.propose(pyramid, prepared.sizes_hw)):
            rows, class_ids, scores = select_detections(
                regions.boxes_R4,
                detector.classify(regions, texts),
                threshold=AP_RULES.threshold,
                nms_iou=AP_RULES.nms_iou,
                max_detections=AP_RULES.max_detections,
                one_class=False,
            )
            boxes = regions.boxes_R4[rows]
            # Several names may share a region: its mask is drawn once.
            drawn, place = torch.unique(rows, return_inverse=True)
            cells = detector.predict_masks([level[i : i + 1] for level in pyramid], [regions.boxes_R4[drawn]])[0]
            masks = paste_masks(cells.numpy(), regions.boxes_R4[drawn].numpy(), prepared.sizes_hw[i])
            rles = [encode_rle(mask) for mask in masks]
            for box, class_id, score, p in zip(
                boxes.tolist(), class_ids.tolist(), scores.tolist(), place.tolist(), strict=True
            ):
                x1, y1, x2, y2 = box
                result = {"image_id": start + i + 1, "category_id": class_id + 1, "score": score}
                results.append(result | {"bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": rles[p]})
    return results


def scores_of(trained: TrainedDetic, samples: Sequence[Sample], classes: Classes) -> dict[str, dict[str, Any]]:
    """ "box" and "mask" -> group of classes -> numbers in percent; over the full list of names."""
    truth = truth_with_masks(samples, classes.names)
    results = detect(trained, samples)
    groups = {role: [i + 1 for i in classes.ids(role)] for role in ("base", "novel", "kind")}
    found: dict[str, dict[str, Any]] = {}
    for what, iou_type in (("box", "bbox"), ("mask", "segm")):
        scores = evaluate(
            truth,
            results,
            category_groups=groups,
            iou_type=iou_type,  # type: ignore[arg-type]
            max_detections=AP_RULES.max_detections,
        )
        by_group = {"all": scores.overall} | {n: ap for n, ap in scores.category_groups.items() if ap.num_objects}
        found[what] = {name: _plain(ap) for name, ap in by_group.items()}
    whole = evaluate(truth, results, max_detections=AP_RULES.max_detections, is_class_agnostic=True).overall
    found["box"]["any name"] = _plain(whole)
    return found


def _plain(ap: AP) -> dict[str, float | int | None]:
    shares = {"ap": ap.ap, "ap50": ap.at_50, "ap75": ap.at_75}
    shares |= {"small": ap.small, "medium": ap.medium, "large": ap.large, "recall": ap.recall}
    rounded = {name: None if value is None else round(100 * value, 2) for name, value in shares.items()}
    return rounded | {"categories": ap.num_categories, "objects": ap.num_objects}
