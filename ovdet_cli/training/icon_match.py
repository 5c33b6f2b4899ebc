"""Which icon shows which category: by emoji, by label, or by name; and which show none of them (clutter)."""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from ovdet_cli.training.artwork import CLUTTER, Drawing
from ovdet_cli.training.artwork_sets import Role
from ovdet_cli.training.categories import CATEGORIES_PATH, Category
from ovdet_cli.training.category_rules import plain_words
from ovdet_cli.training.icon_set import IconSet, compact, slug

CLUTTER_SEED = 3
MAX_CLUTTER = 300
# Emoji of these kinds show no thing of the list. Not here: signs that picture one (litter bin, bicycle), hearts, faces.
CLUTTER_SUBGROUPS = {
    "arrow", "keycap", "alphanum", "geometric", "zodiac", "math", "punctuation", "currency", "av-symbol", "gender",
    "religion",
}  # fmt: skip
CLUTTER_LABELS = {
    "no entry", "prohibited", "warning", "radioactive", "biohazard", "hundred points", "anger symbol",
    "recycling symbol",
    "fleur-de-lis", "Japanese symbol for beginner", "hollow red circle", "check mark button", "check mark",
    "check box with check", "cross mark", "cross mark button", "curly loop", "double curly loop", "registered",
    "part alternation mark", "eight-spoked asterisk", "copyright", "trade mark", "medical symbol", "dashing away",
}  # fmt: skip
NOT_CLUTTER = {
    "cinema", "mobile phone off", "vibration mode", "star of David", "latin cross", "dotted six-pointed star",
    "star and crescent",
}  # fmt: skip
# Words of icons that show a thing of the list under another name, or a brand.
_NEAR = (
    "advertising aircraft android answers apartment approve archive armchair assistant attachment automotive "
    "bandit beanie bearish biomass blackberry bomber boss bowman broadsword brute bullish business businessman "
    "businesswoman callback candlebright cavalry caveman checklist chisel cigar clapperboard cleaver conqueror "
    "conversation convict copy coupons dartboard deployment disapprove discussion dna2 document donate drafts "
    "drakkar drizzle e edit erlenmeyer excavator expired extreme farm feedback fireball fireman gallery guest "
    "headset helm home horizon hound image imp inspection invite ipad jeep kindle lightbulb like lockers logo "
    "mail medicine meteor moonrise moonset noble orc overhead overtime patient pc photo pikeman placeholder "
    "planner podium pokeball poll portrait premium prisoner questions r2d2 raindrop raindrops rapper rating "
    "ratings receptionist reuse reward savings sea setting settings sherlock shipped sleet solar spongebob start "
    "statistics survey time tv vinyl viola wildfires"
)
NEAR_WORDS = frozenset(_NEAR.split())
# Icons whose name means another thing than the category of that name; seen by eye.
WRONG = {
    "game-icons": {
        "ram", "mechanical-arm", "bookmark", "disc", "clover", "fog", "ribbon", "spade", "helmet", "fountain",
    },
    "streamline-ultimate-color": {"mouse", "stop-sign", "truck-2", "satellite", "timer-10"},
    "streamline-kameleon-color": {"keyboard", "plug", "chicken"},
}  # fmt: skip
# Of game-icons, which has thousands of beasts and weapons, only patterns and outlines of countries are clutter.
_PATTERNS = (
    "abstract africa angola brazil cambodia coil corsica crosshair curly divided eclipse eclipses expand greece "
    "guatemala heptagram hexagon hexes hieroglyph iceland kenya libya maze mexico nested nigeria pentacle plain "
    "poland portugal resize resonance ripples share shatter slash slashes spain spiral splash square tanzania "
    "targeting texas triangle trinacria triforce uruguay venezuela vortex zigzag"
)
PATTERN_WORDS = frozenset(_PATTERNS.split())
# Older packages call a cricket bat so. Taken out after drawings are held out, which it would shuffle.
MISNAMED = {("noto-v1", "cricket"), ("emojione", "cricket"), ("emojione-v1", "cricket")}
FXEMOJI_PATH = CATEGORIES_PATH.with_name("fxemoji_names.txt")


