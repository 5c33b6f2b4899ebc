"""How good a model in training is: detections on scenes or pictures that it has not seen, against their truth."""

# C classes, D embedding width

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.evaluation.coco_ap import evaluate
from ovdet_cli.evaluation.datasets import GroundTruth, TruthImage, TruthObject
from ovdet_cli.models.interface import OpenVocabularyDetector
from ovdet_cli.models.ops.selection import select_detections
from ovdet_cli.models.spec import Preprocess, Rules
from ovdet_cli.training.batches import make_batch
from ovdet_cli.training.samples import Sample

# Low enough that what it cuts adds nothing to the area under a curve.
AP_RULES = Rules(threshold=0.001, nms_iou=0.5, max_detections=100, one_class=False)


@dataclass(frozen=True)
class Found:
    """Detections of one picture, surest first: boxes (N, 4) in its pixels, class ids and scores (N,)."""

    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray


@torch.inference_mode()
def detect_samples(
    model: OpenVocabularyDetector,
    texts_CD: Tensor,
    samples: Iterable[Sample],
    preprocess: Preprocess,
    rules: Rules = AP_RULES,
    batch: int = 8,
) -> list[Found]:
    """What a model finds in pictures as they are (never resized), with the classes of `texts_CD`."""
    was_training = model.training
    model.eval()
    found: list[Found] = []
    try:
        for group in _groups(samples, batch):
            found += _detect(model, texts_CD, group, preprocess, rules)
    finally:
        model.train(was_training)
    return found


def _groups(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    samples = iter(samples)
    while group := list(islice(samples, size)):
        yield group


def _detect(
    model: OpenVocabularyDetector, texts_CD: Tensor, samples: Sequence[Sample], preprocess: Preprocess, rules: Rules
) -> Iterator[Found]:
    """What is found in a few pictures that go through the network together."""
    # Labels play no part, and make_batch wants pictures of one kind.
    prepared = make_batch([replace(s, labels=None, masks=None) for s in samples], preprocess)
    pyramid = model.extract(prepared.pixels.to(texts_CD.device))
    for regions in model.propose(pyramid, prepared.sizes_hw):
        rows, class_ids, scores = select_detections(
            regions.boxes_R4,
            model.classify(regions, texts_CD),
            threshold=rules.threshold,
            nms_iou=rules.nms_iou,
            max_detections=rules.max_detections,
            one_class=rules.one_class,
        )
        yield Found(regions.boxes_R4[rows].cpu().numpy(), class_ids.cpu().numpy(), scores.cpu().numpy())


def measure(
    model: OpenVocabularyDetector,
    texts_CD: Tensor,
    samples: Iterable[Sample],
    preprocess: Preprocess,
    names: Sequence[str],
    batch: int = 8,
) -> dict[str, float]:
    """Average precision on samples that are read as they are needed; `batch` of them are in memory together."""
    truths: list[Sample] = []

    def noted() -> Iterator[Sample]:
        for sample in samples:
            # A view of nothing: the size stays, the pixels go.
            shape = sample.image.shape
            truths.append(replace(sample, image=np.broadcast_to(np.zeros(1, np.uint8), shape), masks=None))
            yield sample

    found = detect_samples(model, texts_CD, noted(), preprocess, batch=batch)
    return average_precision(found, truths, names)


def truth_of(samples: Sequence[Sample], names: Sequence[str]) -> GroundTruth:
    """The boxes of samples as ground truth; a picture's id is its place from 1."""
    images, objects = [], []
    for number, sample in enumerate(samples, start=1):
        images.append(TruthImage(number, f"{number}.png", (sample.image.shape[0], sample.image.shape[1])))
        for box, class_id in zip(sample.boxes_xyxy.tolist(), sample.class_ids.tolist(), strict=True):
            x1, y1, x2, y2 = box
            area = (x2 - x1) * (y2 - y1)
            objects.append(TruthObject(number, class_id + 1, (x1, y1, x2 - x1, y2 - y1), area, None, False))
    return GroundTruth(Path("scenes"), tuple(images), {i + 1: name for i, name in enumerate(names)}, tuple(objects))


def results_of(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Detections as COCO results, ids as in `truth_of`."""
    results = []
    for number, picture in enumerate(found, start=1):
        for (x1, y1, x2, y2), class_id, score in zip(
            picture.boxes_xyxy.tolist(), picture.class_ids.tolist(), picture.scores.tolist(), strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": number, "category_id": class_id + 1, "bbox": box, "score": score})
    return results


def average_precision(found: Sequence[Found], samples: Sequence[Sample], names: Sequence[str]) -> dict[str, float]:
    """AP and AP50 over all names, and AP50 of the boxes whatever their name."""
    truth, results = truth_of(samples, names), results_of(found)
    named = evaluate(truth, results, max_detections=AP_RULES.max_detections).overall
    boxes = evaluate(truth, results, max_detections=AP_RULES.max_detections, is_class_agnostic=True).overall
    return {"ap": named.ap or 0.0, "ap50": named.at_50 or 0.0, "boxes_ap50": boxes.at_50 or 0.0}
