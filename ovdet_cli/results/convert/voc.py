"""Pascal VOC: Annotations/, an XML file a picture.

Corners are whole pixels, the first is 1, both ends belong to the box: x from 0.2 to 4.1 is xmin 1, xmax 4. So boxes
come back to half a pixel, and are at least one pixel large. Scores stand in <score>, tracks in <track_id>, which VOC's
tools pass over; <ovdet> names source, index and time. Masks have no place. Control characters in labels become
backslash escapes, as XML has none.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ovdet_cli.errors import RecordError
from ovdet_cli.results.convert.contract import Found, Options, Reading, Writer, make_record, number
from ovdet_cli.results.convert.naming import Names, Tree, picture_name
from ovdet_cli.results.convert.xml_text import parse_xml, xml_bytes, xml_text
from ovdet_cli.results.record import Record, shortest_floats

FOLDER, CLASSES = "Annotations", "classes.txt"
ENTRIES = (FOLDER, CLASSES)


class VocWriter(Writer):
    """Writes a file a picture; one in which nothing was found too."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._tree = Tree(folder / FOLDER)
        self._names = Names()

    def write(self, record: Record) -> None:
        if record.status != "ok":
            self.left_out["pictures that failed"] += 1
            return
        if record.detections.masks is not None:
            self.left_out["masks"] += len(record.detections)
        self._tree.write(self._names.place(record, ".xml"), xml_bytes(self._document(record)))

    def close(self) -> None:
        lines = [" ".join(xml_text(name).splitlines()) for name in self.classes.names]
        (self.folder / CLASSES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _document(self, record: Record) -> ET.Element:
        root = ET.Element("annotation")
        picture = PurePosixPath(picture_name(record))
        _add(root, "folder", str(picture.parent))
        _add(root, "filename", picture.name)
        _add(ET.SubElement(root, "source"), "database", "ovdet")
        if record.width is not None and record.height is not None:
            size = ET.SubElement(root, "size")
            for name, side in (("width", record.width), ("height", record.height), ("depth", 3)):
                _add(size, name, str(side))
        _add(root, "segmented", "0")
        own = ET.SubElement(root, "ovdet", source=xml_text(record.source), index=str(record.index))
        if record.time_s is not None:
            own.set("time_s", repr(record.time_s))
        found = record.detections
        scores = shortest_floats(found.scores)
        tracks = [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()
        for label, box, score, track in zip(record.labels, found.boxes_xyxy, scores, tracks, strict=True):
            self.classes.place(label)
            thing = ET.SubElement(root, "object")
            _add(thing, "name", xml_text(label))
            for name, value in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0"), ("score", str(score))):
                _add(thing, name, value)
            if track >= 0:
                _add(thing, "track_id", str(track))
            frame = ET.SubElement(thing, "bndbox")
            corners = _pixels(box, record.width, record.height)
            for name, corner in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
                _add(frame, name, str(corner))
        return root


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = xml_text(text)


def _pixels(box: np.ndarray, width: int | None, height: int | None) -> list[int]:
    """First and last pixel of the box each way, from 1, inside the picture."""
    corners = []
    for low, high, most in ((box[0], box[2], width), (box[1], box[3], height)):
        first, last = round(float(low)) + 1, round(float(high))
        if most is not None:
            first, last = min(max(first, 1), most), min(max(last, 1), most)
        corners.append((first, max(first, last)))
    (left, right), (top, bottom) = corners
    return [left, top, right, bottom]


def is_voc(path: Path) -> bool:
    """Whether a folder has Annotations/, or XML files with annotations, or a file is one."""
    if path.is_dir():
        return (path / FOLDER).is_dir() or next(path.glob("*.xml"), None) is not None
    return path.suffix.lower() == ".xml" and path.is_file()


def read_voc(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a tree of XML files, by name."""
    root = path / FOLDER if (path / FOLDER).is_dir() else path
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() == ".xml") if root.is_dir() else [root]
    if not files and root == path:
        raise RecordError(f"{root} holds no XML files")
    classes = root.parent / CLASSES
    if root != path and classes.is_file():
        reading.classes.extend(classes.read_text(encoding="utf-8", errors="replace").split("\n")[:-1])
    for file in files:
        try:
            yield _read_document(parse_xml(file), file, root, reading)
        except RecordError as error:
            yield reading.failed(_source(file, root), str(error))
        except (ValueError, OverflowError) as error:
            yield reading.failed(_source(file, root), f"{file}: {error}")


def _source(file: Path, root: Path) -> str:
    return file.with_suffix("").relative_to(root if root.is_dir() else root.parent).as_posix()


def _read_document(document: ET.Element, file: Path, root: Path, reading: Reading) -> Record:
    if document.tag != "annotation":
        raise ValueError(f"its root is <{document.tag}>, not <annotation>")
    own = document.find("ovdet")
    if own is not None and own.get("source") is not None:
        time_text = own.get("time_s")
        place = str(own.get("source")), int(own.get("index", 0)), None if time_text is None else float(time_text)
    else:
        name = (document.findtext("filename") or "").strip()
        source = (Path(_source(file, root)).parent / (Path(name).name or Path(_source(file, root)).name)).as_posix()
        place = source, 0, None
    size = [document.findtext(f"size/{side}") for side in ("height", "width")]
    height, width = (int(number(side.strip(), "the size")) if side and side.strip() else None for side in size)
    found = [_read_object(thing, is_own=own is not None) for thing in document.iter("object")]
    return make_record(*place, (height or None, width or None), found, reading.classes)


def _read_object(thing: ET.Element, *, is_own: bool) -> Found:
    name = thing.findtext("name")
    if name is None:
        raise ValueError("an object has no name")
    sides = [thing.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    if None in sides:
        raise ValueError(f"the object {name!r:.40} lacks a corner in its bndbox")
    left, top, right, bottom = (number(str(side).strip(), "a corner") for side in sides)
    scores = [thing.findtext(key) for key in ("score", "confidence")]
    score = next((number(text.strip(), "the score") for text in scores if text), 1.0)
    track = thing.findtext("track_id")
    label = name if is_own else name.strip()
    return Found(label, (left - 1, top - 1, right, bottom), score, track_id=None if not track else int(track))
