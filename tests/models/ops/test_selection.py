import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.models.ops import selection
from ovdet_cli.models.ops.phrases import best_phrases
from ovdet_cli.models.ops.selection import ClassRules, select_detections

APART = torch.tensor([[20.0 * i, 0.0, 20.0 * i + 10, 10.0] for i in range(6)])


def class_rules(num, thresholds=None, min_areas=None, most=None, negative=()):
    """Rules of so many classes; each by class id."""
    own = [(thresholds or {}).get(i, math.nan) for i in range(num)]
    least = [float((min_areas or {}).get(i, 0)) for i in range(num)]
    limits = [(most or {}).get(i, ClassRules.NO_LIMIT) for i in range(num)]
    return ClassRules(
        torch.tensor(own), torch.tensor(least), torch.tensor(limits), torch.tensor([i in negative for i in range(num)])
    )


def select(scores, boxes=APART, *, threshold=0.0, nms_iou=0.5, max_detections=100, one_class=False, **more):
    rows, class_ids, kept = select_detections(
        boxes[: len(scores)],
        torch.as_tensor(scores),
        threshold=threshold,
        nms_iou=nms_iou,
        max_detections=max_detections,
        one_class=one_class,
        **more,
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


def drawn_rules(draw, num):
    """Rules that say something of some classes; the last of them may say nothing."""
    some = st.dictionaries
    ids = st.integers(0, num - 1)
    return class_rules(
        num,
        draw(some(ids, st.sampled_from([0.0, 0.1, 0.5, 0.9]), max_size=num)),
        draw(some(ids, st.sampled_from([1.0, 300.0, 900.0]), max_size=num)),
        draw(some(ids, st.integers(1, 4), max_size=num)),
        draw(st.sets(ids, max_size=2)),
    )


@settings(deadline=None)
@given(
    data=st.data(),
    seed=st.integers(0, 1000),
    nms_iou=st.sampled_from([0.1, 0.5, 0.9]),
    most=st.sampled_from([1, 7, 1000]),
    num_rules=st.sampled_from([0, 5, 8]),
    one_class=st.booleans(),
)
def test_classes_that_share_boxes_are_suppressed_alike_in_either_way(data, seed, nms_iou, most, num_rules, one_class):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(30, 4, generator=generator) * 40
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.rand(30, 8, generator=generator)
    rules = {"threshold": 0.3, "nms_iou": nms_iou, "max_detections": most, "one_class": one_class}
    classes = drawn_rules(data.draw, num_rules) if num_rules else None  # fewer than columns: the rest is padding
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_MANY", 0)
        shared = select_detections(boxes, scores, **rules, classes=classes, areas_R=areas)
        patch.setattr(selection, "_MANY", 10**9)
        each = select_detections(boxes, scores, **rules, classes=classes, areas_R=areas)
    assert [t.tolist() for t in shared] == [t.tolist() for t in each]
    naive = select_one_by_one(boxes, scores, **rules, classes=classes, areas=areas)
    assert list(zip(each[0].tolist(), each[1].tolist(), strict=True)) == naive


def iou_of(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def select_one_by_one(boxes, scores, threshold, nms_iou, max_detections, one_class, classes, areas):
    """(row, class id) of the detections, by loops alone; scores that are equal are not looked for."""
    num = 0 if classes is None else len(classes.threshold_C)
    found = []
    for r, row in enumerate(scores.tolist()):
        absorbed = max((row[c] for c in range(num) if classes.is_negative_C[c]), default=-1.0)
        for c, score in enumerate(row):
            cut = threshold
            if c < num and not math.isnan(classes.threshold_C[c]):
                cut = float(classes.threshold_C[c])
            if score <= cut or (one_class and score < max(row)) or score <= absorbed:
                continue
            if c < num and (classes.is_negative_C[c] or areas[r] < classes.min_area_C[c]):
                continue
            found.append((score, r, c))
    kept, count = [], {}
    corners = boxes.tolist()
    for _, r, c in sorted(found, reverse=True):
        if any(c == other and iou_of(corners[r], corners[row]) > nms_iou for row, other in kept if nms_iou < 1):
            continue
        if c < num and count.get(c, 0) >= int(classes.max_count_C[c]):
            continue
        count[c] = count.get(c, 0) + 1
        kept.append((r, c))
    return kept[:max_detections]


@settings(max_examples=3)
@given(seed=st.integers(0, 1000), data=st.data())
@pytest.mark.parametrize("nms_iou", [0.3, 1.0])
def test_twenty_one_thousand_classes_are_selected_as_by_loops(nms_iou, seed, data):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(8, 4, generator=generator) * 40
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.randperm(8 * 21_000, generator=generator).reshape(8, -1).float() / (8 * 21_000)
    common = {"threshold": 0.6, "nms_iou": nms_iou, "max_detections": data.draw(st.sampled_from([5, 3000]))}
    classes = data.draw(st.sampled_from([None, class_rules(21_000, {3: 0.1, 20_999: 0.99}, None, {7: 1}, {20_500})]))
    found = select_detections(boxes, scores, **common, one_class=False, classes=classes, areas_R=torch.ones(8))
    if classes is None:
        above = scores > 0.6
    else:
        above = scores > torch.where(classes.threshold_C.isnan(), 0.6, classes.threshold_C)
        above &= scores > scores[:, 20_500:20_501]
    order = scores.where(above, -1).flatten().sort(descending=True).indices[: int(above.sum())].tolist()
    kept, by_class = [], {}
    corners = boxes.tolist()
    for place in order:
        r, c = divmod(place, 21_000)
        own = by_class.setdefault(c, [])
        if nms_iou < 1 and any(iou_of(corners[r], corners[row]) > nms_iou for row in own):
            continue
        if classes is not None and c == 7 and own:
            continue
        own.append(r)
        kept.append((r, c))
        if len(kept) == common["max_detections"]:
            break
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == kept


def test_a_class_has_its_own_threshold():
    scores = [[0.3, 0.3, 0.3], [0.6, 0.6, 0.6]]
    assert {c for _, c, _ in select(scores, threshold=0.5, classes=class_rules(3, {0: 0.2, 1: 0.7}))} == {0, 2}
    found = select(scores, threshold=0.5, classes=class_rules(3, {0: 0.2, 1: 0.7}))
    assert set(found) == {(0, 0, 0.3), (1, 0, 0.6), (1, 2, 0.6)}
    assert class_rules(3, {0: 0.2, 1: 0.7}).lowest(0.5) == pytest.approx(0.2)
    assert class_rules(2, {1: 0.7}).lowest(0.5) == 0.5


def test_small_boxes_of_a_class_are_dropped():
    areas = torch.tensor([50.0, 100.0])
    found = select([[0.9, 0.8], [0.7, 0.6]], classes=class_rules(2, None, {0: 100}), areas_R=areas)
    assert found == [(0, 1, 0.8), (1, 0, 0.7), (1, 1, 0.6)]


@pytest.mark.parametrize("nms_iou", [0.5, 1.0])
def test_a_class_has_at_most_so_many(nms_iou):
    scores = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]
    found = select(scores, nms_iou=nms_iou, classes=class_rules(2, None, None, {0: 2}))
    assert found == [(0, 0, 0.9), (1, 0, 0.8), (2, 1, 0.3), (1, 1, 0.2), (0, 1, 0.1)]
    assert select(scores, nms_iou=nms_iou, classes=class_rules(2, None, None, {0: 2}), max_detections=3) == found[:3]


def test_what_is_suppressed_counts_for_no_limit():
    boxes = torch.cat((APART[:1], APART[:1], APART[1:2]))
    assert select([[0.9], [0.8], [0.7]], boxes, classes=class_rules(1, None, None, {0: 2})) == [
        (0, 0, 0.9),
        (2, 0, 0.7),
    ]


@pytest.mark.parametrize("one_class", [False, True])
def test_a_negative_class_absorbs_what_it_fits_as_well(one_class):
    scores = [[0.9, 0.5, 0.2], [0.5, 0.5, 0.1], [0.4, 0.6, 0.8]]
    found = select(scores, one_class=one_class, classes=class_rules(3, negative={1}))
    assert found == [(0, 0, 0.9), (2, 2, 0.8)]
    everything = select(scores, one_class=one_class, classes=class_rules(3, negative={0, 1, 2}))
    assert everything == []


def test_a_negative_class_absorbs_below_the_threshold_of_its_own_too():
    assert select([[0.55, 0.56]], threshold=0.5, classes=class_rules(2, {1: 0.99}, negative={1})) == []


def test_columns_of_padding_follow_the_common_rules():
    classes = class_rules(1, {0: 0.1}, {0: 5}, {0: 1})
    found = select([[0.2, 0.3, 0.6]] * 2, APART, threshold=0.5, classes=classes, areas_R=torch.tensor([9.0, 9.0]))
    assert found == [(0, 2, 0.6), (1, 2, 0.6), (0, 0, 0.2)]
    absorbing = class_rules(1, negative={0})
    assert select([[0.6, 0.3, 0.7]], threshold=0.5, classes=absorbing) == [(0, 2, 0.7)]


@pytest.mark.parametrize("classes", [class_rules(3, {0: 0.1}, {1: 4.0}, {2: 1}, {0}), class_rules(3, most={0: 1})])
@pytest.mark.parametrize("nms_iou", [0.5, 1.0])
def test_rules_of_nothing(classes, nms_iou):
    nothing = torch.zeros(0, 3), torch.zeros(0, 4)
    assert select(*nothing, nms_iou=nms_iou, classes=classes, areas_R=torch.zeros(0)) == []


@given(seed=st.integers(0, 1000), counts=st.lists(st.integers(1, 4), min_size=1, max_size=6), n=st.integers(0, 5))
def test_the_best_phrase_stands_for_its_class(seed, counts, n):
    logits = torch.randn(n, sum(counts), generator=torch.Generator().manual_seed(seed))
    class_of = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    best = best_phrases(logits, class_of)
    assert best.shape == (n, len(counts))
    for r in range(n):
        for c in range(len(counts)):
            assert best[r, c] == max(logits[r, p] for p in range(sum(counts)) if class_of[p] == c)
    assert best_phrases(logits, None) is logits


def test_nothing_is_suppressed_at_one():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).expand(5, -1)
    assert len(select([[0.1 * i] for i in range(1, 6)], boxes, nms_iou=1.0)) == 5
    assert select([[0.1 * i] for i in range(1, 6)], boxes, nms_iou=1.0, max_detections=2) == [(4, 0, 0.5), (3, 0, 0.4)]
