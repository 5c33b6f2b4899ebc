"""Ground truth in COCO's format, from anyone's tool: read, checked, in typed pieces.

A COCO annotation file is a JSON object with `images` (id, file_name, width, height), `categories` (id, name) and
`annotations` (image_id, category_id, bbox as x y width height, and optionally area, iscrowd and segmentation:
polygons, or a run-length dict with compressed or plain counts).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import index
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson

from ovdet_cli.detections import Mask
from ovdet_cli.errors import InputError, RecordError
from ovdet_cli.results.rle import decode_rle

Box = tuple[float, float, float, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TruthImage:
    """A picture of the ground truth. size_hw: height and width in pixels; None where the file does not say."""

    id: int
    file_name: str
    size_hw: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class TruthObject:
    """One annotated object.

    box_xywh: left, top, width, height in pixels. area: pixels, as the file says, else of the box.
    segmentation: polygons (lists x y x y ..) or a run-length dict as in the file; None where there is none.
    """

    image_id: int
    category_id: int
    box_xywh: Box
    area: float
    segmentation: Any
    is_crowd: bool


@dataclass(frozen=True)
class GroundTruth:
    """An annotation file. categories: names by id, in the order of the file."""

    path: Path
    images: tuple[TruthImage, ...]
    categories: Mapping[int, str]
    objects: tuple[TruthObject, ...]

    @cached_property
    def objects_of(self) -> Mapping[int, list[TruthObject]]:
        """The objects of each picture, by image id; every picture has a list."""
        grouped: dict[int, list[TruthObject]] = {image.id: [] for image in self.images}
        for thing in self.objects:
            grouped[thing.image_id].append(thing)
        return grouped


def read_ground_truth(path: Path) -> GroundTruth:
    """The ground truth in a COCO annotation file.

    Raises:
        InputError: the file cannot be read or is not in COCO's format; the message names the entry and the field.
    """
    data = _read_json(path)
    images = _parse_all(path, data, "images", _parse_image)
    categories = _parse_all(path, data, "categories", _parse_category)
    objects = _parse_all(path, data, "annotations", _parse_object)
    for what, ids in (("images", [image.id for image in images]), ("categories", [id_ for id_, _ in categories])):
        if len(set(ids)) < len(ids):
            double = next(id_ for id_ in ids if ids.count(id_) > 1)
            raise InputError(f"{path}: two {what} have the id {double}; give each its own")
    truth = GroundTruth(path, tuple(images), dict(categories), tuple(objects))
    _check_references(truth)
    return truth


def decode_segmentation(segmentation: Mapping[str, Any]) -> Mask:
    """The mask in a run-length dict {"size": [height, width], "counts": compressed text or a list of runs}.

    Raises:
        RecordError: the runs are broken or do not fill the size.
    """
    counts = segmentation.get("counts")
    if not isinstance(counts, list):
        return decode_rle(segmentation)
    try:
        height, width = (index(side) for side in segmentation["size"])
        runs = np.array([index(count) for count in counts], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"a mask is not a COCO run-length dict of size and counts: {error!r}") from error
    if (runs < 0).any() or runs.sum() != height * width:
        raise RecordError(f"a mask's runs do not fill its size of {height}x{width} pixels")
    return Mask((height, width), runs)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the annotations {path}: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON ({error}); give annotations in COCO's format") from error
    if not isinstance(data, dict):
        raise InputError(
            f"{path} holds a {type(data).__name__}; COCO annotations are an object with images, annotations and "
            "categories (a list is the form of results)"
        )
    return data


def _parse_all(path: Path, data: dict[str, Any], what: str, parse: Callable[[Any], T]) -> list[T]:
    entries = data.get(what)
    if not isinstance(entries, list):
        raise InputError(f"{path} has no list {what!r}; COCO annotations have images, annotations and categories")
    parsed = []
    for place, entry in enumerate(entries):
        try:
            parsed.append(parse(entry))
        except KeyError as error:
            raise InputError(f"{path}: {what}[{place}] has no {error}") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"{path}: {what}[{place}] is not as COCO wants it: {error}") from error
    return parsed


def _parse_image(entry: Any) -> TruthImage:
    if not isinstance(entry["file_name"], str):
        raise ValueError(f"file_name is {entry['file_name']!r}, no text")
    size = None
    if entry.get("height") is not None and entry.get("width") is not None:
        size = (index(entry["height"]), index(entry["width"]))
        if min(size) < 1:
            raise ValueError(f"its size is {size[1]}x{size[0]}")
    return TruthImage(index(entry["id"]), entry["file_name"], size)


def _parse_category(entry: Any) -> tuple[int, str]:
    if not isinstance(entry["name"], str):
        raise ValueError(f"name is {entry['name']!r}, no text")
    return index(entry["id"]), entry["name"]


def _parse_object(entry: Any) -> TruthObject:
    left, top, width, height = (float(number) for number in entry["bbox"])
    if not all(math.isfinite(number) for number in (left, top, width, height)):
        raise ValueError(f"bbox {entry['bbox']} is not of finite numbers")
    area = entry.get("area")
    return TruthObject(
        index(entry["image_id"]),
        index(entry["category_id"]),
        (left, top, width, height),
        width * height if area is None else float(area),
        _checked_segmentation(entry.get("segmentation")),
        bool(entry.get("iscrowd", 0)),
    )


def _checked_segmentation(segmentation: Any) -> Any:
    """Polygons of at least three points, a run-length dict, or None where neither is left."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        if not {"size", "counts"} <= segmentation.keys():
            raise ValueError("its segmentation is a dict without size and counts")
        return segmentation
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) % 2 or not math.isfinite(sum(polygon)):
            raise ValueError("a polygon of its segmentation is not a list x y x y .. of finite numbers")
    # Points and lines occur in COCO itself; they enclose nothing.
    return [polygon for polygon in segmentation if len(polygon) >= 6] or None


def _check_references(truth: GroundTruth) -> None:
    image_ids = {image.id for image in truth.images}
    for place, thing in enumerate(truth.objects):
        for what, id_, known in (
            ("image", thing.image_id, image_ids),
            ("category", thing.category_id, truth.categories),
        ):
            if id_ not in known:
                raise InputError(f"{truth.path}: annotations[{place}] names {what} {id_}, which is not in the file")
