"""Units in groups: by parent of the vocabulary, account, tag and folder; labels that come together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ovdet_cli.analysis.intervals import wilson
from ovdet_cli.analysis.labels import LabelTable
from ovdet_cli.analysis.store import Store

_MOST_GROUPS = 1000

# {key} names the group of a unit, {from_} the units with it.
_GROUPS = """
WITH grouped AS (SELECT unit_id, {key} AS name, {likes} AS likes FROM {source}),
held AS (
  SELECT g.name, p.label_id, count(*) AS num, sum(p.num) AS detections
  FROM grouped g JOIN presence p USING (unit_id) GROUP BY g.name, p.label_id
),
top AS (
  SELECT name, max_by(label_id, (num, -label_id)) AS label_id, sum(detections) AS detections FROM held GROUP BY name
),
counted AS (
  SELECT name, count(*) AS units, count(*) FILTER (unit_id IN (SELECT unit_id FROM presence)) AS units_with,
    sum(likes) AS likes
  FROM grouped WHERE name IS NOT NULL GROUP BY name
)
SELECT c.name, units, units_with, coalesce(t.detections, 0)::BIGINT AS detections, l.name AS top_label,
  try_cast(c.likes AS BIGINT) AS likes
FROM counted c LEFT JOIN top t USING (name) LEFT JOIN label l USING (label_id) ORDER BY units DESC, c.name
"""


def account_table(store: Store) -> pa.Table:
    """account, units, units_with, detections, top_label, likes: who posts it, those with most units first."""
    query = _GROUPS.format(key="account", likes="likes", source="unit WHERE account IS NOT NULL")
    return store.table(query).rename_columns(["account", "units", "units_with", "detections", "top_label", "likes"])


def tag_table(store: Store) -> pa.Table:
    """tag, units, units_with, detections, top_label of the most frequent hashtags."""
    query = _GROUPS.format(key="tag", likes="NULL", source="(SELECT unit_id, unnest(tags) AS tag FROM unit)")
    table = store.table(f"{query} LIMIT {_MOST_GROUPS}")
    return table.drop_columns("likes").rename_columns(["tag", "units", "units_with", "detections", "top_label"])


def folder_table(store: Store) -> pa.Table:
    """folder, units, units_with, detections, top_label: the folder of a unit's first file, "" for the root."""
    source = "(SELECT unit_id, s.name FROM unit JOIN source s ON s.source_id = unit.first_source)"
    key = "CASE WHEN contains(name, '/') THEN regexp_replace(name, '/[^/]*$', '') ELSE '' END"
    table = store.table(f"{_GROUPS.format(key=key, likes='NULL', source=source)} LIMIT {_MOST_GROUPS}")
    return table.drop_columns("likes").rename_columns(["folder", "units", "units_with", "detections", "top_label"])


def parent_table(store: Store, parents: Mapping[str, Sequence[str]]) -> pa.Table:
    """parent, units, share, low, high, detections, frames, labels: broader classes of which something was found.

    parents: class -> the broader ones right above it. What is found of a class counts for all above it, and for itself
    if it has narrower ones.
    """
    groups = {above for names in parents.values() for above in names}
    pairs = [
        (label_id, group)
        for label_id, name in store.rows("SELECT label_id, name FROM label")
        for group in sorted((_ancestors(name, parents) | {name}) & groups)
    ]
    ids, names = zip(*pairs, strict=True) if pairs else ((), ())
    store.put("above", pa.table({"label_id": pa.array(ids, pa.int32()), "parent": pa.array(names, pa.string())}))
    table = store.table(
        """SELECT parent, units, detections, frames, labels FROM
        (SELECT parent, count(DISTINCT unit_id) AS units, sum(num)::BIGINT AS detections,
           count(DISTINCT frame_id) AS frames, list(DISTINCT label_id) AS label_ids, count(DISTINCT label_id) AS labels
         FROM seen JOIN above USING (label_id) GROUP BY parent) ORDER BY units DESC, parent"""
    )
    num_units = store.number("SELECT count(*) FROM unit")
    units = table["units"].to_numpy()
    interval = wilson(units, num_units)
    for place, (name, values) in enumerate(
        (("share", units / max(num_units, 1)), ("low", interval.low), ("high", interval.high)), start=2
    ):
        table = table.add_column(place, name, pa.array(values, pa.float64()))
    return table


def labels_of_parents(store: Store) -> dict[str, list[int]]:
    """parent -> the label_ids found below it; after parent_table."""
    rows = store.rows(
        """SELECT parent, list(DISTINCT label_id ORDER BY label_id) FROM above
        WHERE label_id IN (SELECT label_id FROM seen) GROUP BY parent"""
    )
    return dict(rows)


def pair_counts(store: Store, table: LabelTable, most: int = 30) -> np.ndarray:
    """int64 (N, N): units that hold both of the first N <= `most` labels; the diagonal is those of one."""
    label_ids = table.label_ids[:most].tolist()
    bits = " + ".join(
        f"(CASE WHEN label_id = {label_id} THEN {1 << i} ELSE 0 END)" for i, label_id in enumerate(label_ids)
    )
    counts = np.zeros((len(label_ids), len(label_ids)), np.int64)
    if not label_ids:
        return counts
    wanted = ", ".join(map(str, label_ids))
    # A million units have few different sets of labels, so pairs are counted in the sets.
    sets = store.columns(
        f"""SELECT held, count(*) AS num FROM
        (SELECT unit_id, sum({bits})::BIGINT AS held FROM presence WHERE label_id IN ({wanted}) GROUP BY unit_id)
        GROUP BY held"""
    )
    held, num = np.asarray(sets["held"], np.int64), np.asarray(sets["num"], np.float64)
    for start in range(0, len(held), 100_000):
        part = held[start : start + 100_000]
        has = ((part[:, None] >> np.arange(len(label_ids))) & 1).astype(np.float64)
        counts += np.rint(has.T @ (has * num[start : start + 100_000, None])).astype(np.int64)
    return counts


def _ancestors(name: str, parents: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    ahead: list[Any] = list(parents.get(name, ()))
    while ahead:
        above = ahead.pop()
        if above not in found:
            found.add(above)
            ahead += parents.get(above, ())
    return found
