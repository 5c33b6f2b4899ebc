"""Which classes a model cannot tell apart at a threshold: its own classifier, asked with made-up regions.

A region that holds nothing but class a has u times the text vector of a as its feature. The weakest such region that is
still reported scores the threshold; what class b scores for that region tells how far apart the two are.
"""

# C classes, R regions (one a class), S sets of features a region, D embedding width

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.detector.words import novel_classes, text_rows
from ovdet_cli.errors import MissingAssetError, UsageError
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import load_weights, read_checkpoint
from ovdet_cli.models.detic.config import DeticConfig
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.spec import ModelSpec
from ovdet_cli.models.vild.config import VildConfig
from ovdet_cli.vocabulary.findings import Finding, phrase_key
from ovdet_cli.vocabulary.lint import close_pairs
from ovdet_cli.vocabulary.vocabulary import Vocabulary

CLOSE = 0.05
"""Difference of two scores that the noise of a picture bridges: boxes of one thing differ by more."""
UNRELATED = ("person", "car", "tree", "dog", "cup", "chair", "book", "flower", "guitar", "airplane")
"""Words that any model should tell apart; where these are close too, the threshold says nothing of pairs."""
_ALIKE = 0.8  # cosine from which on pairs are looked at: below it a classifier that tells anything tells these
_STEPS = 24  # halvings: the factor to 1e-7
_SCORES = 1 << 22  # in memory at once: 16 MB


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model's second half, and what its scores depend on beside the texts."""

    model: OpenVocabularyDetector
    num_sets: int
    """Sets of features that a region has."""
    is_joint: bool
    """Whether a class's score depends on all other classes, as a softmax's does."""
    rows: TextRows | None = None

    @torch.inference_mode()
    def score(self, features_RD: Tensor, texts_CD: Tensor, is_novel_C: Tensor | None) -> Tensor:
        """Scores (R, C) of sure regions."""
        num = len(features_RD)
        regions = Regions(
            torch.zeros(num, 4), torch.ones(num), features_RD[:, None].expand(-1, self.num_sets, -1).contiguous()
        )
        return self.model.classify(regions, texts_CD, is_novel_C=is_novel_C, rows=self.rows)[:, : len(texts_CD)]


def open_classifier(spec: ModelSpec, rows: TextRows | None = None) -> Classifier:
    """The model's classifier; MissingAssetError where it needs weights that are not on this machine."""
    architecture = architecture_of(spec)
    config = spec.config
    # Detic's formula has a temperature and nothing learned, but for the built-in model's.
    is_formula = spec.architecture == "detic-c4" or (isinstance(config, DeticConfig) and not config.learned_scale)
    if is_formula:
        with torch.device("meta"):  # its weights are never read, and take no memory
            model = architecture.build(config)
    else:
        weights = store.require(spec.weights)
        model = architecture.build(config)
        load_weights(model, read_checkpoint(weights), architecture.key_map(config), str(weights))
    return Classifier(model.eval(), _num_sets(spec), spec.architecture not in ("detic", "detic-c4"), rows)


def _num_sets(spec: ModelSpec) -> int:
    config = spec.config
    if isinstance(config, DeticConfig):
        return len(config.delta_weights)
    if isinstance(config, VildConfig):
        return 2 if config.has_image_tower else 1
    return 1 if spec.architecture == "detic-c4" else 2


