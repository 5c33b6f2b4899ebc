"""COCO: annotations.json, a data set as its tools take for ground truth, and coco_results.json, results for loadRes.

Images are named as in coco_images.json: a picture by its source, a video frame `<source>#frame=<index>` with `source`,
`frame_index` and `time_s` beside; so `ovdet eval` finds the pairs. Category ids are places in the vocabulary plus one.
An annotation has `score`, and `track_id` where there is one; `segmentation` is RLE, or an empty list without a mask.

Read are such a data set, or results with a coco_images.json or annotations.json beside them. An annotation without a
score counts as sure (1.0); outlines become the pixels whose centres they hold; a missing box is the mask's own.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ovdet_cli.detections import Mask
from ovdet_cli.errors import RecordError, UsageError
from ovdet_cli.results.convert.contract import Found, Options, Reading, Writer, boxes_xywh, make_record, number
from ovdet_cli.results.convert.json_stream import JsonItems, JsonList
from ovdet_cli.results.convert.outlines import fill, mask_bounds, union
from ovdet_cli.results.record import Record, shortest_floats
from ovdet_cli.results.rle import decode_rle, encode_rle

ANNOTATIONS = "annotations.json"
RESULTS = "coco_results.json"
IMAGES = "coco_images.json"
ENTRIES = (ANNOTATIONS, RESULTS)


class CocoWriter(Writer):
    """Writes both files as it goes; nothing is kept in memory but the categories."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        head = orjson.dumps({"info": {"description": "ovdet"}, "licenses": []})
        self._images = JsonList(folder / ANNOTATIONS, head[:-1] + b',"images":[')
        # Images and annotations are two lists of one file: the second waits in a file of its own.
        self._annotations = JsonList(folder / f".{ANNOTATIONS}.part", b"")
        self._results = JsonList(folder / RESULTS)
        self._num_images = self._num_annotations = 0

    def write(self, record: Record) -> None:
        if record.status != "ok":
            self.left_out["pictures that failed"] += 1
            return
        if record.width is None or record.height is None:
            self.problems.append(f"{record.source}: its size is not known, and a COCO image has one")
            return
        self._num_images += 1
        self._images.add(self._image(record))
        found = record.detections
        scores = shortest_floats(found.scores)
        for label, (_, _, _, mask), box, score, track_id in zip(
            record.labels, found, boxes_xywh(found.boxes_xyxy), scores, _track_ids(record), strict=True
        ):
            result: dict[str, Any] = {"image_id": self._num_images, "category_id": self.classes.place(label) + 1}
            result |= {"bbox": box, "score": score}
            if mask is not None:
                result["segmentation"] = encode_rle(mask)
            if track_id >= 0:
                result["track_id"] = track_id
            self._results.add(result)
            self._num_annotations += 1
            area = mask.area if mask is not None else round(box[2] * box[3], 4)
            self._annotations.add(
                {"id": self._num_annotations, **result, "area": area, "iscrowd": 0}
                | ({} if mask is not None else {"segmentation": []})
            )

    def close(self) -> None:
        categories = [{"id": place, "name": name} for place, name in enumerate(self.classes.names, start=1)]
        last = b'\n],"categories":' + orjson.dumps(categories) + b"}\n"
        self._images.close(b'\n],"annotations":[', self._annotations, last)
        self._results.close()

    def _image(self, record: Record) -> dict[str, Any]:
        image = {"id": self._num_images, "file_name": record.source, "width": record.width, "height": record.height}
        if record.time_s is not None or record.index:
            image["file_name"] = f"{record.source}#frame={record.index}"
            image |= {"source": record.source, "frame_index": record.index, "time_s": record.time_s}
        return image


def _track_ids(record: Record) -> list[int]:
    ids = record.detections.track_ids
    return [-1] * len(record.detections) if ids is None else ids.tolist()


def is_coco(path: Path) -> bool:
    """Whether a path is a COCO file, or a folder with one."""
    file = _find(path)
    if file is None:
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(1 << 16)
    except OSError:
        return False
    return b'"images"' in head or b'"annotations"' in head or (head.lstrip()[:1] == b"[" and b'"category_id"' in head)


def _find(path: Path) -> Path | None:
    if path.is_dir():
        for name in (ANNOTATIONS, IMAGES):
            if (path / name).is_file():
                return path / (RESULTS if name == IMAGES else name)
        files = list(path.glob("*.json"))
        return files[0] if len(files) == 1 else None
    return path if path.suffix == ".json" and path.is_file() else None


