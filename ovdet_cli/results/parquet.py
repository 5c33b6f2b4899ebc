"""detections.parquet and frames.parquet: the tables of a run in columns, for DuckDB, Polars, pandas and Spark.

A Parquet file is read by its footer, which is written when it is closed: until then a kill would lose all of it. So
while a run goes on it is kept in RUN/detections.parquet.parts:

    tail-00003.jsonl             records since the last part, each out before the next frame is taken
    frames-00002.parquet         whole files of their own, made of tail-00002.jsonl, which goes when both are there;
    detections-00002.parquet     this one comes last, so that where it is the pair is whole

`close` joins the parts to the two tables, a row group at a time, and removes them; detections.parquet comes last again.
A killed run is read from its parts, and loses no frame that was written. Memory is that of one part, however long the
run; disk needs the tables twice for a moment.

The columns are those of detections.csv and frames.csv. `source` and `label` are dictionaries; `time_s`, `width`,
`height` and `error` may be null; a run that tracks has `track_id` (null: none), one with masks `mask`, a struct of
COCO's RLE, {size: [height, width], counts: text}. Compression is zstd. The footer's key-values tell "ovdet.schema",
"ovdet.table" and "ovdet.version".
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ovdet_cli.detections import Detections
from ovdet_cli.errors import OutputError, RecordError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.results.csv_table import FRAME_COLUMNS, TRACK_ID
from ovdet_cli.results.jsonl import JsonlSink, read_jsonl
from ovdet_cli.results.record import SCHEMA, Record
from ovdet_cli.results.rle import decode_rle
from ovdet_cli.results.sink import Sink, writing

DETECTIONS = "detections.parquet"
FRAMES = "frames.parquet"
PARTS = "detections.parquet.parts"
MASK = "mask"

_PART_DETECTIONS = 1 << 16
_PART_FRAMES = 1 << 15
_GROUP_ROWS = 1 << 18
_NAME = pa.dictionary(pa.int32(), pa.string())
_MASK_TYPE = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())])
_FRAME_FIELDS = {
    "source": _NAME,
    "index": pa.int64(),
    "time_s": pa.float64(),
    "width": pa.int32(),
    "height": pa.int32(),
    "status": _NAME,
    "error": pa.string(),
    "detections": pa.int64(),
}
_DETECTION_FIELDS = {
    "source": _NAME,
    "index": pa.int64(),
    "time_s": pa.float64(),
    "label": _NAME,
    "class_id": pa.int64(),
    "score": pa.float32(),
    **dict.fromkeys(("x1", "y1", "x2", "y2"), pa.float32()),
}
_OPTIONAL_FIELDS = {TRACK_ID: pa.int64(), MASK: _MASK_TYPE}
_NULLABLE = {"time_s", "width", "height", "error", *_OPTIONAL_FIELDS}
_FIELDS = {"frames": _FRAME_FIELDS, "detections": _DETECTION_FIELDS}


class ParquetSink(Sink):
    """Writes both tables; every frame is safe when `write` returns.

    with_tracks: there is a column of track ids, also where nothing has one.
    """

    def __init__(self, folder: Path, labels: Sequence[str], *, with_tracks: bool = False) -> None:
        """Removes the tables of an older run in `folder`.

        Raises:
            OutputError: here and later, when the system refuses.
        """
        self._folder = folder
        self._parts = folder / PARTS
        self._labels = labels
        self._with_tracks = with_tracks
        self._number = 0
        self._is_closed = False
        with writing(self._parts):
            for name in (DETECTIONS, FRAMES):
                (folder / name).unlink(missing_ok=True)
            if self._parts.exists():
                shutil.rmtree(self._parts)
            self._parts.mkdir(parents=True)
        self._begin_tail()

    def write(self, frame: Frame, detections: Detections) -> None:
        """Appends the frame and its detections."""
        self._tail.write(frame, detections)
        self._count(len(detections))

    def skip(self, failure: Failure) -> None:
        """Appends the failure's row."""
        self._tail.skip(failure)
        self._count(0)

    def put(self, record: dict[str, Any]) -> None:
        """Appends a record that was read elsewhere."""
        self._tail.put(record)
        self._count(len(record["detections"]))

    def close(self) -> None:
        """Joins the parts; where that fails they stay, and the run is read from them."""
        if self._is_closed:
            return
        self._is_closed = True
        self._end_tail()
        for table in ("frames", "detections"):  # detections last: where they are, all is
            self._join(table)
        with writing(self._parts):
            shutil.rmtree(self._parts)

    def _count(self, num_detections: int) -> None:
        self._num_frames += 1
        self._num_detections += num_detections
        if self._num_detections >= _PART_DETECTIONS or self._num_frames >= _PART_FRAMES:
            self._end_tail()
            self._number += 1
            self._begin_tail()

    def _begin_tail(self) -> None:
        self._num_frames = self._num_detections = 0
        self._tail = JsonlSink(_part(self._parts, "tail", self._number), self._labels)

    def _end_tail(self) -> None:
        """The tail's records as a part; a tail without one leaves nothing."""
        self._tail.close()
        tail = _part(self._parts, "tail", self._number)
        if self._num_frames:
            tables = _tables(read_jsonl(tail))
            for name in ("frames", "detections"):
                _write(_part(self._parts, name, self._number), name, [tables[name]], tables[name].schema)
        with writing(tail):
            tail.unlink()

    def _join(self, name: str) -> None:
        paths = [_part(self._parts, name, number) for number in _part_numbers(self._parts)]
        found = {column for path in paths for column in _read_schema(path).names}
        if name == "detections" and self._with_tracks:
            found.add(TRACK_ID)
        schema = _schema(name, found)
        target = self._folder / (FRAMES if name == "frames" else DETECTIONS)
        _write(target, name, (table for path in paths for table in _file_tables(path)), schema)


