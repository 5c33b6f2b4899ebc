"""Lint: what will not work in a vocabulary, why, and what to write instead.

It reads entries, and vectors of their phrases where someone hands them in; no model runs here. Every finding is advice:
a vocabulary with findings can be used.
"""

# P phrases, D embedding width

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from ovdet_cli.models.text_encoders.mini import CONTEXT, MiniTokenizer, SimpleTokenizer
from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.findings import Finding, listed, phrase_key, quoted, short
from ovdet_cli.vocabulary.lint_words import check_words, spelt_like
from ovdet_cli.vocabulary.prompts import SETS, fill_prompts

NEAR_CLIP = 0.95
"""Cosine of two "a ..." sentences of CLIP that say the same: they share "a" and its manner, so that words of no kinship
come to 0.7 or so, and a word and its plural to 0.95 or more."""
NEAR_BUILTIN = 0.98
"""The same of the built-in tower, which reads its classes: these lie below 0.45 of each other and synonyms above 0.99.
A region that just passes for one class (0.65) comes to 0.57 for another at 0.98, and to 0.26 at 0.9."""
NEAR_KIN = 0.995
"""The same of a class and its parent: these should be alike."""
_AT_ONCE = 512  # rows of the cosines in memory: 43 MB of them for 21,000 phrases
_MOST = 1000  # pairs that are kept; more are counted


def check_entries(entries: Sequence[Entry]) -> list[Finding]:
    """What can be told without a model: duplicates, parents, settings, and words."""
    return [
        *_duplicates(entries),
        *_families(entries),
        *(finding for entry in entries for finding in _settings(entry)),
        *check_words(entries),
    ]


def _duplicates(entries: Sequence[Entry]) -> Iterator[Finding]:
    owners: dict[str, dict[int, str]] = defaultdict(dict)
    for place, entry in enumerate(entries):
        for phrase in entry.phrases:
            owners[phrase_key(phrase)].setdefault(place, phrase)
    told = set()
    for own in owners.values():
        # Two classes that share their names and aliases too are told once.
        names = tuple(dict.fromkeys(entries[place].name for place in own))
        if len(own) < 2 or tuple(own) in told:
            continue
        told.add(tuple(own))
        spelt = quoted(dict.fromkeys(own.values()))
        places = f"class ids {listed(str(place) for place in own)}"
        kinds = {entries[place].is_negative for place in own}
        fate = (
            "the negative scores as high as the class, which is never reported"
            if len(kinds) == 2
            else "the model gives these classes the same score"
        )
        where = f"the name of {len(own)} classes" if len(names) == 1 else f"the name or an alias of {quoted(names)}"
        yield Finding("duplicate", names, f"{spelt} is {where} ({places}): {fate}", "keep it at one of them")


def _families(entries: Sequence[Entry]) -> Iterator[Finding]:
    by_key = {phrase_key(entry.name): entry.name for entry in entries}
    names = set(by_key.values()) | {entry.name for entry in entries}
    with_children = {parent for entry in entries for parent in entry.parents}
    missing: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if len(set(entry.parents)) > 1:
            yield Finding(
                "shared-child",
                (entry.name,),
                f'"{entry.name}" has {len(set(entry.parents))} parents, {quoted(entry.parents)}: reports count it '
                "under each, so that their sums overlap",
                "leave it one parent if the sums are to add up",
            )
        if entry.is_negative and entry.parents:
            yield Finding(
                "parent",
                (entry.name,),
                f'"{entry.name}" is a negative: it is never reported and counts nothing for {quoted(entry.parents)}',
                "take its parents away, or make it a class",
            )
        if entry.finds_children and entry.name not in with_children:
            yield Finding(
                "parent",
                (entry.name,),
                f'"{entry.name}" finds its children too, but no class names it as parent',
                "name it among the parents of others, or take that setting away",
            )
        for parent in dict.fromkeys(entry.parents):
            if parent not in names:
                missing[parent].append(entry.name)
    for parent, children in missing.items():
        near = phrase_key(parent) if phrase_key(parent) in by_key else spelt_like(phrase_key(parent), by_key)
        if near is not None:
            message = f'"{parent}", parent of {quoted(children)}, is no class but is spelt like "{by_key[near]}"'
            yield Finding("parent", tuple(children), message, f'write "{by_key[near]}" if that is meant')


def _settings(entry: Entry) -> Iterator[Finding]:
    def found(kind: str, message: str, suggestion: str) -> Finding:
        return Finding(kind, (entry.name,), f'"{entry.name}" {message}', suggestion)

    if entry.is_negative:
        values = {"threshold": entry.threshold, "min_area": entry.min_area, "max_per_image": entry.max_per_image}
        if without := [name for name, value in {**values, "colour": entry.colour}.items() if value is not None]:
            yield found(
                "no-effect",
                f"is a negative, which is never reported: its {listed(without)} changes nothing",
                f"take {listed(without)} away, or make it a class",
            )
        return
    if entry.threshold is not None and not 0 < entry.threshold < 1:
        fate = "every region passes" if entry.threshold <= 0 else "nothing passes, as scores lie above it never"
        yield found("threshold", f"has the threshold {entry.threshold:g}: {fate}", "choose one between 0 and 1")
    if entry.max_per_image is not None and entry.max_per_image < 1:
        yield found(
            "threshold",
            f"may be found {entry.max_per_image} times a picture: it is never reported",
            "allow 1 or more, or make it a negative",
        )