class _Annotations:
    """All annotations, small: numbers in arrays, masks as the text that they were."""

    def __init__(self) -> None:
        self.images, self.categories, self.tracks = array("q"), array("q"), array("q")
        self.boxes, self.scores = array("f"), array("f")
        self.masks: dict[int, bytes] = {}

    def add(self, item: dict[str, Any]) -> None:
        """Takes one; ValueError, TypeError or KeyError if it is none."""
        box = item.get("bbox")
        values = [float("nan")] * 4 if box is None else [number(side, "a side of the box") for side in box]
        if len(values) != 4:
            raise ValueError(f"a box has four sides, not {len(values)}")
        if box is None and not item.get("segmentation"):
            raise ValueError("it has neither box nor segmentation")
        image, category = int(item["image_id"]), int(item["category_id"])
        track = -1 if item.get("track_id") is None else int(item["track_id"])
        score = 1.0 if item.get("score") is None else number(item["score"], "the score")
        if item.get("segmentation"):
            self.masks[len(self.images)] = orjson.dumps(item["segmentation"])
        x, y, width, height = values
        self.boxes.extend((x, y, x + width, y + height))
        self.images.append(image)
        self.categories.append(category)
        self.tracks.append(track)
        self.scores.append(score)


def read_coco(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a COCO data set, or of results with their images beside, in the order of its images."""
    file = _find(path)
    if file is None:
        raise UsageError(f"{path} holds no COCO file, or several: name the JSON file itself")
    images: dict[int, tuple[str, int, float | None, int | None, int | None]] = {}
    names: dict[int, str] = {}
    annotations = _Annotations()
    if "images" not in _read_items(file, images, names, annotations, reading):
        beside = [file.with_name(name) for name in (IMAGES, ANNOTATIONS) if name != file.name]
        beside = [other for other in beside if other.is_file()]
        if not beside:
            raise RecordError(f"{file} has no images; results need their {IMAGES} or {ANNOTATIONS} beside them")
        _read_items(beside[0], images, names, None, reading)
    reading.classes.extend(names.values())
    places = {id_: place for place, id_ in enumerate(names)}
    image_ids = np.frombuffer(annotations.images, np.int64)
    order = np.argsort(image_ids, kind="stable")
    sorted_ids = image_ids[order]
    if len(unknown := np.setdiff1d(image_ids, np.fromiter(images, np.int64, len(images)))):
        reading.problems.append(f"{file}: annotations of {len(unknown)} images that are not there, as {unknown[0]}")
    for id_, (source, index, time_s, width, height) in images.items():
        rows = order[slice(*np.searchsorted(sorted_ids, [id_, id_ + 1]))]
        found = []
        for row in rows.tolist():
            try:
                found.append(_found(annotations, row, names, places, (height, width)))
            except (RecordError, ValueError, TypeError, KeyError) as error:
                reading.problems.append(f"{file}, an annotation of {source}: {error}")
        yield make_record(source, index, time_s, (height, width), found, reading.classes)


def _read_items(
    file: Path, images: dict[int, Any], names: dict[int, str], annotations: _Annotations | None, reading: Reading
) -> set[str]:
    """The lists of the file into the collections; gives the names of all that it has."""
    number_of = 0
    items = JsonItems(file)
    for key, item in items:
        try:
            if key == "images":
                images[int(item["id"])] = _image(item)
            elif key == "categories":
                names[int(item["id"])] = str(item["name"])
            elif key in ("annotations", "") and annotations is not None:
                number_of += 1
                annotations.add(item)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            what = f"annotation {number_of}" if key in ("annotations", "") else f"one of its {key}"
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            reading.problems.append(f"{file}, {what}: {reason}")
    return items.keys


def _image(item: dict[str, Any]) -> tuple[str, int, float | None, int | None, int | None]:
    name = str(item["file_name"])
    index, time_s = int(item.get("frame_index") or 0), item.get("time_s")
    sides = [None if item.get(side) is None else int(item[side]) for side in ("width", "height")]
    time_s = None if time_s is None else number(time_s, "time_s")
    return str(item.get("source", name)), index, time_s, sides[0], sides[1]


def _found(
    annotations: _Annotations,
    row: int,
    names: dict[int, str],
    places: dict[int, int],
    size_hw: tuple[int | None, int | None],
) -> Found:
    category = annotations.categories[row]
    if category not in names:
        raise ValueError(f"there is no category {category}")
    box: Sequence[float] = annotations.boxes[4 * row : 4 * row + 4]
    text = annotations.masks.get(row)
    mask = None if text is None else _mask(orjson.loads(text), size_hw)
    if np.isnan(box[0]):
        bounds = None if mask is None else mask_bounds(mask)
        if bounds is None:
            raise ValueError("it has no box, and its mask is empty")
        box = bounds
    track = annotations.tracks[row]
    return Found(names[category], box, annotations.scores[row], places[category], mask, None if track < 0 else track)


def _mask(segmentation: Any, size_hw: tuple[int | None, int | None]) -> Mask | None:
    """The mask of COCO's RLE, packed or plain, or of its outlines."""
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), list):
        height, width = (int(side) for side in segmentation["size"])
        runs = np.array(segmentation["counts"], np.int64)
        if (runs < 0).any() or runs.sum() != height * width:
            raise ValueError("the runs of a mask do not fill its size")
        return Mask((height, width), runs)
    if isinstance(segmentation, dict):
        return decode_rle(segmentation)
    height_, width_ = size_hw
    if height_ is None or width_ is None:
        return None
    return union([fill(np.array(ring, np.float64), (height_, width_)) for ring in segmentation])