def find_parquet(path: Path) -> Path | None:
    """The detections.parquet of a run folder, or of that path itself; also where a killed run left only its parts.

    None: there is neither.
    """
    records = path / DETECTIONS if path.is_dir() else path
    has_parts = records.name == DETECTIONS and records.with_name(PARTS).is_dir()
    return records if records.is_file() or has_parts else None


def read_table(path: Path, name: str, *, with_masks: bool = True) -> pa.Table | None:
    """The table `name` ("frames" or "detections") of the run whose detections.parquet is `path`, whole.

    None: there are no frames beside a file of detections. Columns are those of the schema, others are left out.

    Raises:
        RecordError: a file cannot be read or is no table of a run.
    """
    if not _has_table(path, name):
        return None
    tables = list(_tables_of(path, name, with_masks=with_masks))
    found = {column for table in tables for column in table.column_names}
    schema = _schema(name, found)
    return pa.concat_tables([_as(table, schema) for table in tables]) if tables else schema.empty_table()


def read_parquet_records(path: Path, *, with_masks: bool = True) -> Iterator[Record]:
    """The records of the run whose detections.parquet is `path`, in order, a part at a time.

    Raises:
        RecordError: a file cannot be read, there are no frames, or the two tables do not belong together.
    """
    if not _has_table(path, "frames"):
        raise RecordError(f"{path.with_name(FRAMES)} is missing, so what was looked at and held nothing is unknown")
    detections = _Cursor(path, with_masks)
    for table in _tables_of(path, "frames"):
        for row in table.to_pylist():
            labels, found = detections.take(row["detections"])
            if row["status"] not in ("ok", "error"):
                raise RecordError(f"{path.with_name(FRAMES)}: status {row['status']!r} of {row['source']}")
            place = {name: row[name] for name in FRAME_COLUMNS if name != "detections"}
            yield Record(**place, labels=labels, detections=found)


class _Cursor:
    """The detections of a run, taken from the front."""

    def __init__(self, path: Path, with_masks: bool) -> None:
        self._path = path
        self._tables = _tables_of(path, "detections", with_masks=with_masks)
        self._columns: dict[str, Any] = {}
        self._begin = self._end = 0

    def take(self, count: int) -> tuple[tuple[str, ...], Detections]:
        """Labels and detections of the next `count` rows."""
        pieces = []
        while count > 0:
            if self._begin == self._end and not self._advance():
                raise RecordError(f"{self._path} has fewer detections than its frames say: they are of two runs")
            stop = min(self._begin + count, self._end)
            pieces.append({name: values[self._begin : stop] for name, values in self._columns.items()})
            count -= stop - self._begin
            self._begin = stop
        if not pieces:
            return (), Detections.empty()
        labels = tuple(label for piece in pieces for label in piece["label"])
        return labels, _detections(pieces)

    def _advance(self) -> bool:
        for table in self._tables:
            if table.num_rows:
                lists = {"label", MASK} & set(table.column_names)
                self._columns = {name: table[name].to_pylist() for name in lists}
                for name in ("class_id", "score", "x1", "y1", "x2", "y2"):
                    self._columns[name] = table[name].to_numpy()
                if TRACK_ID in table.column_names:
                    self._columns[TRACK_ID] = table[TRACK_ID].fill_null(-1).to_numpy()
                self._begin, self._end = 0, table.num_rows
                return True
        return False


def _detections(pieces: Sequence[dict[str, Any]]) -> Detections:
    def column(name: str, dtype: type) -> np.ndarray:
        return np.concatenate([np.asarray(piece[name], dtype) for piece in pieces])

    masks = None
    if all(MASK in piece and None not in piece[MASK] for piece in pieces):  # as in a record: all of a frame, or none
        masks = [decode_rle(mask) for piece in pieces for mask in piece[MASK]]
    return Detections(
        np.stack([column(name, np.float32) for name in ("x1", "y1", "x2", "y2")], axis=1),
        column("score", np.float32),
        column("class_id", np.int64),
        masks,
        column(TRACK_ID, np.int64) if all(TRACK_ID in piece for piece in pieces) else None,
    )


