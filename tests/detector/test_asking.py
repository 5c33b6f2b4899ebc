from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.detector.asking import Asker, classifier_path, features_of
from ovdet_cli.detector.words import Words, class_rules
from ovdet_cli.errors import ModelError, UsageError
from ovdet_cli.models.spec import Rules
from ovdet_cli.models.zoo import MODELS
from ovdet_cli.regions import StoredRegions
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.vocabulary import Vocabulary
from tests.models.detic.tiny import TINY

D = TINY.embedding
SPEC = replace(MODELS["detic-r18"], config=TINY)
RULES = Rules(threshold=0.3, nms_iou=0.5, max_detections=50, one_class=False)
SIZE = (60, 80)


def unit(array):
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def make_stored(n, seed=0, precision="fp16", *, masks=False):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-8, 60, (n, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(4, 40, (n, 2))), axis=1).astype(np.float32)
    features = unit(rng.normal(size=(n, 3, D))) if n else np.zeros((0, 3, D), np.float32)
    pieces = rng.integers(0, 256, (n, 7, 7)).astype(np.uint8) if masks else None
    objectness = rng.uniform(0, 1, n).astype(np.float32)
    stored = StoredRegions(boxes, objectness, features, None, pieces).stored_as(precision)
    for array in vars(stored).values():
        if array is not None:
            array.flags.writeable = False  # as those of a file
    return stored


@pytest.fixture(scope="module")
def asker():
    return Asker(SPEC, {}, RULES)


def make_words(entries=("a", "b", "c"), seed=0):
    entries = [Entry(entry) if isinstance(entry, str) else entry for entry in entries]
    texts = torch.randn(len(entries), D, generator=torch.Generator().manual_seed(seed))
    return Words(Vocabulary([entry.name for entry in entries]), texts, classes=class_rules(entries))


def plain(found):
    return list(
        zip(found.boxes_xyxy.tolist(), found.class_ids.tolist(), np.round(found.scores, 5).tolist(), strict=True)
    )


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    precision=st.sampled_from(["fp16", "int8"]),
    has_rules=st.booleans(),
    seed=st.integers(0, 100),
)
def test_frames_are_answered_as_each_alone(asker, counts, precision, has_rules, seed):
    entries = [Entry("a", threshold=0.1, max_per_image=2), Entry("b", is_negative=True), Entry("c", min_area=300)]
    words = make_words(entries if has_rules else "abc", seed)
    frames = [(make_stored(n, seed + i, precision, masks=True), SIZE) for i, n in enumerate(counts)]
    together = asker.answer(frames, words)
    assert len(together) == len(frames)
    for frame, found in zip(frames, together, strict=True):
        (alone,) = asker.answer([frame], words)
        assert plain(found) == plain(alone)
        assert [m.area for m in found.masks] == [m.area for m in alone.masks]
        assert (found.boxes_xyxy >= 0).all()
        assert (found.boxes_xyxy <= [80, 60, 80, 60]).all()


def test_what_is_of_no_use_may_be_left_out(asker):
    frames = [(make_stored(30, i), SIZE) for i in range(3)]
    everything, few = asker.answer(frames, make_words()), asker.answer(frames, make_words(), least=0.6)
    for found, strong in zip(everything, few, strict=True):
        assert plain(strong) == plain(found.above(0.6))
    assert sum(map(len, few)) > 0
    low = asker.answer(frames, make_words(), least=0.1)
    assert [plain(f) for f in low] == [plain(f) for f in everything], "the rules stay"


def test_masks_only_where_they_are_kept_and_wanted(asker):
    masked = [(make_stored(9, masks=True), SIZE)]
    (found,) = asker.answer(masked, make_words())
    assert len(found.masks) == len(found) > 0
    assert all(mask.size_hw == SIZE for mask in found.masks)
    assert asker.answer(masked, make_words(), with_masks=False)[0].masks is None
    assert asker.answer([(make_stored(9), SIZE)], make_words())[0].masks is None


def test_nothing_to_ask(asker):
    assert asker.answer([], make_words()) == []
    assert asker.find_similar([], np.ones((3, D), np.float32)) == []
    assert [len(f) for f in asker.answer([(make_stored(0), SIZE)] * 2, make_words())] == [0, 0]


@pytest.mark.filterwarnings("error")
def test_what_looks_like_an_example(asker):
    frames = [(make_stored(20, i), SIZE) for i in range(3)]
    example = features_of([frames[1][0]])[4].numpy()
    low = Asker(SPEC, {}, replace(RULES, threshold=0.0, nms_iou=1.0))
    found = low.find_similar(frames, example * 3)  # of any length
    best = max(range(3), key=lambda i: found[i].scores.max())
    assert best == 1
    assert found[1].scores[0] == pytest.approx(1, abs=1e-5)
    box = np.clip(frames[1][0].boxes_xyxy[4], 0, [80, 60, 80, 60])
    np.testing.assert_array_equal(found[1].boxes_xyxy[0], box)
    assert all((f.class_ids == 0).all() and (np.diff(f.scores) <= 0).all() for f in found)
    naive = [
        np.clip((unit(features_of([s]).numpy()) * unit(example)).sum(axis=2).mean(axis=1), 0, 1) for s, _ in frames
    ]
    for one, cosines in zip(found, naive, strict=True):
        np.testing.assert_allclose(one.scores, np.sort(cosines[cosines > 0])[::-1], atol=1e-5)
    strong = low.find_similar(frames, example, least=0.2)
    assert [len(f) for f in strong] == [int((f.scores > 0.2).sum()) for f in found]


@pytest.mark.filterwarnings("error")
def test_arrays_that_nobody_may_write_are_fine(asker):
    asker.answer([(make_stored(5, precision="int8", masks=True), SIZE)], make_words())


def test_int8_is_multiplied_out():
    exact = make_stored(4, precision="fp16")
    small = make_stored(4, precision="int8")
    two = features_of([small, make_stored(2, 9, "int8")])
    assert two.shape == (6, 3, D)
    assert two.dtype == torch.float32
    np.testing.assert_allclose(two[:4], exact.features.astype(np.float32), atol=0.004)


def test_rules_and_weights_that_are_none():
    with pytest.raises(UsageError, match="detic-r18 knows no rules called 'nonsense'; it knows official"):
        Asker(SPEC, {}, RULES, "nonsense")
    with pytest.raises(ModelError, match="not those of detic-r18"):
        Asker(SPEC, {"temperature": torch.ones(())}, RULES)
    with pytest.raises(ModelError, match="not those of"):
        Asker(next(spec for spec in MODELS.values() if spec.architecture == "dito"), {}, RULES)


def test_where_the_weights_stand(tmp_path):
    assert classifier_path(tmp_path) == tmp_path / "classifier.safetensors"
