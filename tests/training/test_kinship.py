from dataclasses import dataclass

import pytest

from ovdet_cli.training.kinship import Kinship, cut_ending, find_kinship
from ovdet_cli.training.wordnet import WordNet
from tests.training.wordnets import write_wordnet


@dataclass(frozen=True)
class Thing:
    name: str
    synonyms: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def kinship(tmp_path_factory) -> Kinship:
    wordnet = WordNet.open(write_wordnet(tmp_path_factory.mktemp("wordnet")))
    return find_kinship(wordnet, [Thing("apple"), Thing("dog", ("hound",)), Thing("tail")])


def nearest(kinship: Kinship, word: str) -> tuple[int, float]:
    row = kinship.words.index(word)
    return int(kinship.nearest[row, 0]), float(kinship.nearness[row, 0])


@pytest.mark.parametrize(("word", "category"), [("dog", 1), ("puppy", 1), ("terrier", 1), ("pippin", 0), ("animal", 1)])
def test_words_are_near_what_they_are_a_kind_of_or_above(kinship, word, category):
    found, nearness = nearest(kinship, word)
    assert found == category and nearness > 0.3


def test_a_word_is_nearer_its_own_category_than_its_kinds(kinship):
    assert nearest(kinship, "dog")[1] > nearest(kinship, "puppy")[1]


def test_a_far_word_is_near_none(kinship):
    assert nearest(kinship, "philosophy")[1] < 0.1


def test_proper_nouns_are_left_out(kinship):
    assert "lassie" not in kinship.words


def test_how_common_words_are(kinship):
    assert kinship.commonness[kinship.words.index("animal")] == 2
    assert kinship.commonness[kinship.words.index("puppy")] == 0


@pytest.mark.parametrize("forms", [("berry", "berries"), ("run", "running", "runs"), ("bake", "baked", "baking")])
def test_forms_of_a_word_share_a_stem(forms):
    assert len({cut_ending(form) for form in forms}) == 1
