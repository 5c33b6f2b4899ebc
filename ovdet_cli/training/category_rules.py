"""How the category list is made from emoji: kept subgroups, hand-made merges, synonyms, and the base/novel split.

Run once, with the packages that `ovdet_cli.training.artwork_fetch` brings, to write `data/categories.csv`:
`python -m ovdet_cli.training.category_rules PACKAGES_FOLDER`. The result is frozen; another one is another benchmark.
"""

import json
import random
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovdet_cli.training.categories import CATEGORIES_PATH, Category, save_categories

RULES_PATH = CATEGORIES_PATH.with_name("category_rules.txt")
# Everything else (faces, gestures, families, signs, letters, flags) is a category only where the rules name it.
KEPT_GROUPS = {"animals-nature", "food-drink", "travel-places", "activities", "objects"}
KEPT_SUBGROUPS = {
    "face-costume", "hand-fingers-open", "hand-fingers-partial", "hand-single-finger", "hand-fingers-closed", "hands",
    "hand-prop", "body-parts", "person", "person-role", "person-fantasy", "person-activity", "person-sport",
    "person-resting",
}  # fmt: skip
# The hours of the clock, and variants of a person whom the neutral emoji stands for.
LEFT_OUT = re.compile(r"o’clock$|-thirty$|^(man|woman|men|women)( |:)|: facing right$")
SPLIT_SEED = 7
NOVEL_SHARE = 0.2
HELD_OUT_SEED = 11
MAX_SHARED = 4  # a keyword of more categories names none of them ("animal")
MIN_SYNONYMS = 3  # a category with fewer keeps them all for training
WORD = re.compile(r"[a-z][a-z' -]{2,23}")


@dataclass(frozen=True)
class Emoji:
    """One emoji of emojibase, with its keywords from emojibase and emojilib."""

    label: str
    hexcode: str
    group: str
    subgroup: str
    keywords: tuple[str, ...]


def read_emoji(packages: Path) -> list[Emoji]:
    """All emoji that belong to a group, in emojibase's order. packages: the folder that the fetch filled."""
    data = json.loads((packages / "emojibase-data" / "data.json").read_text(encoding="utf-8"))
    meta = json.loads((packages / "emojibase-data" / "groups.json").read_text(encoding="utf-8"))
    more = json.loads((packages / "emojilib" / "emoji-en-US.json").read_text(encoding="utf-8"))
    return [_emoji(entry, meta, more) for entry in data if "group" in entry]


def _emoji(entry: dict[str, Any], meta: dict[str, Any], more: dict[str, list[str]]) -> Emoji:
    keywords = [*entry.get("tags", ()), *more.get(entry["emoji"], ())]
    group, subgroup = meta["groups"][str(entry["group"])], meta["subgroups"][str(entry["subgroup"])]
    return Emoji(entry["label"], entry["hexcode"], group, subgroup, tuple(dict.fromkeys(map(plain_words, keywords))))


