import random

import pytest

from ovdet_cli.training.word_forms import dress, inflect, misspell, pluralise


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("dog", "dogs"),
        ("cherry", "cherries"),
        ("key", "keys"),
        ("fox", "foxes"),
        ("bus", "buses"),
        ("octopus", "octopuses"),
        ("glass of milk", "glasses of milk"),
        ("wine glass", "wine glasses"),
        ("cup with straw", "cups with straw"),
        ("fireman", "firemen"),
        ("woman", "women"),
        ("computer mouse", "computer mice"),
        ("glasses", "glasses"),
        ("scissors", "scissors"),
        ("tennis", "tennises"),
        ("pizza 2", "pizza 2"),
        ("", ""),
    ],
)
def test_plurals(one, many):
    assert pluralise(one) == many


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("walk", ("walks", "walking", "walked")),
        ("bake", ("bakes", "baking", "baked")),
        ("fry", ("fries", "frying", "fried")),
        ("hug", ("hugs", "hugging", "hugged")),
        ("wash", ("washes", "washing", "washed")),
    ],
)
def test_forms_of_verbs(verb, forms):
    assert inflect(verb) == forms


def test_dressed_words_hold_the_word_or_its_plural():
    draw = random.Random(0)
    found = {dress("cherry", draw) for _ in range(300)}
    assert len(found) > 50
    assert all("cherr" in text for text in found)
    assert {"a cherry", "cherries", "two cherries", "a cherry emoji"} <= found


def test_a_slip_changes_one_letter_of_one_word():
    draw = random.Random(0)
    for _ in range(200):
        slipped = misspell("hot dog", draw, lambda word: False)
        assert slipped is not None and slipped != "hot dog"
        assert abs(len(slipped) - 7) <= 1
        assert ("hot" in slipped) or ("dog" in slipped)


def test_slips_that_are_words_are_drawn_again():
    draw = random.Random(0)
    assert all(misspell("cat", draw, lambda word: len(word) != 4) not in ("cat", "at", "act") for _ in range(50))
    assert misspell("cat", draw, lambda word: True) is None
    assert misspell("x 1", draw, lambda word: False) is None


def test_the_same_seed_slips_the_same():
    texts = [[misspell("elephant", draw, lambda word: False) for _ in range(9)] for draw in map(random.Random, (3, 3))]
    assert texts[0] == texts[1]
