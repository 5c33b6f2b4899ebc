"""Finding: something in a vocabulary that will not work."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Finding:
    """Something that will not work.

    kind: duplicate, near-duplicate, cut, collapse, misspelling, language, shared-child, parent, threshold, no-effect,
    inseparable or unfamiliar. names: of the classes concerned. message: what and why. suggestion: what to do.
    """

    kind: str
    names: tuple[str, ...]
    message: str
    suggestion: str


def phrase_key(phrase: str) -> str:
    """The phrase without what makes no difference to a text tower: case, underscores, hyphens, blanks at the ends."""
    return " ".join(re.split(r"[\s_\-]+", phrase.casefold())).strip() or phrase.casefold().strip()


def short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def quoted(names: Iterable[str]) -> str:
    return listed(f'"{short(name)}"' for name in names)


def listed(words: Iterable[str]) -> str:
    """The first few words with "and" before the last."""
    own = list(words)
    if len(own) > _SHOWN:
        return f"{', '.join(own[:_SHOWN])} and {len(own) - _SHOWN} more"
    return " and ".join((", ".join(own[:-1]), own[-1]) if len(own) > 1 else own)
