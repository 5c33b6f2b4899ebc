"""Records of runs -> the tables of a store.

DuckDB reads JSON Lines, CSV and Parquet on all cores and in bounded memory (`bulk_reading.py`). It says little of what
is wrong with a file, so whatever it does not take whole is read once more by the package's own readers, which name file
and line, or mend what a kill left.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import duckdb
import numpy as np
import pyarrow as pa

from ovdet_cli.analysis.bulk_reading import NotWholeError, read_in_bulk
from ovdet_cli.analysis.store import Store
from ovdet_cli.errors import RecordError
from ovdet_cli.results.record import Record
from ovdet_cli.results.runs import Run

_FRAMES_AT_ONCE = 20_000
_FRAME = pa.schema(
    {
        "frame": pa.int64(),
        "source": pa.string(),
        "index": pa.int64(),
        "time_s": pa.float64(),
        "width": pa.int64(),
        "height": pa.int64(),
        "status": pa.string(),
        "error": pa.string(),
        "reused": pa.bool_(),
    }
)
_DETECTION = pa.schema(
    {
        "frame": pa.int64(),
        "label": pa.string(),
        "score": pa.float32(),
        **dict.fromkeys(("x1", "y1", "x2", "y2"), pa.float32()),
        "track_id": pa.int64(),
    }
)


def load_runs(store: Store, runs: Sequence[Run], names: Sequence[str]) -> None:
    """Fills run, source, label, frame and det. names: what each run is called.

    Raises:
        RecordError: a file cannot be read, or breaks the schema; path and line are named.
    """
    for run_id, (run, name) in enumerate(zip(runs, names, strict=True)):
        store.run("INSERT INTO run VALUES (?, ?)", run_id, name)
        try:
            read_in_bulk(store, run.records)
        except (NotWholeError, duckdb.Error):
            _read_carefully(store, run)
        _take_over(store, run_id)


def _read_carefully(store: Store, run: Run) -> None:
    """raw_frame and raw_det as `read_in_bulk` makes them, by our own readers."""
    store.run("DROP VIEW IF EXISTS raw_det; DROP TABLE IF EXISTS raw_record")
    store.put("raw_frame", _FRAME.empty_table())
    store.put("raw_record", _DETECTION.empty_table())
    for frames, detections in _batches(run):
        store.add("raw_frame", frames)
        store.add("raw_record", detections)
    store.run("CREATE VIEW raw_det AS SELECT d.*, f.width, f.height FROM raw_record d JOIN raw_frame f USING (frame)")


def _batches(run: Run) -> Iterator[tuple[pa.Table, pa.Table]]:
    records = run.iter_records()
    begin = 0
    while some := list(islice(records, _FRAMES_AT_ONCE)):
        numbers = range(begin, begin + len(some))
        frames = [
            (number, r.source, r.index, r.time_s, r.width, r.height, r.status, r.error, False)
            for number, r in zip(numbers, some, strict=True)
        ]
        detections = [row for number, record in zip(numbers, some, strict=True) for row in _rows(number, record)]
        begin += len(some)
        try:
            yield _arrow(frames, _FRAME), _arrow(detections, _DETECTION)
        except (OverflowError, pa.ArrowInvalid) as error:
            raise RecordError(f"{run.records}: a number is too large ({error})") from error


def _rows(number: int, record: Record) -> Iterator[tuple[object, ...]]:
    """The rows of a record's detections."""
    found = record.detections
    if not (np.isfinite(found.boxes_xyxy).all() and np.isfinite(found.scores).all()):
        raise RecordError(f"{record.source}, frame {record.index}: a score or box is no finite number")
    ids = [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()
    columns = (record.labels, found.scores.tolist(), found.boxes_xyxy.tolist(), ids)
    for label, score, box, track_id in zip(*columns, strict=True):
        yield number, label, score, *box, track_id if track_id >= 0 else None


def _arrow(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _take_over(store: Store, run_id: int) -> None:
    """raw_frame and raw_det into the tables of all runs."""
    base = store.number("SELECT count(*) FROM frame")
    base_source = store.number("SELECT count(*) FROM source")
    # A time that is no finite number says nothing.
    time_s = "CASE WHEN isfinite(time_s) THEN time_s END"
    store.run(
        f"""INSERT INTO source SELECT ? + row_number() OVER (ORDER BY first) - 1, ?, source, is_video FROM
        (SELECT source, min(frame) AS first, bool_or({time_s} IS NOT NULL) AS is_video FROM raw_frame GROUP BY source)
        """,
        base_source,
        run_id,
    )
    store.run(
        """INSERT INTO label SELECT (SELECT count(*) FROM label) + row_number() OVER (ORDER BY label) - 1, label
        FROM (SELECT DISTINCT label FROM raw_det) WHERE label NOT IN (SELECT name FROM label)"""
    )
    store.run(
        f"""INSERT INTO frame SELECT ? + f.frame, s.source_id, "index", {time_s}, width, height, status = 'ok', error,
        reused FROM raw_frame f JOIN source s ON s.name = f.source AND s.run_id = ?""",
        base,
        run_id,
    )
    # A size that cannot be leaves the box without a place.
    width, height = (f"CASE WHEN d.{name} > 0 THEN d.{name} END" for name in ("width", "height"))
    store.run(
        f"""INSERT INTO det SELECT ? + d.frame, l.label_id, score, d.x1 / {width}, d.y1 / {height}, d.x2 / {width},
        d.y2 / {height}, d.track_id FROM raw_det d JOIN label l ON l.name = d.label""",
        base,
    )
    store.run("DROP VIEW raw_det; DROP TABLE raw_frame; DROP TABLE raw_record; DROP TABLE IF EXISTS raw_place")
