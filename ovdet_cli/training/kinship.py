"""How near every word of WordNet is to every category: the teacher of words that no picture taught.

A meaning is described by what it is a kind of, the words of its definition, its parts and its relatives, each weighted
by how rare it is and all brought to unit length; a word by the mean of its meanings; a category by the mean of its name
and synonyms, whose meanings are weighted by how well they agree with one another (as in Lesk's "How to tell a pine cone
from an ice cream cone", 1986: the words around decide the meaning). Nearness is the scalar product, but a kind of a
category is at least `_KIND` near it, and what it is a kind of `_ABOVE`, less for each step between.
"""

# W words, C categories, K nearest of them

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from ovdet_cli.training.wordnet import WordNet

Features = dict[int | str, float]
"""Place of a meaning in WordNet, or the stem of a word -> weight."""

NUM_NEAREST = 16

# Chosen by eye and on the synonyms held out of the categories: the right one is among the first three for 48 % of 541,
# of which 81 % are in WordNet. No tower taught by this can be expected to do better.
_STEP = 0.75  # what a meaning one step further up counts
_DEFINITION, _EXAMPLES, _OWN_WORDS, _PARTS, _AKIN = 0.4, 0.2, 0.8, 0.3, 0.5
_SPELLING = 0.5  # what a text's own words count beside their meanings
_KIND, _ABOVE, _PER_STEP = 0.6, 0.45, 0.85
_MAX_ABOVE = 4  # steps: further up are "object" and "whole"
_HEAD = 0.6  # what it counts when only the last word of a category's name is in WordNet
_RANK = 0.35  # how fast rarer meanings of a word fade
_CONCRETE = {
    **dict.fromkeys(("animal", "artifact", "body", "food", "object", "plant"), 1.0),
    **dict.fromkeys(("person", "phenomenon"), 0.8),
    **dict.fromkeys(("substance", "act", "event", "Tops", "shape"), 0.6),
    **dict.fromkeys(("communication", "group", "location", "possession"), 0.5),
}
_ABSTRACT = 0.4
_PROPER = 0.3
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be being between but by can e especially etc for from g has have having he her his i "
        "if in into is it its made make more most no not of on one or other out she so some such than that the their "
        "them these they this those to up use used usually very was when which who with you",
    )
)
_ENDINGS = (
    ("ies", "y"),
    ("es", ""),
    ("es", "e"),
    ("s", ""),
    ("ing", ""),
    ("ing", "e"),
    ("ed", ""),
    ("ed", "e"),
    ("ves", "f"),
)


