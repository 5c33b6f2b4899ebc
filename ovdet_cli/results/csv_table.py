"""detections.csv and frames.csv: one row a detection, and one row a picture or analysed frame.

RFC 4180: UTF-8, lines end in CR LF, a cell with a comma, quote or line end stands in quotes. A missing value (the time
of a picture, the size of a failure, the error of a good frame) is an empty cell. Masks have no place here. A run that
tracks has one more column in detections.csv, track_id, empty where there is none.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ovdet_cli.detections import Detections
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.results.record import failure_record, frame_record
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
        self._put(frame_record(frame, replace(detections, masks=None), self._labels))

    def skip(self, failure: Failure) -> None:
        """Writes the failure's row."""
        self._put(failure_record(failure))

    def close(self) -> None:
        """Closes both files."""
        self._detections.close()
        self._frames.close()

    def _put(self, record: dict[str, Any]) -> None:
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
    """The cells of `columns` of each row, as text; a last row cut short by a kill is left out.

    Further columns are ignored.

    Raises:
        RecordError: the file cannot be read, lacks a column, or has a row of another length inside.
    """
    try:
        data = path.read_bytes()
        # A row is whole once its line end is there; the cut may fall inside a character.
        text = data[: data.rfind(b"\n") + 1].decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: no CSV in UTF-8 ({error})") from error
    header = rows[0] if rows else []
    missing = [name for name in columns if name not in header]
    if missing:
        raise RecordError(f"{path}: the header lacks {', '.join(missing)}")
    places = [header.index(name) for name in columns]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) == len(header):
            yield [row[place] for place in places]
        elif row and number < len(rows):  # the last one: cut after a line end inside a quoted cell
            raise RecordError(f"{path}, row {number}: {len(row)} cells under {len(header)} columns")


def rows_text(rows: Iterable[Sequence[Any]]) -> bytes:
    """The lines of some rows, None as an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8")