@dataclass(frozen=True)
class EmojiNames:
    """What emoji are called. labels, unicode, subgroups: by upper-case hexcode."""

    labels: dict[str, str]
    unicode: dict[str, str]
    subgroups: dict[str, str]

    @classmethod
    def open(cls, folder: Path) -> "EmojiNames":
        """Reads the unpacked emojibase-data package."""
        data = json.loads((folder / "data.json").read_text(encoding="utf-8"))
        unicode = json.loads((folder / "unicode-names.json").read_text(encoding="utf-8"))
        kinds = json.loads((folder / "groups.json").read_text(encoding="utf-8"))["subgroups"]
        labels = {e["hexcode"]: e["label"] for e in data}
        return cls(labels, unicode, {e["hexcode"]: kinds[str(e["subgroup"])] for e in data if "subgroup" in e})

    def of(self, hexcode: str) -> tuple[str, ...]:
        """The names of one emoji, the likeliest first."""
        label = self.labels[hexcode]
        named = self.unicode.get(hexcode)
        return (label, named) if named else (label,)


def match_set(icons: IconSet, role: Role, categories: tuple[Category, ...], names: EmojiNames) -> list[Drawing]:
    """The drawings of one package that show a category; no icon twice."""
    taken = set(WRONG.get(icons.style, ()))
    own_names = read_own_names() if icons.style == "fxemoji" else {}
    drawings = []
    for i, category in enumerate(categories):
        found = _by_name(icons, category) if role == "extra" else _by_emoji(icons, category, names, own_names)
        for name in found:
            if icons.parent(name) not in taken:
                taken.add(icons.parent(name))
                drawings.append(Drawing(icons.style, name, i))
    return drawings


def read_own_names(path: Path = FXEMOJI_PATH) -> dict[str, str]:
    """Emoji label -> icon name of fxemoji, where only a person can tell."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" = ") for line in lines if not line.startswith("#"))


def _by_emoji(icons: IconSet, category: Category, names: EmojiNames, own_names: dict[str, str]) -> list[str]:
    """Icons of the category's emoji; old packages know some roles as man and woman only."""
    labels = [names.of(code) for code in category.hexcodes]
    labels = [(own_names.get(label[0], label[0]), *label) for label in labels]
    found = [icons.find(code, label) for code, label in zip(category.hexcodes, labels, strict=True)]
    if not any(found):
        bare = labels[0][1].removeprefix("person ")
        found = [icons.find("", (f"{sex} {bare}",)) for sex in ("man", "woman")]
    return [name for name in found if name is not None]


def _by_name(icons: IconSet, category: Category) -> list[str]:
    """Icons called exactly as the category, but for a number or size behind."""
    wanted = slug(category.name)
    return [name for name in icons.icons if _without_number(name) == wanted]


def match_clutter(icons: IconSet, role: Role, categories: tuple[Category, ...], names: EmojiNames) -> list[Drawing]:
    """Drawings of one package that show nothing of the list."""
    if role == "train":
        chosen = _sign_icons(icons, names)
    else:
        chosen = _strangers(icons, categories)
        random.Random(CLUTTER_SEED).shuffle(chosen)
    return [Drawing(icons.style, name, CLUTTER) for name in sorted(chosen[:MAX_CLUTTER])]


def _sign_icons(icons: IconSet, names: EmojiNames) -> list[str]:
    found = {}
    for code, label in names.labels.items():
        if label in NOT_CLUTTER:
            continue
        if names.subgroups.get(code) in CLUTTER_SUBGROUPS or label in CLUTTER_LABELS:
            name = icons.find(code, names.of(code))
            if name is not None:
                found[icons.parent(name)] = name
    return list(found.values())


def _strangers(icons: IconSet, categories: tuple[Category, ...]) -> list[str]:
    """Icons that share no word with any category's name or synonyms, one for each name without its size."""
    known = {w for c in categories for phrase in (c.name, c.held_out, *c.synonyms) for w in plain_words(phrase).split()}
    known |= {word.rstrip("s") for word in known} | NEAR_WORDS
    chosen = {}
    for name in icons.icons:
        words = _without_number(name).split("-")
        if icons.style == "game-icons" and not PATTERN_WORDS.intersection(words):
            continue
        if "abstract" in words:  # numbered, not named
            chosen[name] = name
        elif not any(word in known or word.rstrip("s") in known or compact(word) in known for word in words):
            chosen["-".join(words)] = name
    return list(chosen.values())


def _without_number(name: str) -> str:
    """An icon's name without the number of its variant or its size."""
    return re.sub(r"(-\d+)+$", "", name)