class Named(Protocol):
    """What is read of a category."""

    @property
    def name(self) -> str: ...

    @property
    def synonyms(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Kinship:
    """Words of the language and their nearest categories."""

    words: tuple[str, ...]
    nearest: np.ndarray
    """int64 (W, K), the nearest first."""
    nearness: np.ndarray
    """float32 (W, K), 0 to 1: above 0.3 nearly always akin, below 0.1 hardly ever."""
    commonness: np.ndarray
    """float32 (W,): in how many definitions and examples the word occurs."""


def find_kinship(wordnet: WordNet, categories: Sequence[Named], max_words: int = 3) -> Kinship:
    """The nearest categories of WordNet's words of at most `max_words` words; without names that it speaks of once."""
    describer = _Describer(wordnet)
    columns = describer.describe_categories(categories)
    words = [word for word in wordnet.senses if _is_usable(word, max_words)]
    words = [word for word in words if describer.occurrences[word] or not _is_proper(word, wordnet)]
    places = {feature: i for i, feature in enumerate(dict.fromkeys(f for column in columns for f in column))}
    features_FC = torch.zeros(len(places), len(columns))
    for c, column in enumerate(columns):
        features_FC[[places[f] for f in column], c] = torch.tensor(list(column.values()))
    lineage = _Lineage(describer, categories, columns)
    found = []
    for start in range(0, len(words), 4096):
        chunk = words[start : start + 4096]
        nearness_WC = _multiply([describer.describe(word) for word in chunk], places, features_FC)
        for row, word in enumerate(chunk):
            lineage.raise_nearness(word, nearness_WC[row])
        found.append(nearness_WC.topk(min(NUM_NEAREST, len(columns)), dim=1))
    return Kinship(
        tuple(words),
        torch.cat([indices for _, indices in found]).numpy(),
        torch.cat([values for values, _ in found]).numpy(),
        np.array([describer.occurrences[word] for word in words], np.float32),
    )


def _is_usable(word: str, max_words: int) -> bool:
    return bool(re.fullmatch(r"[a-z][a-z' -]+", word)) and len(re.split(r"[ -]", word)) <= max_words


def _is_proper(word: str, wordnet: WordNet) -> bool:
    """A name, or an adverb: of little use unless definitions speak of it."""
    meanings = [wordnet.synsets[place] for place in wordnet.senses[word]]
    return all(meaning.pos == "r" or meaning.is_proper for meaning in meanings)


def _multiply(rows: Sequence[Features], places: Mapping[int | str, int], features_FC: torch.Tensor) -> torch.Tensor:
    """Scalar products (W, C) of words and categories."""
    known = [[(places[feature], weight) for feature, weight in row.items() if feature in places] for row in rows]
    flat = [entry for row in known for entry in row]
    starts = np.cumsum([0, *(len(row) for row in known[:-1])])
    return F.embedding_bag(
        torch.tensor([place for place, _ in flat], dtype=torch.long),
        features_FC,
        torch.from_numpy(starts),
        mode="sum",
        per_sample_weights=torch.tensor([weight for _, weight in flat]),
    )


class _Describer:
    """Meanings, texts and categories -> features of unit length."""

    def __init__(self, wordnet: WordNet) -> None:
        self.wordnet = wordnet
        self._stems: dict[str, str] = {}
        self._meanings: dict[int, Features] = {}
        self.ancestors = [wordnet.ancestors(place) for place in range(len(wordnet.synsets))]
        self.occurrences: Counter[str] = Counter()
        counts: Counter[int | str] = Counter()
        for ancestors, synset in zip(self.ancestors, wordnet.synsets, strict=True):
            self.occurrences.update(set(re.findall("[a-z]+", synset.gloss.lower())))
            counts.update(ancestors.keys())
            counts.update(set(self._stem_all(synset.gloss)).union(*(self._stem_all(word) for word in synset.words)))
        total = len(wordnet.synsets)
        self._rarity = {feature: math.log(total / count) for feature, count in counts.items()}
        self._rarest = math.log(total + 1)

    def describe_categories(self, categories: Sequence[Named]) -> list[Features]:
        """The mean of name and synonyms: first all their meanings, then those that fit the whole."""
        shared = Counter(synonym for category in categories for synonym in category.synonyms)
        rows = []
        for category in categories:
            texts = [(category.name, 2.0), *((word, shared[word] ** -0.5) for word in category.synonyms)]
            whole: Features = {}
            for _ in range(2):
                whole = _mean([(self.describe(text, whole), weight) for text, weight in texts])
            rows.append(whole)
        return rows

    def describe(self, text: str, context: Features | None = None) -> Features:
        """A word or phrase; `context` favours the meanings that agree with it."""
        meaning = self._describe_meanings(text, context)
        words = text.split()
        if not meaning and len(words) > 1:
            # The last word of an English compound says what it is.
            weights = [0.6] * (len(words) - 1) + [1.0]
            meaning = _mean((self._describe_meanings(word, context), w) for word, w in zip(words, weights, strict=True))
        spelling = _unit({stem: self._weigh(stem) for stem in self._stem_all(text)})
        return _mean([(meaning, 1.0), (spelling, _SPELLING)])

    def _describe_meanings(self, word: str, context: Features | None) -> Features:
        meanings = self.weigh_meanings(word, context)
        return _mean((self._describe_meaning(place), weight) for place, weight in meanings)

    def weigh_meanings(self, word: str, context: Features | None = None) -> list[tuple[int, float]]:
        """Places of a word's meanings, and how likely each is meant: usual and concrete ones, and what fits."""
        ranks: Counter[str] = Counter()
        weighted = []
        for place in self._look_up(word):
            synset = self.wordnet.synsets[place]
            weight = _CONCRETE.get(synset.field, _ABSTRACT) if synset.pos == "n" else _ABSTRACT
            weight *= (_PROPER if synset.is_proper else 1.0) / (1 + _RANK * ranks[synset.pos])
            ranks[synset.pos] += 1
            if context:
                weight *= 0.05 + _product(self._describe_meaning(place), context)
            weighted.append((place, weight))
        return weighted

    def _look_up(self, word: str) -> Sequence[int]:
        senses = self.wordnet.senses
        if word in senses:
            return senses[word]
        for ending, instead in _ENDINGS:
            base = word.removesuffix(ending) + instead
            if word.endswith(ending) and base in senses:
                return senses[base]
        return ()

    def _describe_meaning(self, place: int) -> Features:
        if place in self._meanings:
            return self._meanings[place]
        synset, features = self.wordnet.synsets[place], Features()
        for above, steps in self.ancestors[place].items():
            features[above] = self._weigh(above) * _STEP**steps
        definition, *examples = synset.gloss.split('; "')
        for texts, weight in ((examples, _EXAMPLES), ([definition], _DEFINITION)):
            for stem in (stem for text in texts for stem in self._stem_all(text)):
                features[stem] = weight * self._weigh(stem)
        for stem in (stem for word in synset.words for stem in self._stem_all(word)):
            features[stem] = _OWN_WORDS * self._weigh(stem)
        for part in synset.parts:
            features[part] = features.get(part, 0.0) + _PARTS * self._weigh(part)
        for relative in synset.akin:
            for above, steps in self.ancestors[relative].items():
                features[above] = max(features.get(above, 0.0), _AKIN * self._weigh(above) * _STEP**steps)
        self._meanings[place] = _unit(features)
        return self._meanings[place]

    def _weigh(self, feature: int | str) -> float:
        return self._rarity.get(feature, self._rarest)

    def _stem_all(self, text: str) -> list[str]:
        return [self._stem(word) for word in re.findall("[a-z]+", text.lower()) if word not in _STOP]

    def _stem(self, word: str) -> str:
        if word not in self._stems:
            self._stems[word] = cut_ending(word)
        return self._stems[word]


class _Lineage:
    """Which categories are above and below a meaning."""

    def __init__(self, describer: _Describer, categories: Sequence[Named], columns: Sequence[Features]) -> None:
        self._describer = describer
        self._here: dict[int, list[tuple[int, float]]] = {}
        self._above: dict[int, list[tuple[int, float]]] = {}
        for c, (category, column) in enumerate(zip(categories, columns, strict=True)):
            meanings, sure = describer.weigh_meanings(category.name, column), 1.0
            if not meanings:
                meanings, sure = describer.weigh_meanings(category.name.split()[-1], column), _HEAD
            nouns = [meaning for meaning in meanings if describer.wordnet.synsets[meaning[0]].pos == "n"]
            if not nouns:
                continue
            place = max(nouns, key=lambda meaning: meaning[1])[0]
            self._here.setdefault(place, []).append((c, _KIND * sure))
            for above, steps in describer.ancestors[place].items():
                if 0 < steps <= _MAX_ABOVE:
                    self._above.setdefault(above, []).append((c, _ABOVE * sure * _PER_STEP**steps))

    def raise_nearness(self, word: str, nearness_C: torch.Tensor) -> None:
        """Raises a word's nearness, in place, to what its place among the categories deserves."""
        meanings = self._describer.weigh_meanings(word)
        most = max((weight for _, weight in meanings), default=0.0)
        for place, weight in meanings:
            related = self._above.get(place, [])
            for above, steps in self._describer.ancestors[place].items():
                related = related + [(c, n * _PER_STEP**steps) for c, n in self._here.get(above, ())]
            for c, least in related:
                nearness_C[c] = max(float(nearness_C[c]), least * weight / most)


def cut_ending(word: str) -> str:
    """A crude stem, the same for most forms of a word: only ever compared with other stems."""
    for ending, instead in (
        *(("iness", "y"), ("ies", "y"), ("ing", ""), ("edly", ""), ("ed", ""), ("ness", ""), ("ers", "er")),
        *(("es", ""), ("s", ""), ("ly", ""), ("e", "")),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending) + instead
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    if len(word) > 3 and word[-1] in "ei":
        word = word[:-1] + ("y" if word[-1] == "i" else "")
    return word


def _unit(features: Features) -> Features:
    length = math.sqrt(sum(weight * weight for weight in features.values()))
    return {feature: weight / length for feature, weight in features.items()} if length else {}


def _mean(parts: Iterable[tuple[Features, float]]) -> Features:
    total = Features()
    for features, weight in parts:
        for feature, value in features.items():
            total[feature] = total.get(feature, 0.0) + weight * value
    return _unit(total)


def _product(a: Features, b: Features) -> float:
    if len(a) > len(b):
        a, b = b, a
    return sum(weight * b.get(feature, 0.0) for feature, weight in a.items())
