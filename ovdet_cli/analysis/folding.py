"""Near-duplicate posts of a store: which sources are not counted, as another post shows the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ovdet_cli.analysis.duplicates import examples, fold, fold_posts
from ovdet_cli.analysis.findings import Findings
from ovdet_cli.analysis.places import Places
from ovdet_cli.analysis.prints import read_prints
from ovdet_cli.analysis.store import Store


@dataclass(frozen=True)
class FoldedSources:
    """source_ids: those that are not counted, with `kept` the source that each is like. posts: folded posts.

    groups: how many posts stand for others. examples: names of posts that show the same, the counted one first.
    unread: files that could not be compared.
    """

    source_ids: list[int]
    kept: list[int]
    posts: int
    groups: int
    examples: list[list[str]]
    unread: int


def fold_sources(
    store: Store, places: Sequence[Places], findings: Findings, cache: Path | None, *, by_post: bool
) -> FoldedSources:
    """Compares the pictures and videos of the members; the earliest of each group is counted.

    places: one a run. by_post: a post is folded where another one shows the same pictures, all of them; else each file
    is by itself. cache: a file that keeps what was read of the pictures.
    """
    rows = store.rows(
        """SELECT s.source_id, s.run_id, s.file, s.name, p.time_us,
          CASE WHEN ? AND p.id <> s.file THEN 'post ' || p.id ELSE 'file ' || s.place END
        FROM source s JOIN member USING (source_id) LEFT JOIN post p USING (source_id) ORDER BY s.source_id""",
        by_post,
    )
    prints, is_known = read_prints([places[run_id].existing(file) for _, run_id, file, *_ in rows], findings, cache)
    # Files that cannot be compared are like none but themselves.
    representative = np.arange(len(rows))
    known = np.flatnonzero(is_known)
    times = np.array([np.inf if row[4] is None else row[4] for row in rows], np.float64)
    representative[known] = known[fold(prints[known], times[known])]
    names: dict[str, int] = {}
    post_of = np.array([names.setdefault(row[5], len(names)) for row in rows], np.int64)
    order = np.full(len(names), np.inf)
    np.minimum.at(order, post_of, times)
    folded = fold_posts(post_of, representative, order) if rows else None
    if folded is None:
        return FoldedSources([], [], 0, 0, [], 0)
    of_post = folded.representative[post_of]
    first_source = np.full(len(names), len(rows))
    np.minimum.at(first_source, post_of, np.arange(len(rows)))
    gone = np.flatnonzero(of_post != post_of)
    shown = [rows[place][3] for place in first_source.tolist()]
    return FoldedSources(
        [rows[place][0] for place in gone.tolist()],
        [rows[first_source[of_post[place]]][0] for place in gone.tolist()],
        folded.num_folded,
        sum(1 for _ in folded.groups()),
        examples(folded, shown),
        len(rows) - len(known),
    )
