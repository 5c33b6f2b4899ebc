import builtins
import contextlib
import copy
import io
import sys
from dataclasses import astuple

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ovdet_cli.errors import OvdetError, RecordError
from ovdet_cli.evaluation.coco_ap import evaluate
from tests.evaluation.cases import ellipse, random_results, random_things, rhombus, thing, truth_of, write_truth

BOX = [20.0, 20.0, 50.0, 40.0]


def official_stats(path, results, iou_type):
    """pycocotools as its own users call it: AP, AP50, AP75, small, medium, large."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        for entry in truth.dataset["annotations"]:
            entry["id"] += 1  # 0 means "no match" to it
        truth.createIndex()
        results = copy.deepcopy(results)
        if iou_type == "segm":
            for result in results:
                del result["bbox"]  # else it takes the area of the box
        evaluator = COCOeval(truth, truth.loadRes(results), iou_type)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats[:6]


@pytest.fixture(params=["faster-coco-eval", "pycocotools"])
def tool(request, monkeypatch):
    """Each of the two tools; the second by hiding the first."""
    if request.param == "pycocotools":
        monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    return request.param


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_are_those_of_pycocotools(tmp_path, tool, seed, iou_type):
    things = random_things(seed, 60, with_masks=iou_type == "segm")
    results = random_results(seed, things, with_masks=iou_type == "segm")
    path = write_truth(tmp_path, things)
    scores = evaluate(truth_of(tmp_path, things), results, iou_type=iou_type)
    expected = official_stats(path, results, iou_type)
    found = [-1 if value is None else value for value in astuple(scores.overall)[:6]]
    assert 0.05 < found[0] < 0.9
    np.testing.assert_allclose(found, expected, atol=1e-9)
    each = [ap.ap for ap in scores.categories.values()]
    assert np.mean(each) == pytest.approx(scores.overall.ap)


def test_perfect_results(tmp_path, tool):
    things = [entry for entry in random_things(3, 30) if not entry["iscrowd"]]
    overall = evaluate(truth_of(tmp_path, things), [{**entry, "score": 0.3} for entry in things]).overall
    assert (overall.ap, overall.at_50, overall.at_75, overall.recall) == pytest.approx((1, 1, 1, 1))
    assert overall.num_objects == len(things)
    assert overall.num_categories == 3


@pytest.mark.parametrize(("shift", "share"), [(0, 1.0), (50 / 9, 0.7), (50 / 4, 0.3), (25, 0)])
def test_shifted_boxes_are_right_up_to_their_iou(tmp_path, shift, share):
    """A box of width w moved by s has IoU (w - s) / (w + s): 0.8, 0.6 and 1/3 here."""
    x, y, w, h = BOX
    moved = thing([x + shift + (-1e-6 if shift else 0), y, w, h], score=0.5)
    overall = evaluate(truth_of(tmp_path, [thing(BOX)]), [moved]).overall
    assert overall.ap == pytest.approx(share)
    assert overall.at_50 == pytest.approx(float(share > 0))
    assert overall.at_75 == pytest.approx(float(share > 0.5))


def test_precision_by_hand(tmp_path):
    """Two objects; right, wrong, right: recall 0.5 at precision 1, recall 1 at 2/3; 51 and 50 of the 101 levels."""
    truth = truth_of(tmp_path, [thing(BOX), thing(BOX, image_id=11)])
    results = [
        thing(BOX, score=0.9),
        thing([200, 100, 20, 20], score=0.8),
        thing(BOX, image_id=11, score=0.7),
    ]
    assert evaluate(truth, results).overall.ap == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_base_and_novel(tmp_path, tool):
    truth = truth_of(tmp_path, [thing(BOX, 3), thing(BOX, 1, 11), thing(BOX, 8, 12)])
    results = [thing(BOX, 3, score=0.5), thing(BOX, 3, 11, score=0.9), thing(BOX, 8, 12, score=0.2)]
    scores = evaluate(truth, results, category_groups={"base": [3, 1], "novel": [8], "none": [20]})
    groups = scores.category_groups
    # The dog was called a cat: its own AP is 0, and the false cat came first, so that of cats is half.
    assert groups["base"].ap == pytest.approx(0.25)
    assert groups["novel"].ap == pytest.approx(1)
    assert groups["none"].ap is None
    assert (groups["base"].num_categories, groups["base"].num_objects) == (2, 2)
    assert scores.overall.ap == pytest.approx(0.5)
    assert scores.categories["hot dog"].ap == pytest.approx(1)
    assert "unseen" not in scores.categories


def test_groups_of_pictures(tmp_path, tool):
    truth = truth_of(tmp_path, [thing(BOX, 3), thing(BOX, 3, 11)])
    results = [thing(BOX, 3, score=0.5)]
    scores = evaluate(truth, results, image_groups={"flat": [10], "outline": [11], "empty": [12, 13]})
    assert scores.image_groups["flat"].ap == pytest.approx(1)
    assert scores.image_groups["outline"].ap == pytest.approx(0)
    assert scores.image_groups["empty"].ap is None
    assert scores.image_groups["empty"].num_objects == 0


def test_without_classes_any_name_is_right(tmp_path, tool):
    truth = truth_of(tmp_path, [thing(BOX, 3), thing(BOX, 1, 11)])
    results = [thing(BOX, 8, score=0.5), thing(BOX, 99, 11, score=0.9)]
    scores = evaluate(truth, results, is_class_agnostic=True)
    assert scores.overall.ap == pytest.approx(1)
    assert scores.categories == {}
    with pytest.raises(ValueError, match="without classes"):
        evaluate(truth, results, is_class_agnostic=True, category_groups={"base": [3]})


def test_only_the_surest_of_a_picture_count_whatever_their_name(tmp_path, tool):
    truth = truth_of(tmp_path, [thing(BOX, 3), thing([100, 100, 30, 30], 1)])
    results = [thing(BOX, 3, score=0.5), thing([100, 100, 30, 30], 1, score=0.6)]
    scores = evaluate(truth, results, max_detections=1)
    assert scores.num_results == 1
    assert (scores.categories["cat"].ap, scores.categories["dog"].ap) == pytest.approx((0, 1))


def test_sizes_by_hand(tmp_path):
    boxes = {"small": [10, 10, 20, 20], "medium": [60, 10, 50, 50], "large": [100, 70, 110, 110]}
    truth = truth_of(tmp_path, [thing(box) for box in boxes.values()])
    for size, box in boxes.items():
        overall = evaluate(truth, [thing(box, score=0.5)]).overall
        found = {name: getattr(overall, name) for name in boxes}
        assert found == {name: float(name == size) for name in boxes}


def test_masks_tell_what_boxes_do_not(tmp_path, tool):
    truth = truth_of(tmp_path, [thing(BOX, segmentation=[rhombus(BOX)])])
    results = [thing(BOX, score=0.5, segmentation=ellipse(BOX))]
    assert evaluate(truth, results).overall.ap == pytest.approx(1)
    # A rhombus has 2/pi of its ellipse's area: IoU 0.64.
    assert evaluate(truth, results, iou_type="segm").overall.ap == pytest.approx(0.3)


@pytest.mark.parametrize("results", [[], [thing(BOX, 20, score=0.5)]])
def test_nothing_found_is_zero_and_nothing_to_find_is_none(tmp_path, tool, results):
    assert evaluate(truth_of(tmp_path, [thing(BOX)]), results).overall.ap == pytest.approx(0)
    assert evaluate(truth_of(tmp_path, []), results).overall.ap is None


def test_the_scores_are_plain_values(tmp_path):
    scores = evaluate(truth_of(tmp_path, [thing(BOX)]), [thing(BOX, score=0.5)], image_groups={"a": [10]}).to_dict()
    assert scores["overall"]["ap"] == 1
    assert scores["image_groups"]["a"]["at_50"] == 1
    assert scores["iou_type"] == "bbox"


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (thing(BOX, 77, score=0.1), "category 77"),
        (thing(BOX, 3, 99, score=0.1), "image 99"),
        (thing(BOX), "no 'score'"),
        (thing([1, 2, 3], score=0.1), "finite"),
        (thing(BOX, score=float("nan")), "finite"),
    ],
)
def test_results_that_cannot_be(tmp_path, result, says):
    with pytest.raises(RecordError, match=rf"results\[0\].*{says}"):
        evaluate(truth_of(tmp_path, [thing(BOX)]), [result])


def test_masks_that_are_missing(tmp_path):
    with pytest.raises(RecordError, match="no 'segmentation'"):
        evaluate(
            truth_of(tmp_path, [thing(BOX, segmentation=[rhombus(BOX)])]), [thing(BOX, score=0.5)], iou_type="segm"
        )
    with pytest.raises(RecordError, match=r"annotations\[0\] has no mask"):
        evaluate(truth_of(tmp_path, [thing(BOX)]), [], iou_type="segm")


def test_without_a_tool_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.startswith(("faster_coco_eval", "pycocotools")):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(OvdetError, match=r"ovdet\[eval\]"):
        evaluate(truth_of(tmp_path, [thing(BOX)]), [])