def token_counter(text_encoder: str) -> tuple[Callable[[str], int], int]:
    """What counts a sentence's tokens with start and end as that text tower does, and how many it takes.

    The tower's weights need not be here.
    """
    if text_encoder == "builtin-text":
        mini = MiniTokenizer()
        return lambda sentence: len(mini.encode(sentence)) + 2, CONTEXT
    clip = SimpleTokenizer()
    return lambda sentence: len(clip.encode(sentence)) + 2, int(clip.context_length)


def check_lengths(
    entries: Sequence[Entry], prompt: str, num_tokens: Callable[[str], int], context: int
) -> tuple[list[Finding], set[str]]:
    """Phrases whose sentences a text tower does not take whole, and these phrases. prompt: the model's."""
    # Of a set of templates the longest is asked alone: 80 of them for 20,000 names would take minutes.
    longest = {
        template: max(_fill(template, "x"), key=num_tokens)
        for template in {prompt, *(own for entry in entries for own in entry.templates)}
    }
    findings, cut = [], set()
    for entry in entries:
        templates = [longest[template] for template in entry.templates or (prompt,)]
        for phrase in entry.phrases:
            sentences = [phrase.join(re.split(r"\bx\b", template)) for template in templates]
            lengths = [num_tokens(sentence) for sentence in sentences]
            if (length := max(lengths)) <= context:
                continue
            cut.add(phrase)
            message = f'"{short(phrase)}" makes a sentence of {length} tokens; the text tower takes {context}'
            findings.append(Finding("cut", (entry.name,), message, "shorten it: the name of the thing is enough"))
    return findings, cut


def _fill(template: str, name: str) -> list[str]:
    return fill_prompts(template, name) if "{}" in template or template in SETS else [template]


def distinct_phrases(entries: Iterable[Entry]) -> dict[str, int]:
    """Every phrase once, in order -> the place of the first class that has it."""
    places: dict[str, int] = {}
    for place, entry in enumerate(entries):
        for phrase in entry.phrases:
            places.setdefault(phrase, place)
    return places


def check_closeness(
    entries: Sequence[Entry], places: Mapping[str, int], vectors_PD: np.ndarray, limit: float
) -> tuple[list[Finding], int]:
    """Pairs of classes with phrases of a cosine above the limit, the nearest first, and how many more there are.

    places: phrase -> class, in the order of the vectors, which have unit length. A parent and its child should be alike
    and are found from `NEAR_KIN` on.
    """
    phrases = list(places)
    owners_P = np.fromiter(places.values(), np.int64, len(places))
    keys = {key: number for number, key in enumerate(dict.fromkeys(map(phrase_key, phrases)))}
    keys_P = np.array([keys[phrase_key(phrase)] for phrase in phrases], np.int64)
    pairs, total = close_pairs(vectors_PD, limit, owners_P, keys_P)
    findings: dict[tuple[int, int], Finding] = {}
    for i, j, cosine in pairs:
        first, second = entries[owners_P[i]], entries[owners_P[j]]
        place = (min(owners_P[i], owners_P[j]), max(owners_P[i], owners_P[j]))
        is_kin = first.name in second.parents or second.name in first.parents
        are_silent = first.is_negative and second.is_negative
        if place in findings or are_silent or (is_kin and cosine < NEAR_KIN):
            total -= 1
            continue
        fate = (
            f'"{(second if first.is_negative else first).name}" will hardly be reported beside its negative'
            if first.is_negative != second.is_negative
            else "which of the two is reported is chance"
        )
        pair = quoted((phrases[i], phrases[j]))
        message = f"{pair} are one to the model (cosine {cosine:.3f}): {fate}"
        advice = "let the parent find its children, or leave one out" if is_kin else "make one an alias of the other"
        findings[place] = Finding("near-duplicate", (first.name, second.name), message, advice)
    return list(findings.values()), max(total - len(findings), 0)


def close_pairs(
    vectors_PD: np.ndarray, above: float, owners_P: np.ndarray, keys_P: np.ndarray, up_to: float = np.inf
) -> tuple[list[tuple[int, int, float]], int]:
    """The nearest pairs of different owners and keys whose cosine is in (above, up_to], and how many there are."""
    i, j, values = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    total = 0
    for start in range(0, len(vectors_PD), _AT_ONCE):
        cosines = vectors_PD[start : start + _AT_ONCE] @ vectors_PD[start:].T
        rows, columns = np.nonzero(np.triu((cosines > above) & (cosines <= up_to), k=1))
        firsts, seconds = rows + start, columns + start
        are_others = (owners_P[firsts] != owners_P[seconds]) & (keys_P[firsts] != keys_P[seconds])
        total += int(are_others.sum())
        i = np.concatenate((i, firsts[are_others]))
        j = np.concatenate((j, seconds[are_others]))
        values = np.concatenate((values, cosines[rows, columns][are_others]))
        if len(values) > _MOST:
            best = np.argpartition(-values, _MOST)[:_MOST]
            i, j, values = i[best], j[best], values[best]
    order = np.lexsort((j, i, -values))
    return list(zip(i[order].tolist(), j[order].tolist(), values[order].tolist(), strict=True)), total
