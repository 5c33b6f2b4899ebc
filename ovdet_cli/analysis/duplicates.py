"""Near-duplicates: prints -> groups of files that show the same, and posts that are the same post twice.

Hashes are compared without looking at all pairs: of two that differ in at most 7 of 64 bits, one of their four quarters
differs in at most one bit. So each is compared with those alone that share a quarter with it, or all but a bit of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ovdet_cli.media.phash import NEAR, are_alike, popcount

_QUARTERS, _QUARTER_BITS = 4, 16
_MOST_PAIRS = 1 << 19  # that are looked at in one piece: 20 MB


@dataclass(frozen=True)
class Folded:
    """Which posts were folded into which. representative: of every post the one that is counted, mostly itself."""

    representative: np.ndarray

    @property
    def is_counted(self) -> np.ndarray:
        """Bool, one a post: False for those that are folded into another."""
        return self.representative == np.arange(len(self.representative))

    @property
    def num_folded(self) -> int:
        """How many posts are left out of the counts."""
        return int((~self.is_counted).sum())

    def groups(self) -> Iterator[np.ndarray]:
        """Posts that were folded together, at least two; the one that is counted first, the largest groups first."""
        members = np.flatnonzero(~self.is_counted)
        owners = self.representative[members]
        order = np.argsort(owners, kind="stable")
        names, starts, counts = np.unique(owners[order], return_index=True, return_counts=True)
        for place in np.lexsort((names, -counts)).tolist():
            own = members[order[starts[place] : starts[place] + counts[place]]]
            yield np.concatenate([names[place : place + 1], own])


def fold(prints: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Of every print the one that stands for it, mostly itself: int64 (N,).

    Whoever comes first stands for all near-duplicates that no one before stands for. Everyone is a near-duplicate of
    its representative itself: groups do not grow from likeness to likeness.

    prints: `PRINT` (N,). order: what sorts them, such as times; equal ones, and None, keep their places.
    """
    count = len(prints)
    ranks = np.arange(count) if order is None else np.argsort(order, kind="stable")
    of_rank = _fold_in_order(prints[ranks])
    representative = np.empty(count, np.int64)
    representative[ranks] = ranks[of_rank]
    return representative


def fold_posts(post_of_file: np.ndarray, file_representative: np.ndarray, order: np.ndarray) -> Folded:
    """Posts that show the same pictures: those whose files have the same set of representatives.

    post_of_file: index of every file's post, int (F,). file_representative: as `fold` gives it, (F,).
    order: what sorts the posts, such as times, (P,); the first of a group is counted.
    """
    pairs = np.unique(np.stack([post_of_file, file_representative], axis=1), axis=0)
    posts, starts = np.unique(pairs[:, 0], return_index=True)
    ends = np.append(starts[1:], len(pairs))
    shown = pairs[:, 1]
    first_of: dict[bytes, int] = {}
    key_of = {post: shown[a:b].tobytes() for post, a, b in zip(posts.tolist(), starts, ends, strict=True)}
    representative = np.arange(len(order))
    for post in np.argsort(order, kind="stable").tolist():
        if post in key_of:  # a post without files stands for itself
            representative[post] = first_of.setdefault(key_of[post], post)
    return Folded(representative)


def _fold_in_order(prints: np.ndarray) -> np.ndarray:
    """As `fold`, for prints in their order."""
    own = np.arange(len(prints))
    representative = _fold_equal(prints)
    heads = np.flatnonzero(representative == own)  # one for all with the same 64 bits, mostly
    of_heads = heads[_fold_unequal(prints[heads])]
    moved = own.copy()
    moved[heads] = of_heads
    after = moved[representative]
    # Members follow their head only to whom they are near themselves.
    is_near = (after == representative) | are_alike(prints, prints[after])
    representative[is_near] = after[is_near]
    left = np.flatnonzero(~is_near)
    if len(left):
        representative[left] = left[_fold_in_order(prints[left])]
    return representative


