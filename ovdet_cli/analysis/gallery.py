"""Which frames to look at: a label's surest, those nearest its threshold, and a random sample."""

from dataclasses import dataclass
from typing import Any

from ovdet_cli.analysis.labels import LabelTable
from ovdet_cli.analysis.store import Store

_LIKENESS_S = 5
"""Of so many seconds of a video one frame stands for all: the next ones look the same."""


@dataclass(frozen=True)
class Chosen:
    """frame_ids of one label."""

    surest: list[int]
    unsure: list[int]
    random: list[int]


def choose_frames(store: Store, table: LabelTable, most_labels: int, each: int) -> dict[int, Chosen]:
    """Place in the label table -> frames of the first `most_labels` labels, at most `each` of a kind.

    Random is random in the same way each time: by a hash of the frame's source and time. Unsure ones may lie below the
    threshold, where weaker detections were recorded.
    """
    label_ids = table.label_ids[:most_labels].tolist()
    if not label_ids or each < 1:
        return {}
    wanted = ", ".join(map(str, label_ids))
    spot = f"""CASE WHEN time_s IS NULL THEN frame_id::VARCHAR
      ELSE source_id || ' ' || floor(time_s / {_LIKENESS_S})::BIGINT END"""
    shuffled = "hash(s.name || ' ' || coalesce(time_s, 0))"
    chosen = store.rows(
        f"""WITH one AS (
          SELECT label_id, max_by(frame_id, best) AS frame_id, max(best) AS best, any_value(time_s) AS time_s,
            any_value(source_id) AS source_id
          FROM seen JOIN shown USING (frame_id) WHERE label_id IN ({wanted}) GROUP BY label_id, {spot}
        )
        SELECT label_id, max_by(frame_id, (best, -frame_id), {each}), min_by(frame_id, {shuffled}, {each})
        FROM one JOIN source s USING (source_id) GROUP BY label_id"""
    )
    unsure: dict[int, list[int]] = dict(
        store.rows(
            f"""WITH near AS (
              SELECT d.label_id, min_by(frame_id, abs(score - c.cut)) AS frame_id, min(abs(score - c.cut)) AS distance
              FROM det d JOIN shown USING (frame_id) JOIN cut c ON c.run_id = shown.run_id AND c.label_id = d.label_id
              WHERE d.label_id IN ({wanted}) AND isfinite(c.cut) GROUP BY d.label_id, {spot}
            )
            SELECT label_id, min_by(frame_id, (distance, frame_id), {each}) FROM near GROUP BY label_id"""
        )
    )
    places: dict[int, int] = {label_id: place for place, label_id in enumerate(label_ids)}
    return {
        places[label_id]: Chosen(surest, unsure.get(label_id, []), random)
        for label_id, surest, random in sorted(chosen, key=lambda row: places[row[0]])
    }


def top_units(store: Store, table: LabelTable, most_labels: int, each: int) -> dict[int, list[int]]:
    """Place in the label table -> unit_ids that hold the label: the most liked first, then the surest."""
    label_ids = table.label_ids[:most_labels].tolist()
    if not label_ids:
        return {}
    rows: list[Any] = store.rows(
        f"""SELECT label_id, max_by(unit_id, (coalesce(likes, -1), best, -unit_id), {each}) FROM presence
        JOIN unit USING (unit_id) WHERE label_id IN ({", ".join(map(str, label_ids))}) GROUP BY label_id"""
    )
    places = {label_id: place for place, label_id in enumerate(label_ids)}
    return {places[label_id]: units for label_id, units in rows}
