"""Sentences that the text tower learns from, drawn anew each step: names, words of the language, slips, far words."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ovdet_cli.training.kinship import Kinship, Named
from ovdet_cli.training.word_forms import dress, inflect, misspell, pluralise
from ovdet_cli.training.wordnet import WordNet


@dataclass(frozen=True)
class WordsConfig:
    """How the tower is fitted."""

    steps: int = 4800
    batch: int = 192
    """Sentences a step."""
    learning_rate: float = 1.8e-3
    weight_decay: float = 0.03
    warmup: int = 60
    shares: tuple[float, float, float, float] = (0.36, 0.34, 0.08, 0.22)
    """Of a batch: category words, words akin to some, words far from all, misspellings."""
    align: float = 3.0
    """Weight of one minus the cosine to the class vector, beside the class loss."""
    akin_from: float = 0.09
    familiar_from: float = 0.35
    """Nearness (`kinship.py`) from which a word is taught as akin, and from which as familiar; below the first it is
    far from all, between the two it may be either."""
    temperature: float = 0.06
    """Of the mixture of classes that a nearness stands for."""
    bf16: bool = True
    """Half the time on processors with bf16 arithmetic; many times as long on others."""
    false_reports: float = 0.01
    """The part of names, synonyms and their forms that the threshold may report."""
    seed: int = 1

    def __post_init__(self) -> None:
        if not math.isclose(sum(self.shares), 1.0):
            raise ValueError(f"the shares of a batch must sum to one: {self.shares}")


@dataclass(frozen=True)
class Lesson:
    """A sentence and what it should become: classes with weights (none: away from all), and whether it is familiar."""

    text: str
    classes: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    is_name: bool = False
    familiar: float | None = 0.0


class Lessons:
    """Draws the sentences of each step; the same seed draws the same."""

    def __init__(self, categories: Sequence[Named], wordnet: WordNet, kinship: Kinship, config: WordsConfig) -> None:
        self._config, self._kinship, self._wordnet = config, kinship, wordnet
        self._draw = random.Random(config.seed)
        self._names = [category.name for category in categories]
        self._synonyms = [tuple(category.synonyms) for category in categories]
        self._owners: dict[str, list[int]] = {}
        for c, category in enumerate(categories):
            for synonym in category.synonyms:
                self._owners.setdefault(synonym, []).append(c)
        self._own_words = {word for text in [*self._names, *self._owners] for word in _split(text)}
        self._own_words |= {word for text in [*self._names, *self._owners] for word in _split(pluralise(text))}
        taken = {*self._names, *self._owners}
        near = kinship.nearness[:, 0] if len(kinship.words) else np.zeros(0)
        # What a user types is common rather than rare, and one word rather than two.
        weights = (0.1 + kinship.commonness) ** 0.5 * [0.5 if " " in word else 1.0 for word in kinship.words]
        free = np.array([word not in taken for word in kinship.words], dtype=bool)
        akin, far = free & (near >= config.akin_from), free & (near < config.akin_from)
        self._akin, self._akin_weights = np.flatnonzero(akin).tolist(), np.cumsum(weights[akin]).tolist()
        self._far, self._far_weights = np.flatnonzero(far).tolist(), np.cumsum(weights[far]).tolist()

    def is_word(self, word: str) -> bool:
        """Whether a single word is English, or one of the categories'; forms count."""
        if word in self._own_words or word in self._wordnet.vocabulary:
            return True
        senses = self._wordnet.senses
        return any(
            word.endswith(e) and word.removesuffix(e) in senses for e in ("s", "es", "ed", "d", "ing", "er", "ly")
        )

    def teachers(self) -> Iterator[tuple[Lesson, float]]:
        """Every single thing there is to learn with how much it counts: names, plurals, synonyms, akin words."""
        for c, name in enumerate(self._names):
            for text, weight in ((name, 2.0), (pluralise(name), 1.0)):
                yield Lesson(text, (c,), (1.0,), is_name=True, familiar=1.0), weight
        for synonym, owners in self._owners.items():
            share = (1 / len(owners),) * len(owners)
            yield Lesson(synonym, tuple(owners), share, is_name=True, familiar=1.0), float(len(owners))
        for place in self._akin:
            word, nearness = self._kinship.words[place], float(self._kinship.nearness[place, 0])
            if " " not in word and nearness > 0.2:
                common = min(1.0, 0.2 * math.sqrt(0.1 + self._kinship.commonness[place]))
                yield self._akin_lesson(place, word), common * nearness

    def draw(self) -> list[Lesson]:
        """The sentences of one step."""
        named, akin, far, _ = (round(share * self._config.batch) for share in self._config.shares)
        lessons = [self._name() for _ in range(named)]
        if self._akin:
            lessons += [self._akin_word() for _ in range(akin)]
        if self._far:
            lessons += [self._far_word() for _ in range(far)]
        while len(lessons) < self._config.batch:
            lessons.append(self._misspelling())
        return lessons

    def _own_text(self) -> tuple[str, list[int]]:
        c = self._draw.randrange(len(self._names))
        if self._synonyms[c] and self._draw.random() < 0.55:
            synonym = self._draw.choice(self._synonyms[c])
            return synonym, self._owners[synonym]
        return self._names[c], [c]

    def _name(self) -> Lesson:
        text, owners = self._own_text()
        if self._draw.random() < 0.55:
            text = dress(text, self._draw)
        return Lesson(text, tuple(owners), (1 / len(owners),) * len(owners), is_name=True, familiar=1.0)

    def _akin_word(self) -> Lesson:
        place = self._draw.choices(self._akin, cum_weights=self._akin_weights)[0]
        return self._akin_lesson(place, self._form(place))

    def _akin_lesson(self, place: int, text: str) -> Lesson:
        nearness = self._kinship.nearness[place]
        mixture = np.exp((nearness - nearness[0]) / self._config.temperature) * (nearness > 0)
        mixture *= min(1.0, float(nearness[0]) / self._config.familiar_from) / mixture.sum()
        familiar = 1.0 if nearness[0] >= self._config.familiar_from else None
        return Lesson(text, tuple(self._kinship.nearest[place].tolist()), tuple(mixture.tolist()), familiar=familiar)

    def _far_word(self) -> Lesson:
        return Lesson(self._form(self._draw.choices(self._far, cum_weights=self._far_weights)[0]))

    def _form(self, place: int) -> str:
        word, kind = self._kinship.words[place], self._draw.random()
        pos = self._wordnet.synsets[self._wordnet.senses[word][0]].pos
        if kind < 0.6:
            return word
        if pos == "v" and " " not in word:
            return self._draw.choice(inflect(word))
        return dress(word, self._draw) if pos == "n" else word

    def _misspelling(self) -> Lesson:
        while True:
            kind = self._draw.random()
            if kind < 0.7 or not self._akin:
                text = self._own_text()[0]
            else:
                text = self._kinship.words[self._draw.choice(self._akin)]
            # Forms of words are misspelt as well, or a template would vouch for what stands in it.
            slipped = misspell(text, self._draw, self.is_word)
            if slipped is not None:
                return Lesson(dress(slipped, self._draw) if self._draw.random() < 0.3 else slipped)


def _split(text: str) -> list[str]:
    return "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
