"""Records of a run -> raw_frame and raw_det of a store, by DuckDB, where nothing is wrong with the files.

raw_frame   frame (its number), source, index, time_s, width, height, status, error, reused
raw_det     frame, label, score, x1, y1, x2, y2, track_id, width, height      a view
"""

import csv
import glob
from pathlib import Path

from ovdet_cli.analysis.store import Store
from ovdet_cli.errors import RecordError
from ovdet_cli.results.csv_table import TRACK_ID

_MOST_BYTES = 1 << 26
"""The longest line that DuckDB takes: 64 MiB, a picture with thousands of masks. Longer ones go the slow way."""

_JSON = """
SELECT "schema", source, "index", time_s, width, height, status, error, reused, detections
FROM read_json(?, format = 'newline_delimited', ignore_errors = true, maximum_object_size = {most}, columns = {{
  'schema': 'VARCHAR', 'source': 'VARCHAR', 'index': 'BIGINT', 'time_s': 'DOUBLE', 'width': 'BIGINT',
  'height': 'BIGINT', 'status': 'VARCHAR', 'error': 'VARCHAR', 'reused': 'BOOLEAN', 'detections':
  'STRUCT(label VARCHAR, class_id BIGINT, score FLOAT, box_xyxy FLOAT[4], track_id BIGINT)[]'}})
"""
# A line that is no record comes as one of which nothing is known.
_BAD_RECORDS = """
SELECT count(*) FROM raw_record WHERE "schema" IS NULL OR NOT starts_with("schema", 'ovdet/') OR source IS NULL
  OR "index" IS NULL OR status IS NULL OR status NOT IN ('ok', 'error') OR detections IS NULL
"""
_BAD_FRAMES = """SELECT count(*) FROM raw_frame WHERE source IS NULL OR "index" IS NULL OR status IS NULL
  OR status NOT IN ('ok', 'error') OR num IS NULL OR num < 0"""
_BAD_DETECTIONS = """SELECT count(*) FROM raw_det WHERE label IS NULL OR class_id IS NULL OR score IS NULL
  OR NOT isfinite(score) OR x1 + y1 + x2 + y2 IS NULL OR NOT isfinite(x1 + y1 + x2 + y2)"""
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
_DETECTION_TYPES = {
    "source": "VARCHAR",
    "index": "BIGINT",
    "label": "VARCHAR",
    "class_id": "BIGINT",
    "score": "FLOAT",
    **dict.fromkeys(("x1", "y1", "x2", "y2"), "FLOAT"),
}


class NotWholeError(Exception):
    """The quick way does not take these records; a reader that names what is wrong shall look at them."""


def read_in_bulk(store: Store, records: Path) -> None:
    """Makes raw_frame and raw_det.

    Raises:
        NotWholeError, or any error of DuckDB: the careful reader shall look. RecordError: a file cannot be read.
    """
    if not records.is_file():  # the parts of a killed run
        raise NotWholeError
    if records.suffix == ".jsonl":
        _read_jsonl(store, records)
    else:
        _read_tables(store, records)
    if store.number(_BAD_DETECTIONS):
        raise NotWholeError


def _read_jsonl(store: Store, path: Path) -> None:
    ends_whole = _ends_whole(path)
    store.run(f"CREATE OR REPLACE TABLE raw_record AS {_JSON.format(most=_MOST_BYTES)}", _only(path))
    bad = store.number(_BAD_RECORDS)
    if bad == 1 and not ends_whole:  # the line that a kill cut short
        store.run('DELETE FROM raw_record WHERE "schema" IS NULL AND rowid = (SELECT max(rowid) FROM raw_record)')
        bad = store.number(_BAD_RECORDS)
    if bad:
        raise NotWholeError
    store.run(
        """CREATE OR REPLACE TABLE raw_frame AS SELECT rowid AS frame, source, "index", time_s, width, height, status,
        error, coalesce(reused, false) AS reused FROM raw_record"""
    )
    store.run(
        """CREATE OR REPLACE VIEW raw_det AS SELECT frame, d.label, d.class_id, d.score, d.box_xyxy[1] AS x1,
        d.box_xyxy[2] AS y1, d.box_xyxy[3] AS x2, d.box_xyxy[4] AS y2, d.track_id, width, height
        FROM (SELECT rowid AS frame, width, height, unnest(detections) AS d FROM raw_record)"""
    )


