"""A finished (or killed) run read back: its settings and its records as tables."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.errors import RecordError
from ovdet_cli.results.csv_table import (
    DETECTION_COLUMNS,
    FRAME_COLUMNS,
    TRACK_ID,
    has_column,
    read_csv,
    read_csv_records,
)
from ovdet_cli.results.jsonl import read_records
from ovdet_cli.results.parquet import DETECTIONS as _PARQUET
from ovdet_cli.results.parquet import find_parquet, read_parquet_records, read_table
from ovdet_cli.results.record import Record
from ovdet_cli.results.rle import decode_rle

_DTYPES = {
    "source": "str",
    "index": "int64",
    "time_s": "float64",
    "label": "str",
    "class_id": "int64",
    "score": "float32",
    "x1": "float32",
    "y1": "float32",
    "x2": "float32",
    "y2": "float32",
    "width": "Int64",
    "height": "Int64",
    "status": "str",
    "error": "str",
    "detections": "int64",
    TRACK_ID: "Int64",
}
# A picture has no time, a failure no size, many a detection no track: NaN and NA. A good frame's error is missing too.
_NULLABLE = {"time_s", "width", "height", TRACK_ID}
_JSONL = "detections.jsonl"
_CSV = "detections.csv"


class Run:
    """The records of one run; each table is read when first asked for, in the order of the run.

    path: what was loaded. folder: the run folder it stands in.
    """

    def __init__(self, path: Path, records: Path, *, with_masks: bool) -> None:
        """Use `load_run`, which finds the records."""
        self.path = path
        self.folder = records.parent
        self._records = records
        self._with_masks = with_masks

    @property
    def records(self) -> Path:
        """The file that holds them; of a killed run of Parquet alone, the one that its parts would have become."""
        return self._records

    @cached_property
    def info(self) -> dict[str, Any]:
        """run.json: settings, model, counts; {} where there is none.

        Raises:
            RecordError: it is no JSON object.
        """
        path = self.folder / "run.json"
        if self._records.name not in (_JSONL, _PARQUET, _CSV) or not path.exists():  # a renamed file has left its run
            return {}
        try:
            info = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise RecordError(f"cannot read {path} ({error}); without it the records alone can be read") from error
        if not isinstance(info, dict):
            raise RecordError(f"{path} is no JSON object; without it the records alone can be read")
        return info

    @property
    def detections(self) -> pd.DataFrame:
        """One row a detection: source, index, time_s, label, class_id, score, x1, y1, x2, y2.

        Also `track_id` (nullable Int64) where the run tracks, and `mask` (Mask, or None for a row without) where it
        has masks.
        """
        return self._tables[1]

    @property
    def frames(self) -> pd.DataFrame:
        """One row a picture or analysed frame: source, index, time_s, width, height, status, error, detections.

        `detections` is their number.

        Raises:
            RecordError: a detections.csv or .parquet was loaded, and no frames.csv or .parquet stands beside it.
        """
        if self._tables[0] is None:
            name = f"frames{self._records.suffix}"
            raise RecordError(f"{self.folder} has no {name}, so what was looked at and held nothing is unknown")
        return self._tables[0]

    def iter_records(self) -> Iterator[Record]:
        """The records one by one, however many there are; CSV holds no masks.

        Raises:
            RecordError: a file cannot be read, or there are no frames beside a detections.csv or .parquet.
        """
        match self._records.suffix:
            case ".csv":
                return read_csv_records(self._records)
            case ".parquet":
                return read_parquet_records(self._records, with_masks=self._with_masks)
        return read_records(self._records, with_masks=self._with_masks)

    @cached_property
    def _tables(self) -> tuple[pd.DataFrame | None, pd.DataFrame]:
        if self._records.suffix == ".csv":
            return _read_csv_tables(self._records)
        if self._records.suffix == ".parquet":
            return _read_parquet_tables(self._records, with_masks=self._with_masks)
        return _read_jsonl_tables(self._records, with_masks=self._with_masks)


def load_run(path: Path | str, *, with_masks: bool = True) -> Run:
    """The run in a folder, or in one detections.jsonl, .parquet or .csv.

    Of a folder, JSON Lines are preferred, then Parquet; CSV has no masks.
    with_masks: False leaves masks undecoded and the `mask` column out, which is faster.

    Raises:
        RecordError: the path is no run. Tables that cannot be read raise it when asked for.
    """
    path = Path(path)
    if path.is_dir():
        for records in (path / _JSONL, find_parquet(path), path / _CSV):
            if records is not None and (records.is_file() or records.name == _PARQUET):
                return Run(path, records, with_masks=with_masks)
        raise RecordError(f"{path} is no run: it holds none of {_JSONL}, {_PARQUET} and {_CSV}")
    if find_parquet(path) is None and not path.is_file():
        raise RecordError(f"there is no run {path}")
    if path.suffix not in (".jsonl", ".parquet", ".csv"):
        raise RecordError(f"{path} is no run: give a run folder, a {_JSONL}, a {_PARQUET} or a {_CSV}")
    return Run(path, path, with_masks=with_masks)


def _read_jsonl_tables(path: Path, *, with_masks: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    frames: list[Sequence[Any]] = []
    places: list[tuple[str, int, float | None]] = []
    labels: list[tuple[str, ...]] = []
    empty = Detections.empty()
    boxes, scores, class_ids = [empty.boxes_xyxy], [empty.scores], [empty.class_ids]
    masks: list[Sequence[Mask | None]] = []
    has_tracks = False
    track_ids: list[Sequence[int | None]] = []
    for record in read_records(path, with_masks=with_masks):
        found = record.detections
        size = (record.width, record.height)
        place = (record.source, record.index, record.time_s)
        frames.append((*place, *size, record.status, record.error, len(found)))
        places += [place] * len(found)
        labels.append(record.labels)
        boxes.append(found.boxes_xyxy)
        scores.append(found.scores)
        class_ids.append(found.class_ids)
        masks.append([None] * len(found) if found.masks is None else found.masks)
        has_tracks = has_tracks or found.track_ids is not None
        ids = [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()
        track_ids.append([id_ if id_ >= 0 else None for id_ in ids])
    all_boxes = np.concatenate(boxes)
    columns = [*_columns(places, 3), list(chain.from_iterable(labels)), np.concatenate(class_ids)]
    detections = _table(DETECTION_COLUMNS, [*columns, np.concatenate(scores), *all_boxes.T])
    if has_tracks:
        detections[TRACK_ID] = pd.Series(list(chain.from_iterable(track_ids)), dtype="Int64")
    all_masks = list(chain.from_iterable(masks))
    if any(mask is not None for mask in all_masks):
        detections["mask"] = pd.Series(all_masks, dtype=object)
    return _table(FRAME_COLUMNS, _columns(frames, len(FRAME_COLUMNS))), detections


def _read_csv_tables(path: Path) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    columns = (*DETECTION_COLUMNS, TRACK_ID) if has_column(path, TRACK_ID) else DETECTION_COLUMNS
    detections = _csv_table(path, columns)
    frames_path = path.with_name("frames.csv")
    if not frames_path.is_file():
        return None, detections
    frames = _csv_table(frames_path, FRAME_COLUMNS)
    frames.loc[frames["status"] == "ok", "error"] = None
    # A frame's row comes after those of its detections: a kill between them leaves detections of no frame.
    return frames, detections.head(int(frames["detections"].sum()))


def _read_parquet_tables(path: Path, *, with_masks: bool) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    found = read_table(path, "detections", with_masks=with_masks)
    frames = read_table(path, "frames")
    assert found is not None
    detections = _arrow_table(found, DETECTION_COLUMNS)
    if TRACK_ID in found.column_names:
        detections[TRACK_ID] = pd.Series(found[TRACK_ID].to_pylist(), dtype="Int64")
    if "mask" in found.column_names and found["mask"].null_count < len(found):
        masks = [None if rle is None else decode_rle(rle) for rle in found["mask"].to_pylist()]
        detections["mask"] = pd.Series(masks, dtype=object)
    return None if frames is None else _arrow_table(frames, FRAME_COLUMNS), detections


def _arrow_table(table: Any, names: Sequence[str]) -> pd.DataFrame:
    """A table of Parquet as one of pandas, with the types of the others."""
    is_list = {name: _DTYPES[name] in ("str", "Int64") for name in names}
    return _table(names, [table[name].to_pylist() if is_list[name] else table[name].to_numpy() for name in names])


def _csv_table(path: Path, names: Sequence[str]) -> pd.DataFrame:
    columns: list[Sequence[Any]] = []
    for name, cells in zip(names, _columns(list(read_csv(path, names)), len(names)), strict=True):
        if _DTYPES[name] == "str":
            columns.append(cells)
            continue
        number = float if "float" in _DTYPES[name] else int
        try:
            columns.append([None if cell == "" and name in _NULLABLE else number(cell) for cell in cells])
        except ValueError as error:
            raise RecordError(f"{path}, column {name}: {error}") from error
    try:
        return _table(names, columns)
    except OverflowError as error:
        raise RecordError(f"{path}: a number is too large ({error})") from error


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _table(names: Sequence[str], columns: Sequence[Any]) -> pd.DataFrame:
    series = {name: pd.Series(column, dtype=_DTYPES[name]) for name, column in zip(names, columns, strict=True)}
    return pd.DataFrame(series)
