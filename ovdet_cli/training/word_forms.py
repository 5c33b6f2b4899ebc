"""How a word may stand in what a user types: plurals, articles, templates; and slips of the keyboard."""

import random
import re
import string
from collections.abc import Callable

_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "person": "people",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "mouse": "mice",
    "ox": "oxen",
    "die": "dice",
    "cactus": "cacti",
    "octopus": "octopuses",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "squid": "squid",
    "shrimp": "shrimp",
    "bus": "buses",
    "leaf": "leaves",
    "knife": "knives",
    "loaf": "loaves",
    "wolf": "wolves",
    "calf": "calves",
    "half": "halves",
    "scarf": "scarves",
    "shelf": "shelves",
    "hoof": "hooves",
    "elf": "elves",
    "thief": "thieves",
    "life": "lives",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "mango": "mangoes",
    "mosquito": "mosquitoes",
    "hero": "heroes",
    "volcano": "volcanoes",
    "buffalo": "buffaloes",
    "gas": "gases",
    "lens": "lenses",
}
# What follows these words only qualifies what stands before: "cups with straws" are cups.
_LINKS = re.compile(r" (?:with|of|in|on|at|and|for|showing|without|to) ")

_SINGULAR = ["a {}", "an {}", "the {}", "one {}", "this {}", "my {}", "a photo of a {}", "a picture of a {}"]
_SINGULAR += ["photo of {}", "a {} emoji", "{} emoji", "a {} sticker", "{} sticker", "a {} icon", "a drawing of a {}"]
_PLURAL = ["{}", "{}", "{}", "{}", "two {}", "three {}", "some {}", "many {}", "the {}", "a few {}", "several {}"]
_EITHER = ["{} in a picture", "a photo of {}", "{} on a table", "there is {}", "all {}", "any {}"]
_QUALITIES = re.findall(
    r"\w+",
    "big small little red green blue yellow black white brown pink purple orange grey old new young cute happy funny "
    "tiny large wooden golden cartoon flying sleeping colorful broken tall short round empty single shiny",
)


def pluralise(noun: str) -> str:
    """More than one of a noun, or of the thing that a phrase speaks of; what is a plural already stays as it is."""
    if link := _LINKS.search(noun):
        return pluralise(noun[: link.start()]) + noun[link.start() :]
    head, blank, last = noun.rpartition(" ")
    return head + blank + _pluralise_word(last)


def _pluralise_word(word: str) -> str:
    for singular, plural in _IRREGULAR.items():
        if word == singular or (
            len(singular) > 2 and word in (f"fire{singular}", f"sports{singular}", f"snow{singular}")
        ):
            return word.removesuffix(singular) + plural
    if not word or not word[-1].isalpha() or re.search(r"(?<![su i])s$|men$|people$|dice$|feet$|teeth$|mice$", word):
        return word
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")


def inflect(verb: str) -> tuple[str, str, str]:
    """The regular forms of a verb: walks, walking, walked."""
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb + "s", verb[:-1] + "ing", verb + "d"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies", verb + "ing", verb[:-1] + "ied"
    stem = verb + verb[-1] if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", verb) else verb
    return (
        _pluralise_word(verb) if verb.endswith(("x", "sh", "ch", "s", "z")) else verb + "s",
        stem + "ing",
        stem + "ed",
    )


def dress(noun: str, draw: random.Random) -> str:
    """A noun as it may be typed: in the plural, with an article or a quality, in a template, run together."""
    kind = draw.random()
    if kind < 0.35:
        return draw.choice(_SINGULAR).replace("{}", noun)
    if kind < 0.75:
        return draw.choice(_PLURAL).replace("{}", pluralise(noun))
    if kind < 0.85:
        return draw.choice(_EITHER).replace("{}", draw.choice((noun, pluralise(noun))))
    if kind < 0.9:
        return noun.replace(" ", "")
    return draw.choice(("{}", "a {}", "{}")).replace("{}", f"{draw.choice(_QUALITIES)} {noun}")


def misspell(text: str, draw: random.Random, is_word: Callable[[str], bool]) -> str | None:
    """The text with one slip in one of its words: a letter wrong, too many, missing, or two exchanged.

    None where twenty tries gave nothing but words (`is_word`), or no word has three letters.
    """
    places = [match.span() for match in re.finditer(r"[a-z]{3,}", text)]
    for _ in range(20 if places else 0):
        start, end = draw.choice(places)
        slipped = _slip(text[start:end], draw)
        if slipped != text[start:end] and not is_word(slipped):
            return text[:start] + slipped + text[end:]
    return None


def _slip(word: str, draw: random.Random) -> str:
    kind = draw.randrange(4)
    place = draw.randrange(len(word))
    if kind == 0:
        return word[:place] + draw.choice(string.ascii_lowercase) + word[place + 1 :]
    if kind == 1:
        letter = draw.choice((word[place], draw.choice(string.ascii_lowercase)))
        return word[:place] + letter + word[place:]
    if kind == 2:
        return word[:place] + word[place + 1 :]
    place = draw.randrange(len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
