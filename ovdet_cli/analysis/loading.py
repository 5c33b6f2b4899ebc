"""Records of runs -> the tables of a store.

DuckDB reads JSON Lines, CSV and Parquet on all cores and in bounded memory. It says little of what is wrong with a
file, so whatever it does not take whole is read once more by the package's own readers, which name file and line, or
mend what a kill left.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from ovdet_cli.analysis.store import Store
from ovdet_cli.errors import RecordError
from ovdet_cli.results.csv_table import TRACK_ID, has_column
from ovdet_cli.results.jsonl import read_records
from ovdet_cli.results.runs import Run

_MOST_BYTES = 1 << 26
"""The longest line that DuckDB takes: 64 MiB, a picture with thousands of masks. Longer ones go the slow way."""
_FRAMES_AT_ONCE = 20_000

_JSON = """
SELECT "schema", source, "index", time_s, width, height, status, error, reused, detections
FROM read_json(?, format = 'newline_delimited', ignore_errors = true, maximum_object_size = {most}, columns = {{
  'schema': 'VARCHAR', 'source': 'VARCHAR', 'index': 'BIGINT', 'time_s': 'DOUBLE', 'width': 'BIGINT',
  'height': 'BIGINT', 'status': 'VARCHAR', 'error': 'VARCHAR', 'reused': 'BOOLEAN', 'detections':
  'STRUCT(label VARCHAR, class_id BIGINT, score FLOAT, box_xyxy FLOAT[4], track_id BIGINT)[]'}})
"""
_BAD_RECORDS = """
SELECT count(*) FROM raw_record WHERE "schema" IS NULL OR NOT starts_with("schema", 'ovdet/') OR source IS NULL
  OR "index" IS NULL OR status IS NULL OR status NOT IN ('ok', 'error') OR detections IS NULL
