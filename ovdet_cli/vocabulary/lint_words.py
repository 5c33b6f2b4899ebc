"""Lint of single words: misspellings, other languages, phrases that a model reduces to a noun."""

# W words

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from ovdet_cli.models.text_encoders.mini import SimpleTokenizer
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.findings import Finding, phrase_key, quoted, short
from ovdet_cli.vocabulary.vocabulary import BUILT_IN, Vocabulary

# What says more than a name. "of" is not here: a glass of water is found as well as a glass is.
_NEGATIONS = {"no", "not", "without", "never", "non", "neither", "nor", "none", "except", "lacking"}
_JOINS = {"and", "or", "&", "/", "plus", "versus", "vs"}
_RELATIONS = {
    *("on", "in", "at", "under", "over", "behind", "beside", "besides", "near", "between", "with", "inside", "outside"),
    *("into", "onto", "against", "through", "around", "above", "below", "beneath", "underneath", "across", "along"),
    *("among", "next", "towards", "toward", "from", "by", "than", "beyond", "atop", "within", "during", "while"),
    *("who", "that", "which", "whose", "is", "are", "has", "have", "wears", "holds"),
}
_COUNTS = {
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "dozen"),
    *("several", "many", "multiple", "few", "both", "some", "couple"),
}
_ARTICLES = {"a", "an", "the", "of", "to", "my", "his", "her", "its", "their", "this", "these", "those"}
_COLOURS = {
    *("black", "white", "red", "green", "blue", "yellow", "orange", "brown", "grey", "gray", "pink", "purple", "gold"),
    *("silver", "beige", "turquoise", "violet", "golden", "dark", "light", "striped", "spotted"),
}
# Who does what an -ing word behind tells: "dog running", but not "oil painting".
_BEINGS = {
    *("person", "man", "woman", "boy", "girl", "child", "kid", "baby", "toddler", "people", "men", "women", "children"),
    *("guy", "lady", "worker", "player", "driver", "rider", "cyclist", "pedestrian", "student", "teacher", "soldier"),
    *("police", "officer", "customer", "employee", "human", "someone", "somebody", "crowd", "couple", "patient"),
    *("dog", "cat", "horse", "bird", "cow", "sheep", "animal", "puppy", "kitten", "elephant", "bear", "fish", "duck"),
    *("car", "truck", "bus", "vehicle", "bicycle", "bike", "motorcycle", "train", "boat", "ship", "plane", "airplane"),
    *("drone", "bulldozer", "crane", "forklift", "excavator", "robot"),
}
_PLURALS = {"people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose"}
_ENDINGS = (
    *("s", "es", "d", "ed", "r", "er", "rs", "ers", "or", "ors", "est", "ing", "ings", "ly", "y", "ish", "like"),
    *("ness", "less", "ful", "able", "ment", "ments", "ist", "ists", "ism", "al", "ally", "ity", "ive", "ic", "ical"),
    *("ian", "ion", "ions", "ation", "ous", "ery", "ary", "age", "en", "ened", "ate", "ated", "ance", "ant", "ent"),
    *("ise", "ize", "ised", "ized", "hood", "ship", "some", "ward", "wise", "proof", "work", "ware"),
)
_BEGINNINGS = ("un", "re", "non", "pre", "anti", "sub", "super", "over", "under", "semi", "multi", "mini", "micro")
_LATIN = re.compile(r".*(?:us|um|ii|ae|is|oides|ensis|icus|ica|idae|inae)")  # species, not slips


def check_words(entries: Sequence[Entry]) -> list[Finding]:
    """Phrases that say more than such models read, slips of the pen, and other languages than English."""
    findings = []
    for entry in entries:
        for phrase in entry.phrases:
            found = _other_language(phrase) or _misspelt(phrase) or _collapsing(phrase)
            if found is not None:
                findings.append(Finding(found[0], (entry.name,), *found[1:]))
    return findings


_Found = tuple[str, str, str]  # kind, message, suggestion


def _other_language(phrase: str) -> _Found | None:
    letters = [sign for sign in phrase if sign.isalpha()]
    foreign = [sign for sign in letters if not sign.isascii() and "LATIN" not in unicodedata.name(sign, "")]
    # One Greek letter beside Latin ones is a sign, as in ohms.
    if foreign and not (len(foreign) == 1 and "GREEK" in unicodedata.name(foreign[0], "") and len(letters) > 1):
        script = unicodedata.name(foreign[0], "another").split()[0]
        message = f'"{short(phrase)}" is written in another script ({script}); the text towers learnt English'
        return "language", message, "write the English word"
    if not letters and not any(sign.isdigit() for sign in phrase):
        return "language", f'"{short(phrase)}" holds no word; the text towers learnt English', "write the English word"
    return None


