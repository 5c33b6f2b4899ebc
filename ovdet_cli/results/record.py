"""The record schema: what a run says of one picture or analysed frame, to and from plain dicts.

One record is one line of detections.jsonl:

    {"schema": "ovdet/1", "source", "index", "time_s", "width", "height", "status": "ok" or "error",
     "error" (failures only), "detections": [{"label", "class_id", "score", "box_xyxy", "mask" (COCO RLE, if asked),
     "track_id" (frames of a video that is tracked; null: no object's, or not yet)}]}

A frame that --skip-similar did not analyse holds the detections before it, and the field "reused": true.

Boxes are pixels of the upright original. Pictures have index 0 and time_s null; a failure has width and height null
and no detections. Later versions only add fields, so a reader ignores those it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import index
from typing import Any, Literal

import numpy as np
import orjson

from ovdet_cli.detections import Detections
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.results.rle import decode_rle, encode_rle

SCHEMA = "ovdet/1"


@dataclass(frozen=True, eq=False)
class Record:
    """One record, read back.

    time_s: None for a picture. width, height: None for a failure. error: None where status is "ok".
    labels: one a detection. detections: empty for a failure.
    """

    source: str
    index: int
    time_s: float | None
    width: int | None
    height: int | None
    status: Literal["ok", "error"]
    error: str | None
    labels: tuple[str, ...]
    detections: Detections


def frame_record(frame: Frame, detections: Detections, labels: Sequence[str]) -> dict[str, Any]:
    """The record of an analysed frame; `labels` are the vocabulary's names, by class id."""
    height, width = frame.size_hw
    scores = shortest_floats(detections.scores)
    boxes = shortest_floats(detections.boxes_xyxy)
    found = []
    for score, box, (_, _, class_id, mask) in zip(scores, boxes, detections, strict=True):
        entry = {"label": readable(labels[class_id]), "class_id": class_id, "score": score, "box_xyxy": box}
        if mask is not None:
            entry["mask"] = encode_rle(mask)
        found.append(entry)
    if detections.track_ids is not None:
        for entry, track_id in zip(found, detections.track_ids.tolist(), strict=True):
            entry["track_id"] = track_id if track_id >= 0 else None
    return {
        **_head(frame.source, frame.index, frame.time_s),
        "width": width,
        "height": height,
        "status": "ok",
        **({"reused": True} if frame.is_reused else {}),
        "detections": found,
    }


def failure_record(failure: Failure) -> dict[str, Any]:
    """The record of a frame that could not be decoded or analysed."""
    return {
        **_head(failure.source, failure.index, failure.time_s),
        "width": None,
        "height": None,
        "status": "error",
        "error": readable(failure.error),
        "detections": [],
    }


def plain_record(record: Record) -> dict[str, Any]:
    """The dict of a record that was read: what `parse_record` takes."""
    found = record.detections
    columns = (record.labels, found, shortest_floats(found.scores), shortest_floats(found.boxes_xyxy))
    entries = []
    for label, (_, _, class_id, mask), score, box in zip(*columns, strict=True):
        entry = {"label": label, "class_id": class_id, "score": score, "box_xyxy": box}
        if mask is not None:
            entry["mask"] = encode_rle(mask)
        entries.append(entry)
    if found.track_ids is not None:
        for entry, track_id in zip(entries, found.track_ids.tolist(), strict=True):
            entry["track_id"] = track_id if track_id >= 0 else None
    fields = {"source": record.source, "index": record.index, "time_s": record.time_s}
    fields |= {"width": record.width, "height": record.height, "status": record.status}
    error = {} if record.status == "ok" else {"error": record.error}
    return {"schema": SCHEMA, **fields, **error, "detections": entries}


def parse_record(record: Mapping[str, Any], *, with_masks: bool = True) -> Record:
    """The typed pieces of a record; `with_masks=False` leaves its masks undecoded and out.

    Raises:
        RecordError: it is no ovdet record, or a field is missing or of the wrong kind.
    """
    if not str(record.get("schema")).startswith("ovdet/"):
        raise RecordError(f"no ovdet record: schema is {record.get('schema')!r}, not {SCHEMA!r}")
    try:
        if record["status"] not in ("ok", "error"):
            raise ValueError(f"status {record['status']!r}")
        is_ok = record["status"] == "ok"
        return Record(
            source=str(record["source"]),
            index=int(record["index"]),
            time_s=None if record["time_s"] is None else float(record["time_s"]),
            width=None if record["width"] is None else int(record["width"]),
            height=None if record["height"] is None else int(record["height"]),
            status=record["status"],
            error=None if is_ok else str(record["error"]),
            labels=tuple(str(entry["label"]) for entry in record["detections"]),
            detections=_parse_detections(record["detections"], with_masks),
        )
    except KeyError as error:
        raise RecordError(f"a record lacks {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"a record's field is not what the schema says: {error}") from error


def shortest_floats(array: np.ndarray) -> list[Any]:
    """A float32 array as (nested) Python floats that print as short as float32 allows: 0.1, not 0.10000000149."""
    return orjson.loads(orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY))


def readable(text: str) -> str:
    r"""The text as records hold it: lone surrogates, which UTF-8 cannot hold, become backslash escapes.

    An undecodable file name reaches Python as `caf\udce9.jpg` with one surrogate a byte; in the records stands the
    same with a real backslash. So every record is plain UTF-8. Who looks for a source in the records must look for
    `readable(frame.source)`.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _head(source: str, index: int, time_s: Fraction | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "source": readable(source),
        "index": index,
        "time_s": None if time_s is None else float(time_s),
    }


def _parse_detections(entries: Sequence[Mapping[str, Any]], with_masks: bool) -> Detections:
    masks = None
    if with_masks and any("mask" in entry for entry in entries):
        masks = [decode_rle(entry["mask"]) for entry in entries]
    detections = Detections(
        np.array([entry["box_xyxy"] for entry in entries], np.float32).reshape(len(entries), 4),
        np.array([entry["score"] for entry in entries], np.float32),
        np.array([index(entry["class_id"]) for entry in entries], np.int64),
        masks,
        _parse_track_ids(entries),
    )
    if not (np.isfinite(detections.boxes_xyxy).all() and np.isfinite(detections.scores).all()):
        raise ValueError("a score or box is no finite number")
    return detections


def _parse_track_ids(entries: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
    if not any("track_id" in entry for entry in entries):
        return None
    ids = [entry.get("track_id") for entry in entries]
    return np.array([-1 if id_ is None else index(id_) for id_ in ids], np.int64)
