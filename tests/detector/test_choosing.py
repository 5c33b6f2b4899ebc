from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.detector import choosing
from ovdet_cli.detector.choosing import Chooser, RegionPolicy, finish
from ovdet_cli.detector.words import Words, class_rules
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops import screening
from ovdet_cli.models.ops.selection import select_detections
from ovdet_cli.models.spec import VILD_DEMO, Rules
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.vocabulary import Vocabulary
from tests.models.detic.tiny import TINY, build_tiny
from tests.models.dito import tiny as dito

WIDTH = TINY.embedding
ALL = Rules(threshold=0.0, nms_iou=0.5, max_detections=1000, one_class=False)


@pytest.fixture(scope="module")
def model():
    return build_tiny()


def random_regions(n, seed=0, sets=3, width=WIDTH):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(n, 4, generator=generator) * 50
    boxes[:, 2:] += boxes[:, :2] + 1
    features = F.normalize(torch.randn(n, sets, width, generator=generator), dim=2)
    return Regions(boxes, torch.rand(n, generator=generator), features)


def make_words(num, seed=0, entries=None, **more):
    texts = F.normalize(torch.randn(num, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=1)
    names = [f"thing {i}" for i in range(num)] if entries is None else [entry.name for entry in entries]
    rules = None if entries is None else class_rules(entries)
    return Words(Vocabulary(names), texts, classes=rules, **more)


def choose(model, regions, words, rules=ALL, post="official"):
    with torch.inference_mode():
        return Chooser(model, rules, post).choose(regions, regions.boxes_R4, words)


def scores_of(model, regions, words):
    with torch.inference_mode():
        return model.classify(regions, words.texts, words.is_novel_C, words.rows, words.class_of_P)


def assert_alike(found, wanted):
    """The same places; scores within what another order of sums changes."""
    assert [t.tolist() for t in found[:2]] == [t.tolist() for t in wanted[:2]]
    torch.testing.assert_close(found[2], wanted[2], rtol=1e-5, atol=1e-6)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    threshold=st.sampled_from([0.0, 0.4, 0.6]),
    nms_iou=st.sampled_from([0.3, 1.0]),
    one_class=st.booleans(),
    most=st.sampled_from([2, 1000]),
    has_rules=st.booleans(),
)
def test_several_pictures_are_chosen_from_as_each_alone(
    model, seed, counts, threshold, nms_iou, one_class, most, has_rules
):
    each = [random_regions(n, seed + i) for i, n in enumerate(counts)]
    together = Regions(*(torch.cat(parts) for parts in zip(*(vars(r).values() for r in each), strict=True)))
    entries = [Entry("a", threshold=0.2), Entry("b", max_per_image=1), Entry("c", is_negative=True), Entry("d")]
    words = make_words(4, seed, entries if has_rules else None)
    rules = Rules(threshold, nms_iou, most, one_class)
    with torch.inference_mode():
        found = Chooser(model, rules).choose_each(together, together.boxes_R4, counts, words)
    assert len(found) == len(counts)
    for own, regions in zip(found, each, strict=True):
        assert_alike(own, choose(model, regions, words, rules))


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), lowest=st.sampled_from([0.1, 0.5, 0.7]), one_class=st.booleans())
def test_regions_that_cannot_reach_the_threshold_change_nothing(model, seed, lowest, one_class):
    regions = random_regions(40, seed)
    entries = [Entry("a", threshold=lowest), Entry("b"), Entry("c", is_negative=True), Entry("d", min_area=400)]
    words = make_words(4, seed, entries)
    rules = Rules(0.5, 0.4, 25, one_class)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "best_scores", OpenVocabularyDetector.best_scores)
        everything = choose(model, regions, words, rules)
        patch.setattr(choosing, "_AT_ONCE", 9)  # two regions at a time
        assert_alike(choose(model, regions, words, rules), everything)
    assert_alike(choose(model, regions, words, rules), everything)
    areas = choosing.areas(regions.boxes_R4)
    naive = select_detections(
        regions.boxes_R4, scores_of(model, regions, words), **vars(rules), classes=words.classes, areas_R=areas
    )
    assert_alike(everything, naive)


def test_regions_that_cannot_reach_the_threshold_are_not_scored(model, monkeypatch):
    regions = random_regions(60)
    seen = []
    classify = model.classify
    monkeypatch.setattr(model, "classify", lambda part, *rest: seen.append(len(part.boxes_R4)) or classify(part, *rest))
    choose(model, regions, make_words(3), replace(ALL, threshold=0.8))
    assert sum(seen) == int((regions.objectness_R.sqrt() > 0.8).sum()) < 60
    own = [Entry("a"), Entry("b", threshold=0.1), Entry("c")]
    seen.clear()
    choose(model, regions, make_words(3, entries=own), replace(ALL, threshold=0.8))
    assert sum(seen) == int((regions.objectness_R.sqrt() > 0.1).sum())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_regions_that_are_no_numbers(model, bad):
    regions = random_regions(5)
    regions.boxes_R4[1, 2] = bad
    regions.features_RSD[3, 0, 0] = float("nan")
    found = choose(model, regions, make_words(2))
    assert set(found[0].tolist()) <= {0, 2, 4}


