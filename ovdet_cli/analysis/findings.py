"""Findings: what was odd about side-cars, metadata and files, counted and with a few examples of each."""

from collections import Counter
from collections.abc import Mapping

MOST_EXAMPLES = 5
_LONGEST_EXAMPLE = 200

# Kind -> what is said of one, and of many.
_WORDS = {
    "broken side-car": ("side-car cannot be read", "side-cars cannot be read"),
    "unknown side-car": ("side-car tells nothing of a post", "side-cars tell nothing of a post"),
    "unused side-car": ("side-car belongs to no file of the run", "side-cars belong to no file of the run"),
    "broken row": ("row of the metadata is broken and left out", "rows of the metadata are broken and left out"),
    "row without key": ("row of the metadata names no file", "rows of the metadata name no file"),
    "duplicate row": (
        "row of the metadata names a file or post again; the first one counts",
        "rows of the metadata name a file or post again; the first one counts",
    ),
    "unused row": ("row of the metadata belongs to no file", "rows of the metadata belong to no file"),
    "ambiguous row": (
        "row of the metadata fits several files and is used for none; give the folder too",
        "rows of the metadata fit several files and are used for none; give the folders too",
    ),
    "impossible time": ("time is impossible and left out", "times are impossible and left out"),
    "impossible number": ("number of likes is none and left out", "numbers of likes are none and left out"),
    "unreadable folder": ("folder cannot be opened", "folders cannot be opened"),
    "unreadable picture": (
        "picture cannot be compared with others and is not folded",
        "pictures cannot be compared with others and are not folded",
    ),
}


class Findings:
    """Counts by kind, and the first few examples of each ("metadata.csv, line 3: time '2024-02-30'")."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Counts `count` more of a kind; the example is kept while there are few."""
        if kind not in _WORDS:
            raise ValueError(f"no such kind of finding: {kind}")
        self._counts[kind] += count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(example if len(example) <= _LONGEST_EXAMPLE else f"{example[: _LONGEST_EXAMPLE - 1]}…")

    def update(self, other: "Findings") -> None:
        """Takes over what another has found."""
        for kind, count in other.counts.items():
            for example in other.examples[kind]:
                self.add(kind, example, 0)
            self._counts[kind] += count

    def replace(self, kind: str, count: int, examples: list[str]) -> None:
        """Sets a kind anew, for what is only known at the end and may be asked for twice."""
        self._counts.pop(kind, None)
        self._examples.pop(kind, None)
        for place, example in enumerate(examples[:MOST_EXAMPLES]):
            self.add(kind, example, count if not place else 0)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each kind."""
        return dict(self._counts)

    @property
    def examples(self) -> Mapping[str, list[str]]:
        """The first few of each kind."""
        return {kind: list(examples) for kind, examples in self._examples.items()}

    def sentences(self) -> list[str]:
        """One sentence a kind, for people: "2 side-cars cannot be read: a.json: is cut short; b.json: ..."."""
        told = []
        for kind, count in self._counts.items():
            one, many = _WORDS[kind]
            examples = self._examples[kind]
            rest = f"; and {count - len(examples):,} more" if count > len(examples) else ""
            told.append(f"{count:,} {one if count == 1 else many}: {'; '.join(examples)}{rest}")
        return told
