"""A vocabulary made ready for one model: names and the text embeddings that its classifier multiplies with."""

# C classes, P phrases, S sets of features a region, D embedding width

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.detections import Detections
from ovdet_cli.detector.familiarity import Acquaintance, acquaint
from ovdet_cli.detector.phrases import columns_of_classes, embed_entries
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.errors import MissingAssetError, UsageError, VocabularyError
from ovdet_cli.models import store
from ovdet_cli.models.interface import TextRows
from ovdet_cli.models.ops.selection import ClassRules
from ovdet_cli.models.spec import OFFICIAL, VILD_DEMO, ModelSpec
from ovdet_cli.models.vild.demo import BACKGROUND
from ovdet_cli.models.zoo import embeddings_of
from ovdet_cli.vocabulary.embed import check_embeddings, published_embeddings, read_embeddings
from ovdet_cli.vocabulary.embedded import PhraseVectors
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.vocabulary import MODEL, Part, Vocabulary, lvis_rare


@dataclass(frozen=True, eq=False)
class Words:
    """Names in order and their embeddings.

    texts: float32 (P, D), or (S, P, D) where a checkpoint's own columns are among them (each stage has its own).
    """

    vocabulary: Vocabulary
    texts: Tensor
    origins: tuple[str, ...] = ()
    """Where the embeddings come from: "file", or for each part "published", "text tower" or "checkpoint"."""
    unfamiliar: tuple[Acquaintance, ...] = ()
    """Names that are far from all that the model has learnt, where its text tower can tell."""
    background_D: Tensor | None = None
    """Embedding of the word "background", where the rules want it (`--post vild-demo`)."""
    rows: TextRows | None = None
    """What stands around the classes in the model's table of texts, where it has one."""
    is_novel_C: Tensor | None = None
    """Which classes are novel, where the model scores these otherwise: bool (C,)."""
    class_of_P: Tensor | None = None
    """The class of each phrase, in order: int64 (P,). None: every phrase is a class."""
    classes: ClassRules | None = None
    """What the vocabulary says of single classes; None: nothing."""
    thresholds_C: np.ndarray | None = None
    """Classes' own thresholds for what is drawn and counted, float32 (C,), NaN where there is none; None: nowhere."""

    @cached_property
    def sha256(self) -> str:
        """Hash of the embeddings' numbers."""
        return hashlib.sha256(self.texts.cpu().contiguous().numpy().tobytes()).hexdigest()

    @property
    def names(self) -> Sequence[str]:
        """Class names; the place is the class_id."""
        return self.vocabulary.names

    @property
    def num_columns(self) -> int:
        """Scores that a region has while it is classified."""
        return max(self.texts.shape[-2], self.rows.height if self.rows else 1)

    def to(self, device: torch.device) -> "Words":
        """The same with its tensors on a device."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        return replace(
            self,
            texts=self.texts.to(device),
            background_D=move(self.background_D),
            rows=self.rows and self.rows.to(device),
            is_novel_C=move(self.is_novel_C),
            class_of_P=move(self.class_of_P),
            classes=self.classes and self.classes.to(device),
        )

    def recorded_above(self, threshold: float) -> "Words":
        """The same where weaker detections are recorded than are drawn: down to the threshold, whatever the class."""
        if self.classes is None:
            return self
        lowered = self.classes.threshold_C.clamp(max=threshold)  # NaN stays
        return replace(self, classes=replace(self.classes, threshold_C=lowered))

    def strong(self, detections: Detections, threshold: float) -> Detections:
        """The detections to draw and count: above their class's threshold, or above this one."""
        if self.thresholds_C is None:
            return detections.above(threshold)
        own = self.thresholds_C[detections.class_ids]
        return detections.select(detections.scores > np.where(np.isnan(own), np.float32(threshold), own))


def class_rules(entries: Sequence[Entry]) -> ClassRules | None:
    """What a vocabulary says of single classes, for the selection; None where it says nothing."""
    if not any(
        entry.threshold is not None or entry.min_area or entry.max_per_image is not None or entry.is_negative
        for entry in entries
    ):
        return None
    return ClassRules(
        torch.tensor([float("nan") if entry.threshold is None else entry.threshold for entry in entries]),
        torch.tensor([entry.min_area or 0.0 for entry in entries]),
        torch.tensor([entry.max_per_image or ClassRules.NO_LIMIT for entry in entries]),
        torch.tensor([entry.is_negative for entry in entries]),
    )


def _published(part: Part, tower: TextTower) -> Path | None:
    """The published embeddings of a built-in list, if it has some for this model's text tower.

    Where they are not on this machine but the text tower is, the tower does; with neither, MissingAssetError names
    the embeddings, the smaller of the two.
    """
    asset = embeddings_of(tower.spec).get(part.origin or "")
    if asset is None:
        return None
    if tower.spec.free_words and not store.is_present(asset) and tower.is_present:
        return None
    return store.require(asset)


