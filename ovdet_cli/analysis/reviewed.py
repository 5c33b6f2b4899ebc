"""A checked sample: what a person says is really there, read from a table and counted against what was detected.

Two forms, as CSV, TSV (comma, semicolon or tab) or JSON lines (or one JSON list of objects):

    source,label,present          one answer a row: yes or no (true, false, 1, 0, ..); unsure or empty is left out
    source,labels                 one unit a row: all labels that are there, between | or ;; every label of the
                                  vocabulary that is not named is absent. "dog?" is unsure.

The unit is a file or a post, by its name in the run or by its id. A row of one file of a post speaks for that file: the
post counts where all its files were answered, and is left out, whatever the answers, where some were not (to keep its
"yes" and lose its "no" would make everything more frequent).
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ovdet_cli.analysis.review_rows import read_rows
from ovdet_cli.errors import InputError
from ovdet_cli.evaluation.names import find_names


@dataclass(frozen=True, eq=False)
class Review:
    """A checked sample in the terms of a run.

    units: ids of the checked units. unit, label, answer: one entry for each single answer: place in units, place in the
    vocabulary, and 1 (there), 0 (absent) or -1 (unsure). is_whole: bool, by unit: labels without an answer are absent.
    unsure: answers left out. partial: units left out (for some label or all), of which only some files were answered.
    unknown_units, unknown_labels: names that the run does not have, and in how many rows.
    """

    path: Path
    units: tuple[str, ...]
    unit: np.ndarray
    label: np.ndarray
    answer: np.ndarray
    is_whole: np.ndarray
    unsure: int
    partial: int
    unknown_units: Mapping[str, int] = field(default_factory=dict)
    unknown_labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Tally:
    """By label: units checked and found true, among those with the label detected and among those without."""

    detected_true: np.ndarray
    detected_checked: np.ndarray
    undetected_true: np.ndarray
    undetected_checked: np.ndarray


def read_reviewed(
    path: Path, units: Mapping[str, str], labels: Sequence[str], files_of: Mapping[str, int] | None = None
) -> Review:
    """The checked sample in a file.

    units: every name that a row may use (sources, post ids) -> the id of its unit. labels: the vocabulary, in order.
    files_of: those names that are one file of several of their unit -> how many files that unit has; a row with any
    other name speaks for the whole unit.

    Raises:
        InputError: the file cannot be read, a row or an answer makes no sense, two rows contradict each other (each
            names the line), or no row is about a unit of the run.
    """
    rows = list(read_rows(path, set(labels)))
    if not rows:
        raise InputError(f"{path} has no rows; give one a checked unit, with a label and whether it is there")
    names = _find_names([row.name for row in rows], units)
    unknown = Counter(row.name for row, name in zip(rows, names, strict=True) if name is None)
    known = [(row, name, units[name]) for row, name in zip(rows, names, strict=True) if name is not None]
    if not known:
        raise InputError(f"{path}: none of its {len(unknown)} units, such as {rows[0].name!r}, is in the run")
    texts = list(dict.fromkeys(text for row, _, _ in known for text in row.answers))
    places = dict(zip(texts, find_names(texts, labels), strict=True))
    foreign = Counter(text for row, _, _ in known for text in row.answers if places[text] is None)
    answers: dict[str, dict[int, dict[str, tuple[int, int]]]] = {}
    whole: dict[str, set[str]] = {}
    for row, name, id_ in known:
        of_unit = answers.setdefault(id_, {})
        whole.setdefault(id_, set()).update({name} if row.is_whole else ())
        for text, answer in row.answers.items():
            if (place := places[text]) is not None:
                _note(of_unit.setdefault(place, {}), name, row.line, answer, path, text)
    return _combine(path, answers, whole, files_of or {}, unknown, foreign)


def tally(review: Review, num_labels: int, unit: np.ndarray, label: np.ndarray) -> Tally:
    """Counts a review against the detections.

    unit, label: int arrays, one entry for each checked unit (place in review.units) and label detected in it, once.
    """
    explicit = review.unit.astype(np.int64) * num_labels + review.label
    found = np.unique(np.asarray(unit, np.int64) * num_labels + np.asarray(label, np.int64))
    is_found = np.isin(explicit, found)

    def count(labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels, minlength=num_labels)

    is_true, is_false = review.answer == 1, review.answer == 0
    true1, false1 = count(review.label[is_true & is_found]), count(review.label[is_false & is_found])
    true0, false0 = count(review.label[is_true & ~is_found]), count(review.label[is_false & ~is_found])
    # Units where every label without an answer is absent.
    answered = count(review.label[review.is_whole[review.unit]]) if len(review.unit) else count(review.label)
    silent = found[~np.isin(found, explicit)]
    silent1 = count((silent % num_labels)[review.is_whole[silent // num_labels]])
    silent0 = int(review.is_whole.sum()) - answered - silent1
    return Tally(true1, true1 + false1 + silent1, true0, true0 + false0 + silent0)


def _note(noted: dict[str, tuple[int, int]], name: str, line: int, answer: int, path: Path, label: str) -> None:
    """Keeps an answer by the name it was given for; the same one twice is one, and unsure yields to an answer."""
    before, line_before = noted.get(name, (-1, line))
    if -1 not in (before, answer) and before != answer:
        raise InputError(
            f"{path}, lines {line_before} and {line}: {label!r} is there and is not there in {name!r}; keep one"
        )
    if before == -1:
        noted[name] = (answer, line)


def _combine(
    path: Path,
    answers: Mapping[str, Mapping[int, Mapping[str, tuple[int, int]]]],
    whole: Mapping[str, set[str]],
    files_of: Mapping[str, int],
    unknown: Mapping[str, int],
    foreign: Mapping[str, int],
) -> Review:
    """From answers by file to one answer by unit and label."""
    columns: tuple[list[int], list[int], list[int]] = ([], [], [])
    kept: list[str] = []
    is_whole: list[bool] = []
    partial = 0
    for id_, by_label in answers.items():
        covers_all = _is_complete(whole[id_], files_of)
        of_unit = []
        for place, noted in by_label.items():
            if _is_complete(whole[id_] | noted.keys(), files_of):
                given = [answer for answer, _ in noted.values()]
                of_unit.append((place, 1 if 1 in given else min(given)))
        partial += len(of_unit) < len(by_label) or (bool(whole[id_]) and not covers_all)
        if of_unit or covers_all:
            for place, answer in of_unit:
                for column, value in zip(columns, (len(kept), place, answer), strict=True):
                    column.append(value)
            kept.append(id_)
            is_whole.append(covers_all)
    unit, label, answers_given = (np.array(column, np.int64) for column in columns)
    unsure = int((answers_given == -1).sum())
    is_whole_unit = np.array(is_whole, bool)
    return Review(
        path, tuple(kept), unit, label, answers_given, is_whole_unit, unsure, partial, dict(unknown), dict(foreign)
    )


def _is_complete(names: Set[str], files_of: Mapping[str, int]) -> bool:
    """Whether these names, all of one unit, speak for all of it."""
    return any(len(names) >= files_of.get(name, 1) for name in names)


def _find_names(wanted: Sequence[str], known: Mapping[str, str]) -> list[str | None]:
    """Each name as the run has it: as it is, else the only one whose path ends in it, or that it ends in."""
    found: list[str | None] = [name if name in known else None for name in wanted]
    last_parts = {_parts(name)[-1] for name, same in zip(wanted, found, strict=True) if same is None}
    by_last: dict[str, list[str]] = {}
    for name in known if last_parts else ():
        if (last := name[name.rfind("/") + 1 :]) in last_parts:
            by_last.setdefault(last, []).append(name)
    for i, name in enumerate(wanted):
        if found[i] is None:
            own = _parts(name)
            fitting = [other for other in by_last.get(own[-1], ()) if _is_tail(own, _parts(other))]
            found[i] = fitting[0] if len(fitting) == 1 else None
    return found


def _is_tail(one: Sequence[str], other: Sequence[str]) -> bool:
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")] or [""]
