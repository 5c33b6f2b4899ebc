"""YOLO as Ultralytics has it: data.yaml, classes.txt and a tree labels/ beside which the pictures lie as images/.

A row is `class x y width height`, of the middle, in shares of the picture; with `scores` the score comes last. A
picture with masks has outlines instead, `class x1 y1 x2 y2 ...`, of all its detections (a box that has no mask is four
corners): the two kinds cannot stand in one file. A picture in which nothing was found has an empty file. Boxes end at
the picture's edge, as Ultralytics demands; numbers have six decimals.

images.csv says which source each file is of, and its size: what the format itself cannot hold. Ultralytics finds
`labels/a/b.txt` for `images/a/b.jpg`, whatever the suffix, so that of `b.jpg` and `b.png` the second is `b.png.txt`,
and the picture must be named so too (`b.png.png`).

Without images.csv the pictures must be there, for their sizes: beside labels/ in images/, or where --images says.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from ovdet_cli.detections import Mask
from ovdet_cli.errors import OvdetError, RecordError
from ovdet_cli.results.convert.contract import Found, Options, Reading, Writer, make_record, number
from ovdet_cli.results.convert.naming import Names, Tree
from ovdet_cli.results.convert.outlines import fill, outline
from ovdet_cli.results.csv_table import read_csv, rows_text
from ovdet_cli.results.record import Record, shortest_floats
from ovdet_cli.results.sink import OutputFile

LABELS, INDEX, DATA, CLASSES = "labels", "images.csv", "data.yaml", "classes.txt"
ENTRIES = (LABELS, INDEX, DATA, CLASSES)
_COLUMNS = ("file", "source", "index", "time_s", "width", "height")
_MAX_CLASSES = 1_000_000
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".avif", ".gif", ".jfif"}


class YoloWriter(Writer):
    """Writes a file a picture; one in which nothing was found too."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._tree = Tree(folder / LABELS)
        self._names = Names()
        self._index = OutputFile(folder / INDEX)
        self._index.write(rows_text([_COLUMNS]))

    def write(self, record: Record) -> None:
        if record.status != "ok":
            self.left_out["pictures that failed"] += 1
            return
        if record.width is None or record.height is None:
            self.problems.append(f"{record.source}: its size is not known, and YOLO's numbers are shares of it")
            return
        path = self._names.place(record, ".txt")
        if record.detections.track_ids is not None:
            self.left_out["track ids"] += int((record.detections.track_ids >= 0).sum())
        if not self.options.scores:
            self.left_out["scores (--scores writes them)"] += len(record.detections)
        self._tree.write(path, self._rows(record, record.width, record.height))
        place = [record.source, record.index, record.time_s, record.width, record.height]
        self._index.write(rows_text([[str(path), *place]]))

    def close(self) -> None:
        self._index.close()
        names = dict(enumerate(self.classes.names))
        data = {"path": ".", "train": "images", "val": "images", "names": names}
        # PyYAML writes some signs that end a line (U+0085) as they are, and then reads them as spaces.
        is_plain = all(name.isprintable() for name in self.classes.names)
        text = yaml.safe_dump(data, allow_unicode=is_plain, sort_keys=False, width=10**6)
        (self.folder / DATA).write_text(text, encoding="utf-8")
        lines = [" ".join(name.splitlines()) for name in self.classes.names]
        (self.folder / CLASSES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _rows(self, record: Record, width: int, height: int) -> bytes:
        found = record.detections
        size = np.array([width, height], np.float64)
        corners = np.clip(found.boxes_xyxy.astype(np.float64).reshape(-1, 2, 2) / size, 0, 1)
        rows = []
        for label, box, score, (_, _, _, mask) in zip(
            record.labels, corners, shortest_floats(found.scores), found, strict=True
        ):
            if found.masks is None:
                numbers = np.concatenate([box.mean(axis=0), box[1] - box[0]])
            else:
                ring = np.zeros((0, 2)) if mask is None else outline(mask) / size
                (x1, y1), (x2, y2) = box
                numbers = (ring if len(ring) else np.array([x1, y1, x2, y1, x2, y2, x1, y2])).ravel()
            cells = [str(self.classes.place(label)), *(_short(value) for value in numbers.tolist())]
            rows.append(" ".join([*cells, str(score)] if self.options.scores else cells))
        return "".join(f"{row}\n" for row in rows).encode()


def _short(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"


def is_yolo(path: Path) -> bool:
    """Whether a folder has labels/ and their names."""
    return path.is_dir() and (path / LABELS).is_dir() and any((path / name).is_file() for name in (DATA, CLASSES))


def read_yolo(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a folder with labels/ (or of that folder itself), in the order of images.csv, else by name."""
    root = path if (path / LABELS).is_dir() else path.parent
    labels = root / LABELS if (root / LABELS).is_dir() else path
    if not labels.is_dir():
        raise RecordError(f"{path} is no folder of YOLO labels: it has no {LABELS}/ in it")
    names = _read_names(root)
    reading.classes.extend(names)
    if (root / INDEX).is_file() and reading.images is None:
        yield from _read_indexed(root, labels, names, reading)
        return
    files = sorted(file for file in labels.rglob("*.txt") if file.name != CLASSES)
    if not files and labels == path:
        raise RecordError(f"{labels} holds no label files (.txt)")
    for file in files:
        yield _read_beside(file, labels, reading.images or root / "images", names, reading)


def _read_indexed(root: Path, labels: Path, names: Sequence[str], reading: Reading) -> Iterator[Record]:
    for name, source, index, time_s, width, height in read_csv(root / INDEX, _COLUMNS):
        file = labels.joinpath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..")))
        try:
            size = int(height), int(width)
            found = _read_file(file, size, names)
            time = float(time_s) if time_s else None
            yield make_record(source, int(index), time, size, found, reading.classes)
        except (OSError, ValueError, RecordError) as error:
            yield reading.failed(source, f"{file}: {error}")


def _read_beside(file: Path, labels: Path, images: Path, names: Sequence[str], reading: Reading) -> Record:
    """The record of a label file whose picture must say how large it is."""
    relative = file.relative_to(labels)
    stem = file.stem.casefold()
    folder = images / relative.parent
    candidates = sorted(folder.iterdir()) if folder.is_dir() else []
    pictures = [p for p in candidates if p.stem.casefold() == stem and p.suffix.lower() in _PICTURES]
    source = relative.with_suffix("").as_posix()
    if not pictures:
        return reading.failed(source, f"{file}: no picture {images / relative.parent / file.stem}.* tells its size")
    source = (relative.parent / pictures[0].name).as_posix()
    try:
        size = reading.size_of(pictures[0])
        return make_record(source, 0, None, size, _read_file(file, size, names), reading.classes)
    except (OSError, ValueError, OvdetError) as error:
        return reading.failed(source, f"{file}: {error}")


def _read_file(file: Path, size_hw: tuple[int, int], names: Sequence[str]) -> list[Found]:
    found = []
    for line, row in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if row.strip():
            try:
                found.append(_read_row(row.split(), size_hw, names))
            except ValueError as error:
                raise ValueError(f"line {line}: {error}") from error
    return found


def _read_row(cells: Sequence[str], size_hw: tuple[int, int], names: Sequence[str]) -> Found:
    values = [number(cell, "a cell") for cell in cells]
    if len(values) < 5:
        raise ValueError(f"{len(values)} numbers; a row has a class and at least four")
    class_id = int(values[0])
    if class_id < 0 or class_id != values[0]:
        raise ValueError(f"{cells[0]} is no class")
    label = names[class_id] if class_id < len(names) else str(class_id)
    has_score = len(values) % 2 == 0
    score = values.pop() if has_score else 1.0
    height, width = size_hw
    if len(values) == 5:
        x, y, w, h = np.array(values[1:]) * (width, height, width, height)
        return Found(label, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), score, class_id)
    ring = np.array(values[1:]).reshape(-1, 2) * (width, height)
    if len(ring) == 4 and _is_box(ring):  # what the writer makes of a box in a picture with masks
        return Found(label, (*ring.min(axis=0), *ring.max(axis=0)), score, class_id, fill(ring, size_hw))
    # The writer's corners are those of pixels; six decimals moved them a little.
    near = np.round(ring)
    ring = near if np.abs(ring - near).max() < 1e-5 * max(size_hw) else ring
    mask: Mask = fill(ring, size_hw)
    return Found(label, (*ring.min(axis=0), *ring.max(axis=0)), score, class_id, mask)


def _is_box(ring: np.ndarray) -> bool:
    return len(np.unique(ring[:, 0])) <= 2 and len(np.unique(ring[:, 1])) <= 2


def _read_names(root: Path) -> list[str]:
    """The names of the classes; none where no file tells them."""
    data = root / DATA
    if not data.is_file():
        files = sorted(root.glob("*.yaml"))
        data = files[0] if len(files) == 1 else data
    try:
        if data.is_file():
            names: Any = yaml.safe_load(data.read_text(encoding="utf-8"))["names"]
            if isinstance(names, dict):
                if (count := max(map(int, names), default=-1) + 1) > _MAX_CLASSES:
                    raise ValueError(f"class {count - 1}")
                return [str(names.get(place, place)) for place in range(count)]
            return [str(name) for name in names]
        for name in (CLASSES, f"{LABELS}/{CLASSES}", "obj.names"):
            if (root / name).is_file():
                return (root / name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{data}: no names of classes can be read: {error}") from error
    return []
