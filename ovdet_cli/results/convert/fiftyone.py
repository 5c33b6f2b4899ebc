"""FiftyOne: a folder in its own FiftyOneDataset format, metadata.json and samples.json, without the media.

Pictures are the data set fiftyone-images/, videos fiftyone-videos/ (with frames.json, frames from 1). A sample's
filepath is the source: tell FiftyOne where they lie when importing,

    fo.Dataset.from_dir("fiftyone-images", fo.types.FiftyOneDataset, rel_dir="/where/the/pictures/are")

Detections are in the field "predictions": label, bounding_box in shares of the picture, confidence, index (the track)
and class_id. A mask is the piece in the box, deflated as FiftyOne keeps its arrays. Ids are made of the names, so that
a run gives the same files every time.
"""

import base64
import hashlib
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ovdet_cli.detections import Mask
from ovdet_cli.results.convert.contract import Options, Writer, rounded
from ovdet_cli.results.convert.json_stream import JsonList
from ovdet_cli.results.record import Record, shortest_floats
from ovdet_cli.results.sink import writing

IMAGES, VIDEOS = "fiftyone-images", "fiftyone-videos"
ENTRIES = (IMAGES, VIDEOS)
FIELD = "predictions"
_VERSION = "1.0.0"  # of FiftyOne, which migrates older data sets when it imports them
_FIELDS = "fiftyone.core.fields."
_LABELS = "fiftyone.core.labels."


class FiftyOneWriter(Writer):
    """Writes a sample a picture; a video's sample holds its frames in a file of their own."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._lists: dict[str, JsonList] = {}
        self._videos: dict[str, str] = {}
        self._count = 0

    def write(self, record: Record) -> None:
        if record.status != "ok":
            self.left_out["pictures that failed"] += 1
            return
        if record.width is None or record.height is None:
            self.problems.append(f"{record.source}: its size is not known, and FiftyOne's boxes are shares of it")
            return
        self._count += 1
        labels = {"_cls": "Detections", "detections": self._detections(record, record.width, record.height)}
        if record.time_s is None and not record.index:
            metadata: dict[str, Any] = {
                "_cls": "ImageMetadata",
                "size_bytes": None,
                "mime_type": None,
                "num_channels": None,
            }
            metadata |= {"width": record.width, "height": record.height}
            id_ = _id("image", record.source, str(self._count))
            self._list(IMAGES, "samples").add({**_sample(id_, record.source, "image", metadata), FIELD: labels})
            return
        if record.source not in self._videos:
            self._videos[record.source] = _id("video", record.source)
            metadata = {"_cls": "VideoMetadata", "size_bytes": None, "mime_type": None}
            metadata |= {"frame_width": record.width, "frame_height": record.height}
            sample = _sample(self._videos[record.source], record.source, "video", metadata)
            self._list(VIDEOS, "samples").add(sample)
        self._list(VIDEOS, "frames").add(
            {
                "_id": {"$oid": _id("frame", record.source, str(self._count))},
                "_sample_id": {"$oid": self._videos[record.source]},
                "frame_number": record.index + 1,
                FIELD: labels,
            }
        )

    def close(self) -> None:
        if not self._lists:
            self._list(IMAGES, "samples")
        for list_ in self._lists.values():
            list_.close(b"\n]}\n")
        for name, kind in ((IMAGES, "image"), (VIDEOS, "video")):
            if f"{name}/samples" in self._lists:
                path = self.folder / name / "metadata.json"
                with writing(path):
                    path.write_bytes(orjson.dumps(self._metadata(kind), option=orjson.OPT_INDENT_2))

    def _list(self, folder: str, key: str) -> JsonList:
        name = f"{folder}/{key}"
        if name not in self._lists:
            self._lists[name] = JsonList(self.folder / folder / f"{key}.json", f'{{"{key}":['.encode())
        return self._lists[name]

    def _detections(self, record: Record, width: int, height: int) -> list[dict[str, Any]]:
        found = record.detections
        size = np.array([width, height], np.float64)
        corners = found.boxes_xyxy.astype(np.float64).reshape(-1, 2, 2)
        tracks = [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()
        entries = []
        for number, (label, box, score, (_, _, class_id, mask)) in enumerate(
            zip(record.labels, corners, shortest_floats(found.scores), found, strict=True)
        ):
            self.classes.place(label)
            entries.append(
                {
                    "_id": {"$oid": _id("detection", record.source, str(self._count), str(number))},
                    "_cls": "Detection",
                    "attributes": {},
                    "tags": [],
                    "label": label,
                    "bounding_box": rounded(np.concatenate([box[0] / size, (box[1] - box[0]) / size]), 8),
                    "confidence": score,
                    "index": tracks[number] if tracks[number] >= 0 else None,
                    "class_id": class_id,
                    **({} if mask is None else {"mask": _piece(mask, box)}),
                }
            )
        return entries

    def _metadata(self, kind: str) -> dict[str, Any]:
        """The data set's own document; fields of FiftyOne that are not named get its defaults."""
        field = _field(FIELD, "EmbeddedDocumentField", f"{_LABELS}Detections")
        names = list(dict.fromkeys(self.classes.names))
        sample_fields = [
            _field("id", "ObjectIdField", db_field="_id"),
            _field("filepath", "StringField"),
            _field("tags", "ListField", subfield=f"{_FIELDS}StringField"),
            _field("metadata", "EmbeddedDocumentField", f"fiftyone.core.metadata.{kind.title()}Metadata"),
        ]
        frame_fields = [_field("id", "ObjectIdField", db_field="_id"), _field("frame_number", "FrameNumberField")]
        return {
            "version": _VERSION,
            "media_type": kind,
            "info": {},
            "classes": {FIELD: names} if kind == "image" else {f"frames.{FIELD}": names},
            "default_classes": names,
            "sample_fields": [*sample_fields, *([field] if kind == "image" else [])],
            "frame_fields": [*frame_fields, field] if kind == "video" else [],
        }


def _sample(id_: str, source: str, kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    head = {"_id": {"$oid": id_}, "_media_type": kind, "_rand": int(id_[:8], 16) / 16**8}
    return {**head, "filepath": source, "tags": [], "metadata": metadata}


def _id(*parts: str) -> str:
    return hashlib.sha1("\0".join(parts).encode(), usedforsecurity=False).hexdigest()[:24]


def _piece(mask: Mask, box: np.ndarray) -> dict[str, Any]:
    """The part of the mask in its box, as numpy saves it, deflated, in MongoDB's JSON."""
    height, width = mask.size_hw
    left, top = np.clip(np.floor(box[0]), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(box[1]), 0, (width, height)).astype(int).tolist()
    buffer = io.BytesIO()
    np.save(buffer, mask.crop(left, top, max(left, right), max(top, bottom)), allow_pickle=False)
    text = base64.b64encode(zlib.compress(buffer.getvalue())).decode("ascii")
    return {"$binary": {"base64": text, "subType": "00"}}


def _field(
    name: str, kind: str, document: str | None = None, *, subfield: str | None = None, db_field: str | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": _FIELDS + kind,
        "subfield": subfield,
        "embedded_doc_type": document,
        "db_field": db_field or name,
        "fields": [],
        "description": None,
        "info": None,
        "read_only": False,
        "created_at": None,
    }
