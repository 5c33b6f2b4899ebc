"""A vocabulary made ready for one model: names and the text embeddings that its classifier multiplies with."""

# C classes, S sets of features a region, D embedding width

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.detector.familiarity import Acquaintance, acquaint
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.errors import MissingAssetError, UsageError, VocabularyError
from ovdet_cli.models import store
from ovdet_cli.models.interface import TextRows
from ovdet_cli.models.spec import ModelSpec
from ovdet_cli.models.zoo import embeddings_of
from ovdet_cli.vocabulary.embed import check_embeddings, published_embeddings, read_embeddings
from ovdet_cli.vocabulary.vocabulary import MODEL, Part, Vocabulary, lvis_rare


@dataclass(frozen=True, eq=False)
class Words:
    """Names in order and their embeddings.

    texts: float32 (C, D), or (S, C, D) where a checkpoint's own columns are among them (each stage has its own).
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

    @cached_property
    def sha256(self) -> str:
        """Hash of the embeddings' numbers."""
        return hashlib.sha256(self.texts.cpu().contiguous().numpy().tobytes()).hexdigest()

    @property
    def names(self) -> Sequence[str]:
        """Class names; the place is the class_id."""
        return self.vocabulary.names


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
    """Which classes are novel, bool (C,): those that a person names, else the model's official default.

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
    if spec.novel == "all":
        return torch.ones(len(vocabulary), dtype=torch.bool)
    is_novel = [
        part.origin in (spec.vocabulary, MODEL) and name in lvis_rare()
        for part in vocabulary.parts
        for name in part.names
    ]
    return torch.tensor(is_novel)


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


def prepare_words(
    vocabulary: Vocabulary, tower: TextTower, embeddings: Path | None = None, own_columns: Tensor | None = None
) -> Words:
    """Embeds a vocabulary for the tower's model.

    embeddings: a file that brings the whole matrix in the vocabulary's order; no text tower is needed then.
    own_columns: the checkpoint's classifier, (S, C, D), where the vocabulary holds a "model" part.
    """
    spec = tower.spec
    width = spec.config.embedding
    if embeddings is not None:
        matrix = read_embeddings(embeddings)
        check_embeddings(matrix, len(vocabulary), width, str(embeddings))
        return Words(vocabulary, torch.from_numpy(matrix), ("file",))
    texts, origins = [], []
    unfamiliar: list[Acquaintance] = []
    for part in vocabulary.parts:
        if part.origin == MODEL:
            assert own_columns is not None
            texts.append(own_columns)
            origins.append("checkpoint")
            continue
        if published := _published(part, tower):
            matrix = published_embeddings(part, published, embeddings_of(spec)[part.origin or ""].name)
        elif spec.words == "embedded":
            raise UsageError(
                f"{spec.name} can be asked only for words that have embeddings, as its text tower was never published: "
                + (f"--vocab {' or '.join(known)}, or " if (known := embeddings_of(spec)) else "")
                + "--embeddings FILE beside your words"
            )
        else:
            matrix = tower.embed(part.names)
            unfamiliar += _unfamiliar(part.names, tower)
        check_embeddings(matrix, len(part.names), width, f"the embeddings of {part.origin or 'the words'}")
        texts.append(torch.from_numpy(matrix))
        origins.append("published" if published else "text tower")
    if own_columns is None:
        return Words(vocabulary, torch.cat(texts), tuple(origins), tuple(unfamiliar))
    # A checkpoint's columns are used as they are, so words beside them must be of unit length already.
    num_sets = len(own_columns)
    sets = [t if t.dim() == 3 else F.normalize(t, dim=1).expand(num_sets, -1, -1) for t in texts]
    return Words(vocabulary, torch.cat(sets, dim=1), tuple(origins), tuple(unfamiliar))


def _unfamiliar(names: Sequence[str], tower: TextTower) -> list[Acquaintance]:
    """The names that the model has learnt nothing for; the tower of one that cannot tell is not opened for it."""
    if not tower.spec.knows:
        return []
    return [word for word in acquaint(names, tower.spec, tower.encoder) or () if not word.is_familiar]
