from dataclasses import dataclass

import numpy as np
import torch

from ovdet_cli.training.word_measures import measure_words

# Stands in for the tower: a text lies where its first letter says, plurals too; other letters are unfamiliar.
LETTERS = "abc"


class FirstLetter:
    familiar_threshold = 0.5

    def encode(self, texts):
        rows = [[float(text[:1] == letter) for letter in LETTERS] + [0.1] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(rows), dim=1)

    def familiarity(self, texts):
        return np.array([float(text[:1] in LETTERS) for text in texts])


@dataclass(frozen=True)
class Thing:
    name: str
    synonyms: tuple[str, ...] = ()
    held_out: str = ""


def test_rates():
    things = [Thing("ant", ("axe", "bee"), "cup"), Thing("bat", ("bee",), "zoo"), Thing("cow")]
    found = measure_words(FirstLetter(), FirstLetter().encode("abc").numpy(), things, lambda word: False)
    assert found["names, top1"] == found["plurals, top1"] == found["keywords, top1"] == 1  # a bee may be either
    assert found["held-out synonyms, top1"] == 0 and found["held-out synonyms, top3"] == 1
    assert found["held-out synonyms, reported"] == 0.5 and found["names, reported"] == 0
    assert 0 < found["slips in names, reported"] < 1
    assert np.isclose(found["cosine"], 1) and found["nearest name"] < 0.1 and found["cosine between names"] < 0.1


def test_one_category_without_synonyms():
    found = measure_words(FirstLetter(), FirstLetter().encode("a").numpy(), [Thing("ant")], lambda word: False)
    assert found["names, top1"] == 1 and "keywords, top1" not in found and "nearest name" not in found
