import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ovdet_cli.evaluation.matching import calibration_error, match_boxes, operating_point, reliability
from tests.evaluation.cases import random_results, random_things, thing, truth_of, write_truth

BOX = [20.0, 20.0, 50.0, 40.0]
FAR = [200.0, 100.0, 30.0, 30.0]


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_those_of_pycocotools(tmp_path, seed):
    things = random_things(seed, 60)
    results = random_results(seed, things)
    matches = match_boxes(truth_of(tmp_path, things), results)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(write_truth(tmp_path, things))
        for entry in truth.dataset["annotations"]:
            entry["id"] += 1
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluator.evaluate()
    expected = []
    for picture in evaluator.evalImgs:
        if picture and picture["aRng"] == evaluator.params.areaRng[0]:
            rows = zip(picture["dtScores"], picture["dtMatches"][0] > 0, picture["dtIgnore"][0], strict=True)
            expected += [(score, bool(is_right)) for score, is_right, is_ignored in rows if not is_ignored]
    assert sorted(zip(matches.scores.tolist(), matches.is_correct.tolist(), strict=True)) == sorted(expected)
    assert matches.num_objects == sum(not entry["iscrowd"] for entry in things)
    assert 20 < matches.is_correct.sum() < len(matches.scores)


def test_precision_and_recall_at_a_threshold(tmp_path):
    truth = truth_of(tmp_path, [thing(BOX), thing(FAR), thing(BOX, 1, 11)])
    results = [
        thing(BOX, score=0.9),
        thing(BOX, score=0.8),  # a second one of the same object is wrong
        thing(FAR, score=0.5),
        thing(BOX, 3, 11, score=0.7),  # a dog called a cat
    ]
    matches = match_boxes(truth, results)
    point = operating_point(matches, 0.5)
    assert (point.precision, point.recall) == pytest.approx((1 / 3, 1 / 3))  # 0.5 itself is not above 0.5
    assert operating_point(matches, 0.4).recall == pytest.approx(2 / 3)
    assert (point.num_detections, point.num_objects) == (3, 3)
    assert operating_point(matches, 0.95).precision is None
    assert operating_point(match_boxes(truth, results, is_class_agnostic=True), 0.6).recall == pytest.approx(2 / 3)
    assert operating_point(match_boxes(truth, results, category_ids={1}), 0.4).num_detections == 0
    assert operating_point(match_boxes(truth, [], category_ids={20}), 0.4).recall is None


def test_reliability_by_hand():
    table = reliability(np.array([0.05, 0.1, 0.19, 0.95, 1.0]), np.array([False, False, True, True, True]), 10)
    assert [row.count for row in table] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert table[1].mean_score == pytest.approx(0.145)
    assert table[1].correct == 0.5
    assert table[2].correct is None
    assert (table[9].low, table[9].high) == (0.9, 1.0)
    assert calibration_error(table) == pytest.approx((0.05 + 2 * 0.355 + 2 * 0.025) / 5)
    assert calibration_error(reliability(np.zeros(0), np.zeros(0, bool))) is None
    with pytest.raises(ValueError, match="at least one bin"):
        reliability(np.zeros(0), np.zeros(0, bool), 0)


def test_calibrated_scores_have_no_error():
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    table = reliability(scores, rng.random(20_000) < scores)
    assert calibration_error(table) < 0.02
