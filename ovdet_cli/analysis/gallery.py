"""Which frames to look at: a label's surest, those nearest its threshold, and a random sample."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ovdet_cli.analysis.labels import LabelTable
from ovdet_cli.analysis.store import Store

_LIKENESS_S = 5
"""Of so many seconds of a video one frame stands for all: the next ones look the same."""
_NEAR = 0.02
"""Nearly always enough scores lie so near a threshold that no others need be ordered."""

# One number to order by, a score and then a frame_id: a tenth of the time that a pair takes.
_RANK = "(least(greatest({0}, 0), 1) * 1073741824)::BIGINT * 4294967296"
_VIDEO_FRAMES = "(SELECT frame_id FROM shown WHERE time_s IS NOT NULL)"


@dataclass(frozen=True)
class Chosen:
    """frame_ids of one label."""

    surest: list[int]
    unsure: list[int]
    random: list[int]


def choose_frames(store: Store, table: LabelTable, most_labels: int, each: int) -> dict[int, Chosen]:
    """Place in the label table -> frames of the first `most_labels` labels, at most `each` of a kind.

    Random is random in the same way each time, and the same for all labels, which then share pictures. Unsure ones may
    lie below the threshold, where weaker detections were recorded.
    """
    label_ids = table.label_ids[:most_labels].tolist()
    if not label_ids or each < 1:
        return {}
    rank = f"{_RANK.format('best')} - frame_id"
    chosen = store.rows(
        f"""WITH of_label AS (SELECT * FROM seen WHERE label_id IN ({_listed(label_ids)})), one AS (
          SELECT label_id, frame_id, best FROM of_label ANTI JOIN {_VIDEO_FRAMES} USING (frame_id)
          UNION ALL
          SELECT label_id, max_by(frame_id, {rank}), max(best) FROM of_label JOIN shown USING (frame_id)
          WHERE time_s IS NOT NULL GROUP BY label_id, source_id, floor(time_s / {_LIKENESS_S})
        )
        SELECT label_id, max_by(frame_id, {rank}, {each}), min_by(frame_id, hash(frame_id), {each})
        FROM one GROUP BY label_id"""
    )
    unsure = _nearest(store, label_ids, each, _NEAR)
    few = [label_id for label_id in label_ids if len(unsure.get(label_id, ())) < each]
    if few:
        unsure |= _nearest(store, few, each)
    places: dict[int, int] = {label_id: place for place, label_id in enumerate(label_ids)}
    return {
        places[label_id]: Chosen(surest, unsure.get(label_id, []), random)
        for label_id, surest, random in sorted(chosen, key=lambda row: places[row[0]])
    }


def _nearest(store: Store, label_ids: Iterable[int], each: int, within: float = 2.0) -> dict[int, list[int]]:
    """label_id -> frames with a score near the label's threshold, the nearest first."""
    spot = f"""CASE WHEN time_s IS NULL THEN d.frame_id
      ELSE -(source_id * 4294967296 + floor(time_s / {_LIKENESS_S})::BIGINT) - 1 END"""
    rank = f"{_RANK.format('abs(score - c.cut)')} + d.frame_id"
    rows: list[tuple[int, list[int]]] = store.rows(
        f"""WITH near AS (
          SELECT d.label_id, min({rank}) AS rank, min_by(d.frame_id, {rank}) AS frame_id
          FROM det d JOIN shown USING (frame_id) JOIN cut c ON c.run_id = shown.run_id AND c.label_id = d.label_id
          WHERE d.label_id IN ({_listed(label_ids)}) AND isfinite(c.cut) AND abs(score - c.cut) <= {within}
          GROUP BY d.label_id, {spot}
        )
        SELECT label_id, min_by(frame_id, rank, {each}) FROM near GROUP BY label_id"""
    )
    return dict(rows)


def top_units(store: Store, table: LabelTable, most_labels: int, each: int) -> dict[int, list[int]]:
    """Place in the label table -> unit_ids that hold the label: the most liked first, then the surest."""
    label_ids = table.label_ids[:most_labels].tolist()
    if not label_ids:
        return {}
    rows: list[Any] = store.rows(
        f"""SELECT label_id, max_by(unit_id, (coalesce(likes, -1), best, -unit_id), {each}) FROM presence
        JOIN unit USING (unit_id) WHERE label_id IN ({_listed(label_ids)}) GROUP BY label_id"""
    )
    places = {label_id: place for place, label_id in enumerate(label_ids)}
    return {places[label_id]: units for label_id, units in rows}


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
