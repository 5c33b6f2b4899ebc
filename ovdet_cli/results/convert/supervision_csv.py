"""supervision.csv: the columns of Roboflow supervision's CSVSink, one row a detection.

Its own come first, `x_min, y_min, x_max, y_max, class_id, confidence, tracker_id`; then, as its users add them,
`class_name, source, frame_index, time_s, width, height`. Masks have no place, nor frames in which nothing was found.

Read are files with those seven columns. Where no column tells the picture, the file's own name stands for it; where
there are frame numbers and no times, 30 frames a second are assumed.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from ovdet_cli.errors import RecordError, UsageError
from ovdet_cli.results.convert.contract import ASSUMED_FPS, Found, Options, Reading, Writer, make_record, number
from ovdet_cli.results.csv_table import read_csv, rows_text
from ovdet_cli.results.record import Record, shortest_floats
from ovdet_cli.results.sink import OutputFile

FILE = "supervision.csv"
ENTRIES = (FILE,)
BASE = ("x_min", "y_min", "x_max", "y_max", "class_id", "confidence", "tracker_id")
OWN = ("class_name", "source", "frame_index", "time_s", "width", "height")
_SOURCES = ("source", "file_name", "filename", "image_name", "image_path", "image", "path")
_NAMES = ("class_name", "label", "class")
_FRAMES = ("frame_index", "frame_number", "frame_id", "frame")


class SupervisionCsvWriter(Writer):
    """Writes the rows as they come."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._file = OutputFile(folder / FILE)
        self._file.write(rows_text([(*BASE, *OWN)]))

    def write(self, record: Record) -> None:
        if record.status != "ok":
            self.left_out["pictures that failed"] += 1
            return
        found = record.detections
        if not len(found):
            self.left_out["frames in which nothing was found"] += 1
            return
        if found.masks is not None:
            self.left_out["masks"] += len(found)
        tracks = [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()
        columns = (shortest_floats(found.boxes_xyxy), found.class_ids.tolist(), shortest_floats(found.scores))
        place = [record.source, record.index, record.time_s, record.width, record.height]
        self._file.write(
            rows_text(
                [*box, class_id, score, track if track >= 0 else None, label, *place]
                for box, class_id, score, track, label in zip(*columns, tracks, record.labels, strict=True)
            )
        )

    def close(self) -> None:
        self._file.close()


def is_supervision_csv(path: Path) -> bool:
    """Whether a file begins with the seven columns, or a folder holds a supervision.csv."""
    return set(BASE) <= set(_header(path / FILE if path.is_dir() else path))


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def read_supervision_csv(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a file, rows of a frame that follow each other together; a row that is none is told."""
    file = path / FILE if path.is_dir() else path
    header = _header(file)
    if missing := [name for name in BASE if name not in header]:
        raise UsageError(f"{file} is no CSV of supervision: it lacks {', '.join(missing)}")
    optional: dict[str, list[str]] = {
        "label": [name for name in _NAMES if name in header][:1],
        "source": [name for name in _SOURCES if name in header][:1],
        "frame": [name for name in _FRAMES if name in header][:1],
        **{name: [name] if name in header else [] for name in ("time_s", "width", "height")},
    }
    names = [name for found in optional.values() for name in found]
    keys = [key for key, found in optional.items() if found]
    rows = enumerate(read_csv(file, (*BASE, *names)), start=2)
    places = ("source", "frame", "time_s", "width", "height")

    def place_of(numbered: tuple[int, list[str]]) -> tuple[str, ...]:
        told = dict(zip(keys, numbered[1][len(BASE) :], strict=True))
        return tuple(told.get(key, "") for key in places)

    for (source, frame, time_s, width, height), group in groupby(rows, place_of):
        found = []
        for line, row in group:
            try:
                found.append(_found(row, dict(zip(keys, row[len(BASE) :], strict=True))))
            except ValueError as error:
                reading.problems.append(f"{file}, row {line}: {error}")
        if not optional["source"]:
            reading.note(f"no column tells the picture: {file.stem} stands for it")
        source = source if optional["source"] else file.stem
        try:
            index = int(number(frame, "the frame")) if frame else 0
            time = number(time_s, "time_s") if time_s else None
            if frame and not optional["time_s"]:
                time = index / ASSUMED_FPS
                reading.note(f"no column tells the time: {ASSUMED_FPS} frames a second are assumed")
            size = int(height) if height else None, int(width) if width else None
            yield make_record(source, index, time, size, found, reading.classes)
        except (ValueError, RecordError) as error:
            yield reading.failed(source, f"{file}, at {source}: {error}")


def _found(row: Sequence[str], told: dict[str, str]) -> Found:
    values = dict(zip(BASE, row, strict=False))
    box = [number(values[name], name) for name in BASE[:4]]
    class_id = int(number(values["class_id"], "class_id")) if values["class_id"] else None
    label = told["label"] if "label" in told else str(0 if class_id is None else class_id)
    score = number(values["confidence"], "confidence") if values["confidence"] else 1.0
    track = int(number(values["tracker_id"], "tracker_id")) if values["tracker_id"] else -1
    return Found(label, box, score, class_id, track_id=track if track >= 0 else None)