def plain_words(text: str) -> str:
    """Lower-case words without accents, underscores or curly quotes: `piñata` is `pinata`."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'").replace("_", " ").replace("“", "").replace("”", ""))
    return " ".join("".join(c for c in text if not unicodedata.combining(c)).lower().split())


def read_rules(path: Path = RULES_PATH) -> tuple[dict[str, list[str]], set[str]]:
    """Category name -> labels of its emoji, and the labels that are no category."""
    merges: dict[str, list[str]] = {}
    dropped: set[str] = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("- "):
            dropped |= {label.strip() for label in line[2:].split(";")}
        elif line and not line.startswith("#"):
            name, _, labels = line.partition(" = ")
            merges[name] = [label.strip() for label in labels.split(";")]
    return merges, dropped


def group_emoji(emoji: list[Emoji], merges: dict[str, list[str]], dropped: set[str]) -> dict[str, list[Emoji]]:
    """Category name -> its emoji, categories in emojibase's order.

    Raises ValueError if the rules name an emoji that does not exist, or one twice.
    """
    of_label = {e.label: e for e in emoji}
    named = [label for labels in merges.values() for label in labels] + sorted(dropped)
    wrong = [label for label, count in Counter(named).items() if count > 1 or label not in of_label]
    if wrong:
        raise ValueError(f"the rules name these emoji twice, or they do not exist: {wrong}")
    groups = {name: [of_label[label] for label in labels] for name, labels in merges.items()}
    for e in emoji:
        kept = e.group in KEPT_GROUPS or e.subgroup in KEPT_SUBGROUPS
        if kept and e.label not in named and not LEFT_OUT.search(e.label):
            groups[plain_words(e.label)] = [e]
    place = {e.label: i for i, e in enumerate(emoji)}
    return dict(sorted(groups.items(), key=lambda item: place[item[1][0].label]))


def split_novel(subgroups: dict[str, str]) -> set[str]:
    """Which categories are novel: in each subgroup, in sorted order, a shuffle's first fifth.

    subgroups: category name -> subgroup.
    """
    members = defaultdict(list)
    for name in sorted(subgroups):
        members[subgroups[name]].append(name)
    generator = random.Random(SPLIT_SEED)
    novel: set[str] = set()
    for _, names in sorted(members.items()):
        generator.shuffle(names)
        novel |= set(names[: round(len(names) * NOVEL_SHARE)])
    return novel


def _keywords(name: str, members: list[Emoji]) -> list[str]:
    """Words for one category. Of many merged emoji only what two of them share, else `smiley` would be `crying`."""
    counts = Counter(word for e in members for word in e.keywords)
    least = 2 if len(members) > 3 else 1
    labels = [plain_words(e.label) for e in members]
    words = labels + [word for word, count in counts.items() if count >= least]
    return [
        w for w in dict.fromkeys(words) if w != name and WORD.fullmatch(w) and len(w.split()) <= 3 and " s " not in w
    ]


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def usable_synonyms(keywords: dict[str, list[str]], novel: set[str]) -> dict[str, list[str]]:
    """Of each category's keywords those that name it: not another category, not shared by many, not novel ones' words.

    A word that a base category shares with a novel one stays with the novel one alone: base texts must not hold it.
    """
    names = {_singular(name): name for name in keywords}
    owners = defaultdict(set)
    for name, words in keywords.items():
        for word in words:
            owners[_singular(word)].add(name)
    usable: dict[str, list[str]] = {}
    for name, words in keywords.items():
        good = [w for w in words if names.get(_singular(w), name) == name and len(owners[_singular(w)]) <= MAX_SHARED]
        usable[name] = [w for w in good if name in novel or not owners[_singular(w)] & novel]
    return usable


def hold_out(categories: list[Category]) -> list[Category]:
    """The same categories with one synonym each, where there are enough, taken out for evaluation.

    Preferred are words of this category alone that share no word with its name: they can only be known, not read off.
    """
    generator = random.Random(HELD_OUT_SEED)
    owners = Counter(word for c in categories for word in c.synonyms)
    done = []
    for c in categories:
        hard = [w for w in c.synonyms if owners[w] == 1 and not set(w.split()) & set(c.name.split())]
        chosen = generator.choice(sorted(hard)) if len(c.synonyms) >= MIN_SYNONYMS and hard else ""
        done.append(replace(c, held_out=chosen, synonyms=tuple(w for w in c.synonyms if w != chosen)))
    return done


def build_categories(emoji: list[Emoji], rules: Path = RULES_PATH) -> tuple[Category, ...]:
    """The whole list, by the rules."""
    groups = group_emoji(emoji, *read_rules(rules))
    novel = split_novel({name: members[0].subgroup for name, members in groups.items()})
    synonyms = usable_synonyms({name: _keywords(name, members) for name, members in groups.items()}, novel)
    plain = []
    for name, members in groups.items():
        codes = tuple(e.hexcode for e in members)
        first = members[0]
        plain.append(Category(name, first.group, first.subgroup, name in novel, codes, tuple(synonyms[name]), ""))
    return tuple(hold_out(plain))


if __name__ == "__main__":
    save_categories(build_categories(read_emoji(Path(sys.argv[1]))), CATEGORIES_PATH)
