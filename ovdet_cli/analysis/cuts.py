"""The thresholds of a report, and what lies above them.

Tables of the store made here:

    cut       run_id, label_id, cut        what a score must exceed to count
    found     frame_id, source_id, unit_id, run_id, label_id, score, x1, y1, x2, y2     detections that count
    seen      frame_id, unit_id, label_id, num, best        what each frame holds
    presence  unit_id, label_id, num, best, frame_id        what each unit holds, and the frame that shows it best
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ovdet_cli.analysis.store import Store
from ovdet_cli.errors import UsageError


@dataclass(frozen=True)
class RunCuts:
    """The thresholds of one run.

    threshold: None where nothing says. of_label: what its vocabulary gives single classes. recorded: no weaker
    detection was written; None where nothing says.
    """

    name: str
    threshold: float | None = None
    of_label: Mapping[str, float] | None = None
    recorded: float | None = None


def apply_cuts(store: Store, runs: Sequence[RunCuts], threshold: float | None, labels: Sequence[str] = ()) -> None:
    """Makes cut, found, seen and presence.

    threshold: in place of the runs' own and their classes'. labels: only these; () all.

    Raises:
        UsageError: the threshold is below what a run recorded.
    """
    if threshold is not None:
        for run_id, run in enumerate(runs):
            _check(store, run_id, run, threshold)
    rows: list[tuple[int, int, float]] = []
    names = store.rows("SELECT label_id, name FROM label ORDER BY label_id")
    wanted = set(labels)
    for run_id, run in enumerate(runs):
        of_label = run.of_label or {} if threshold is None else {}
        usual = run.threshold if threshold is None else threshold
        for label_id, name in names:
            if not wanted or name in wanted:
                rows.append((run_id, label_id, of_label.get(name, -np.inf if usual is None else usual)))
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    arrays = [
        pa.array(column, kind) for column, kind in zip(columns, (pa.int32(), pa.int32(), pa.float32()), strict=True)
    ]
    store.put("cut", pa.table(dict(zip(("run_id", "label_id", "cut"), arrays, strict=True))))
    # Compared as the detector does: strictly, in float32.
    store.run(
        """CREATE OR REPLACE TABLE found AS
        SELECT d.frame_id, s.source_id, s.unit_id, s.run_id, d.label_id, d.score, d.x1, d.y1, d.x2, d.y2
        FROM det d JOIN shown s USING (frame_id) JOIN cut c ON c.run_id = s.run_id AND c.label_id = d.label_id
        WHERE d.score > c.cut"""
    )
    store.run(
        """CREATE OR REPLACE TABLE seen AS SELECT frame_id, any_value(unit_id) AS unit_id, label_id,
        count(*)::INTEGER AS num, max(score) AS best FROM found GROUP BY frame_id, label_id"""
    )
    frames, units = store.rows("SELECT count(*), count(DISTINCT unit_id) FROM shown")[0]
    if frames == units:  # a million posts of one picture each are grouped once
        store.run("CREATE OR REPLACE VIEW presence AS SELECT unit_id, label_id, num, best, frame_id FROM seen")
    else:
        store.run(
            """CREATE OR REPLACE TABLE presence AS SELECT unit_id, label_id, sum(num)::INTEGER AS num,
            max(best) AS best, max_by(frame_id, best) AS frame_id FROM seen GROUP BY unit_id, label_id"""
        )


def _check(store: Store, run_id: int, run: RunCuts, threshold: float) -> None:
    lowest = run.recorded
    why = "nothing weaker was recorded (--record-threshold)"
    if lowest is None:
        least = store.number(
            "SELECT min(score) FROM det JOIN frame USING (frame_id) JOIN source USING (source_id) WHERE run_id = ?",
            run_id,
        )
        if least is None:
            return
        lowest = float(np.floor(least * 1000) / 1000)
        why = "its weakest detection has that score, and no run.json tells whether weaker ones were recorded"
    if np.float32(threshold) < np.float32(lowest):
        raise UsageError(
            f"--threshold {threshold:g} is too low for {run.name}: the lowest usable one is {lowest:g}; {why}"
        )
