"""detections.csv and frames.csv: one row a detection, and one row a picture or analysed frame.

RFC 4180: UTF-8, lines end in CR LF, a cell with a comma, quote or line end stands in quotes. A missing value (the time
of a picture, the size of a failure, the error of a good frame) is an empty cell. Masks have no place here. A run that
tracks has one more column in detections.csv, track_id, empty where there is none.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.results.record import Record, failure_record, frame_record
from ovdet_cli.results.sink import OutputFile, Sink

DETECTION_COLUMNS = ("source", "index", "time_s", "label", "class_id", "score", "x1", "y1", "x2", "y2")
TRACK_ID = "track_id"
FRAME_COLUMNS = ("source", "index", "time_s", "width", "height", "status", "error", "detections")


class CsvSink(Sink):
    """Writes both tables, out after each frame; a frame's own row comes last and says that its detections are whole.

    with_tracks: there is a column of track ids.
    """

    def __init__(self, folder: Path, labels: Sequence[str], *, with_tracks: bool = False) -> None:
        self._labels = labels
        self._with_tracks = with_tracks
        self._detections = OutputFile(folder / "detections.csv")
        self._frames = OutputFile(folder / "frames.csv")
        self._detections.write(rows_text([(*DETECTION_COLUMNS, TRACK_ID) if with_tracks else DETECTION_COLUMNS]))
        self._frames.write(rows_text([FRAME_COLUMNS]))

    def write(self, frame: Frame, detections: Detections) -> None:
        """Writes the frame's row and one row a detection."""
        self.put(frame_record(frame, replace(detections, masks=None), self._labels))

    def skip(self, failure: Failure) -> None:
        """Writes the failure's row."""
        self.put(failure_record(failure))

    def close(self) -> None:
        """Closes both files."""
        self._detections.close()
        self._frames.close()

    def put(self, record: dict[str, Any]) -> None:
        """Writes the rows of a record."""
        head = [record["source"], record["index"], record["time_s"]]
        found = record["detections"]
        rows = [[*head, entry["label"], entry["class_id"], entry["score"], *entry["box_xyxy"]] for entry in found]
        if self._with_tracks:
            for row, entry in zip(rows, found, strict=True):
                row.append(entry.get(TRACK_ID))
        self._detections.write(rows_text(rows))
        size = [record["width"], record["height"]]
        self._frames.write(rows_text([[*head, *size, record["status"], record.get("error"), len(found)]]))


def has_column(path: Path, name: str) -> bool:
    """Whether the file's header names that column; False where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return name in next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """The cells of `columns` of each row, as text, read as they are asked for.

    A last row cut short by a kill is left out. Further columns are ignored.

    Raises:
        RecordError: the file cannot be read, lacks a column, or has a row of another length inside.
    """
    try:
        with path.open("rb") as file, io.TextIOWrapper(_whole_lines(file), encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text)
            header = next(rows, [])
            missing = [name for name in columns if name not in header]
            if missing:
                raise RecordError(f"{path}: the header lacks {', '.join(missing)}")
            places = [header.index(name) for name in columns]
            bad: tuple[int, int] | None = None
            for number, row in enumerate(rows, start=2):
                if bad is not None:
                    raise RecordError(f"{path}, row {bad[0]}: {bad[1]} cells under {len(header)} columns")
                if len(row) == len(header):
                    yield [row[place] for place in places]
                elif row:  # the last one may be: cut after a line end inside a quoted cell
                    bad = (number, len(row))
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: no CSV in UTF-8 ({error})") from error


def read_csv_records(path: Path) -> Iterator[Record]:
    """The records of the run whose detections.csv is `path`, one by one.

    Raises:
        RecordError: as `read_csv`; or frames.csv is not there, a cell is no number, or the two files do not fit.
    """
    frames = path.with_name("frames.csv")
    if not frames.is_file():
        raise RecordError(f"{path.parent} has no frames.csv, so what was looked at and held nothing is unknown")
    has_tracks = has_column(path, TRACK_ID)
    rows = read_csv(path, (*DETECTION_COLUMNS, TRACK_ID) if has_tracks else DETECTION_COLUMNS)
    for source, index, time_s, width, height, status, error, count in read_csv(frames, FRAME_COLUMNS):
        try:
            found = list(islice(rows, int(count)))
            if len(found) < int(count) or status not in ("ok", "error"):
                raise ValueError(f"{source} has {count} detections and the status {status!r}")
            yield Record(
                source=source,
                index=int(index),
                time_s=float(time_s) if time_s else None,
                width=int(width) if width else None,
                height=int(height) if height else None,
                status="ok" if status == "ok" else "error",
                error=error if status == "error" else None,
                labels=tuple(row[3] for row in found),
                detections=Detections(
                    np.array([row[6:10] for row in found], np.float32).reshape(len(found), 4),
                    np.array([row[5] for row in found], np.float32),
                    np.array([int(row[4]) for row in found], np.int64),
                    track_ids=np.array([int(row[10] or -1) for row in found], np.int64) if has_tracks else None,
                ),
            )
        except (ValueError, OverflowError) as error_:
            raise RecordError(f"{frames} and {path.name} do not fit, or a cell is damaged: {error_}") from error_


def _whole_lines(file: BinaryIO) -> io.BufferedReader:
    return io.BufferedReader(_WholeLines(file), 1 << 16)


class _WholeLines(io.RawIOBase):
    """The bytes of a file up to its last line end: with that a row is whole, and a cut may halve a character."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _after_last_line_end(file)
        file.seek(0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def _after_last_line_end(file: BinaryIO) -> int:
    end = file.seek(0, io.SEEK_END)
    while end > 0:
        begin = max(0, end - (1 << 16))
        file.seek(begin)
        place = file.read(end - begin).rfind(b"\n")
        if place >= 0:
            return begin + place + 1
        end = begin
    return 0


def rows_text(rows: Iterable[Sequence[Any]]) -> bytes:
    """The lines of some rows, None as an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8")