def novel_classes(vocabulary: Vocabulary, spec: ModelSpec, novel: Sequence[str] | None) -> Tensor | None:
    """Which classes are novel, bool (C,): those that a person names, else what the vocabulary file says of each, else
    the model's official default.

    None where that makes no difference to the model. VocabularyError names what the vocabulary does not hold, and
    UsageError a model that has no use for novel classes.
    """
    if not spec.novel:
        if novel is not None:
            raise UsageError(f"{spec.name} scores novel classes as all others: leave out --novel")
        return None
    if novel is not None:
        if unknown := [name for name in novel if name not in set(vocabulary.names)]:
            shown = ", ".join(unknown[:8])
            raise VocabularyError(f"{len(unknown)} novel names are not in the vocabulary: {shown}")
        return torch.tensor([name in set(novel) for name in vocabulary.names])
    is_novel = [
        spec.novel == "all" or (part.origin in (spec.vocabulary, MODEL) and name in lvis_rare())
        for part in vocabulary.parts
        for name in part.names
    ]
    said = (entry.is_novel for entry in vocabulary.entries)
    return torch.tensor([default if own is None else own for own, default in zip(said, is_novel, strict=True)])


def text_rows(tower: TextTower, background: Path | None, height: int | None) -> TextRows | None:
    """The rows around the classes, of models whose scores are a softmax over a table of fixed height.

    background: a file with two rows, the background's and that of the padding (default: the published ones, or the
    words "background" and "empty"). height: of the table (default: the official one). UsageError for other models.
    """
    spec = tower.spec
    if not spec.text_rows:
        if background is not None or height is not None:
            raise UsageError(f"{spec.name} has no table of texts: leave out --background and --text-rows")
        return None
    if background is None and spec.background is None:
        try:
            own = torch.from_numpy(tower.embed(["background", "empty"]))
        except MissingAssetError as error:
            raise _with_background(error) from error
    else:
        path = background or _require_background(spec)
        matrix = read_embeddings(path)
        check_embeddings(matrix, 2, spec.config.embedding, str(path))
        own = torch.from_numpy(matrix)
    return TextRows(own[0], own[1], spec.text_rows if height is None else height)


def _require_background(spec: ModelSpec) -> Path:
    assert spec.background is not None
    if spec.background.kind == "embeddings" and not spec.weights.is_published:
        raise UsageError(f"{spec.name} has no published embeddings: name --background FILE, its two rows of text")
    try:
        return store.require(spec.background)
    except MissingAssetError as error:
        raise _with_background(error) from error


def _with_background(error: MissingAssetError) -> MissingAssetError:
    """The same, with the option that helps here."""
    text = str(error).replace("--embeddings FILE", "--background FILE")
    return MissingAssetError(text, error.name, error.size_text)


def name_alone(name: str) -> Words:
    """A class that is found by other means than its words."""
    return Words(Vocabulary([name]), torch.zeros(1, 1))


class WordMaker:
    """Makes vocabularies ready for one model.

    own_columns: gives the checkpoint's own classifier (S, C, D), without its background; it may raise. post: whose
    rules the words are for, see `ModelSpec.posts`.
    """

    def __init__(self, tower: TextTower, own_columns: Callable[[], Tensor], post: str = OFFICIAL) -> None:
        self._tower = tower
        self._spec = tower.spec
        self._own_columns = own_columns
        self._post = post

    def own_vocabulary(self) -> Vocabulary:
        """The checkpoint's own classes: LVIS names for the first 1203 columns, "class N" beyond them.

        Of weights whose classes are words alone (the built-in model's), the list of those.
        """
        if not self._spec.num_columns:
            return Vocabulary.built_in(self._spec.vocabulary)
        num_columns = self._own_columns().shape[1]
        (part,) = Vocabulary.built_in(self._spec.column_names).parts
        known = part.names[:num_columns]
        names = (*known, *(f"class {i}" for i in range(len(known), num_columns)))
        return Vocabulary(parts=[Part(names, MODEL, part.category_ids if names == part.names else None)])

    def prepare(
        self,
        vocabulary: Vocabulary,
        embeddings: Path | None = None,
        novel: Sequence[str] | None = None,
        background: Path | None = None,
        num_rows: int | None = None,
    ) -> Words:
        """Embeds a vocabulary; `embeddings` brings ready ones (C x D) from a file.

        novel: names that had no boxes in training, for models that score those otherwise (None: the official ones).
        background, num_rows: see `text_rows`.
        UsageError where a model with a closed vocabulary is given another one.
        """
        if self._spec.words == "closed" and (embeddings is not None or vocabulary != self.own_vocabulary()):
            raise UsageError(
                f"{self._spec.name} has a closed vocabulary of {self._spec.num_columns} classes: leave out --vocab, "
                "--classes and --embeddings, or choose another model"
            )
        has_own = any(part.origin == MODEL for part in vocabulary.parts)
        own = self._own_columns() if has_own and embeddings is None else None
        words = prepare_words(vocabulary, self._tower, embeddings, own)
        if self._post == VILD_DEMO and embeddings is None:
            words = replace(words, background_D=prepare_words(Vocabulary([BACKGROUND]), self._tower).texts[0])
        is_novel_C = novel_classes(vocabulary, self._spec, novel)
        return replace(words, is_novel_C=is_novel_C, rows=text_rows(self._tower, background, num_rows))


