"""Videos: when each label is in view."""

import pyarrow as pa

from ovdet_cli.analysis.store import Store

JOINED_S = 1.0
"""Stretches that are no further apart are one: a thing that is missed for a moment has not left."""


def band_table(store: Store) -> pa.Table:
    """source_id, source, label, start_s, end_s, frames, best_s, best_score, frame_id: when each label was in view.

    A band ends when the frame after its last would have been looked at.
    """
    return store.table(
        """WITH timed AS (
          SELECT source_id, label_id, frame_id, time_s, time_s + weight_s AS until_s, best
          FROM seen JOIN shown USING (frame_id) WHERE time_s IS NOT NULL
        ), begun AS (
          SELECT *, coalesce(time_s > lag(until_s) OVER (PARTITION BY source_id, label_id ORDER BY time_s) + ?, true)
            AS is_start FROM timed
        ), numbered AS (
          SELECT *, sum(is_start::INTEGER) OVER (PARTITION BY source_id, label_id ORDER BY time_s) AS band FROM begun
        ), bands AS (
          SELECT source_id, label_id, min(time_s) AS start_s, max(until_s) AS end_s, count(*) AS frames,
            max_by(time_s, best) AS best_s, max(best) AS best_score, max_by(frame_id, best) AS frame_id
          FROM numbered GROUP BY source_id, label_id, band
        )
        SELECT source_id, s.name AS source, l.name AS label, start_s, end_s, frames, best_s, best_score, frame_id,
          label_id FROM bands JOIN source s USING (source_id) JOIN label l USING (label_id)
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
