"""A vocabulary with its vectors in one safetensors file, as `ovdet vocab embed` writes it and `--vocab` takes it.

The file holds "embeddings", float32 (P, D), a row a phrase; "class_of", int64 (P,), the class of each; and, as text
beside them, the classes as a vocabulary file in JSON has them and the text tower that made the vectors.
"""

# C classes, P phrases, D embedding width

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ovdet_cli.errors import OutputError, VocabularyError
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.entry_file import read_entries
from ovdet_cli.vocabulary.entry_writer import plain_entry

FORMAT = "ovdet-vocabulary/1"


@dataclass(frozen=True, eq=False)
class PhraseVectors:
    """Vectors float32 (P, D) of phrases, the class of each int64 (P,), in order, and whose text tower made them."""

    vectors_PD: np.ndarray
    class_of_P: np.ndarray
    text_encoder: str
    origin: str
    """The file, for messages."""

    def check(self, text_encoder: str, model: str) -> None:
        """VocabularyError unless they are of that tower."""
        if self.text_encoder != text_encoder:
            raise VocabularyError(
                f"the vectors in {self.origin} are of the text tower {self.text_encoder}, but {model} wants those of "
                f"{text_encoder}: embed the words anew with `ovdet vocab embed --model {model}`"
            )

    def of_classes(self, num_classes: int) -> list[np.ndarray]:
        """The vectors of each class."""
        return np.split(self.vectors_PD, np.searchsorted(self.class_of_P, np.arange(1, num_classes)))


def write_embedded(path: Path, entries: Sequence[Entry], vectors: PhraseVectors) -> None:
    """Classes with their vectors, which hold their examples already; atomic. OutputError: it cannot be written."""
    classes = [plain_entry(replace(entry, examples=()), path.parent) for entry in entries]
    facts = {"format": FORMAT, "classes": json.dumps(classes), "text_encoder": vectors.text_encoder}
    tensors: dict[str, np.ndarray] = {
        "embeddings": vectors.vectors_PD.astype(np.float32),
        "class_of": vectors.class_of_P.astype(np.int64),
    }
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(save(tensors, metadata=facts))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def read_embedded(path: Path) -> tuple[tuple[Entry, ...], PhraseVectors]:
    """What `write_embedded` wrote; VocabularyError for any other file."""
    try:
        with safe_open(path, framework="np") as file:
            facts = file.metadata() or {}
            if facts.get("format") != FORMAT:
                raise VocabularyError(
                    f"{path} holds tensors but no vocabulary: bring bare embeddings with --embeddings beside the "
                    "words, or make such a file with `ovdet vocab embed`"
                )
            vectors, class_of = file.get_tensor("embeddings"), file.get_tensor("class_of")
            classes, text_encoder = facts["classes"], facts["text_encoder"]
    except FileNotFoundError as error:
        raise VocabularyError(f"cannot read the vocabulary {path}: no such file") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise VocabularyError(f"{path} is no vocabulary with vectors, or is damaged: {error}") from error
    entries = _read_classes(classes, path)
    is_whole = (
        vectors.ndim == 2
        and vectors.dtype == np.float32
        and class_of.shape == (len(vectors),)
        and class_of.dtype == np.int64
        and np.isfinite(vectors).all()
        and np.array_equal(np.unique(class_of), np.arange(len(entries)))
        and bool((np.diff(class_of) >= 0).all())
    )
    if not is_whole:
        raise VocabularyError(f"{path}: its vectors are not those of its {len(entries)} classes: it is damaged")
    return entries, PhraseVectors(vectors, class_of, text_encoder, str(path))


def _read_classes(text: str, path: Path) -> tuple[Entry, ...]:
    """The classes as they were written; lists of bare names may hold one twice, which a vocabulary file may not."""
    try:
        rows = json.loads(text)
        said = [row for row in rows if set(row) != {"name"}]
        read = iter(read_entries(json.dumps(said).encode(), str(path), ".json", path.parent) if said else ())
        return tuple(next(read) if set(row) != {"name"} else Entry(str(row["name"])) for row in rows)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VocabularyError(f"{path}: its list of classes is damaged: {error}") from error
