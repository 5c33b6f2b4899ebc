"""The benchmark's classes, frozen in classes.txt: base, novel, one parent and its kinds."""

# K categories of the artwork store

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.training.artwork import Artwork

CLASSES_PATH = Path(__file__).parent / "classes.txt"
ROLES = ("base", "parent", "novel", "kind")


@dataclass(frozen=True)
class Classes:
    """Names by role. Class ids count through base, parent, novel, kind: those that may have boxes come first.

    base: always with boxes. parent: a name that only the split of kinds uses, for the boxes of all kinds together.
    novel, kind: never with a box of their own.
    """

    base: tuple[str, ...]
    parent: str
    novel: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All names in the order of the class ids."""
        return (*self.base, self.parent, *self.novel, *self.kinds)

    @property
    def num_boxed(self) -> int:
        """Classes below this id may have boxes."""
        return len(self.base) + 1

    def ids(self, role: str) -> range:
        """The class ids of a role."""
        parts = {"base": len(self.base), "parent": 1, "novel": len(self.novel), "kind": len(self.kinds)}
        start = sum(parts[r] for r in ROLES[: ROLES.index(role)])
        return range(start, start + parts[role])

    def store_ids(self, artwork: Artwork, roles: Sequence[str]) -> tuple[int, ...]:
        """The artwork's categories of some roles, rising."""
        place = {name: i for i, name in enumerate(artwork.categories)}
        wanted = [self.names[i] for role in roles for i in self.ids(role)]
        missing = [name for name in wanted if name not in place]
        if missing:
            raise InputError(f"{artwork.folder}: no drawings of {', '.join(missing)}; rebuild the artwork store")
        return tuple(sorted(place[name] for name in wanted))

    def from_store(self, artwork: Artwork, as_parent: bool = False) -> np.ndarray:
        """The class id of each of the artwork's categories, int64 (K,); -1: not of the benchmark.

        as_parent: the kinds become the parent.
        """
        number = {name: i for i, name in enumerate(self.names)}
        if as_parent:
            number |= dict.fromkeys(self.kinds, len(self.base))
        return np.array([number.get(name, -1) for name in artwork.categories], np.int64)


def load_classes(path: Path = CLASSES_PATH) -> Classes:
    """The frozen list: a role and a name a line, a tab between, `#` begins a remark. InputError if it is not that."""
    names: dict[str, list[str]] = {role: [] for role in ROLES}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        role, _, name = line.partition("\t")
        if role not in names or not name:
            raise InputError(f"{path}, line {number}: expected one of {', '.join(ROLES)}, a tab and a name")
        names[role].append(name)
    if len(names["parent"]) != 1:
        raise InputError(f"{path}: one parent is needed, not {len(names['parent'])}")
    return Classes(tuple(names["base"]), names["parent"][0], tuple(names["novel"]), tuple(names["kind"]))
