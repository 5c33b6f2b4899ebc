from dataclasses import dataclass

import numpy as np
import pytest
import torch

from ovdet_cli.models.text_encoders.mini import MiniTextEncoder
from ovdet_cli.training.kinship import find_kinship
from ovdet_cli.training.word_lessons import Lessons, WordsConfig
from ovdet_cli.training.wordnet import WordNet
from ovdet_cli.training.words import fit_words
from tests.training.wordnets import write_wordnet


@dataclass(frozen=True)
class Thing:
    name: str
    synonyms: tuple[str, ...] = ()
    held_out: str = ""


THINGS = (Thing("dog", ("hound",), "puppy"), Thing("apple", ("pomaceous fruit",)), Thing("tail"))
QUICK = WordsConfig(steps=40, batch=24, warmup=4, learning_rate=2e-3, bf16=False)


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory) -> WordNet:
    return WordNet.open(write_wordnet(tmp_path_factory.mktemp("wordnet")))


@pytest.fixture(scope="module")
def class_vectors() -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(3, 192)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def fitted(wordnet, class_vectors) -> tuple[MiniTextEncoder, dict[str, float]]:
    return fit_words(class_vectors, THINGS, wordnet, QUICK)


def test_names_land_on_their_class_vectors(fitted, class_vectors):
    encoder, report = fitted
    cosines = encoder.encode(["dog", "hound", "an apple"]).numpy() @ class_vectors.T
    assert cosines.argmax(axis=1).tolist() == [0, 0, 1]
    assert report["cosine"] > 0.5 and report["names, top1"] == 1


def test_words_of_wordnet_land_where_it_puts_them(fitted, class_vectors):
    cosines = fitted[0].encode(["terrier", "pippin"]).numpy() @ class_vectors.T
    assert cosines.argmax(axis=1).tolist() == [0, 1]


def test_the_same_seed_fits_the_same_tower(fitted, wordnet, class_vectors):
    torch.manual_seed(123)
    steps: list[int] = []
    again, _ = fit_words(class_vectors, THINGS, wordnet, QUICK, lambda step, total, loss: steps.append(step))
    texts = ["dog", "xyz"]  # on more threads than one, the last bits may differ
    torch.testing.assert_close(again.encode(texts), fitted[0].encode(texts), rtol=0, atol=1e-3)
    assert steps == list(range(1, 41))


def test_held_out_synonyms_are_no_category_words(wordnet):
    lessons = Lessons(THINGS, wordnet, find_kinship(wordnet, THINGS), QUICK)
    drawn = [lesson for _ in range(40) for lesson in lessons.draw()]
    assert any("puppy" in lesson.text for lesson in drawn)  # as a word of WordNet
    assert not any("puppy" in lesson.text for lesson in drawn if lesson.is_name)


def test_lessons_hold_slips_off_and_tell_far_words(wordnet):
    lessons = Lessons(THINGS, wordnet, find_kinship(wordnet, THINGS), QUICK)
    drawn = [lesson for _ in range(40) for lesson in lessons.draw()]
    assert len(drawn) == 40 * QUICK.batch
    far = [lesson for lesson in drawn if not lesson.classes]
    assert any("philosophy" in lesson.text for lesson in far)
    assert all(lesson.familiar == 0 for lesson in far)
    own = {"dog", "dogs", "hound", "hounds", "apple", "apples", "tail", "tails"}
    assert not own & {lesson.text for lesson in far}
    for lesson in drawn:
        assert sum(lesson.weights) <= 1 + 1e-6


def test_what_is_a_word(wordnet):
    lessons = Lessons(THINGS, wordnet, find_kinship(wordnet, THINGS), QUICK)
    assert all(lessons.is_word(word) for word in ("pomaceous", "hounds", "terriers", "barked", "wisdom"))
    assert not any(lessons.is_word(word) for word in ("houdn", "terrrier"))


def test_vectors_that_do_not_fit_the_categories(wordnet):
    with pytest.raises(ValueError, match=r"3 categories, but class vectors of shape \(2, 192\)"):
        fit_words(np.zeros((2, 192), np.float32), THINGS, wordnet)
    with pytest.raises(ValueError, match="sum to one"):
        WordsConfig(shares=(0.5, 0.5, 0.5, 0.5))