"""
_BAD_FRAMES = """SELECT count(*) FROM raw_frame WHERE source IS NULL OR "index" IS NULL OR status IS NULL
  OR status NOT IN ('ok', 'error') OR num IS NULL"""
_BAD_DETECTION = """label IS NULL OR score IS NULL OR NOT isfinite(score) OR x1 + y1 + x2 + y2 IS NULL
  OR NOT isfinite(x1 + y1 + x2 + y2)"""
_FRAME_TYPES = {
    "source": "VARCHAR",
    "index": "BIGINT",
    "time_s": "DOUBLE",
    "width": "BIGINT",
    "height": "BIGINT",
    "status": "VARCHAR",
    "error": "VARCHAR",
    "detections": "BIGINT",
}
_DET_TYPES = {
    "source": "VARCHAR",
    "index": "BIGINT",
    "time_s": "DOUBLE",
    "label": "VARCHAR",
    "class_id": "BIGINT",
    "score": "FLOAT",
    "x1": "FLOAT",
    "y1": "FLOAT",
    "x2": "FLOAT",
    "y2": "FLOAT",
}
_ARROW_FRAME = pa.schema(
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
        "num": pa.int64(),
    }
)
_ARROW_DET = pa.schema(
    {
        "frame": pa.int64(),
        "label": pa.string(),
        "score": pa.float32(),
        "x1": pa.float32(),
        "y1": pa.float32(),
        "x2": pa.float32(),
        "y2": pa.float32(),
        "track_id": pa.int64(),
    }
)


class _NotWholeError(Exception):
    """The quick way does not take these records; a reader that names what is wrong shall look at them."""


def load_runs(store: Store, runs: Sequence[Run], names: Sequence[str]) -> None:
    """Fills run, source, label, frame and det. names: what each run is called.

    Raises:
        RecordError: a file cannot be read, or breaks the schema; path and line are named.
    """
    for run_id, (run, name) in enumerate(zip(runs, names, strict=True)):
        store.run("INSERT INTO run VALUES (?, ?)", run_id, name)
        try:
            _read_quickly(store, run)
        except (_NotWholeError, duckdb.InvalidInputException, duckdb.ConversionException):
            _read_carefully(store, run)
        _take_over(store, run_id)


def _read_quickly(store: Store, run: Run) -> None:
    """raw_frame (with its number), and raw_det or the nested raw_record, of a run, by DuckDB."""
    if run.records.suffix == ".jsonl":
        _read_jsonl(store, run.records)
    else:
        _read_tables(store, run.records)


def _read_jsonl(store: Store, path: Path) -> None:
    store.run(f"CREATE OR REPLACE TABLE raw_record AS {_JSON.format(most=_MOST_BYTES)}", str(path))
    bad = store.number(_BAD_RECORDS)
    if bad == 1 and not _ends_whole(path):  # the line that a kill cut short
        store.run('DELETE FROM raw_record WHERE "schema" IS NULL AND rowid = (SELECT max(rowid) FROM raw_record)')
        bad = store.number(_BAD_RECORDS)
    if bad:
        raise _NotWholeError
    store.run(
        """CREATE OR REPLACE TABLE raw_frame AS SELECT rowid AS frame, source, "index", time_s, width, height, status,
        error, coalesce(reused, false) AS reused, len(detections) AS num FROM raw_record"""
    )
    store.run(
        """CREATE OR REPLACE VIEW raw_det AS SELECT frame, d.label, d.score, d.box_xyxy[1] AS x1, d.box_xyxy[2] AS y1,
        d.box_xyxy[3] AS x2, d.box_xyxy[4] AS y2, d.track_id, width, height
        FROM (SELECT rowid AS frame, width, height, unnest(detections) AS d FROM raw_record)"""
    )
    if store.number(f"SELECT count(*) FROM raw_det WHERE {_BAD_DETECTION}"):
        raise _NotWholeError


def _read_tables(store: Store, path: Path) -> None:
    """detections.csv beside frames.csv, or the same as Parquet."""
    frames = path.with_name(f"frames{path.suffix}")
    if not frames.is_file():
        raise RecordError(
            f"{path.parent} has no {frames.name}, so what was looked at and held nothing is unknown; "
            "give the run's folder, or its detections.jsonl"
        )
    with_tracks = has_column(path, TRACK_ID) if path.suffix == ".csv" else _has_parquet_column(store, path, TRACK_ID)
    det_types = _DET_TYPES | ({TRACK_ID: "BIGINT"} if with_tracks else {})
    store.run(
        f"""CREATE OR REPLACE TABLE raw_frame AS SELECT row_number() OVER () - 1 AS frame, source, "index", time_s,
        width, height, status, CASE WHEN status = 'ok' THEN NULL ELSE error END AS error, false AS reused,
        detections AS num FROM {_reading(frames, _FRAME_TYPES)}""",
        str(frames),
    )
    if store.number(_BAD_FRAMES):
        raise _NotWholeError
    track = TRACK_ID if with_tracks else "NULL::BIGINT AS track_id"
    store.run(
        f"""CREATE OR REPLACE TABLE raw_record AS SELECT source, "index", label, score, x1, y1, x2, y2, {track}
        FROM {_reading(path, det_types)}""",
        str(path),
    )
    # A kill leaves detections of a frame that has no row yet, and they are the last.
    whole = store.number("SELECT coalesce(sum(num), 0) FROM raw_frame")
    store.run(
        f"""CREATE OR REPLACE VIEW raw_det AS SELECT f.frame, d.* EXCLUDE (source, "index"), f.width, f.height
        FROM (SELECT * FROM raw_record WHERE rowid < {int(whole)}) d
        JOIN (SELECT source, "index", min(frame) AS frame, any_value(width) AS width, any_value(height) AS height
              FROM raw_frame GROUP BY ALL) f USING (source, "index")"""
    )
    if store.number("SELECT count(*) FROM raw_det") != whole:
        raise _NotWholeError
    if store.number(f"SELECT count(*) FROM raw_det WHERE {_BAD_DETECTION}"):
        raise _NotWholeError


def _reading(path: Path, types: dict[str, str]) -> str:
    """What SQL reads that file with; its path is a parameter."""
    if path.suffix == ".parquet":
        return "read_parquet(?)"
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    layout = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"'"
    return f"read_csv(?, {layout}, columns = {{{columns}}})"


def _has_parquet_column(store: Store, path: Path, name: str) -> bool:
    return name in {row[0] for row in store.rows("SELECT name FROM parquet_schema(?)", str(path))}


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _read_carefully(store: Store, run: Run) -> None:
    """The same by our own readers."""
    store.run("DROP VIEW IF EXISTS raw_det; DROP TABLE IF EXISTS raw_record")
    store.put("raw_frame", _ARROW_FRAME.empty_table())
    store.put("raw_record", _ARROW_DET.empty_table())
    for frames, detections in _jsonl_batches(run.records) if run.records.suffix == ".jsonl" else _table_batches(run):
        store.add("raw_frame", frames)
        store.add("raw_record", detections)
    store.run("CREATE VIEW raw_det AS SELECT d.*, f.width, f.height FROM raw_record d JOIN raw_frame f USING (frame)")


def _jsonl_batches(path: Path) -> Iterator[tuple[pa.Table, pa.Table]]:
    records = read_records(path, with_masks=False)
    begin = 0
    while some := list(islice(records, _FRAMES_AT_ONCE)):
        frames = [
            (begin + place, r.source, r.index, r.time_s, r.width, r.height, r.status, r.error, False, len(r.detections))
            for place, r in enumerate(some)
        ]
        detections = []
        for number, record in enumerate(some, start=begin):
            found = record.detections
            ids = (
                [None] * len(found)
                if found.track_ids is None
                else [i if i >= 0 else None for i in found.track_ids.tolist()]
            )
            boxes, scores = found.boxes_xyxy.tolist(), found.scores.tolist()
            detections += [
                (number, label, score, *box, track)
                for label, score, box, track in zip(record.labels, scores, boxes, ids, strict=True)
            ]
        begin += len(some)
        yield _arrow(frames, _ARROW_FRAME), _arrow(detections, _ARROW_DET)


def _arrow(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _table_batches(run: Run) -> Iterator[tuple[pa.Table, pa.Table]]:
    frames, found = run.frames, run.detections
    rows = frames.assign(frame=range(len(frames)), reused=False, num=frames["detections"])[list(_ARROW_FRAME.names)]
    places = {
        place: number
        for number, place in reversed(list(enumerate(zip(frames["source"], frames["index"], strict=True))))
    }
    numbers = [places.get(place) for place in zip(found["source"], found["index"], strict=True)]
    if None in numbers:
        raise RecordError(f"{run.records}: detections of a frame that is not in the table of frames")
    dets = found.assign(frame=pd.Series(numbers, dtype="int64"), track_id=found.get(TRACK_ID))[list(_ARROW_DET.names)]
    yield (
        pa.Table.from_pandas(rows, _ARROW_FRAME, preserve_index=False),
        pa.Table.from_pandas(dets, _ARROW_DET, preserve_index=False),
    )


def _take_over(store: Store, run_id: int) -> None:
    """raw_frame and raw_det into the tables of all runs."""
    base = store.number("SELECT count(*) FROM frame")
    base_source = store.number("SELECT count(*) FROM source")
    store.run(
        """INSERT INTO source SELECT ? + row_number() OVER (ORDER BY first) - 1, ?, source, is_video FROM
        (SELECT source, min(frame) AS first, bool_or(time_s IS NOT NULL) AS is_video FROM raw_frame GROUP BY source)""",
        base_source,
        run_id,
    )
    store.run(
        """INSERT INTO label SELECT (SELECT count(*) FROM label) + row_number() OVER (ORDER BY label) - 1, label
        FROM (SELECT DISTINCT label FROM raw_det) WHERE label NOT IN (SELECT name FROM label)"""
    )
    store.run(
        """INSERT INTO frame SELECT ? + f.frame, s.source_id, "index", time_s, width, height, status = 'ok', error,
        reused, num FROM raw_frame f JOIN source s ON s.name = f.source AND s.run_id = ?""",
        base,
        run_id,
    )
    store.run(
        """INSERT INTO det SELECT ? + d.frame, l.label_id, score, d.x1 / d.width, d.y1 / d.height, d.x2 / d.width,
        d.y2 / d.height, d.track_id FROM raw_det d JOIN label l ON l.name = d.label""",
        base,
    )
    store.run("DROP VIEW raw_det; DROP TABLE raw_frame; DROP TABLE raw_record")