def test_no_region(model):
    rows, class_ids, scores = choose(model, random_regions(0), make_words(2))
    assert (len(rows), len(class_ids), len(scores)) == (0, 0, 0)
    rows, _, _ = choose(model, random_regions(4), make_words(2), replace(ALL, threshold=1.0))
    assert not len(rows)


def test_the_best_phrase_counts(model):
    """As if each phrase were a class, and its class's name stood in its place."""
    regions = random_regions(30, 4)
    regions.features_RSD[:] = regions.features_RSD[:, :1]  # alike in all stages, each of which takes its own best
    class_of = torch.tensor([0, 0, 1, 2, 2, 2])
    phrases = make_words(6)
    classes = replace(phrases, vocabulary=Vocabulary(["a", "b", "c"]), class_of_P=class_of)
    scores_RP = scores_of(model, regions, phrases)
    scores_RC = torch.stack([scores_RP[:, class_of == c].amax(dim=1) for c in range(3)], dim=1)
    assert_alike(choose(model, regions, classes), select_detections(regions.boxes_R4, scores_RC, **vars(ALL)))


def test_the_best_phrase_counts_in_columns_of_each_stage(model):
    regions = random_regions(10)
    words = make_words(4)
    sets = F.normalize(torch.randn(3, 4, WIDTH, generator=torch.Generator().manual_seed(2)), dim=2)
    alone = replace(words, texts=sets)
    twice = replace(words, texts=sets.repeat_interleave(2, dim=1), class_of_P=torch.arange(4).repeat_interleave(2))
    assert_alike(choose(model, regions, twice), choose(model, regions, alone))


def test_negatives_are_never_reported(model):
    regions = random_regions(60, 1)
    words = make_words(3, entries=[Entry("a"), Entry("b", is_negative=True), Entry("c")])
    plain = replace(words, classes=None)
    for one_class in (False, True):
        rules = replace(ALL, nms_iou=1.0, one_class=one_class)
        rows, class_ids, _ = choose(model, regions, words, rules)
        before_rows, before_ids, _ = choose(model, regions, plain, rules)
        scores = scores_of(model, regions, words)
        wanted = {
            (r, c)
            for r, c in zip(before_rows.tolist(), before_ids.tolist(), strict=True)
            if c != 1 and scores[r, c] > scores[r, 1]
        }
        assert set(zip(rows.tolist(), class_ids.tolist(), strict=True)) == wanted
        assert 0 < len(wanted) < len(before_rows)


def test_padding_rows_are_nothing_that_anybody_asked_for():
    """They take part in the suppression alone."""
    model = dito.build_tiny()
    regions = random_regions(30, 3, 2, dito.TINY.embedding)
    around = F.normalize(torch.randn(2, dito.TINY.embedding, generator=torch.Generator().manual_seed(9)), dim=1)
    texts = F.normalize(torch.randn(3, dito.TINY.embedding, generator=torch.Generator().manual_seed(1)), dim=1)
    words = Words(Vocabulary(["a", "b", "c"]), texts, rows=TextRows(around[0], around[1], 12))
    assert words.num_columns == 12
    scores_RC = scores_of(model, regions, words)
    assert scores_RC.shape == (30, 11)
    rules = replace(ALL, max_detections=40)
    rows, class_ids, scores = select_detections(regions.boxes_R4, scores_RC, **vars(rules))
    is_word = class_ids < 3
    assert 0 < int(is_word.sum()) < len(rows)
    wanted = (rows[is_word], class_ids[is_word], scores[is_word])
    assert_alike(choose(model, regions, words, rules), wanted)
    ruled = replace(words, classes=class_rules([Entry("a", threshold=0.0), Entry("b"), Entry("c")]))
    assert_alike(choose(model, regions, ruled, rules), wanted)


def test_twenty_one_thousand_classes(model, monkeypatch):
    regions = random_regions(12, 5)
    words = make_words(21_000)
    rules = Rules(0.6, 0.5, 300, one_class=False)
    found = choose(model, regions, words, rules)
    monkeypatch.setattr(choosing, "_AT_ONCE", 50_000)
    assert_alike(choose(model, regions, words, rules), found)
    naive = select_detections(regions.boxes_R4, scores_of(model, regions, words), **vars(rules))
    assert_alike(found, naive)
    assert len(found[0]) == 300


# The rules of ViLD's demo


def demo_regions():
    regions = random_regions(6, 2, sets=1)
    boxes = torch.tensor([[40.0 * i, 0.0, 40.0 * i + 30, 30.0] for i in range(6)])
    return Regions(boxes, torch.full((6,), 0.95), regions.features_RSD)


