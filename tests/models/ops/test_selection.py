import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.models.ops import selection
from ovdet_cli.models.ops.selection import select_detections

APART = torch.tensor([[20.0 * i, 0.0, 20.0 * i + 10, 10.0] for i in range(6)])


def select(scores, boxes=APART, *, threshold=0.0, nms_iou=0.5, max_detections=100, one_class=False):
    rows, class_ids, kept = select_detections(
        boxes[: len(scores)],
        torch.as_tensor(scores),
        threshold=threshold,
        nms_iou=nms_iou,
        max_detections=max_detections,
        one_class=one_class,
    )
    assert rows.dtype == class_ids.dtype == torch.int64
    assert kept.dtype == torch.float32
    return list(zip(rows.tolist(), class_ids.tolist(), [round(score, 4) for score in kept.tolist()], strict=True))


def test_every_class_above_the_threshold_surest_first():
    assert select([[0.2, 0.9], [0.6, 0.1]], threshold=0.15) == [(0, 1, 0.9), (1, 0, 0.6), (0, 0, 0.2)]


def test_the_threshold_is_strict():
    assert select([[0.5, 0.25]], threshold=0.5) == []
    assert select([[0.5, 0.25]], threshold=0.2499) == [(0, 0, 0.5), (0, 1, 0.25)]
    assert select([[0.0, 1.0]], threshold=0.0) == [(0, 1, 1.0)]


def test_one_class_keeps_the_best_of_each_region():
    assert select([[0.2, 0.9, 0.8], [0.6, 0.1, 0.5]], one_class=True) == [(0, 1, 0.9), (1, 0, 0.6)]


def test_one_class_keeps_all_of_an_exact_tie():
    assert set(select([[0.7, 0.1, 0.7]], one_class=True)) == {(0, 0, 0.7), (0, 2, 0.7)}


def test_one_class_comes_before_suppression():
    """Without its second class, the weaker region has nothing to put in place of the suppressed one."""
    same = APART[:1].repeat(2, 1)
    assert select([[0.9, 0.1], [0.8, 0.5]], same, one_class=True) == [(0, 0, 0.9)]
    assert select([[0.9, 0.1], [0.8, 0.5]], same) == [(0, 0, 0.9), (1, 1, 0.5)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("one_class", [False, True])
def test_regions_that_are_not_finite_are_dropped_whole(bad, one_class):
    boxes = APART[:3].clone()
    boxes[1, 2] = bad
    assert select([[0.9, 0.2], [0.8, 0.3], [bad, 0.7]], boxes, one_class=one_class)[0] == (0, 0, 0.9)
    assert {row for row, _, _ in select([[0.9, 0.2], [0.8, 0.3], [bad, 0.7]], boxes, one_class=one_class)} == {0}


def test_suppression_is_within_a_class():
    same = APART[:1].repeat(3, 1)
    assert select([[0.9, 0.0], [0.8, 0.0], [0.0, 0.7]], same) == [(0, 0, 0.9), (2, 1, 0.7)]


def test_max_detections_keeps_the_surest():
    assert select([[0.1], [0.9], [0.5], [0.7]], max_detections=2) == [(1, 0, 0.9), (3, 0, 0.7)]


def test_nothing():
    assert select(torch.zeros(0, 3), torch.zeros(0, 4)) == []
    assert select([[0.1, 0.2]], threshold=0.9) == []


@settings(deadline=None)
@given(seed=st.integers(0, 1000), nms_iou=st.sampled_from([0.1, 0.5, 0.9]), most=st.sampled_from([1, 7, 1000]))
def test_classes_that_share_boxes_are_suppressed_alike_in_either_way(seed, nms_iou, most):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(30, 4, generator=generator) * 40
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.rand(30, 8, generator=generator)
    rules = {"threshold": 0.3, "nms_iou": nms_iou, "max_detections": most, "one_class": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_MANY", 0)
        shared = select_detections(boxes, scores, **rules)
        patch.setattr(selection, "_MANY", 10**9)
        each = select_detections(boxes, scores, **rules)
    assert [t.tolist() for t in shared] == [t.tolist() for t in each]


def test_nothing_is_suppressed_at_one():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).expand(5, -1)
    assert len(select([[0.1 * i] for i in range(1, 6)], boxes, nms_iou=1.0)) == 5
    assert select([[0.1 * i] for i in range(1, 6)], boxes, nms_iou=1.0, max_detections=2) == [(4, 0, 0.5), (3, 0, 0.4)]
