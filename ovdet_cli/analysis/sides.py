"""Two sets of units side by side: two runs, or before and after a moment."""

from dataclasses import dataclass

import numpy as np

from ovdet_cli.analysis.comparing import Comparison, compare_independent, compare_paired
from ovdet_cli.analysis.labels import LabelTable
from ovdet_cli.analysis.store import Store

_PAIRED = 0.5
"""From this share of common units on two runs are compared unit by unit."""


@dataclass(frozen=True, eq=False)
class Sides:
    """units: of either side. comparison: one entry a label of the label table."""

    units: tuple[int, int]
    how: str
    comparison: Comparison


def compare_spans(store: Store, table: LabelTable, split_us: int) -> Sides:
    """Units posted before a moment with those after it; those without a time are in neither."""
    (units,) = store.rows("SELECT count(*) FILTER (time_us < $1), count(*) FILTER (time_us >= $1) FROM unit", split_us)
    rows = store.columns(
        """SELECT label_id, count(*) FILTER (time_us < $1) AS a, count(*) FILTER (time_us >= $1) AS b
        FROM presence JOIN unit USING (unit_id) GROUP BY label_id""",
        split_us,
    )
    ka, kb = (_in_order(table, rows["label_id"], rows[side]) for side in "ab")
    return Sides(units, "Fisher's exact test, mid-p", compare_independent(ka, units[0], kb, units[1]))


def compare_runs(store: Store, table: LabelTable, many: str) -> Sides:
    """The first run with the second: unit by unit where most are in both. many: what units are called."""
    store.run("CREATE OR REPLACE TABLE of_run AS SELECT DISTINCT run_id, unit_id FROM shown")
    store.run(
        """CREATE OR REPLACE TABLE held AS SELECT DISTINCT label_id, unit_id, run_id
        FROM seen JOIN shown USING (frame_id, unit_id)"""
    )
    (units,) = store.rows("SELECT count(*) FILTER (run_id = 0), count(*) FILTER (run_id = 1) FROM of_run")
    common = store.number(
        "SELECT count(*) FROM of_run a JOIN of_run b USING (unit_id) WHERE a.run_id = 0 AND b.run_id = 1"
    )
    if common > _PAIRED * max(units):
        rows = store.columns(
            """WITH both_runs AS (
              SELECT unit_id FROM of_run GROUP BY unit_id HAVING count(DISTINCT run_id) = 2
            ), kinds AS (
              SELECT label_id, unit_id, bool_or(run_id = 0) AS a, bool_or(run_id = 1) AS b
              FROM held JOIN both_runs USING (unit_id) GROUP BY label_id, unit_id
            ) SELECT label_id, count(*) FILTER (a AND b) AS both, count(*) FILTER (a AND NOT b) AS only_a,
              count(*) FILTER (b AND NOT a) AS only_b FROM kinds GROUP BY label_id"""
        )
        both, only_a, only_b = (_in_order(table, rows["label_id"], rows[name]) for name in ("both", "only_a", "only_b"))
        how = f"the {common} {many} that are in both, each with itself: McNemar's test, mid-p"
        return Sides((common, common), how, compare_paired(both, only_a, only_b, common))
    rows = store.columns(
        """SELECT label_id, count(*) FILTER (run_id = 0) AS a, count(*) FILTER (run_id = 1) AS b
        FROM held GROUP BY label_id"""
    )
    ka, kb = (_in_order(table, rows["label_id"], rows[side]) for side in "ab")
    return Sides(units, "Fisher's exact test, mid-p", compare_independent(ka, units[0], kb, units[1]))


def middle_of_time(store: Store) -> int | None:
    """The moment in the middle of the time that all units span; None where that is less than two hours."""
    first, last = store.rows("SELECT min(time_us), max(time_us) FROM unit")[0]
    return None if first is None or last - first < 7_200_000_000 else (first + last) // 2


def _in_order(table: LabelTable, label_ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values as the label table orders its labels, 0 where there is none."""
    order = {label_id: place for place, label_id in enumerate(table.label_ids.tolist())}
    ordered = np.zeros(len(table), np.int64)
    for label_id, value in zip(label_ids.tolist(), np.asarray(values).tolist(), strict=True):
        ordered[order[label_id]] = value
    return ordered
