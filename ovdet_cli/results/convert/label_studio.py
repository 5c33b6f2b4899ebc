"""Label Studio: tasks.json, pictures with predictions to import, and config.xml, the project's labelling interface.

Boxes are rectangles named "box", masks polygons named "outline", both of the picture "image"; sizes are percent of it.
Addresses are Label Studio's for files of a local storage (`/data/local-files/?d=` and the path below the storage's
document root); --url says what they begin with. A video's frames are pictures `clip.mp4/000123.jpg`. source, index,
time_s, width and height ride along in a task's data. Tracks have no place; the box of a polygon is the polygon's own.
Control characters in labels become backslash escapes, since the configuration is XML.

Read are such tasks and exports of annotated ones: annotations (the first that was not cancelled) before predictions.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import numpy as np

from ovdet_cli.errors import RecordError, UsageError
from ovdet_cli.results.convert.contract import Found, Options, Reading, Writer, make_record, number, rounded
from ovdet_cli.results.convert.json_stream import JsonItems, JsonList
from ovdet_cli.results.convert.naming import picture_name
from ovdet_cli.results.convert.outlines import fill, outline
from ovdet_cli.results.convert.xml_text import xml_bytes, xml_text
from ovdet_cli.results.record import Record, shortest_floats
from ovdet_cli.results.sink import writing

TASKS, CONFIG = "tasks.json", "config.xml"
ENTRIES = (TASKS, CONFIG)
_DIGITS = 6


class LabelStudioWriter(Writer):
    """Writes a task a picture, and at the end the configuration with the labels."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._tasks = JsonList(folder / TASKS)

    def write(self, record: Record) -> None:
        if record.status != "ok":
            self.left_out["pictures that failed"] += 1
            return
        if record.width is None or record.height is None:
            self.problems.append(f"{record.source}: its size is not known, and Label Studio's numbers are shares of it")
            return
        found = record.detections
        if found.track_ids is not None:
            self.left_out["track ids"] += int((found.track_ids >= 0).sum())
        size = np.array([record.width, record.height], np.float64)
        result: list[dict[str, Any]] = []
        for label, score, (box, _, _, mask) in zip(record.labels, shortest_floats(found.scores), found, strict=True):
            ring = np.zeros((0, 2)) if mask is None else outline(mask)
            name = xml_text(label)
            self.classes.place(label)
            region = {
                "id": f"d{len(result)}",
                "to_name": "image",
                "original_width": record.width,
                "original_height": record.height,
                "image_rotation": 0,
                "score": score,
            }
            if len(ring):
                points = rounded(ring / size * 100, _DIGITS)
                value: dict[str, Any] = {"points": points, "closed": True, "polygonlabels": [name]}
                result.append(region | {"from_name": "outline", "type": "polygonlabels", "value": value})
            else:
                x, y, right, bottom = (box.astype(np.float64).reshape(2, 2) / size * 100).ravel()
                sides = rounded(np.array([x, y, right - x, bottom - y]), _DIGITS)
                value = dict(zip(("x", "y", "width", "height"), sides, strict=True))
                value |= {"rotation": 0, "rectanglelabels": [name]}
                result.append(region | {"from_name": "box", "type": "rectanglelabels", "value": value})
        data: dict[str, Any] = {"image": self.options.url + quote(picture_name(record)), "source": record.source}
        data |= {"index": record.index, "time_s": record.time_s, "width": record.width, "height": record.height}
        best = max(shortest_floats(found.scores), default=0.0)
        self._tasks.add({"data": data, "predictions": [{"model_version": "ovdet", "score": best, "result": result}]})

    def close(self) -> None:
        self._tasks.close()
        view = ET.Element("View")
        ET.SubElement(view, "Image", name="image", value="$image")
        for tag, name in (("RectangleLabels", "box"), ("PolygonLabels", "outline")):
            control = ET.SubElement(view, tag, name=name, toName="image")
            for label in dict.fromkeys(map(xml_text, self.classes.names)):
                ET.SubElement(control, "Label", value=label)
        with writing(self.folder / CONFIG):
            (self.folder / CONFIG).write_bytes(xml_bytes(view))


