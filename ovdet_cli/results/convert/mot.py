"""MOTChallenge: mot/, a text file a video, named after it (`mot/clip.mp4.txt`).

A row is `frame, id, left, top, width, height, score, class, -1, -1`. Frames, left and top count from 1, as in the
benchmark. The id is the track's, -1 where there is none. The class is a line of labels.txt, from 1; the benchmark's own
results have -1 there, which is read as class 1. frames.csv says which frames were looked at, when they are shown and
how large they are: a file of rows does not tell frames without any. Pictures are no videos and are left out, as are
masks.

Without frames.csv, size and frame rate come from a seqinfo.ini beside the file or above it, else 30 frames a second are
assumed and the size is not known. `SEQ/gt/gt.txt` and `SEQ/det/det.txt` are read as the video SEQ; rows of a gt.txt
whose seventh number is 0 are to be ignored, and are.
"""

import configparser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ovdet_cli.errors import RecordError
from ovdet_cli.results.convert.contract import (
    ASSUMED_FPS,
    Found,
    Options,
    Reading,
    Writer,
    boxes_xywh,
    make_record,
    number,
)
from ovdet_cli.results.convert.naming import Names, Tree
from ovdet_cli.results.csv_table import read_csv, rows_text
from ovdet_cli.results.record import Record, shortest_floats
from ovdet_cli.results.sink import OutputFile

FOLDER, FRAMES, CLASSES = "mot", "frames.csv", "labels.txt"
ENTRIES = (FOLDER,)
_COLUMNS = ("file", "source", "index", "time_s", "width", "height")


class MotWriter(Writer):
    """Writes a file a video, a row at a time."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._tree = Tree(folder / FOLDER)
        self._names = Names()
        self._frames = OutputFile(folder / FOLDER / FRAMES)
        self._frames.write(rows_text([_COLUMNS]))
        self._paths: dict[str, str] = {}

    def write(self, record: Record) -> None:
        if record.time_s is None and not record.index:
            self.left_out["pictures (MOT is of videos)"] += 1
            return
        if record.status != "ok":
            self.left_out["frames that failed"] += 1
            return
        found = record.detections
        if found.masks is not None:
            self.left_out["masks"] += len(found)
        path = self._path(record)
        tracks = [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()
        rows = []
        for label, (x, y, w, h), score, track in zip(
            record.labels, boxes_xywh(found.boxes_xyxy), shortest_floats(found.scores), tracks, strict=True
        ):
            place = [round(x + 1, 4), round(y + 1, 4), w, h]
            rows.append([record.index + 1, track, *place, score, self.classes.place(label) + 1, -1, -1])
        self._tree.append(PurePosixPath(path), "".join(f"{','.join(map(str, row))}\n" for row in rows).encode())
        self._frames.write(rows_text([[path, record.source, record.index, record.time_s, record.width, record.height]]))

    def close(self) -> None:
        self._frames.close()
        lines = [" ".join(name.splitlines()) for name in self.classes.names]
        (self.folder / FOLDER / CLASSES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _path(self, record: Record) -> str:
        """The video's file; every frame of it goes there."""
        if record.source not in self._paths:
            self._paths[record.source] = str(self._names.place_video(record.source, ".txt"))
        return self._paths[record.source]


def is_mot(path: Path) -> bool:
    """Whether a folder is mot/ or holds it, or a file has MOT's rows."""
    if path.is_dir():
        return (
            (path / FOLDER / FRAMES).is_file()
            or (path / FRAMES).is_file()
            or bool(_files(path) and is_mot(_files(path)[0]))
        )
    try:
        with path.open(encoding="utf-8") as file:
            cells = file.readline().split(",")
        return path.suffix == ".txt" and len(cells) in (9, 10) and all(float(cell) is not None for cell in cells)
    except (OSError, ValueError):
        return False