def prepare_words(
    vocabulary: Vocabulary, tower: TextTower, embeddings: Path | None = None, own_columns: Tensor | None = None
) -> Words:
    """Embeds a vocabulary for the tower's model.

    embeddings: a file that brings the whole matrix in the vocabulary's order, a row a class, or a row a phrase (name,
    aliases, next name ...); no text tower is needed then.
    own_columns: the checkpoint's classifier, (S, C, D), where the vocabulary holds a "model" part.
    """
    spec, entries = tower.spec, vocabulary.entries
    width = spec.config.embedding
    unfamiliar: list[Acquaintance] = []
    if embeddings is not None:
        matrix = read_embeddings(embeddings)
        counts = [1] * len(vocabulary)
        by_phrase = [1 if entry.combine == "mean" else len(entry.phrases) for entry in entries]
        if len(matrix) == sum(by_phrase):
            counts = by_phrase
        check_embeddings(matrix, sum(counts), width, str(embeddings))
        texts, origins = torch.from_numpy(matrix), ["file"]
    else:
        parts, counts, origins = [], [], []
        for part in vocabulary.parts:
            if part.origin == MODEL:
                assert own_columns is not None
                parts.append(own_columns)
                counts += [1] * len(part.names)
                origins.append("checkpoint")
                continue
            phrases, origin = _embed_part(part, tower)
            if origin == "text tower":
                unfamiliar += _unfamiliar(part.names, tower)
            counts += [len(own) for own in phrases]
            origins.append(origin)
            matrix = np.concatenate(phrases) if isinstance(phrases, list) else phrases.reshape(-1, phrases.shape[-1])
            check_embeddings(matrix, sum(map(len, phrases)), width, f"the embeddings of {part.origin or 'the words'}")
            parts.append(torch.from_numpy(matrix))
        if own_columns is not None:
            # A checkpoint's columns are used as they are, so words beside them must be of unit length already.
            sets = len(own_columns)
            parts = [t if t.dim() == 3 else F.normalize(t, dim=1).expand(sets, -1, -1) for t in parts]
        texts = torch.cat(parts, dim=-2)
    columns = columns_of_classes(entries, counts)
    class_of_P = None
    if columns is not None:
        texts = texts[..., [place for own in columns for place in own], :]
        class_of_P = torch.repeat_interleave(torch.arange(len(columns)), torch.tensor([len(own) for own in columns]))
    rules = class_rules(entries)
    thresholds_C = None if rules is None or rules.threshold_C.isnan().all() else rules.threshold_C.numpy()
    return Words(
        vocabulary,
        texts,
        tuple(origins),
        tuple(unfamiliar),
        class_of_P=class_of_P,
        classes=rules,
        thresholds_C=thresholds_C,
    )


def embed_vocabulary(vocabulary: Vocabulary, tower: TextTower) -> PhraseVectors:
    """The phrases of every class as vectors, to be kept in a file; children are found again when it is used."""
    found = [own for part in vocabulary.parts for own in _embed_part(part, tower)[0]]
    class_of_P = np.repeat(np.arange(len(found)), [len(own) for own in found])
    return PhraseVectors(np.concatenate(found), class_of_P, tower.spec.text_encoder, "the words")


def _embed_part(part: Part, tower: TextTower) -> tuple[np.ndarray | list[np.ndarray], str]:
    """The phrases of each class of a part, (P, D) a class or (C, 1, D), and where they come from."""
    spec = tower.spec
    if part.vectors is not None:
        part.vectors.check(spec.text_encoder, spec.name)
        return part.vectors.of_classes(len(part.names)), "file"
    if published := _published(part, tower):
        matrix = published_embeddings(part, published, embeddings_of(spec)[part.origin or ""].name)
        return matrix[:, None], "published"
    if spec.words == "embedded":
        raise UsageError(
            f"{spec.name} can be asked only for words that have embeddings, as its text tower was never published: "
            + (f"--vocab {' or '.join(known)}, or " if (known := embeddings_of(spec)) else "")
            + "--embeddings FILE beside your words"
        )
    if part.entries is None:
        return tower.embed(part.names)[:, None], "text tower"
    return embed_entries(part.entries, tower), "text tower"


def _unfamiliar(names: Sequence[str], tower: TextTower) -> list[Acquaintance]:
    """The names that the model has learnt nothing for; the tower of one that cannot tell is not opened for it."""
    if not tower.spec.knows:
        return []
    return [word for word in acquaint(names, tower.spec, tower.encoder) or () if not word.is_familiar]
