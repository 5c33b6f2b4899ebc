"""What was found, label by label: shares with intervals, minutes, scores, sizes and places."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ovdet_cli.analysis.intervals import ratio_of_sums, wilson
from ovdet_cli.analysis.store import Store

SCORE_BINS, GRID = 20, 3
SIZE_EDGES = (0.01, 0.04, 0.16, 0.5)
"""Shares of the picture's area that part small boxes from large ones."""
RARE_UNITS = 3
"""A label that so few units hold is rare."""
NEW_SHARE = 0.1
"""A label is new if it first comes in this last part of the time that the posts span."""

# greatest() and least() leave out NULLs, so these must be asked for.
_HAS_PLACE = "x1 + y1 + x2 + y2 IS NOT NULL"
_AREA = f"CASE WHEN {_HAS_PLACE} THEN greatest(x2 - x1, 0) * greatest(y2 - y1, 0) END"


@dataclass(frozen=True, eq=False)
class LabelTable:
    """One entry a label found, that of most units first; arrays (L,). label_ids: the store's."""

    label_ids: np.ndarray
    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(self.label_ids)


def label_table(store: Store) -> LabelTable:
    """All labels of `found`.

    Columns: label, units, share (of all units), low, high (95 %, Wilson), detections, frames, minutes, minutes_share,
    minutes_low, minutes_high (of video; None without), score_min, score_q25, score_median, score_q75, score_max,
    size_median (share of the picture's area), first_us, last_us, is_new, is_rare, first_source.
    """
    found = store.columns(
        f"""WITH numbers AS (
          SELECT label_id, count(*) AS detections, quantile_cont(score, [0.0, 0.25, 0.5, 0.75, 1.0]) AS q,
            median({_AREA}) AS size, min(source_id) AS first_source
          FROM found GROUP BY label_id
        ), frames AS (SELECT label_id, count(*) AS frames FROM seen GROUP BY label_id),
        units AS (
          SELECT label_id, count(*) AS units, min(time_us) AS first_us, max(time_us) AS last_us
          FROM presence JOIN unit USING (unit_id) GROUP BY label_id
        )
        SELECT label_id, l.name AS label, units, detections, frames, q[1] AS score_min, q[2] AS score_q25,
          q[3] AS score_median, q[4] AS score_q75, q[5] AS score_max, size, first_us, last_us, s.name AS first_source
        FROM numbers JOIN frames USING (label_id) JOIN units USING (label_id) JOIN label l USING (label_id)
        JOIN source s ON s.source_id = first_source ORDER BY units DESC, label"""
    )
    num_units = store.number("SELECT count(*) FROM unit")
    interval = wilson(found["units"], num_units)
    columns = {
        "label": found["label"],
        "units": found["units"],
        "share": found["units"] / max(num_units, 1),
        "low": interval.low,
        "high": interval.high,
        "detections": found["detections"],
        "frames": found["frames"],
        **_minutes(store, found["label_id"]),
        **{name: found[name].astype(np.float32) for name in found if name.startswith("score_")},
        "size_median": found["size"],
        "first_us": found["first_us"],
        "last_us": found["last_us"],
        "is_new": _new(store, found["first_us"]),
        "is_rare": (found["units"] <= RARE_UNITS) & (num_units > 10 * RARE_UNITS),
        "first_source": found["first_source"],
    }
    return LabelTable(np.asarray(found["label_id"]), columns)


def _new(store: Store, first_us: Any) -> np.ndarray:
    """Labels that came late; of posts that are all but of one time none is new."""
    start, end = store.rows("SELECT min(time_us), max(time_us) FROM unit")[0]
    if start is None or end - start < 3_600_000_000:
        return np.zeros(len(first_us), bool)
    return np.asarray(np.ma.filled(first_us, start) > end - NEW_SHARE * (end - start))


def _minutes(store: Store, label_ids: np.ndarray) -> dict[str, Any]:
    """Minutes of video that frames with the label stand for, and their share, videos being drawn as wholes."""
    names = ("minutes", "minutes_share", "minutes_low", "minutes_high")
    videos, sum_x, sum_xx = store.rows(
        """SELECT count(*), coalesce(sum(x), 0), coalesce(sum(x * x), 0) FROM
        (SELECT sum(weight_s) / 60 AS x FROM shown WHERE time_s IS NOT NULL GROUP BY source_id)"""
    )[0]
    if not sum_x:
        return dict.fromkeys(names, None)
    rows = store.columns(
        """WITH x AS (SELECT source_id, sum(weight_s) / 60 AS x FROM shown WHERE time_s IS NOT NULL GROUP BY source_id),
        y AS (SELECT source_id, label_id, sum(weight_s) / 60 AS y FROM seen JOIN shown USING (frame_id)
              WHERE time_s IS NOT NULL GROUP BY source_id, label_id)
        SELECT label_id, sum(y) AS y, sum(y * y) AS yy, sum(x * y) AS xy
        FROM y JOIN x USING (source_id) GROUP BY label_id"""
    )
    sums = np.zeros((3, len(label_ids)))
    order = {label_id: place for place, label_id in enumerate(label_ids.tolist())}
    places = [order[label_id] for label_id in rows["label_id"].tolist()]
    sums[:, places] = [rows["y"], rows["yy"], rows["xy"]]
    ratio = ratio_of_sums(sums[0], sums[1], sums[2], sum_x, sum_xx, videos)
    return dict(zip(names, (sums[0], ratio.share, ratio.low, ratio.high), strict=True))


@dataclass(frozen=True, eq=False)
class Shapes:
    """How scores, places and sizes of each label are spread: counts (L, 20), (L, 9) and (L, 5)."""

    scores: np.ndarray
    places: np.ndarray
    sizes: np.ndarray


def label_shapes(store: Store, table: LabelTable) -> Shapes:
    """Score histograms over 0 to 1, box centres on a grid of 3 x 3 row by row, and box areas between SIZE_EDGES.

    Boxes of pictures whose size is not known have only a score.
    """
    size = " + ".join(f"({_AREA} >= {edge})::INTEGER" for edge in SIZE_EDGES)
    cell = [f"greatest(least(floor({GRID} * ({a}1 + {a}2) / 2), {GRID - 1}), 0)::INTEGER" for a in "xy"]
    bins = {
        "scores": (f"greatest(least(floor({SCORE_BINS} * score), {SCORE_BINS - 1}), 0)::INTEGER", SCORE_BINS),
        "places": (f"CASE WHEN {_HAS_PLACE} THEN {cell[0]} + {GRID} * {cell[1]} END", GRID * GRID),
        "sizes": (size, len(SIZE_EDGES) + 1),
    }
    row_of = {label_id: place for place, label_id in enumerate(table.label_ids.tolist())}
    counts = {}
    for name, (expression, width) in bins.items():
        counted = np.zeros((len(table), width), np.int64)
        for label_id, place, count in store.rows(
            f"""SELECT label_id, place, count(*) FROM (SELECT label_id, {expression} AS place FROM found)
            WHERE place IS NOT NULL GROUP BY label_id, place"""
        ):
            counted[row_of[label_id], place] = count
        counts[name] = counted
    return Shapes(**counts)
