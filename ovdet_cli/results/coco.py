"""coco_results.json and coco_images.json: what COCO's own tools read.

`COCO("coco_images.json").loadRes("coco_results.json")` gives the detections beside the images they were found in.
Image ids count from 1 in the order of the run. A picture's `file_name` is its source; a video frame's is
`<source>#frame=<index>`, so that it is unique, and it carries `source`, `frame_index` and `time_s` as well. Failures
have no size, thus no image. Category ids are the data set's own where given, else class id + 1. A result with a track
carries its `track_id`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from ovdet_cli.detections import Detections
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.results.record import readable, shortest_floats
from ovdet_cli.results.rle import encode_rle
from ovdet_cli.results.sink import OutputFile, Sink


class CocoSink(Sink):
    """Writes both files, each whole JSON after every frame."""

    def __init__(self, folder: Path, labels: Sequence[str], category_ids: Sequence[int] | None = None) -> None:
        if category_ids is None:
            category_ids = range(1, len(labels) + 1)
        if len(category_ids) != len(labels):
            raise ValueError(f"{len(category_ids)} category ids for {len(labels)} labels")
        self._labels = labels
        self._category_ids = category_ids
        self._num_images = 0
        categories = [{"id": id_, "name": readable(name)} for id_, name in zip(category_ids, labels, strict=True)]
        head = {"info": {"description": "ovdet"}, "licenses": [], "annotations": [], "categories": categories}
        self._images = _GrowingList(folder / "coco_images.json", orjson.dumps(head)[:-1] + b',"images":[', b"\n]}\n")
        self._results = _GrowingList(folder / "coco_results.json", b"[", b"\n]\n")

    def write(self, frame: Frame, detections: Detections) -> None:
        """Adds the frame's image and its detections."""
        self._num_images += 1
        # The image first: a result must never name an image that is not there.
        self._images.extend([self._image(frame)])
        self._results.extend(self._frame_results(detections))

    def skip(self, failure: Failure) -> None:
        """Nothing: an image of unknown size is no COCO image."""

    def close(self) -> None:
        """Closes both files."""
        self._images.close()
        self._results.close()

    def _image(self, frame: Frame) -> dict[str, Any]:
        height, width = frame.size_hw
        source = readable(frame.source)
        image = {"id": self._num_images, "file_name": source, "width": width, "height": height}
        if frame.time_s is not None:
            image["file_name"] = f"{source}#frame={frame.index}"
            image |= {"source": source, "frame_index": frame.index, "time_s": float(frame.time_s)}
        return image

    def _frame_results(self, detections: Detections) -> list[dict[str, Any]]:
        boxes_xywh = detections.boxes_xyxy.copy()
        boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
        results = []
        scores = shortest_floats(detections.scores)
        for box, score, (_, _, class_id, mask) in zip(shortest_floats(boxes_xywh), scores, detections, strict=True):
            result: dict[str, Any] = {"image_id": self._num_images, "category_id": self._category_ids[class_id]}
            result |= {"bbox": box, "score": score}
            if mask is not None:
                result["segmentation"] = encode_rle(mask)
            results.append(result)
        if detections.track_ids is not None:
            for result, track_id in zip(results, detections.track_ids.tolist(), strict=True):
                result |= {"track_id": track_id} if track_id >= 0 else {}
        return results


class _GrowingList:
    """A JSON file that ends in a list and is whole after every addition: new items go over the closing brackets."""

    def __init__(self, path: Path, head: bytes, tail: bytes) -> None:
        self._file = OutputFile(path)
        self._tail = tail
        self._lead = b"\n"
        self._file.write(head + tail)

    def extend(self, items: Iterable[dict[str, Any]]) -> None:
        """Adds the items, one a line, in one write."""
        lines = b",\n".join(orjson.dumps(item) for item in items)
        if lines:
            self._file.write(self._lead + lines + self._tail, back=len(self._tail))
            self._lead = b",\n"

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_coco_results(path: Path) -> list[dict[str, Any]]:
    """The results in a coco_results.json.

    Raises:
        RecordError: the file cannot be read or is no list of results.
    """
    results = _read_json(path)
    if not isinstance(results, list):
        raise RecordError(f"{path}: COCO results are a JSON list, not {type(results).__name__}")
    return results


def read_coco_images(path: Path) -> dict[str, Any]:
    """The images and categories in a coco_images.json.

    Raises:
        RecordError: the file cannot be read or lacks one of them.
    """
    images = _read_json(path)
    if not isinstance(images, dict) or not {"images", "categories"} <= images.keys():
        raise RecordError(f"{path}: a COCO image file is a JSON object with images and categories")
    return images


def _read_json(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise RecordError(f"{path}: no JSON ({error})") from error
