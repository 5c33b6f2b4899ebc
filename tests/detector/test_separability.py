from dataclasses import replace

import numpy as np
import pytest
import torch

from ovdet_cli.detector.separability import (
    UNRELATED,
    can_tell,
    check_scores,
    find_inseparable,
    open_classifier,
    weakest_regions,
)
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.errors import MissingAssetError
from ovdet_cli.models.zoo import find_model
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.vocabulary import Part, Vocabulary


def pair(cosine, width=512):
    """Two unit vectors."""
    vectors = np.zeros((2, width), np.float32)
    vectors[0, 0], vectors[1, 0], vectors[1, 1] = 1, cosine, np.sqrt(1 - cosine**2)
    return vectors


def inseparable(name, cosine, threshold, width=512):
    thresholds = np.full(2, threshold, np.float32)
    return find_inseparable(open_classifier(find_model(name)), ["a", "b"], pair(cosine, width), [(0, 1)], thresholds)


@pytest.mark.parametrize("cosine", [0.93, 0.8, 0.5])
def test_detic_is_asked_by_its_formula(cosine):
    # Its score is the root of the probability, whose logit is proportional to the cosine.
    logit = np.log(0.81 / (1 - 0.81))
    expected = np.sqrt(1 / (1 + np.exp(-cosine * logit)))
    found = inseparable("detic-r18", cosine, 0.9)
    assert bool(found) == (0.9 - expected < 0.05)
    if found:
        assert (found[0].kind, found[0].names) == ("inseparable", ("a", "b"))
        assert (
            f'the threshold 0.90 for "a" scores {expected:.3f} for "b": {0.9 - expected:.3f} less' in found[0].message
        )


@pytest.mark.parametrize(("cosine", "is_found"), [(0.995, True), (0.97, False), (0.8, False)])
def test_the_built_in_model_is_asked_with_its_weights(cosine, is_found):
    assert bool(inseparable("builtin", cosine, 0.65, width=192)) == is_found


def test_the_weakest_region_scores_the_threshold():
    classifier = open_classifier(find_model("builtin"))
    texts = torch.from_numpy(pair(0.3, 192))
    thresholds = torch.tensor([0.2, 0.9])
    features, is_there = weakest_regions(classifier, texts, torch.tensor([0, 1]), thresholds)
    assert is_there.all()
    torch.testing.assert_close(classifier.score(features, texts, None).diagonal(), thresholds, atol=1e-4, rtol=0)


def test_a_threshold_that_nothing_or_everything_reaches_has_no_region():
    classifier = open_classifier(find_model("detic-r18"))
    texts = torch.from_numpy(pair(0.9))
    # Its score without any likeness is the root of a half.
    is_there = weakest_regions(classifier, texts, torch.tensor([0, 0, 0]), torch.tensor([0.7, 0.72, 1.1]))[1]
    assert is_there.tolist() == [False, True, False]
    assert inseparable("detic-r18", 0.99, 0.5) == []
    assert not can_tell(classifier, torch.eye(10, 512), 0.5)
    assert can_tell(classifier, torch.eye(10, 512), 0.9)


def test_each_class_has_its_own_threshold():
    classifier = open_classifier(find_model("builtin"))
    vectors = pair(0.97, 192)
    # At 0.95 the scores lie close, at 0.65 they do not.
    for thresholds, expected in (((0.95, 0.65), ("a", "b")), ((0.65, 0.95), ("b", "a"))):
        (found,) = find_inseparable(classifier, ["a", "b"], vectors, [(0, 1)], np.array(thresholds, np.float32))
        assert found.names == expected


def test_a_softmax_needs_weights_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("OVDET_HOME", str(tmp_path))
    with pytest.raises(MissingAssetError):
        open_classifier(find_model("vild-r152"))


class Tower(TextTower):
    """Embeds without a file: unrelated words far apart, "x1" and "x2" alike."""

    def embed(self, names):
        vectors = np.zeros((len(names), 512), np.float32)
        for row, name in enumerate(names):
            vectors[row, UNRELATED.index(name) if name in UNRELATED else 100] = 1
            vectors[row, 200 + row] = 0.3 if name not in UNRELATED else 0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def scores(entries, name="detic-r18", threshold=0.9, near=0.95):
    vocabulary = Vocabulary(parts=[Part(tuple(entry.name for entry in entries), entries=tuple(entries))])
    tower = Tower(find_model(name))
    places = {entry.name: place for place, entry in enumerate(entries)}
    return check_scores(vocabulary, tower, places, tower.embed(list(places)), threshold, near)


def test_a_vocabulary():
    found, left_out = scores([Entry("x1"), Entry("cat"), Entry("car")])
    assert ([finding.names for finding in found], left_out) == ([("x1", "cat")], [])
    assert scores([Entry("x1"), Entry("x2")], near=0.9) == ([], [])  # told as near-duplicates
    assert scores([Entry("x1", is_negative=True), Entry("x2", is_negative=True)]) == ([], [])
    assert scores([Entry("dog"), Entry("car")]) == ([], [])


def test_a_threshold_that_says_nothing_is_told():
    found, (reason,) = scores([Entry("x1"), Entry("x2")], threshold=0.5)
    assert found == []
    assert "at the threshold 0.5" in reason
    found, (reason,) = scores([Entry("x1", threshold=0.5), Entry("x2"), Entry("x3")])
    assert ([finding.names for finding in found], "0.5" in reason) == ([("x2", "x3")], True)


def test_a_classifier_that_is_not_here_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("OVDET_HOME", str(tmp_path))
    found, (reason,) = scores([Entry("x1"), Entry("x2")], "vild-r152")
    assert found == []
    assert reason.startswith("the check of scores, as the weights of vild-r152 are not on this machine")


def test_a_softmax_is_asked_with_all_classes():
    spec = find_model("builtin")
    classifier = replace(open_classifier(spec), is_joint=True)
    vectors = np.concatenate((np.eye(3, 192, k=5, dtype=np.float32), pair(0.995, 192)))
    thresholds = np.full(5, 0.65, np.float32)
    (found,) = find_inseparable(classifier, list("uvwab"), vectors, [(3, 4), (0, 3)], thresholds)
    assert found.names == ("a", "b")