def test_the_demo_names_classes_by_their_nearest_phrase(model):
    regions = demo_regions()
    phrases = make_words(6)
    rows, ids, scores = choose(model, regions, phrases, ALL, VILD_DEMO)
    class_of = torch.tensor([0, 0, 1, 2, 2, 2])
    classes = replace(phrases, vocabulary=Vocabulary(["a", "b", "c"]), class_of_P=class_of)
    assert_alike(choose(model, regions, classes, ALL, VILD_DEMO), (rows, class_of[ids], scores))
    assert len(rows) >= 3


def test_the_demo_knows_what_a_vocabulary_says_of_classes(model):
    regions = demo_regions()
    words = make_words(2)
    rows, ids, scores = (t.tolist() for t in choose(model, regions, words, ALL, VILD_DEMO))
    assert set(ids) == {0, 1}

    def ruled(**of_first):
        entries = [Entry("a", **of_first), Entry("b")]
        return [t.tolist() for t in choose(model, regions, make_words(2, entries=entries), ALL, VILD_DEMO)]

    own = [i for i in range(len(ids)) if ids[i] == 0]
    others = [row for row, c in zip(rows, ids, strict=True) if c == 1]
    assert ruled(is_negative=True)[0] == others
    assert ruled(min_area=1e6)[0] == others
    assert sorted(ruled(threshold=scores[own[0]] - 1e-4)[0]) == sorted([rows[own[0]], *others])
    assert sorted(ruled(max_per_image=1)[0]) == sorted([rows[own[0]], *others])


def test_the_demo_takes_several_pictures_too(model):
    regions = demo_regions()
    twice = Regions(*(torch.cat((t, t)) for t in vars(regions).values()))
    words = make_words(3)
    with torch.inference_mode():
        found = Chooser(model, ALL, VILD_DEMO).choose_each(twice, twice.boxes_R4, [6, 6], words)
    alone = choose(model, regions, words, ALL, VILD_DEMO)
    for own in found:
        assert_alike(own, alone)


# What an index keeps


def test_an_index_keeps_the_regions_that_can_score_most_in_their_order():
    regions = random_regions(6)
    best = torch.tensor([0.1, 0.9, 0.5, 0.9, 0.0, 0.7])
    assert RegionPolicy(None, -1.0).choose(regions, best).tolist() == [0, 1, 2, 3, 4, 5]
    assert RegionPolicy(None, 0.0).choose(regions, best).tolist() == [0, 1, 2, 3, 5]
    assert RegionPolicy(None, 0.5).choose(regions, best).tolist() == [1, 3, 5]
    assert RegionPolicy(2, -1.0).choose(regions, best).tolist() == [1, 3]
    assert RegionPolicy(1, -1.0).choose(regions, best).tolist() == [1]
    assert RegionPolicy(9, 0.8).choose(regions, best).tolist() == [1, 3]


def test_an_index_keeps_no_region_that_is_no_number():
    regions = random_regions(4)
    regions.boxes_R4[0, 1] = float("nan")
    regions.features_RSD[2, 0, 3] = float("inf")
    assert RegionPolicy(None, -1.0).choose(regions, torch.ones(4)).tolist() == [1, 3]


def test_boxes_end_at_the_picture_and_empty_ones_go():
    boxes = np.array([[-5, -5, 10, 10], [90, 10, 120, 20], [-9, 0, -1, 9], [3, 3, 3, 8]], np.float32)
    found = finish(boxes, (50, 100), np.arange(4), np.full(4, 0.5, np.float32), None, None)
    assert found.boxes_xyxy.tolist() == [[0, 0, 10, 10], [90, 10, 100, 20]]
    assert found.class_ids.tolist() == [0, 1]
    assert found.masks is None


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), one_class=st.booleans(), cut=st.floats(0.3, 0.95), has_rules=st.booleans())
def test_screening_changes_nothing(model, seed, one_class, cut, has_rules):
    regions = random_regions(60, seed)
    entries = [Entry("a", threshold=cut / 2), Entry("b", is_negative=True), *(Entry(f"c{i}") for i in range(8))]
    words = make_words(10, seed, entries if has_rules else None)
    rules = Rules(cut, 0.4, 25, one_class)
    exact = choose(model, regions, words, rules)
    seen = []
    may_reach = type(model).may_reach
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "_WORTH_IT", 0)
        patch.setattr(screening, "has_fast_halves", lambda: True)
        patch.setattr(type(model), "may_reach", lambda *a: seen.append(may_reach(*a)) or seen[-1])
        assert_alike(choose(model, regions, words, rules), exact)
    (found,) = seen
    assert found is not None
    scores = scores_of(
        model, regions.select(torch.nonzero(regions.objectness_R.sqrt() > cut / (1 + has_rules)).squeeze(1)), words
    )
    assert len(found) == len(scores)
    assert not ((scores.amax(dim=1) > cut) & ~found).any()
