"""Writes classes.txt by a fixed rule. Done once: the list is frozen, so that numbers of different days compare.

    python -m benchmarks.mini.choose --artwork FOLDER

The rule: categories of animals, food, places, activities and things with at least five different drawings to train on
and one in each of the two unseen styles. All such fruits are the kinds of the parent "fruit". Of the rest, 24 that are
novel in `categories.csv` and 96 that are base, taken in turn from each subgroup (in a fixed random order, as are the
names of a subgroup), so that few look-alikes meet.
"""

import argparse
import hashlib
from collections import defaultdict
from pathlib import Path

from benchmarks.mini.classes import CLASSES_PATH
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.artwork_sets import SAME_DRAWINGS
from ovdet_cli.training.categories import Category, load_categories

GROUPS = ("animals-nature", "food-drink", "travel-places", "activities", "objects")
KINDS, PARENT = "food-fruit", "fruit"
NUM_BASE, NUM_NOVEL = 96, 24
LEAST_DRAWINGS = 5
UNSEEN = ("fxemoji", "openmoji")


def eligible(artwork: Artwork) -> list[Category]:
    """The categories that have the drawings that the benchmark needs."""
    drawings: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    unseen: defaultdict[str, set[str]] = defaultdict(set)
    for d in artwork.drawings:
        if d.category < 0:
            continue
        name = artwork.categories[d.category]
        if d.style in UNSEEN:
            unseen[name].add(d.style)
        elif d.style in artwork.training_styles and not d.held_out:
            drawings[name].add(("fluent" if d.style in SAME_DRAWINGS else d.style, d.name))
    return [
        c
        for c in load_categories()
        if c.group in GROUPS and len(drawings[c.name]) >= LEAST_DRAWINGS and len(unseen[c.name]) == len(UNSEEN)
    ]


def in_turn(categories: list[Category], count: int) -> list[str]:
    """So many names, one of each subgroup and then again one of each."""
    by_subgroup: defaultdict[str, list[str]] = defaultdict(list)
    for name, subgroup in sorted(((c.name, c.subgroup) for c in categories), key=lambda pair: _order(pair[0])):
        by_subgroup[subgroup].append(name)
    turns = [
        (turn, _order(subgroup), name) for subgroup, names in by_subgroup.items() for turn, name in enumerate(names)
    ]
    return sorted(name for *_, name in sorted(turns)[:count])


def _order(text: str) -> str:
    return hashlib.sha256(f"mini 1 {text}".encode()).hexdigest()


def main() -> None:
    """Chooses and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artwork", type=Path, required=True, help="artwork store")
    found = eligible(Artwork.open(parser.parse_args().artwork))
    rest = [c for c in found if c.subgroup != KINDS]
    roles = {
        "base": in_turn([c for c in rest if not c.novel], NUM_BASE),
        "parent": [PARENT],
        "novel": in_turn([c for c in rest if c.novel], NUM_NOVEL),
        "kind": sorted(c.name for c in found if c.subgroup == KINDS),
    }
    lines = ["# Frozen list of the miniature benchmark; made by choose.py."]
    lines += [f"{role}\t{name}" for role, names in roles.items() for name in names]
    CLASSES_PATH.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print({role: len(names) for role, names in roles.items()})


if __name__ == "__main__":
    main()
