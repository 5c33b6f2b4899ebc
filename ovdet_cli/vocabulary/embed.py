"""Names -> text embeddings, from the best place that has them."""

# C classes, G groups of sentences, D embedding width

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from tokenize import TokenError  # a damaged header of a .npy file is read as Python
from typing import Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary.cache import EmbeddingCache
from ovdet_cli.vocabulary.prompts import fill_prompts
from ovdet_cli.vocabulary.vocabulary import Part

log = logging.getLogger(__name__)

_MANY = 2048  # sentences that a CPU embeds in half a minute or so


class TextEncoder(Protocol):
    """A text tower, whichever it is."""

    context: int
    """Tokens that a sentence may have."""

    def num_tokens(self, sentence: str) -> int:
        """Tokens of a sentence with its start and end marks."""

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Unit vectors float32 (N, D), row by row."""


def read_embeddings(path: Path) -> np.ndarray:
    """A ready-made matrix of text embeddings, float32 (C, D), from a `.npy` or `.safetensors` file.

    A safetensors file holds one matrix, or names the one that counts "embeddings".
    """
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
            if len(tensors) != 1 and "embeddings" not in tensors:
                raise VocabularyError(
                    f'{path} holds {len(tensors)} tensors ({", ".join(list(tensors)[:4])}); name one "embeddings"'
                )
            matrix = tensors.get("embeddings", next(iter(tensors.values()))).float().numpy()  # numpy has no bfloat16
        else:
            with path.open("rb") as file:
                matrix = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise VocabularyError(f"cannot read the embeddings {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, TokenError, SafetensorError) as error:
        raise VocabularyError(f"{path} holds no matrix of embeddings (.npy or .safetensors): {error}") from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        found = f"{matrix.dtype} {list(matrix.shape)}"
        raise VocabularyError(f"{path} must hold one matrix of numbers [classes, width], not {found}")
    with np.errstate(over="ignore"):  # told below
        matrix = matrix.astype(np.float32)
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        raise VocabularyError(f"{path}: row {row} holds a number that is not finite")
    return matrix


def check_embeddings(matrix: np.ndarray, num_classes: int, width: int, origin: str) -> None:
    """VocabularyError unless the matrix has a row a class and the model's width."""
    if matrix.shape == (num_classes, width):
        return
    hint = "; it seems transposed" if matrix.shape == (width, num_classes) else ""
    raise VocabularyError(
        f"{origin} is {matrix.shape[0]} x {matrix.shape[1]}, but the vocabulary has {num_classes} names "
        f"and the model's text embeddings are {width} wide: {num_classes} x {width} is needed{hint}"
    )


class TextEmbedder:
    """Embeds names with a text tower that is loaded when the cache lacks one of them.

    tower_hash: what tells this tower from others. open_tower: loads it.
    """

    def __init__(
        self, open_tower: Callable[[], TextEncoder], tower_hash: str, prompt: str, cache: EmbeddingCache
    ) -> None:
        self._open_tower = open_tower
        self._tower_hash = tower_hash
        self._prompt = prompt
        self._cache = cache

    @cached_property
    def _tower(self) -> TextEncoder:
        return self._open_tower()

    def embed(self, names: Sequence[str]) -> np.ndarray:
        """Unit vectors float32 (C, D); VocabularyError lists names that do not fit the tower's context."""
        return self.embed_sentences([fill_prompts(self._prompt, name) for name in names], names)

    def embed_sentences(self, groups: Sequence[Sequence[str]], names: Sequence[str] | None = None) -> np.ndarray:
        """One unit vector float32 (G, D) a group of sentences: of several the normalised mean.

        VocabularyError lists groups with sentences that do not fit the tower's context, by their names where given.
        """
        if not groups or not all(groups):
            raise ValueError("there must be groups, each of a sentence or more")
        vector_of = self._vectors(groups, names)
        return np.stack([_mean([vector_of[sentence] for sentence in group]) for group in groups])

    def _vectors(self, groups: Sequence[Sequence[str]], names: Sequence[str] | None) -> dict[str, np.ndarray]:
        """The vector of every sentence; those that the cache lacks go through the tower, and into the cache."""
        sentences = list(dict.fromkeys(sentence for group in groups for sentence in group))
        vector_of = self._cache.find(self._tower_hash, sentences)
        missing = [sentence for sentence in sentences if sentence not in vector_of]
        if not missing:
            return vector_of
        self._check_lengths(groups, names, set(missing))
        if len(missing) > _MANY:
            log.warning("embedding %d sentences: this takes a while once, then they are cached", len(missing))
        for start in range(0, len(missing), _MANY):  # so that a run that is stopped has not worked for nothing
            part = missing[start : start + _MANY]
            vectors = self._tower.encode(part).numpy()
            self._cache.put(self._tower_hash, part, vectors)
            vector_of.update(zip(part, vectors, strict=True))
        return vector_of

    def _check_lengths(self, groups: Sequence[Sequence[str]], names: Sequence[str] | None, missing: set[str]) -> None:
        tower = self._tower
        num_tokens = {sentence: tower.num_tokens(sentence) for sentence in missing}
        long = []
        for i, group in enumerate(groups):
            longest = max(group, key=lambda sentence: num_tokens.get(sentence, 0))
            if num_tokens.get(longest, 0) > tower.context:
                long.append((longest if names is None else names[i], num_tokens[longest]))
        if long:
            shown = "; ".join(f"{name[:60]!r} ({length} tokens)" for name, length in long[:5])
            raise VocabularyError(
                f"{len(long)} {'sentences' if names is None else 'names'} are longer than the {tower.context} tokens "
                f"of the text tower: {shown}. Shorten them"
            )


def _mean(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """The normalised mean of unit vectors (D,); of one, it unchanged."""
    if len(vectors) == 1:
        return vectors[0]
    mean = np.stack(vectors).mean(axis=0)
    unit: np.ndarray = mean / np.linalg.norm(mean)
    return unit


def published_embeddings(part: Part, path: Path, asset: str) -> np.ndarray:
    """The published embeddings float32 (C, D) of a built-in list; asset: what `models pull` calls them."""
    matrix = read_embeddings(path)
    if len(matrix) != len(part.names):
        raise VocabularyError(
            f"{path} has {len(matrix)} rows for the {len(part.names)} names of {part.origin}; "
            f"bring it again with `ovdet models pull {asset} --force`"
        )
    return matrix
