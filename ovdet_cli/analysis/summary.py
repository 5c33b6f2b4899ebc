"""What a report says as a whole: totals, failures, and which runs it is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ovdet_cli.analysis.store import Store


@dataclass(frozen=True)
class RunFacts:
    """What run.json says of a run; None where it does not."""

    name: str
    path: str
    info: Mapping[str, Any]

    def part(self, name: str) -> Mapping[str, Any]:
        """An object of run.json; {} where there is none."""
        part = self.info.get(name)
        return part if isinstance(part, dict) else {}

    @property
    def classes(self) -> list[dict[str, Any]]:
        """What its vocabulary file says of its classes."""
        classes = self.part("vocabulary").get("classes")
        return [e for e in classes or () if isinstance(e, dict) and isinstance(e.get("name"), str)]

    @property
    def threshold(self) -> float | None:
        """Of drawing and counting."""
        return _number(self.part("settings").get("threshold"))

    @property
    def recorded(self) -> float | None:
        """No weaker detection is in the records; a class's own threshold may be lower or higher."""
        recorded = _number(self.part("settings").get("record_threshold"))
        return self.threshold if recorded is None else recorded

    @property
    def of_label(self) -> dict[str, float]:
        """Thresholds of single classes."""
        numbers = {entry["name"]: _number(entry.get("threshold")) for entry in self.classes}
        return {name: number for name, number in numbers.items() if number is not None}

    @property
    def sampling(self) -> str | None:
        """Which frames of videos were looked at, in words."""
        settings = self.part("settings")
        every, fps = _number(settings.get("every")), _number(settings.get("fps"))
        told = {
            f"every {every:g}th frame" if every else "": every not in (None, 1),
            f"{fps:g} frames a second" if fps else "": fps is not None,
            "keyframes": settings.get("keyframes") is True,
            "a frame a shot": settings.get("scenes") is True,
            "frames that change (--skip-similar)": settings.get("skip_similar") not in (None, False),
        }
        return ", ".join(text for text, is_so in told.items() if is_so) or None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def totals(store: Store) -> dict[str, Any]:
    """The numbers of a report as a whole.

    units, units_with, pictures, videos, video_frames, video_minutes, detections, labels, accounts, files, failed_files,
    failed, coverage (units_with / units; None without units), first_us and last_us.
    """
    units, units_with, accounts, first_us, last_us = store.rows(
        """SELECT count(*), count(*) FILTER (unit_id IN (SELECT unit_id FROM presence)), count(DISTINCT account),
        min(time_us), max(time_us) FROM unit"""
    )[0]
    pictures, videos, frames, minutes = store.rows(
        """SELECT count(*) FILTER (time_s IS NULL), count(DISTINCT source_id) FILTER (time_s IS NOT NULL),
        count(*) FILTER (time_s IS NOT NULL), coalesce(sum(weight_s), 0) / 60 FROM shown"""
    )[0]
    if store.number("SELECT count(*) FROM run") > 1:  # a picture that several runs have seen is one
        pictures, videos = store.rows(
            """SELECT count(DISTINCT place) FILTER (time_s IS NULL), count(DISTINCT place) FILTER (time_s IS NOT NULL)
            FROM shown JOIN source USING (source_id)"""
        )[0]
    failed_files, failed = store.rows(
        "SELECT count(DISTINCT source_id), count(*) FROM frame JOIN member USING (source_id) WHERE NOT is_ok"
    )[0]
    return {
        "units": units,
        "units_with": units_with,
        "pictures": pictures,
        "videos": videos,
        "video_frames": frames,
        "video_minutes": minutes,
        "detections": store.number("SELECT count(*) FROM found"),
        "labels": store.number("SELECT count(DISTINCT label_id) FROM seen"),
        "accounts": accounts,
        "files": store.number("SELECT count(*) FROM member"),
        "failed_files": failed_files,
        "failed": failed,
        "coverage": units_with / units if units else None,
        "first_us": first_us,
        "last_us": last_us,
    }


def failure_table(store: Store) -> pa.Table:
    """source, index, error: one row a failure, in order; also of files that are not counted."""
    return store.table(
        """SELECT s.name AS source, "index", error FROM frame f JOIN source s USING (source_id)
        WHERE NOT is_ok ORDER BY frame_id"""
    )


def failure_reasons(store: Store, most: int = 50, examples: int = 3) -> list[dict[str, Any]]:
    """reason, files, examples: failures of one text, apart from numbers and what is quoted, the most frequent first."""
    rows = store.rows(
        """WITH told AS (
          SELECT source_id, s.name, frame_id, regexp_replace(replace(coalesce(error, 'unknown'), s.file, 'FILE'),
            '([0-9]+(\\.[0-9]+)?)|(''[^'']*'')', '…', 'g') AS reason
          FROM frame f JOIN source s USING (source_id) WHERE NOT is_ok
        ) SELECT reason, count(DISTINCT source_id) AS files, min_by(name, frame_id, ?) FROM told
        GROUP BY reason ORDER BY files DESC, reason LIMIT ?""",
        examples,
        most,
    )
    return [{"reason": reason, "files": files, "examples": list(dict.fromkeys(names))} for reason, files, names in rows]


def source_table(store: Store) -> pa.Table:
    """source, frames (failed ones too), failed, detections, labels (how many), top_label: files, in their order."""
    return store.table(
        """WITH f AS (
          SELECT source_id, count(*) AS frames, count(*) FILTER (NOT is_ok) AS failed
          FROM frame JOIN member USING (source_id) GROUP BY source_id
        ), held AS (
          SELECT source_id, label_id, sum(num)::BIGINT AS num FROM seen JOIN shown USING (frame_id)
          GROUP BY source_id, label_id
        ), d AS (
          SELECT source_id, sum(num)::BIGINT AS detections, count(*) AS labels,
            max_by(label_id, (num, -label_id)) AS label_id FROM held GROUP BY source_id
        )
        SELECT s.name AS source, frames, failed, coalesce(detections, 0) AS detections, coalesce(labels, 0) AS labels,
          l.name AS top_label
        FROM f JOIN source s USING (source_id) LEFT JOIN d USING (source_id) LEFT JOIN label l USING (label_id)
        ORDER BY source_id"""
    )