def weakest_regions(
    classifier: Classifier,
    texts_CD: Tensor,
    classes_R: Tensor,
    thresholds_R: Tensor,
    is_novel_C: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """For each class the feature (R, D) along its text that scores its threshold, and whether there is one, bool (R,).

    There is none where a feature of nothing scores as much already, or one of full length less.
    """
    own_RD = F.normalize(texts_CD[classes_R], dim=1)

    def own_scores(factor_R: Tensor) -> Tensor:
        scores_RC = classifier.score(factor_R[:, None] * own_RD, texts_CD, is_novel_C)
        return scores_RC.gather(1, classes_R[:, None])[:, 0]

    low_R, high_R = torch.zeros(len(classes_R)), torch.ones(len(classes_R))
    is_there_R = (own_scores(low_R) < thresholds_R) & (own_scores(high_R) >= thresholds_R)
    for _ in range(_STEPS):
        middle_R = (low_R + high_R) / 2
        is_enough_R = own_scores(middle_R) >= thresholds_R
        low_R, high_R = torch.where(is_enough_R, low_R, middle_R), torch.where(is_enough_R, middle_R, high_R)
    return high_R[:, None] * own_RD, is_there_R


def can_tell(classifier: Classifier, unrelated_CD: Tensor, threshold: float) -> bool:
    """Whether the threshold lies where unrelated words are further apart than `CLOSE`, as a rule."""
    num = len(unrelated_CD)
    classes = torch.arange(num)
    features_RD, is_there_R = weakest_regions(classifier, unrelated_CD, classes, torch.full((num,), threshold))
    if not is_there_R.all():
        return False
    behind_RC = threshold - classifier.score(features_RD, unrelated_CD, None)
    return float(behind_RC[~torch.eye(num, dtype=torch.bool)].median()) >= CLOSE


def check_scores(
    vocabulary: Vocabulary,
    tower: TextTower,
    places: Mapping[str, int],
    vectors_PD: np.ndarray,
    threshold: float,
    near: float,
) -> tuple[list[Finding], list[str]]:
    """Classes that their scores do not tell apart, and what could not be looked at.

    places: phrase -> class, in the order of the vectors; of a class its name counts. threshold: of classes that have
    none of their own. near: cosine from which on pairs were reported already.
    """
    spec, entries, phrases = tower.spec, vocabulary.entries, list(places)
    rows = [row for row, phrase in enumerate(phrases) if entries[places[phrase]].name == phrase]
    owners_C = np.array([places[phrases[row]] for row in rows], np.int64)
    names = [phrases[row] for row in rows]
    numbers: dict[str, int] = {}
    keys_C = np.array([numbers.setdefault(phrase_key(name), len(numbers)) for name in names], np.int64)
    own = [entries[place].threshold for place in owners_C]
    thresholds_C = np.array([threshold if value is None else value for value in own], np.float32)
    vectors_CD = vectors_PD[rows]
    pairs, _ = close_pairs(vectors_CD, _ALIKE, owners_C, keys_C, near)
    pairs = [
        pair
        for pair in pairs
        if not (entries[owners_C[pair[0]]].is_negative and entries[owners_C[pair[1]]].is_negative)
    ]
    if not pairs:
        return [], []
    try:
        classifier = open_classifier(spec, text_rows(tower, None, None))
    except (MissingAssetError, UsageError) as error:
        return [], [f"the check of scores, as {error}"]
    unrelated_CD = torch.from_numpy(tower.embed(UNRELATED))
    concerned = sorted({place for pair in pairs for place in pair[:2]})
    values = np.unique(thresholds_C[concerned]).tolist()
    useful = {value for value in values if can_tell(classifier, unrelated_CD, value)}
    left_out = [
        f"the check of scores at the threshold {value:.3g}: there {spec.name} tells by their texts alone not even "
        "unrelated words apart; --threshold asks at another"
        for value in values
        if value not in useful
    ]
    told = [(i, j) for i, j, _ in pairs if {float(thresholds_C[i]), float(thresholds_C[j])} <= useful]
    novel = novel_classes(vocabulary, spec, None)
    is_novel_C = None if novel is None else novel[torch.from_numpy(owners_C)]
    return find_inseparable(classifier, names, vectors_CD, told, thresholds_C, is_novel_C), left_out


def find_inseparable(
    classifier: Classifier,
    names: Sequence[str],
    vectors_CD: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    thresholds_C: np.ndarray,
    is_novel_C: Tensor | None = None,
) -> list[Finding]:
    """Of pairs of classes those of which a region that just passes for one scores within `CLOSE` for the other."""
    if not pairs:
        return []
    texts_CD, thresholds = torch.from_numpy(vectors_CD).float(), torch.from_numpy(thresholds_C).float()
    concerned = torch.tensor(sorted({place for pair in pairs for place in pair}))
    place_of = {int(place): i for i, place in enumerate(concerned)}
    if not classifier.is_joint:
        texts_CD, thresholds = texts_CD[concerned], thresholds[concerned]
        is_novel_C = None if is_novel_C is None else is_novel_C[concerned]
    columns = concerned if classifier.is_joint else torch.arange(len(concerned))
    others: dict[int, list[int]] = {}
    for first, second in pairs:
        others.setdefault(place_of[first], []).append(place_of[second])
        others.setdefault(place_of[second], []).append(place_of[first])
    found: dict[tuple[int, int], Finding] = {}
    for part in torch.arange(len(concerned)).split(max(_SCORES // len(texts_CD), 1)):
        classes_R = columns[part]
        features_RD, is_there_R = weakest_regions(classifier, texts_CD, classes_R, thresholds[classes_R], is_novel_C)
        scores_RC = classifier.score(features_RD, texts_CD, is_novel_C)[:, columns]
        for row, a in enumerate(part.tolist()):
            if not is_there_R[row]:
                continue
            threshold = float(thresholds[classes_R[row]])
            for b in others[a]:
                key = (min(a, b), max(a, b))
                score = float(scores_RC[row, b])
                if threshold - score < CLOSE and key not in found:
                    found[key] = _finding(names[int(concerned[a])], names[int(concerned[b])], threshold, score)
    return list(found.values())


def _finding(first: str, second: str, threshold: float, score: float) -> Finding:
    message = (
        f'a region that scores the threshold {threshold:.2f} for "{first}" scores {score:.3f} for "{second}": '
        f"{abs(threshold - score):.3f} {'less' if score <= threshold else 'more'}, which is no difference"
    )
    advice = "make one an alias of the other, or name what sets them apart"
    return Finding("inseparable", (first, second), message, advice)
