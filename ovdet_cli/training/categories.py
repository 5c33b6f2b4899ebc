"""The categories of the built-in model's miniature world: names, synonyms, and the frozen base/novel split.

The list stands in `data/categories.csv`, written by `ovdet_cli.training.category_rules` and committed: what is novel
today must be novel in every later run. Three synonyms were taken out by hand since, because the keyword lists give them
to what is near and not to what they name (puppy and kitten to the paw print, aeroplane to its seat).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from ovdet_cli.errors import InputError

CATEGORIES_PATH = Path(__file__).parent / "data" / "categories.csv"
COLUMNS = ("name", "group", "subgroup", "novel", "hexcodes", "synonyms", "held_out")


@dataclass(frozen=True)
class Category:
    """One thing to find.

    name: lower-case ordinary words, unique.
    group, subgroup: emojibase's, of its first emoji.
    novel: kept out of the base categories by the split rule; the shipped model trains on it all the same.
    hexcodes: the emoji that show it, upper-case hexadecimal code points joined by `-`; the first is the plainest.
    synonyms: other words for it; never the name of another category, and shared by at most four categories.
    held_out: a synonym kept out of all training, for evaluation; empty where there were fewer than three.
    """

    name: str
    group: str
    subgroup: str
    novel: bool
    hexcodes: tuple[str, ...]
    synonyms: tuple[str, ...]
    held_out: str


def load_categories(path: Path = CATEGORIES_PATH) -> tuple[Category, ...]:
    """The categories in their fixed order; the place in it is the class id.

    Raises InputError if the file is missing or is not such a list.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: cannot read the categories ({error.strerror}); reinstall ovdet") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}")
    return tuple(_category(row) for row in rows)


def save_categories(categories: tuple[Category, ...], path: Path) -> None:
    """Writes the list that `load_categories` reads."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for c in categories:
            lists = ("|".join(c.hexcodes), "|".join(c.synonyms))
            writer.writerow((c.name, c.group, c.subgroup, int(c.novel), *lists, c.held_out))


def _category(row: dict[str, str]) -> Category:
    hexcodes, synonyms = (tuple(word for word in row[key].split("|") if word) for key in ("hexcodes", "synonyms"))
    novel = row["novel"] == "1"
    return Category(row["name"], row["group"], row["subgroup"], novel, hexcodes, synonyms, row["held_out"])