def read_mot(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a folder of files, or of one file, a video after the other, frames in order."""
    root = path / FOLDER if (path / FOLDER).is_dir() else path
    files = _files(root) if root.is_dir() else [root]
    if not files and not (root / FRAMES).is_file():
        raise RecordError(f"{root} holds no text files of MOT rows")
    names = _names(root if root.is_dir() else root.parent)
    reading.classes.extend(names)
    known = _known_frames(root) if root.is_dir() else {}
    for relative in dict.fromkeys([*known, *(file.relative_to(root).as_posix() for file in files if root.is_dir())]):
        yield from _read_video(root / relative, relative, known.get(relative), names, reading)
    if not root.is_dir():
        yield from _read_video(root, root.name, None, names, reading)


def _files(root: Path) -> list[Path]:
    return sorted(file for file in root.rglob("*.txt") if file.name != CLASSES)


def _names(folder: Path) -> list[str]:
    file = folder / CLASSES
    return file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if file.is_file() else []


def _known_frames(root: Path) -> dict[str, list[list[str]]]:
    """The rows of frames.csv, by file."""
    known: defaultdict[str, list[list[str]]] = defaultdict(list)
    if (root / FRAMES).is_file():
        for name, *place in read_csv(root / FRAMES, _COLUMNS):
            if ".." not in Path(name).parts and not Path(name).is_absolute():
                known[name].append(place)
    return dict(known)


def _read_video(
    file: Path, relative: str, known: list[list[str]] | None, names: Sequence[str], reading: Reading
) -> Iterator[Record]:
    source = known[0][0] if known else _source(relative)
    try:
        rows = _rows(file, names, reading)
    except (OSError, UnicodeDecodeError) as error:
        yield reading.failed(source, f"{file}: {getattr(error, 'strerror', None) or error}")
        return
    if known is not None:
        for name, index, time_s, width, height in known:
            found = rows.pop(int(index), [])
            size = int(height) if height else None, int(width) if width else None
            yield make_record(name, int(index), float(time_s) if time_s else None, size, found, reading.classes)
        if rows:
            reading.problems.append(f"{file}: rows of {len(rows)} frames that {FRAMES} does not name are left out")
        return
    fps, size = _sequence(file)
    if fps is None:
        reading.note(f"no seqinfo.ini tells a frame rate: {ASSUMED_FPS} frames a second are assumed")
    for frame in sorted(rows):
        yield make_record(source, frame, frame / (fps or ASSUMED_FPS), size, rows[frame], reading.classes)


def _rows(file: Path, names: Sequence[str], reading: Reading) -> dict[int, list[Found]]:
    """What a file has of each frame (from 0); a row that is none is told and left out."""
    rows: defaultdict[int, list[Found]] = defaultdict(list)
    is_truth = file.name == "gt.txt"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for line, row in enumerate(text.splitlines(), start=1):
        if not row.strip():
            continue
        try:
            cells = [number(cell.strip(), "a cell") for cell in row.split(",")]
            if len(cells) < 7 or cells[0] < 1:
                raise ValueError(f"{len(cells)} numbers, of frame {cells[0]:g}")
            frame, track, x, y, w, h, score = cells[:7]
            if is_truth and not score:
                continue
            kind = int(cells[7]) if len(cells) > 7 and cells[7] >= 1 else 1
            label = names[kind - 1] if kind <= len(names) else f"class {kind}"
            track_id = int(track) if track >= 0 else None
            score = 1.0 if is_truth or score < 0 else score
            box = (x - 1, y - 1, x - 1 + w, y - 1 + h)
            rows[int(frame) - 1].append(Found(label, box, score, kind - 1 if names else None, track_id=track_id))
        except (ValueError, OverflowError) as error:
            reading.problems.append(f"{file}, line {line}: {error}")
    return rows


def _source(relative: str) -> str:
    parts = relative.split("/")
    if len(parts) > 2 and parts[-1] in ("gt.txt", "det.txt"):
        return "/".join(parts[:-2])
    return relative.removesuffix(".txt")


def _sequence(file: Path) -> tuple[float | None, tuple[Any, Any]]:
    """Frame rate and (height, width) of a sequence, where its seqinfo.ini tells them."""
    for folder in list(file.parents)[:2]:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            if (folder / "seqinfo.ini").is_file():
                parser.read_string((folder / "seqinfo.ini").read_text(encoding="utf-8"))
                section = parser["Sequence"]
                return float(section["frameRate"]), (int(section["imHeight"]), int(section["imWidth"]))
        except (OSError, configparser.Error, KeyError, ValueError):
            continue
    return None, (None, None)