def is_label_studio(path: Path) -> bool:
    """Whether a path is a list of tasks, or a folder with a tasks.json."""
    file = path / TASKS if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            head = opened.read(1 << 16)
    except OSError:
        return False
    return file.suffix == ".json" and head.lstrip()[:1] == b"[" and b'"data"' in head


def read_label_studio(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a list of tasks, in its order."""
    file = path / TASKS if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{path} has no {TASKS}: name the JSON file of Label Studio itself")
    items = JsonItems(file)
    for count, (key, task) in enumerate(items, start=1):
        if key != "":
            raise RecordError(f"{file} is no list of Label Studio's tasks")
        try:
            yield _read_task(task, file, count, reading)
        except KeyError as error:
            yield reading.failed(f"task {count}", f"{file}, task {count}: it lacks {error}")
        except (ValueError, TypeError, AttributeError, OverflowError, RecordError) as error:
            yield reading.failed(f"task {count}", f"{file}, task {count}: {error}")


def _read_task(task: dict[str, Any], file: Path, count: int, reading: Reading) -> Record:
    data = task["data"]
    done = [entry for entry in task.get("annotations") or () if not entry.get("was_cancelled")]
    results = (done or task.get("predictions") or [{}])[0].get("result") or []
    size = [data.get(side) for side in ("height", "width")]
    found = []
    for region in results:
        if None in size and region.get("original_height") is not None:
            size = [region["original_height"], region["original_width"]]
        if region.get("type") not in ("rectanglelabels", "polygonlabels"):
            reading.problems.append(f"{file}, task {count}: a region of type {region.get('type')!r:.40} is left out")
            continue
        if None in size:
            raise ValueError("the size of the picture is not known")
        found.append(_read_region(region, (int(size[0]), int(size[1]))))
    time_s = None if data.get("time_s") is None else number(data["time_s"], "time_s")
    source = str(data["source"]) if "source" in data else _source(str(data["image"]))
    height, width = (None if side is None else int(side) for side in size)
    return make_record(source, int(data.get("index") or 0), time_s, (height, width), found, reading.classes)


def _read_region(region: dict[str, Any], size_hw: tuple[int, int]) -> Found:
    height, width = size_hw
    value = region["value"]
    score = 1.0 if region.get("score") is None else number(region["score"], "the score")
    scale = np.array([width, height]) / 100
    labels = value.get(region["type"]) or [""]
    if region["type"] == "polygonlabels":
        points = np.array([[number(side, "a point") for side in point] for point in value["points"]])
        if points.shape != (len(points), 2) or len(points) < 3:
            raise ValueError(f"a polygon of {len(points)} points")
        ring = points * scale
        near = np.round(ring)
        ring = near if np.abs(ring - near).max() < 1e-6 * max(size_hw) else ring
        return Found(str(labels[0]), (*ring.min(axis=0), *ring.max(axis=0)), score, mask=fill(ring, size_hw))
    x, y, w, h = (number(value[side], side) for side in ("x", "y", "width", "height"))
    turn = math.radians(number(value.get("rotation") or 0, "rotation"))
    if not turn:
        return Found(str(labels[0]), (np.array([[x, y], [x + w, y + h]]) * scale).ravel().tolist(), score)
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) * scale
    # Turned clockwise about its first corner; the box is what holds it.
    turned = corners @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    turned += np.array([x, y]) * scale
    return Found(str(labels[0]), (*turned.min(axis=0), *turned.max(axis=0)), score)


def _source(url: str) -> str:
    """The path in a picture's address: after `?d=` of a local storage, else the address's own."""
    parts = urlsplit(url)
    if parts.query.startswith("d="):
        return unquote(parts.query[2:])
    return unquote(parts.path).lstrip("/") or url
