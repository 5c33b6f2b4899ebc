"""Vocabulary: class names in order, and the files they come from."""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary.embedded import PhraseVectors, read_embedded
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.entry_file import ENTRY_SUFFIXES, read_entries
from ovdet_cli.vocabulary.nodes import decode_text

BUILT_IN = ("builtin", "lvis", "coco", "openimages", "objects365", "imagenet21k")
"""Vocabularies that `--vocab` knows by name."""
MODEL = "model"
"""Stands for the checkpoint's own classifier columns."""
_MAX_BYTES = 64 << 20  # a hundred times the largest lists there are


@dataclass(frozen=True)
class Part:
    """Names of a vocabulary that share an origin.

    origin: a built-in list's name, "model", or None for a person's own words.
    category_ids: official ids where the list has some.
    entries: what a vocabulary file says of each name, in order; None: nothing but the names.
    vectors: of a file that brings them along.
    """

    names: tuple[str, ...]
    origin: str | None = None
    category_ids: tuple[int, ...] | None = None
    entries: tuple[Entry, ...] | None = None
    vectors: PhraseVectors | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.entries is not None and tuple(entry.name for entry in self.entries) != self.names:
            raise ValueError("the entries are not those of the names")
        if self.category_ids is not None and len(self.category_ids) != len(self.names):
            raise ValueError(f"{len(self.category_ids)} category ids for {len(self.names)} names")


@dataclass(frozen=True, init=False)
class Vocabulary:
    """Class names in order; a name's row is its class_id.

    A name may stand more than once: rows keep their number whatever the names are. See `duplicates`.
    """

    parts: tuple[Part, ...]

    def __init__(self, names: Sequence[str] = (), *, parts: Sequence[Part] | None = None) -> None:
        if isinstance(names, str):
            raise TypeError("names is a list of names; for one text with commas use Vocabulary.from_classes")
        object.__setattr__(self, "parts", tuple(parts) if parts is not None else (Part(tuple(names)),))
        if not self.names:
            raise VocabularyError("the vocabulary is empty: name at least one thing to look for")

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Vocabulary":
        """A built-in list by its name, else a file."""
        text = str(name_or_path)
        return cls.built_in(text) if text in BUILT_IN else cls.from_file(Path(name_or_path))

    @classmethod
    def built_in(cls, name: str) -> "Vocabulary":
        """lvis, coco, openimages, objects365 or imagenet21k in the official order, or the built-in model's names."""
        if name not in BUILT_IN:
            raise VocabularyError(f"no built-in vocabulary is called {name!r}; there are {', '.join(BUILT_IN)}")
        return cls(parts=[_built_in_part(name)])

    @classmethod
    def from_classes(cls, text: str) -> "Vocabulary":
        """Names between commas, blanks around them removed: "cat,hot dog"."""
        names = [name.strip() for name in text.split(",")]
        if not any(names):
            raise VocabularyError(f"no class name in {text!r}; write for example --classes 'cat,hot dog'")
        return cls([name for name in names if name])

    @classmethod
    def from_file(cls, path: Path) -> "Vocabulary":
        """A UTF-8 file: classes with their settings where its suffix is one of ENTRY_SUFFIXES, else a name a line.

        A `.safetensors` file of `ovdet vocab embed` brings the vectors of its classes along.

        There, blank lines, lines that start with `#`, and what follows a `#` between blanks do not count.
        """
        if path.suffix.lower() == ".safetensors":
            entries, vectors = read_embedded(path)
            return cls(parts=[Part(tuple(entry.name for entry in entries), entries=entries, vectors=vectors)])
        data = read_file(path)
        if (suffix := path.suffix.lower()) in ENTRY_SUFFIXES:
            entries = read_entries(data, str(path), suffix, path.parent)
            return cls(parts=[Part(tuple(entry.name for entry in entries), entries=entries)])
        if not (names := parse_names(data, str(path))):
            raise VocabularyError(f"the vocabulary {path} holds no name: write one a line")
        return cls(names)

    def __add__(self, other: "Vocabulary") -> "Vocabulary":
        return Vocabulary(parts=self.parts + other.parts)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name; the place is the class_id."""
        return tuple(name for part in self.parts for name in part.names)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """What is known of every name, by class_id."""
        return tuple(
            entry for part in self.parts for entry in (part.entries or tuple(Entry(name) for name in part.names))
        )

    @property
    def colours(self) -> dict[str, tuple[int, int, int]]:
        """Colours that the vocabulary gives, by name."""
        parts = (part.entries or () for part in self.parts)
        return {entry.name: entry.colour for entries in parts for entry in entries if entry.colour is not None}

    @cached_property
    def category_ids(self) -> tuple[int, ...]:
        """Ids for COCO files: the official ones where one built-in list is the whole vocabulary, else class_id + 1."""
        if len(self.parts) == 1 and self.parts[0].category_ids is not None:
            return self.parts[0].category_ids
        return tuple(range(1, len(self) + 1))

    @cached_property
    def sha256(self) -> str:
        """Hash of the names in order, and of what a file says of them."""
        text = "\0".join(self.names)
        if any(part.entries for part in self.parts):
            text += repr(self.entries)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def duplicates(self) -> list[str]:
        """Names of a person's own words that stand more than once, in order of first appearance."""
        own = Counter(name for part in self.parts if part.origin is None for name in part.names)
        counts = Counter(self.names)
        return [name for name in own if counts[name] > 1]


@cache
def lvis_rare() -> frozenset[str]:
    """Names of LVIS's rare categories (at most ten training pictures), the novel ones of its open-vocabulary split."""
    return frozenset(row["name"] for row in _rows("lvis") if row["frequency"] == "r")


def read_file(path: Path) -> bytes:
    """A vocabulary file's bytes; VocabularyError where there is none, or more than a vocabulary can be."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        lists = ", ".join((*BUILT_IN, MODEL))
        raise VocabularyError(
            f"cannot read the vocabulary {path}: {error.strerror}; a file of names (a name a line, or "
            f"{', '.join(ENTRY_SUFFIXES)}), or one of {lists}"
        ) from error
    if len(data) > _MAX_BYTES:
        raise VocabularyError(f"{path} is larger than {_MAX_BYTES >> 20} MiB; this is no vocabulary")
    return data


def parse_names(data: bytes, origin: str) -> list[str]:
    """The names in a text file's bytes; VocabularyError names the line that is not UTF-8."""
    text = decode_text(data, origin)
    # Inside a line a comment needs blanks around its sign, so that "jersey #10" and "C#" stay names.
    lines = (re.split(r"\s#(?:\s|$)", line, maxsplit=1)[0].strip() for line in re.split(r"\r\n|\r|\n", text))
    return [line for line in lines if line and not line.startswith("#")]


@cache
def _built_in_part(name: str) -> Part:
    if name == "imagenet21k":
        from timm.data import ImageNetInfo

        # A synset's description is its lemmas between commas: the first one is the usual word.
        return Part(tuple(d.split(",")[0].strip() for d in ImageNetInfo("imagenet21k").label_descriptions()), name)
    rows = _rows(name)
    return Part(tuple(row["name"] for row in rows), name, tuple(int(row["id"]) for row in rows))


def _rows(name: str) -> list[dict[str, str]]:
    """The table of a built-in list; the built-in model's names belong to its weights, and stand beside them."""
    is_own = name == "builtin"
    place = files("ovdet_cli.models") / "builtin" if is_own else files("ovdet_cli.vocabulary") / "lists"
    text = (place / ("classes.csv" if is_own else f"{name}.csv")).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