def _tables(records: Iterable[dict[str, Any]]) -> dict[str, pa.Table]:
    """The rows of some records."""
    frames: dict[str, list[Any]] = {name: [] for name in _FRAME_FIELDS}
    found: dict[str, list[Any]] = {name: [] for name in (*_DETECTION_FIELDS, *_OPTIONAL_FIELDS)}
    optional: set[str] = set()
    for record in records:
        entries = record["detections"]
        for name in ("source", "index", "time_s"):
            frames[name].append(record[name])
            found[name] += [record[name]] * len(entries)
        for name in ("width", "height", "status", "error"):
            frames[name].append(record.get(name))
        frames["detections"].append(len(entries))
        for entry in entries:
            optional.update(_OPTIONAL_FIELDS.keys() & entry.keys())
            for name in ("label", "class_id", "score"):
                found[name].append(entry[name])
            for name, value in zip(("x1", "y1", "x2", "y2"), entry["box_xyxy"], strict=True):
                found[name].append(value)
            for name in _OPTIONAL_FIELDS:
                found[name].append(entry.get(name))
    schemas = {"frames": _schema("frames"), "detections": _schema("detections", optional)}
    columns = {"frames": frames, "detections": found}
    return {
        name: pa.table([pa.array(columns[name][field.name], field.type) for field in schema], schema)
        for name, schema in schemas.items()
    }


def _schema(table: str, optional: Iterable[str] = ()) -> pa.Schema:
    from ovdet_cli import __version__

    fields = dict(_FIELDS[table])
    if table == "detections":
        fields |= {name: kind for name, kind in _OPTIONAL_FIELDS.items() if name in set(optional)}
    facts = {"ovdet.schema": SCHEMA, "ovdet.table": table, "ovdet.version": __version__}
    return pa.schema([pa.field(name, kind, name in _NULLABLE) for name, kind in fields.items()], facts)


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the schema's columns; those that it lacks are null."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema)


def _write(path: Path, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """A whole file at once, in row groups that are worth reading."""
    draft = path.with_name(f".{path.name}.draft")
    waiting: list[pa.Table] = []
    try:
        with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
            for table in tables:
                waiting.append(_as(table, schema))
                if sum(map(len, waiting)) >= _GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
        draft.replace(path)
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


def _part(parts: Path, name: str, number: int) -> Path:
    return parts / f"{name}-{number:05d}.{'jsonl' if name == 'tail' else 'parquet'}"


def _part_numbers(parts: Path) -> list[int]:
    """The parts that are whole."""
    return sorted(int(path.stem.partition("-")[2]) for path in parts.glob("detections-*.parquet"))


def _has_table(path: Path, name: str) -> bool:
    return not path.is_file() or name == "detections" or path.with_name(FRAMES).is_file()


def _tables_of(path: Path, name: str, *, with_masks: bool = True) -> Iterator[pa.Table]:
    """The rows of a table in order, some at a time: of the file, or of the parts that a killed run left."""
    if path.is_file():
        yield from _file_tables(path if name == "detections" else path.with_name(FRAMES), name, with_masks=with_masks)
        return
    parts = path.with_name(PARTS)
    whole = _part_numbers(parts)
    for number in whole:
        yield from _file_tables(_part(parts, name, number), name, with_masks=with_masks)
    # Of a part that was being made when the run was killed, the tail is still there.
    tail = _part(parts, "tail", whole[-1] + 1 if whole else 0)
    if tail.is_file():
        table = _tables(read_jsonl(tail))[name]
        yield table if with_masks or MASK not in table.column_names else table.drop_columns([MASK])


def _file_tables(path: Path, name: str | None = None, *, with_masks: bool = True) -> Iterator[pa.Table]:
    """The rows of one file, a batch at a time; with `name`, its columns checked."""
    try:
        with pq.ParquetFile(path) as file:
            present = file.schema_arrow.names
            columns = present
            if name is not None:
                missing = [column for column in _FIELDS[name] if column not in present]
                if missing:
                    raise RecordError(f"{path}: no {name} of a run: it lacks {', '.join(missing)}")
                columns = [column for column in (*_FIELDS[name], *_OPTIONAL_FIELDS) if column in present]
                columns = [column for column in columns if with_masks or column != MASK]
            for batch in file.iter_batches(batch_size=1 << 16, columns=columns):
                table = pa.Table.from_batches([batch])
                yield table if name is None else _as(table, _schema(name, columns))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RecordError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _read_schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
