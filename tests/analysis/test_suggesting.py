import json

import numpy as np
import pytest

from ovdet_cli.analysis.suggesting import (
    Labelled,
    label_pictures,
    suggest_from_scores,
    suggest_from_truth,
)
from ovdet_cli.evaluation.datasets import read_ground_truth
from ovdet_cli.evaluation.matching import Matches, match_boxes, operating_point
from tests.evaluation.cases import random_results, random_things, truth_of


def _labelled(seed=0, num_pictures=200, objects=0.8):
    """Right detections around 0.6, wrong ones around 0.3."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(objects, num_pictures)
    right = np.repeat(np.arange(num_pictures), rng.binomial(counts, 0.9))
    wrong = rng.integers(0, num_pictures, num_pictures)
    scores = np.concatenate([rng.beta(12, 8, len(right)), rng.beta(6, 14, len(wrong))]).astype(np.float32)
    is_correct = np.arange(len(scores)) < len(right)
    is_kept = scores > 0.1
    return Labelled(scores[is_kept].astype(float), is_correct[is_kept], np.concatenate([right, wrong])[is_kept], counts)


def _point(labelled, threshold):
    return operating_point(Matches(labelled.scores, labelled.is_correct, int(labelled.objects.sum())), threshold)


def test_the_suggestion_has_the_highest_f1():
    labelled = _labelled()
    suggestion = suggest_from_truth(labelled, 0.1)

    def f1(threshold):
        point = _point(labelled, threshold)
        return 2 * point.precision * point.recall / (point.precision + point.recall)

    measured = suggestion.measured
    assert f1(suggestion.threshold) == pytest.approx(measured.f1)
    assert measured.f1 >= max(f1(threshold) for threshold in np.linspace(0.1, 0.7, 500)) - 1e-12
    point = _point(labelled, suggestion.threshold)
    assert (point.precision, point.recall) == pytest.approx((measured.precision, measured.recall))
    assert measured.precision_interval[0] < measured.precision < measured.precision_interval[1]
    assert measured.recall_interval[0] < measured.recall < measured.recall_interval[1]
    assert measured.threshold_interval[0] <= suggestion.threshold <= measured.threshold_interval[1]
    assert "200 labelled pictures" in suggestion.why


def test_thresholds_vary_between_samples_as_the_interval_says():
    # The best threshold of very many pictures is the truth that intervals from 150 pictures should hold.
    truth = suggest_from_truth(_labelled(99, 20_000), 0.1).threshold
    intervals = [suggest_from_truth(_labelled(seed, 150), 0.1).measured.threshold_interval for seed in range(40)]
    assert np.mean([low <= truth <= high for low, high in intervals]) > 0.85


def test_a_wanted_precision_is_reached_by_the_lowest_threshold():
    labelled = _labelled()
    suggestion = suggest_from_truth(labelled, 0.1, precision=0.9)
    assert _point(labelled, suggestion.threshold).precision >= 0.9
    for threshold in np.arange(0.1, suggestion.threshold - 0.005, 0.002):
        assert _point(labelled, threshold).precision < 0.9
    assert "precision of 90%" in suggestion.why


def test_a_precision_out_of_reach_is_said():
    rng = np.random.default_rng(0)
    labelled = Labelled(rng.random(400), rng.random(400) < 0.4, rng.integers(0, 50, 400), np.full(50, 4))
    suggestion = suggest_from_truth(labelled, 0.0, precision=0.99)
    assert suggestion.threshold is None
    assert "no threshold reaches a precision of 99%" in suggestion.why


def test_where_all_detections_are_right_the_recorded_threshold_stands():
    labelled = Labelled(np.linspace(0.3, 0.9, 40), np.ones(40, bool), np.arange(40), np.ones(40, int))
    suggestion = suggest_from_truth(labelled, 0.3 - 1e-9)
    assert suggestion.threshold == 0.3 - 1e-9
    assert "lower scores were not recorded" in suggestion.why
    assert "label more" in suggestion.why


@pytest.mark.parametrize(
    ("labelled", "why"),
    [
        (Labelled(np.ones(3), np.ones(3, bool), np.zeros(3, int), np.array([9, 0, 0, 0, 0])), "9 objects in 5"),
        (Labelled(np.ones(3), np.ones(3, bool), np.zeros(3, int), np.array([99])), "99 objects in 1 labelled picture;"),
        (Labelled(np.ones(3), np.zeros(3, bool), np.zeros(3, int), np.full(9, 9)), "none of 3 detections is right"),
        (Labelled(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), np.full(9, 9)), "none of 0 detections"),
        (Labelled(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), np.zeros(0, int)), "0 objects"),
    ],
)
def test_too_little_is_said(labelled, why):
    suggestion = suggest_from_truth(labelled, 0.1)
    assert (suggestion.threshold, suggestion.measured) == (None, None)
    assert why in suggestion.why


def test_matching_picture_by_picture_is_matching_all_at_once(tmp_path):
    things = random_things(3, 60)
    results = random_results(3, things)
    truth = truth_of(tmp_path, things)
    for category, labelled in label_pictures(truth, results).items():
        whole = match_boxes(truth, results, category_ids={category})
        ours = sorted(zip(labelled.scores.tolist(), labelled.is_correct.tolist(), strict=True))
        assert ours == sorted(zip(whole.scores.tolist(), whole.is_correct.tolist(), strict=True))
        assert labelled.objects.sum() == whole.num_objects
        assert len(labelled.objects) == len(truth.images)


def test_pictures_that_were_not_analysed_are_left_out(tmp_path):
    path = tmp_path / "truth.json"
    images = [{"id": id_, "file_name": f"{id_}.jpg", "width": 100, "height": 100} for id_ in (7, 8)]
    boxes = [{"id": i, "image_id": id_, "category_id": 1, "bbox": [0, 0, 10, 10]} for i, id_ in enumerate((7, 8))]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}))
    results = [{"image_id": id_, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.5} for id_ in (7, 8)]
    labelled = label_pictures(read_ground_truth(path), results, {8})[1]
    assert labelled.objects.tolist() == [1]
    assert labelled.is_correct.tolist() == [True]


def test_scores_alone_suggest_only_a_valley():
    edges = np.linspace(0.1, 1, 121)
    counts = np.zeros((3, 120), int)
    counts[0, :30], counts[0, 90:] = 40, 20
    counts[1] = np.linspace(100, 1, 120)
    counts[2, 5] = 37
    valley, one, few = suggest_from_scores(counts, edges)
    assert valley.threshold == pytest.approx(0.55, abs=0.03)
    assert "two humps" in valley.why
    assert (one.threshold, one.why) == (None, "one hump: the histogram does not tell")
    assert few.threshold is None
    assert "too few to see humps: 37 detections" in few.why
