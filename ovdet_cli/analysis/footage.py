"""Videos: when each label is in view."""

from collections.abc import Sequence

import pyarrow as pa

from ovdet_cli.analysis.store import Store

JOINED_S = 1.0
"""Stretches that are no further apart are one: a thing that is missed for a moment has not left."""


def band_table(store: Store, source_ids: Sequence[int] | None = None) -> pa.Table:
    """When each label was in view.

    Columns: source_id, source, label, start_s, end_s, frames, best_s, best_score, frame_id, label_id.

    source_ids: only of these videos. A band ends when the frame after its last would have been looked at; of a video of
    which one frame was looked at it has no length. frame_id, best_s: the first frame with the best score.
    """
    chosen = "" if source_ids is None else f"AND source_id IN ({', '.join(map(str, source_ids)) or 'NULL'})"
    return store.table(
        f"""WITH timed AS (
          SELECT source_id, label_id, frame_id, time_s, time_s + weight_s AS until_s, best
          FROM seen JOIN shown USING (frame_id) WHERE time_s IS NOT NULL {chosen}
        ), begun AS (
          SELECT *, coalesce(time_s > lag(until_s) OVER (PARTITION BY source_id, label_id ORDER BY time_s) + ?, true)
            AS is_start FROM timed
        ), numbered AS (
          SELECT *, sum(is_start::INTEGER) OVER (PARTITION BY source_id, label_id ORDER BY time_s) AS band FROM begun
        ), bands AS (
          SELECT source_id, label_id, min(time_s) AS start_s, max(until_s) AS end_s, count(*) AS frames,
            max(best) AS best_score,
            max_by({{'time_s': time_s, 'frame_id': frame_id}}, (best, -time_s, -frame_id)) AS shows
          FROM numbered GROUP BY source_id, label_id, band
        )
        SELECT source_id, s.name AS source, l.name AS label, start_s, end_s, frames, shows.time_s AS best_s,
          best_score, shows.frame_id AS frame_id, label_id FROM bands
        JOIN source s USING (source_id) JOIN label l USING (label_id)
        ORDER BY source_id, label, start_s""",
        JOINED_S,
    )


def video_table(store: Store) -> pa.Table:
    """source_id, source, frames, first_s, duration_s, minutes, detections: videos, those with most found first.

    duration_s: from the first frame that was looked at to the end of the last one's stretch.
    """
    return store.table(
        """WITH v AS (
          SELECT source_id, count(*) AS frames, min(time_s) AS first_s,
            max(time_s + weight_s) - min(time_s) AS duration_s, sum(weight_s) / 60 AS minutes
          FROM shown WHERE time_s IS NOT NULL GROUP BY source_id
        ), f AS (SELECT source_id, count(*) AS detections FROM found GROUP BY source_id)
        SELECT source_id, s.name AS source, frames, first_s, duration_s, minutes, coalesce(detections, 0) AS detections
        FROM v JOIN source s USING (source_id) LEFT JOIN f USING (source_id) ORDER BY detections DESC, source_id"""
    )