def _misspelt(phrase: str) -> _Found | None:
    if phrase_key(phrase) in _lists().names:
        return None
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", phrase) if not unicodedata.combining(sign))
    words = re.findall(r"[^\W\d_]+", plain)
    if any(_LATIN.fullmatch(word.lower()) and word.lower() not in _lists().parts for word in words):
        return None  # a species
    slips = {}
    for word in words:
        if word.isascii() and not word.isupper() and (meant := _meant(word.lower())):
            slips[word] = meant
    if not slips:
        return None
    mended = re.sub(r"[^\W\d_]+", lambda match: slips.get(match[0], match[0]), plain)
    return (
        "misspelling",
        f"no list and no text tower knows {quoted(slips)} as a word",
        f'"{short(mended)}" may be meant',
    )


@dataclass(frozen=True, eq=False)
class _Lists:
    """What the built-in lists and CLIP's tokenizer know."""

    names: frozenset[str]
    """Keys of all names."""
    nouns: frozenset[str]
    """Names of one word."""
    things: frozenset[str]
    """Last words of the names of the lists of visible things: never verbs, even if they end in "ing"."""
    known: frozenset[str]
    """All words."""
    parts: frozenset[str]
    """Words that compounds are written of."""
    targets: tuple[str, ...]
    """Words that may be meant by a slip, the common ones first."""
    letters_W26: np.ndarray
    """How many of each letter these have."""


@cache
def _lists() -> _Lists:
    words_of: dict[str, set[str]] = {}
    names: set[str] = set()
    nouns: set[str] = set()
    things: set[str] = set()
    for origin in BUILT_IN:
        own = {phrase_key(name) for name in Vocabulary.built_in(origin).names}
        names |= own | {re.sub(r" ?\(.*?\)", "", name).strip() for name in own}
        nouns |= {name for name in own if name.isalpha()}
        words_of[origin] = {word for name in own for word in re.findall("[a-z]+", name)}
        if origin not in ("imagenet21k", "builtin"):  # where people and sports are "walking" and "riding"
            things |= {name.split()[-1] for name in own}
    # The tokenizer does not tell pieces that end a word from words: so too much is known rather than too little.
    pieces = [piece[:-4] for piece in SimpleTokenizer().encoder if re.fullmatch("[a-z]+</w>", piece)]
    rare = words_of.pop("imagenet21k")
    common = {word for own in words_of.values() for word in own}
    usual = common | (rare & set(pieces))  # of the 21,000 synsets many are Latin
    targets = sorted((word for word in usual if len(word) > 3), key=lambda word: (word not in common, word))
    often = {piece for piece in pieces[:8000] if len(piece) > 3}  # by how often they occurred: words for the most part
    return _Lists(
        frozenset(names),
        frozenset(nouns),
        frozenset(things),
        frozenset(common | rare | set(pieces)),
        frozenset(word for word in usual | often if len(word) > 2),
        tuple(targets),
        np.stack([_letter_counts(word) for word in targets]),
    )


def _letter_counts(word: str) -> np.ndarray:
    return np.bincount(np.frombuffer(word.encode("ascii"), np.uint8) - ord("a"), minlength=26).astype(np.int16)


def _is_word(word: str) -> bool:
    """Whether a word in lower case is one, a form of one, or two written together."""
    lists = _lists()
    if word in lists.known:
        return True
    # A word of which a form is known, though not one that lacks its last letter ("custar", "compas").
    forms = (word + "ed", word + "ing", word + "d" * word.endswith("e"), word + "s" * (not word.endswith("s")))
    if any(form in lists.known for form in (*_stems(word), *forms)):
        return True
    return any(word[:i] in lists.parts and word[i:] in lists.parts for i in range(3, len(word) - 2))


def _stems(word: str) -> Iterator[str]:
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            yield from (stem, stem + "e", stem + "y")
            if stem[-1] == stem[-2]:
                yield stem[:-1]
            if stem[-1] == "i":
                yield stem[:-1] + "y"
    for beginning in _BEGINNINGS:
        if word.startswith(beginning) and len(word) - len(beginning) > 3:
            yield word.removeprefix(beginning)


@lru_cache(maxsize=65536)
def _meant(word: str) -> str | None:
    """The known word that a slip of the pen made this of; None for words, and for what is like none.

    Under five letters too much is like something.
    """
    if not 5 <= len(word) <= 30 or _is_word(word):
        return None
    lists = _lists()
    limit = 2 if len(word) >= 8 else 1
    apart_W = np.abs(lists.letters_W26 - _letter_counts(word)).sum(axis=1)
    near = (lists.targets[place] for place in np.flatnonzero(apart_W <= 2 * limit))
    # The first letter is seldom the wrong one, and "waffle" is not what "baffle" meant.
    return _nearest(word, [other for other in near if other[0] == word[0] or other[:2] == word[1::-1]], limit)


def _nearest(word: str, others: Iterable[str], limit: int) -> str | None:
    distances = [(_distance(word, other), i, other) for i, other in enumerate(others)]
    best = min(distances, default=(limit + 1, 0, ""))
    return best[2] if best[0] <= limit else None


def spelt_like(word: str, others: Iterable[str]) -> str | None:
    limit = 2 if len(word) >= 8 else 1
    return _nearest(word, (other for other in others if abs(len(other) - len(word)) <= limit), limit)


