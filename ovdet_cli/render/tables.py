"""What crops, stills and clips share: file names from any label or source, and a table of the files."""

import csv
import hashlib
import io
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ovdet_cli.results.record import readable
from ovdet_cli.results.sink import OutputFile

_FORBIDDEN = frozenset('<>:"/\\|?*')  # on Windows
_RESERVED = frozenset(("con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))))
_MOST_BYTES = 120  # of 255 that a file name may have


def file_name(text: str) -> str:
    """The text as a file name on any system; where it had to change, with signs of its hash, so that no two share one.

    Case is kept: labels that differ in it alone share a folder where the system does not tell them apart.
    """
    name = "".join("_" if c in _FORBIDDEN or unicodedata.category(c) in ("Cc", "Cs", "Cf") else c for c in text)
    while len(name.encode()) > _MOST_BYTES:
        name = name[: -max(1, (len(name.encode()) - _MOST_BYTES) // 4)]
    name = name.strip(". ")
    if name.split(".")[0].casefold() in _RESERVED or not name:
        name = f"_{name}"
    if name == text and "~" not in text:
        return name
    return f"{name}~{hashlib.blake2s(text.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


class Table:
    """A CSV file with a row for each file that is made; rows are on disk when `add` returns."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = OutputFile(path)
        self.add(columns)

    def add(self, row: Sequence[Any]) -> None:
        """One row."""
        text = io.StringIO(newline="")
        csv.writer(text).writerow([_cell(value) for value in row])
        self._file.write(text.getvalue().encode("utf-8"))

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._file.close()


def _cell(value: Any) -> Any:
    if isinstance(value, Fraction):
        return float(value)
    return readable(value) if isinstance(value, str) else value
