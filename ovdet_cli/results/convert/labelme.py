"""labelme: labelme/, a JSON file a picture, made to lie beside it.

Copy the tree over the pictures' own: `a.json` then lies beside `a.jpg`, which it names. A detection with a mask is a
polygon along the edges of its pixels, another one a rectangle. What labelme does not know it keeps as it is: score,
box_xyxy and class_id of a shape, source, index and time_s under "ovdet". A track is the shape's group_id. labels.txt is
for `labelme --labels`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import orjson

from ovdet_cli.errors import RecordError
from ovdet_cli.results.convert.contract import Found, Options, Reading, Writer, make_record, number, rounded
from ovdet_cli.results.convert.naming import Names, Tree, picture_name
from ovdet_cli.results.convert.outlines import fill, outline
from ovdet_cli.results.record import Record, shortest_floats

FOLDER, CLASSES = "labelme", "labels.txt"
ENTRIES = (FOLDER, CLASSES)
_VERSION = "5.5.0"  # of labelme, whose files have looked like this since


class LabelmeWriter(Writer):
    """Writes a file a picture; one in which nothing was found too."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._tree = Tree(folder / FOLDER)
        self._names = Names()

    def write(self, record: Record) -> None:
        if record.status != "ok":
            self.left_out["pictures that failed"] += 1
            return
        document = {
            "version": _VERSION,
            "flags": {},
            "shapes": self._shapes(record),
            "imagePath": PurePosixPath(picture_name(record)).name,
            "imageData": None,
            "imageHeight": record.height,
            "imageWidth": record.width,
            "ovdet": {"source": record.source, "index": record.index, "time_s": record.time_s},
        }
        data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        self._tree.write(self._names.place(record, ".json"), data)

    def close(self) -> None:
        lines = [" ".join(name.splitlines()) for name in self.classes.names]
        (self.folder / CLASSES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _shapes(self, record: Record) -> list[dict[str, Any]]:
        found = record.detections
        shapes = []
        tracks = [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()
        columns = (record.labels, found, shortest_floats(found.scores), shortest_floats(found.boxes_xyxy), tracks)
        for label, (_, _, class_id, mask), score, box, track in zip(*columns, strict=True):
            self.classes.place(label)
            ring = np.zeros((0, 2)) if mask is None else outline(mask)
            points = rounded(ring) if len(ring) else [box[:2], box[2:]]
            shapes.append(
                {
                    "label": label,
                    "points": points,
                    "group_id": track if track >= 0 else None,
                    "description": "",
                    "shape_type": "polygon" if len(ring) else "rectangle",
                    "flags": {},
                    "score": score,
                    "class_id": class_id,
                    "box_xyxy": box,
                }
            )
        return shapes


def is_labelme(path: Path) -> bool:
    """Whether a folder has labelme/, or JSON files with shapes, or a file is one."""
    if path.is_dir():
        if (path / FOLDER).is_dir():
            return True
        first = next(iter(sorted(path.rglob("*.json"))), None)
        return first is not None and is_labelme(first)
    try:
        with path.open("rb") as file:
            return path.suffix == ".json" and b'"shapes"' in file.read(1 << 16)
    except OSError:
        return False


def read_labelme(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a tree of JSON files, by name; shapes that are neither polygon nor rectangle are told of."""
    root = path / FOLDER if (path / FOLDER).is_dir() else path
    files = sorted(root.rglob("*.json")) if root.is_dir() else [root]
    if not files and root == path:
        raise RecordError(f"{root} holds no JSON files")
    for file in files:
        source = file.with_suffix("").relative_to(root if root.is_dir() else root.parent)
        try:
            document = orjson.loads(file.read_bytes())
            yield _read_document(document, source, file, reading)
        except (OSError, RecordError) as error:
            yield reading.failed(source.as_posix(), f"{file}: {getattr(error, 'strerror', None) or error}")
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            yield reading.failed(source.as_posix(), f"{file}: no file of labelme ({error})")
        except KeyError as error:
            yield reading.failed(source.as_posix(), f"{file}: no file of labelme (it lacks {error})")


def _read_document(document: dict[str, Any], beside: Path, file: Path, reading: Reading) -> Record:
    own = document.get("ovdet") or {}
    height, width = (
        None if document.get(f"image{side}") is None else int(document[f"image{side}"]) for side in ("Height", "Width")
    )
    found = []
    for shape in document["shapes"]:
        item = _read_shape(shape, (height, width))
        if item is None:
            reading.problems.append(f"{file}: a shape of type {shape.get('shape_type')!r:.40} is left out")
        else:
            found.append(item)
    picture = PurePosixPath(str(document.get("imagePath") or beside.name).replace("\\", "/")).name
    source = str(own.get("source", (beside.parent / picture).as_posix()))
    time_s = None if own.get("time_s") is None else number(own["time_s"], "time_s")
    return make_record(source, int(own.get("index", 0)), time_s, (height, width), found, reading.classes)


def _read_shape(shape: dict[str, Any], size_hw: tuple[int | None, int | None]) -> Found | None:
    kind = shape.get("shape_type", "polygon")
    if kind not in ("polygon", "rectangle"):
        return None
    points = np.array([[number(value, "a point") for value in point] for point in shape["points"]], np.float64)
    if points.shape != (len(points), 2) or len(points) < (2 if kind == "rectangle" else 3):
        raise ValueError(f"a {kind} of {len(points)} points")
    box = shape.get("box_xyxy")
    box = [number(side, "a side") for side in box] if box else [*points.min(axis=0), *points.max(axis=0)]
    if len(box) != 4:
        raise ValueError(f"a box of {len(box)} sides")
    height, width = size_hw
    mask = fill(points, (height, width)) if kind == "polygon" and height and width else None
    score = 1.0 if shape.get("score") is None else number(shape["score"], "the score")
    group, class_id = shape.get("group_id"), shape.get("class_id")
    return Found(
        str(shape["label"]),
        box,
        score,
        None if class_id is None else int(class_id),
        mask,
        int(group) if group is not None else None,
    )
