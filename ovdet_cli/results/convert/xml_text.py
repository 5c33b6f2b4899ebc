"""XML that is written whole and read without trust."""

import re
import xml.etree.ElementTree as ET  # reading goes through `parse_xml` alone
from pathlib import Path
from xml.parsers import expat

from ovdet_cli.errors import RecordError

# What XML 1.0 has no character for, and the carriage return, which a reader takes for a line end.
_FOREIGN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_DEPTH = 64


def xml_text(text: str) -> str:
    r"""The text as XML can hold it: control characters become backslash escapes, `\x01`."""
    return _FOREIGN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def xml_bytes(root: ET.Element) -> bytes:
    """The document, indented, UTF-8."""
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def parse_xml(path: Path) -> ET.Element:
    """The root of a document.

    Raises:
        RecordError: it cannot be read, is no XML, or declares a document type: entities are how XML is made to explode
            or to fetch files, and annotations need none.
    """
    try:
        data = path.read_bytes()
        _check(data)
        return ET.fromstring(data)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
    except (ET.ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise RecordError(f"{path}: no XML that can be read ({error})") from error


def _check(data: bytes) -> None:
    """ValueError where the document has a type or is nested absurdly deep."""
    depth = 0

    def refuse(*_: object) -> None:
        raise ValueError("a document type (<!DOCTYPE>) is refused")

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_DEPTH} elements in one another")

    def leave(_: object) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = enter
    parser.EndElementHandler = leave
    parser.Parse(data, True)
