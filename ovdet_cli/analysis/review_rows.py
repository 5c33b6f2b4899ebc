"""The rows of a checked sample: CSV, TSV or JSON, one answer or one unit a row; `reviewed.py` tells the two forms."""

import csv
import io
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ovdet_cli.errors import InputError

UNIT_COLUMNS = ("unit", "source", "file", "filename", "file_name", "path", "post", "post_id", "id", "account")
LABEL_COLUMNS = ("label", "class", "name")
ANSWER_COLUMNS = ("present", "there", "is_there", "truth", "true", "correct", "answer", "verdict")
LABELS_COLUMNS = ("labels", "present_labels")
_ANSWERS = {
    **dict.fromkeys(("yes", "y", "true", "t", "1", "1.0", "present", "there"), 1),
    **dict.fromkeys(("no", "n", "false", "f", "0", "0.0", "absent"), 0),
    **dict.fromkeys(("unsure", "maybe", "unknown", "unclear", "?", "", "null", "none", "na", "n/a"), -1),
}


@dataclass(frozen=True)
class Row:
    """One row. line: where it stands. name: of a unit or a file of it. is_whole: labels without an answer are absent.

    answers: label text -> 1 (there), 0 (absent) or -1 (unsure).
    """

    line: int
    name: str
    answers: Mapping[str, int]
    is_whole: bool


def read_rows(path: Path, labels: Set[str]) -> Iterator[Row]:
    """The rows of a checked sample. labels: the vocabulary, which may itself hold |, ; and question marks.

    Raises:
        InputError: the file cannot be read, or a row makes no sense; the message names the line.
    """
    for line, cells in _read(path):
        lower = {str(key).strip().casefold(): value for key, value in cells.items() if key is not None}
        unit = next((lower[column] for column in UNIT_COLUMNS if lower.get(column) not in (None, "")), None)
        if unit is None:
            raise InputError(f"{path}, line {line}: names no unit; a column is called source, file, post_id or unit")
        name = str(unit).strip()
        label = next((lower[column] for column in LABEL_COLUMNS if column in lower), None)
        several = [lower[column] for column in LABELS_COLUMNS if column in lower]
        if label is not None and str(label).strip():
            answers = [lower[column] for column in ANSWER_COLUMNS if column in lower]
            if not answers:
                raise InputError(
                    f"{path}, line {line}: does not say whether {label!r} is there; add a column 'present'"
                )
            yield Row(line, name, {str(label).strip(): _answer(answers[0], path, line)}, False)
        elif several:
            yield Row(line, name, _split(several[0], labels, path, line), True)
        else:
            raise InputError(
                f"{path}, line {line}: names no label; there are columns 'label' and 'present', or 'labels'"
            )


def _answer(value: Any, path: Path, line: int) -> int:
    answer = _ANSWERS.get("" if value is None else str(value).strip().casefold())
    if answer is None:
        raise InputError(f"{path}, line {line}: {str(value)[:40]!r} is no answer; write yes, no or unsure")
    return answer


def _split(value: Any, labels: Set[str], path: Path, line: int) -> dict[str, int]:
    """The labels of a wide row: 1, or -1 for one with a question mark behind it."""
    if not isinstance(value, (str, list)):
        kind = "missing" if value is None else f"of type {type(value).__name__}"
        raise InputError(f"{path}, line {line}: labels are {kind}, not a text or list (empty where nothing is there)")
    if isinstance(value, str):
        value = [value] if value.strip() in labels else value.split("|" if "|" in value else ";")
    texts = [str(text).strip() for text in value]
    return {
        text if is_sure else text.removesuffix("?").strip(): 1 if is_sure else -1
        for text in texts
        if text
        for is_sure in (text in labels or not text.endswith("?"),)
    }


def _read(path: Path) -> Iterator[tuple[int, Mapping[Any, Any]]]:
    """Objects or table rows, each with its line (of a JSON list: its place)."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the checked sample {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); save it as CSV UTF-8") from error
    start = text.lstrip()[:1]
    if start not in ("[", "{"):
        yield from _read_table(path, text)
        return
    lines = [(1, text)] if start == "[" else [(i, row) for i, row in enumerate(text.split("\n"), 1) if row.strip()]
    for line, row in lines:
        try:
            entry = orjson.loads(row)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path}, line {line}: is no JSON ({error})") from error
        for place, value in enumerate(entry if isinstance(entry, list) else [entry], line):
            if not isinstance(value, dict):
                raise InputError(f"{path}, line {place}: is no object of fields but of type {type(value).__name__}")
            yield place, value


def _read_table(path: Path, text: str) -> Iterator[tuple[int, Mapping[Any, Any]]]:
    header = text.split("\n", 1)[0]
    delimiter = max(",\t;", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row:
                raise InputError(
                    f"{path}, line {reader.line_num}: has more cells than the header; quote a cell that holds "
                    f"{'a tab' if delimiter == chr(9) else repr(delimiter)}"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: is no CSV row: {error}") from error
