"""Lists of paths: `@list.txt` and standard input."""

import sys
from pathlib import Path
from typing import TextIO

from ovdet_cli.errors import InputError, UsageError
from ovdet_cli.media.naming import safe_name


def read_list(path: Path) -> list[str]:
    """The entries of a list file; UsageError if it cannot be read, InputError if it is not UTF-8."""
    try:
        return _entries(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"@{safe_name(str(path))}: the list cannot be read: {error.strerror}") from None


def read_stdin(stdin: TextIO | None) -> list[str]:
    """The entries on standard input, or on `stdin` in its stead."""
    stream = sys.stdin if stdin is None else stdin
    buffer = getattr(stream, "buffer", None)
    data = buffer.read() if buffer is not None else stream.read().encode("utf-8", "surrogateescape")
    return _entries(data, "standard input")


def _entries(data: bytes, origin: str) -> list[str]:
    """The paths of a list: NUL-separated where there is a NUL, else one a line, without blank lines and # comments."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{safe_name(origin)}: the list is UTF-16; save it as UTF-8")
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if "\0" in text:
        return [entry for entry in text.split("\0") if entry.strip()]
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def find_entry(entry: str, folder: Path | None) -> Path | None:
    """A list's entry relative to the current folder, else to the list's; line ends of another system are forgiven."""
    for text in dict.fromkeys((entry, entry.strip())):
        for base in (Path(), *([folder] if folder else [])):
            path = base / text
            try:
                if text and path.exists():
                    return path
            except (OSError, ValueError):  # a name longer than the system allows, or with a NUL
                continue
    return None
