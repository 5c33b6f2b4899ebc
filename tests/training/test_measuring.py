"""Average precision of a model in training."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from ovdet_cli.models.detic.model import build_detic
from ovdet_cli.training.measuring import Found, average_precision, detect_samples, measure, results_of, truth_of
from ovdet_cli.training.samples import Sample
from tests.training.tiny import CONFIG, PREPROCESS, labelled, sample

SAMPLES = [sample([(0, (4, 6, 36, 40)), (1, (30, 44, 62, 60))]), sample([]), sample([(1, (20, 10, 60, 50))])]
NAMES = ("cat", "dog")


def perfect(samples: list[Sample]) -> list[Found]:
    return [Found(s.boxes_xyxy, s.class_ids, np.full(len(s.class_ids), 0.9, np.float32)) for s in samples]


def test_what_is_found_exactly_scores_one() -> None:
    pytest.importorskip("faster_coco_eval")
    assert average_precision(perfect(SAMPLES), SAMPLES, NAMES) == pytest.approx({"ap": 1, "ap50": 1, "boxes_ap50": 1})


def test_wrong_names_cost_ap_but_not_the_boxes() -> None:
    pytest.importorskip("faster_coco_eval")
    swapped = [replace(f, class_ids=1 - f.class_ids) for f in perfect(SAMPLES)]
    numbers = average_precision(swapped, SAMPLES, NAMES)
    assert numbers == pytest.approx({"ap": 0, "ap50": 0, "boxes_ap50": 1})


def test_nothing_found_scores_nothing() -> None:
    pytest.importorskip("faster_coco_eval")
    nothing = [Found(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in SAMPLES]
    assert average_precision(nothing, SAMPLES, NAMES) == {"ap": 0, "ap50": 0, "boxes_ap50": 0}


def test_truth_and_results_count_from_one() -> None:
    truth = truth_of(SAMPLES, NAMES)
    assert [image.id for image in truth.images] == [1, 2, 3]
    assert truth.categories == {1: "cat", 2: "dog"}
    first = truth.objects[0]
    assert (first.image_id, first.category_id, first.box_xywh) == (1, 1, (4, 6, 32, 34))
    assert [r["image_id"] for r in results_of(perfect(SAMPLES))] == [1, 1, 3]


def test_pictures_are_read_a_few_at_a_time_and_the_model_goes_on_training() -> None:
    pytest.importorskip("faster_coco_eval")
    torch.manual_seed(0)
    model = build_detic(CONFIG).train()
    read = []

    def samples() -> Iterator[Sample]:
        for i, s in enumerate(SAMPLES):
            read.append(i)
            yield s

    texts = torch.eye(2, CONFIG.embedding)
    numbers = measure(model, texts, samples(), PREPROCESS, NAMES, batch=2)
    assert set(numbers) == {"ap", "ap50", "boxes_ap50"}
    assert read == [0, 1, 2]
    assert model.training
    together = detect_samples(model, texts, [*SAMPLES, labelled(0)], PREPROCESS, batch=4)
    alone = detect_samples(model, texts, [*SAMPLES, labelled(0)], PREPROCESS, batch=1)
    assert len(together) == len(alone) == 4
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-2)