def _distance(first: str, second: str) -> int:
    """Letters to change, leave out, put in or swap with the next to make one of the other."""
    before: list[int] = []
    last = list(range(len(second) + 1))
    for i, a in enumerate(first):
        row = [i + 1]
        for j, b in enumerate(second):
            cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a != b))
            if i and j and a == second[j - 1] and b == first[i - 1]:
                cost = min(cost, before[j - 1] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _collapsing(phrase: str) -> _Found | None:
    """Why a phrase says more than its nouns, which are all that such models answer to."""
    if _is_name(phrase_key(phrase)):
        return None
    # "24/7" is one word, "car/truck" two.
    text = re.sub(r"(?<=[^\W\d]{2})/(?=[^\W\d]{2})", " / ", re.sub(r"\(.*?\)", " ", phrase.casefold()))
    words = _merge_names(re.findall(r"[^\s_,;:]+", text))
    denies = next((i for i, word in enumerate(words) if word in _NEGATIONS or word.endswith("n't")), len(words))
    if after := _things(words[denies + 1 :]):
        before = _things(words[:denies])
        advice = (
            f"look for {quoted(before)}, and make {quoted(after)} a negative entry"
            if before
            else f"look for {quoted(after)}, and conclude from pictures where it is not found"
        )
        return (
            "collapse",
            f'"{short(phrase)}": such models do not read "{words[denies]}", and find what it denies',
            advice,
        )
    things = _things(words)
    inner = range(1, len(words) - 1)
    joins = [i for i in inner if words[i] in _JOINS and not {words[i - 1], words[i + 1]} <= _COLOURS]
    if joins and len(things) > 1:
        message = f'"{short(phrase)}" names several things, which such models mix into one'
        return "collapse", message, f"make {quoted(things)} classes of their own, or aliases of one"
    if unread := [words[i] for i in range(len(words)) if _is_verb(words, i) or (i in inner and words[i] in _RELATIONS)]:
        message = f'"{short(phrase)}": such models do not read {quoted(unread)}, they answer to {quoted(things)}'
        return "collapse", message, f"look for {quoted(things)}; what must not count can be a negative entry"
    for i, word in enumerate(words[:-1]):
        is_count = word in _COUNTS or (word.isdecimal() and word.isascii() and int(word[:4]) > 1)
        if is_count and any(_singular(own) != own for own in words[i + 1 :]):
            message = f'"{short(phrase)}": such models do not count, and find each by itself'
            return "collapse", message, f"look for {quoted(things[-1:])}, and count what is found"
    return None


def _is_name(key: str) -> bool:
    names = _lists().names
    bare = re.sub(r"^(?:an?|the) ", "", key)
    return key in names or bare in names or _singular(bare) in names


def _merge_names(words: Sequence[str]) -> list[str]:
    """The words, where several that a list holds as one name are one."""
    merged, i = [], 0
    while i < len(words):
        size = next(
            (n for n in range(min(5, len(words) - i), 1, -1) if _is_long_name(words[i : i + n])),
            1,
        )
        merged.append(" ".join(words[i : i + size]))
        i += size
    return merged


def _is_long_name(words: Sequence[str]) -> bool:
    key = phrase_key(" ".join(words))
    return words[0] not in _ARTICLES and " " in key and (key in _lists().names or _singular(key) in _lists().names)


def _is_verb(words: Sequence[str], i: int) -> bool:
    """Whether a word tells what the thing before it does."""
    word = words[i]
    if i == 0 or len(word) < 5 or not word.isalpha() or not word.endswith("ing") or _singular(word) in _lists().things:
        return False
    does = any(_singular(own.split()[-1]) in _BEINGS for own in words[:i])
    goes_on = i + 1 < len(words) and words[i + 1] in {"a", "an", "the", *_RELATIONS}
    return (does or goes_on) and any(stem in _lists().known for stem in _stems(word))


def _things(words: Sequence[str]) -> list[str]:
    """What stands between the words that relate: the noun alone where lists know it, else as it is said."""
    things: list[str] = []
    said: list[str] = []
    for i, word in enumerate([*words, "and"]):
        if word not in _RELATIONS | _JOINS | _NEGATIONS and not _is_verb([*words, "and"], i):
            said += [] if word in _ARTICLES | _COUNTS or word.isdecimal() else [word]
            continue
        said = [own for own in said if own not in _COLOURS] or said
        if said:
            noun = _singular(said[-1])
            things.append(noun if noun in _lists().names else " ".join(said))
        said = []
    return list(dict.fromkeys(things))


def _singular(phrase: str) -> str:
    """The phrase with its last word in the singular, where lists know that word so; else the phrase."""
    lists = _lists()
    if phrase in lists.names or not phrase:
        start, _, last = phrase.rpartition(" ")
        return f"{start} {_PLURALS[last]}".strip() if last in _PLURALS else phrase
    start, _, last = phrase.rpartition(" ")
    for ending, single in (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f")):
        own = last.removesuffix(ending) + single
        whole = f"{start} {own}".strip()
        if own != last and last.endswith(ending) and (whole in lists.names or own in lists.nouns):
            return whole
    return f"{start} {_PLURALS.get(last, last)}".strip()