def _fold_equal(prints: np.ndarray) -> np.ndarray:
    """Folds among those with the same 64 bits."""
    representative = np.arange(len(prints))
    left = np.argsort(prints["coarse"], kind="stable")
    while True:
        coarse = prints["coarse"][left]
        is_first = np.append(True, coarse[1:] != coarse[:-1])[: len(left)]
        if is_first.all():
            return representative
        head = left[np.maximum.accumulate(np.where(is_first, np.arange(len(left)), 0))]
        is_near = is_first | are_alike(prints[left], prints[head])
        representative[left[is_near]] = head[is_near]
        left = left[~is_near]


def _fold_unequal(prints: np.ndarray) -> np.ndarray:
    """Folds among all, by comparing quarters."""
    representative = np.full(len(prints), -1, np.int64)
    left = np.arange(len(prints))
    while len(left):
        has_earlier = np.zeros(len(left), bool)
        has_any = np.zeros(len(left), bool)
        for first, second in _near_pairs(prints[left]):
            has_earlier[second] = has_any[first] = has_any[second] = True
        heads = left[~has_earlier]
        representative[heads] = heads
        # Only they can stand for others now; whoever is near to one is done.
        near = left[has_any]
        best = np.full(len(near), len(prints), np.int64)
        is_head = representative[near] >= 0
        for first, second in _near_pairs(prints[near]):
            by_head = is_head[first]
            np.minimum.at(best, second[by_head], near[first[by_head]])
        is_found = ~is_head & (best < len(prints))
        representative[near[is_found]] = best[is_found]
        left = left[representative[left] < 0]
    return representative


def _near_pairs(prints: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of near-duplicates, first < second, in pieces; some come more than once."""
    assert NEAR < 2 * _QUARTERS
    coarse = np.ascontiguousarray(prints["coarse"])
    for quarter in range(_QUARTERS):
        keys = (coarse >> np.uint64(_QUARTER_BITS * quarter)).astype(np.uint16)
        order = np.argsort(keys, kind="stable").astype(np.int32)
        in_order, keys = coarse[order], keys[order].astype(np.int64)
        starts = np.searchsorted(keys, np.arange((1 << _QUARTER_BITS) + 1))
        for flipped in (0, *(1 << bit for bit in range(_QUARTER_BITS))):
            other = keys ^ flipped
            begins = np.arange(1, len(keys) + 1) if not flipped else starts[other]
            counts = starts[other + 1] - begins
            if flipped:
                counts[other < keys] = 0  # the other way round
            for left, right in _expanded(begins, counts):
                is_near = popcount(in_order[left] ^ in_order[right]) <= NEAR
                first, second = order[left[is_near]], order[right[is_near]]
                if len(first):
                    is_alike = are_alike(prints[first], prints[second])
                    first, second = first[is_alike], second[is_alike]
                    yield np.minimum(first, second), np.maximum(first, second)


def _expanded(begins: np.ndarray, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row i with each of begins[i] to begins[i] + counts[i], in pieces of bounded size."""
    totals = np.cumsum(counts)
    at = 0
    while at < len(counts):
        before = int(totals[at - 1]) if at else 0
        end = max(int(np.searchsorted(totals, before + _MOST_PAIRS, side="right")), at + 1)
        own = counts[at:end]
        size = int(totals[end - 1]) - before
        if size > 4 * _MOST_PAIRS:  # one row with very many partners
            for start in range(0, size, _MOST_PAIRS):
                right = np.arange(start, min(start + _MOST_PAIRS, size)) + begins[at]
                yield np.full(len(right), at), right
        elif size:
            left = np.repeat(np.arange(at, end), own)
            shifts = begins[at:end] - (totals[at:end] - own - before)
            yield left, np.arange(size) + np.repeat(shifts, own)
        at = end


def examples(folded: Folded, names: Sequence[str], most: int = 20, longest: int = 10) -> list[list[str]]:
    """The names of the largest groups, for people."""
    found: list[list[str]] = []
    for group in folded.groups():
        if len(found) == most:
            break
        found.append([names[place] for place in group[:longest].tolist()])
    return found
