"""The rows of a metadata file (CSV, TSV, JSON lines, JSON) in batches, with the line that each begins on."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.csv as arrow_csv

from ovdet_cli.analysis.findings import Findings
from ovdet_cli.errors import InputError

BATCH = 20_000
_PIECE = 1_000_000  # characters that are split into lines at once
JSON_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson"))
# A JSON array is read as one piece, and takes some eight times its size then.
_MOST_JSON_BYTES = 200_000_000
_SIGNS = ",;\t|"
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class CsvRows:
    """A CSV or TSV file. names: its header. Broken rows are counted and left out.

    Raises:
        InputError: it cannot be read, or is empty.
    """

    def __init__(self, path: Path, findings: Findings) -> None:
        self._path = path
        self._findings = findings
        with _opened(path) as file:
            self._encoding = file.encoding
            head = next((line for line in file if line.strip()), "")
        self._sign = "\t" if path.suffix.lower() in (".tsv", ".tab") else max(_SIGNS, key=head.count)
        with _opened(path) as file:
            self.names = _header(next(csv.reader(_filled(file), delimiter=self._sign), []))
        if not self.names:
            raise InputError(f"{path}: is empty; its first line must name the columns")

    def batches(self, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The cells of the wanted columns, as text."""
        whole = self._whole(wanted)
        if whole is not None:
            yield from whole.to_batches(BATCH)
            return
        places = [self.names.index(name) for name in wanted]
        rows = self._rows()
        while part := [[row[place] for place in places] for _, row in islice(rows, BATCH)]:
            yield pa.record_batch([pa.array(cells, pa.string()) for cells in zip(*part, strict=True)], list(wanted))

    def lines(self, rows: Iterable[int]) -> dict[int, int]:
        """The lines on which rows begin, both counted as `batches` gives them; reads the file again."""
        wanted = set(rows)
        found: dict[int, int] = {}
        silent = CsvRows(self._path, Findings()) if wanted else self
        for row, (line, _) in enumerate(silent._rows() if wanted else ()):
            if row in wanted:
                found[row] = line
                if len(found) == len(wanted):
                    break
        return found

    def _whole(self, wanted: Sequence[str]) -> pa.Table | None:
        """All rows at once, many times faster; None where one is broken, so that it is found and named."""
        if self._encoding != "utf-8-sig" or _has_odd_quotes(self._path):
            return None
        try:
            return arrow_csv.read_csv(
                self._path,
                arrow_csv.ReadOptions(column_names=self.names, skip_rows=0),
                arrow_csv.ParseOptions(delimiter=self._sign, newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(self.names, pa.string()),
                    include_columns=list(wanted),
                    strings_can_be_null=False,
                ),
            ).slice(1)
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError):
            return None

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and cells of every whole row but the header."""
        held: list[str] = []  # the lines of a row that may go on in the next piece of the file
        before = 0  # lines of the file before those
        is_header = True
        with _opened(self._path) as file:
            while True:
                piece = file.readlines(_PIECE)
                lines = held + piece
                done = 0
                for start, end, row in self._parsed(lines, before, is_last=not piece):
                    done = end
                    if row is not None and is_header:
                        is_header = False
                    elif row is not None:
                        yield before + start + 1, row
                if not piece:
                    return
                held = lines[done:]
                before += done

    def _parsed(self, lines: list[str], before: int, is_last: bool) -> Iterator[tuple[int, int, list[str] | None]]:
        """First line, line after the last, and cells of every row; None for an empty or broken one.

        A row that the end of the lines cuts is left out, unless they are the file's last. A quote that stays open
        takes the lines after it with it, up to the next quote: they are read again.
        """
        width, start = len(self.names), 0
        while start < len(lines):
            begin = start
            reader = csv.reader(islice(lines, begin, None), delimiter=self._sign)
            try:
                for row in reader:
                    end = begin + reader.line_num
                    if end == len(lines) and not is_last:
                        return
                    is_open = end == len(lines) and end > start + 1 and self._is_open(lines[start:])
                    if not is_open and (len(row) == width or (len(row) > width and not any(row[width:]))):
                        yield start, end, row
                    elif not row or row == [""]:
                        yield start, end, None
                    else:
                        reason = "a quote stays open" if is_open else f"{len(row)} fields instead of {width}"
                        self._break(before + start, reason)
                        yield start, start + 1, None
                        if end > start + 1:
                            start += 1
                            break
                    start = end
                else:
                    return
            except csv.Error as error:  # a field of more than 128 KB
                self._break(before + start, str(error))
                yield start, start + 1, None
                start += 1

    def _is_open(self, lines: list[str]) -> bool:
        """Whether a quote is open at the end of the file."""
        try:
            next(csv.reader(lines, delimiter=self._sign, strict=True))
        except csv.Error as error:
            return "unexpected end" in str(error)
        return False

    def _break(self, place: int, reason: str) -> None:
        self._findings.add("broken row", f"{self._path.name}, line {place + 1}: {reason}")


def json_rows(path: Path, findings: Findings) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """Line or number, object, and the name it has where the file is one object of objects.

    Raises:
        InputError: the file cannot be read, or is JSON without posts in it.
    """
    if path.suffix.lower() != ".json" or _is_lines(path):
        yield from _json_lines(path, findings)
        return
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise InputError(
                f"{path}: is larger than {_MOST_JSON_BYTES // 1_000_000} MB; write one object a line, .jsonl"
            )
        document = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: is no JSON ({error})") from error
    named: list[tuple[str | None, Any]]
    if isinstance(document, dict):
        inside = next((value for value in document.values() if isinstance(value, list) and value), None)
        named = list(document.items()) if inside is None else [(None, value) for value in inside]
    elif isinstance(document, list):
        named = [(None, value) for value in document]
    else:
        raise InputError(f"{path}: holds no list of posts")
    for place, (name, value) in enumerate(named, start=1):
        if isinstance(value, dict):
            yield place, value, name
        else:
            findings.add("broken row", f"{path.name}, entry {place}: is no object")


def _is_lines(path: Path) -> bool:
    """Whether a .json holds one object a line, as many programs write it."""
    try:
        with path.open("rb") as file:
            first, second = file.readline(_MOST_JSON_BYTES), file.readline(_MOST_JSON_BYTES)
    except OSError:
        return False
    try:
        return isinstance(orjson.loads(first), dict) and second.strip().startswith(b"{")
    except orjson.JSONDecodeError:
        return False


def _json_lines(path: Path, findings: Findings) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.strip().removeprefix(b"\xef\xbb\xbf")
                if not text:
                    continue
                try:
                    value = orjson.loads(text)
                except orjson.JSONDecodeError as error:
                    findings.add("broken row", f"{path.name}, line {number}: is no JSON ({error})")
                    continue
                if isinstance(value, dict):
                    yield number, value, None
                else:
                    findings.add("broken row", f"{path.name}, line {number}: is no object")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _opened(path: Path) -> io.TextIOWrapper:
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        with path.open("rb") as file:
            head = file.read(4)
        encoding = next((name for bom, name in _BOMS if head.startswith(bom)), "utf-8-sig")
        return io.TextIOWrapper(path.open("rb"), encoding=encoding, errors="replace", newline="")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _filled(file: IO[str]) -> Iterator[str]:
    return (line for line in file if line.strip())


def _header(cells: list[str]) -> list[str]:
    """Column names, each once: a second "date" is called "date 2"."""
    names: list[str] = []
    for place, cell in enumerate(cells, start=1):
        name = cell.strip() or f"column {place}"
        names.append(name if name not in names else f"{name} {place}")
    return names


def _has_odd_quotes(path: Path) -> bool:
    """Whether a quote may be open at the end, and have swallowed many rows without a word."""
    with path.open("rb") as file:
        return sum(piece.count(b'"') for piece in iter(partial(file.read, _PIECE), b"")) % 2 == 1