def _read_tables(store: Store, path: Path) -> None:
    """detections.csv beside frames.csv, or the same as Parquet."""
    frames = path.with_name(f"frames{path.suffix}")
    if not frames.is_file():
        raise RecordError(
            f"{path.parent} has no {frames.name}, so what was looked at and held nothing is unknown; "
            "give the run's folder, or its detections.jsonl"
        )
    _make(store, "raw_frame", frames, _FRAME_TYPES)
    store.run(
        """CREATE OR REPLACE TABLE raw_frame AS SELECT rowid AS frame, * EXCLUDE (error, detections),
        CASE WHEN status = 'error' THEN error END AS error, false AS reused, detections AS num FROM raw_frame"""
    )
    if store.number(_BAD_FRAMES):
        raise NotWholeError
    _make(store, "raw_record", path, _DETECTION_TYPES, {TRACK_ID: "BIGINT"})
    # Detections stand in the order of their frames. After the last frame's there are those of one that a kill cut off.
    store.run(
        """CREATE OR REPLACE TABLE raw_place AS SELECT frame FROM
        (SELECT frame, unnest(range(num)) FROM raw_frame ORDER BY frame)"""
    )
    store.run(
        """CREATE OR REPLACE VIEW raw_det AS SELECT d.*, f.source AS own_source, f."index" AS own_index, f.width,
        f.height FROM (SELECT * FROM raw_place POSITIONAL JOIN raw_record) d JOIN raw_frame f USING (frame)"""
    )
    fitting = store.number('SELECT count(*) FROM raw_det WHERE source = own_source AND "index" = own_index')
    if fitting == store.number("SELECT count(*) FROM raw_place"):
        return
    # Somebody has sorted or picked them.
    store.run(
        """CREATE OR REPLACE VIEW raw_det AS SELECT f.frame, d.*, f.width, f.height FROM raw_record d
        JOIN (SELECT source, "index", min(frame) AS frame, any_value(width) AS width, any_value(height) AS height
              FROM raw_frame GROUP BY ALL) f USING (source, "index")"""
    )
    if store.number("SELECT count(*) FROM raw_det") != store.number("SELECT count(*) FROM raw_record"):
        raise RecordError(f"{path} and {frames.name} are not of one run: some detections are in none of the frames")


def _make(store: Store, name: str, path: Path, types: dict[str, str], optional: dict[str, str] | None = None) -> None:
    """A table of a file's columns in their order; optional ones that it lacks are NULL."""
    types_of_all = types | (optional or {})
    is_csv = path.suffix == ".csv"
    reading, present = _reading_csv(path, types_of_all) if is_csv else _reading_parquet(store, path)
    if types.keys() - present:
        raise NotWholeError
    wanted = ", ".join(
        f'CAST("{column}" AS {kind}) AS "{column}"' if column in present else f'NULL::{kind} AS "{column}"'
        for column, kind in types_of_all.items()
    )
    store.run(f"CREATE OR REPLACE TABLE {name} AS SELECT {wanted} FROM {reading}", _only(path))


def _reading_csv(path: Path, types: dict[str, str]) -> tuple[str, set[str]]:
    """What SQL reads that file with, its path being a parameter; and its columns."""
    if not _ends_whole(path):
        raise NotWholeError
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error):
        raise NotWholeError from None
    if len(set(header)) < len(header):
        raise NotWholeError
    columns = ", ".join(f"{_text(name)}: '{types.get(name, 'VARCHAR')}'" for name in header)
    # An empty label or message is a text; an empty number is none.
    texts = ", ".join(_text(name) for name in header if types.get(name) == "VARCHAR")
    layout = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"'"
    return f"read_csv(?, {layout}, columns = {{{columns}}}, force_not_null = [{texts}])", set(header)


def _reading_parquet(store: Store, path: Path) -> tuple[str, set[str]]:
    rows = store.rows("DESCRIBE SELECT * FROM read_parquet(?)", _only(path))
    return "read_parquet(?)", {row[0] for row in rows}


def _ends_whole(path: Path) -> bool:
    """Whether the last line has its end; nothing at all is whole.

    Raises:
        RecordError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not file.seek(0, 2):
                return True
            file.seek(-1, 2)
            return file.read(1) == b"\n"
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error


def _only(path: Path) -> str:
    """The path as DuckDB must be told it: stars and brackets in it are no pattern."""
    return glob.escape(str(path))


def _text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"
