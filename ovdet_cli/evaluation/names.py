"""Names that mean the same class, though one file writes "Hot_dog" and another "hot dog"."""

from collections.abc import Iterable, Sequence


def name_key(name: str) -> str:
    """What two spellings of a name share: no case, underscores and runs of blanks as one blank."""
    return " ".join(name.replace("_", " ").split()).casefold()


def find_names(wanted: Iterable[str], known: Sequence[str]) -> list[int | None]:
    """For each wanted name its place in `known`; None where it is not there.

    The same spelling wins; else the same `name_key`. Of equal names in `known` the first one counts.
    """
    exact = {name: place for place, name in reversed(list(enumerate(known)))}
    loose = {name_key(name): place for place, name in reversed(list(enumerate(known)))}
    return [exact.get(name, loose.get(name_key(name))) for name in wanted]


def join_names(*lists: Sequence[str]) -> tuple[str, ...]:
    """All names of several lists, in order of appearance; of spellings with one `name_key` the first."""
    joined: dict[str, str] = {}
    for names in lists:
        for name in names:
            joined.setdefault(name_key(name), name)
    return tuple(joined.values())
