"""All printing: data to stdout, talk and progress to stderr."""

import logging
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ovdet_cli.errors import OutputError

# Rich itself honours NO_COLOR, FORCE_COLOR and TERM=dumb.
# emoji: a file may be called "a:smile:b.jpg".
err = Console(stderr=True, highlight=False, emoji=False)
out = Console(highlight=False, emoji=False)


def say(message: str, *, style: str | None = None) -> None:
    """A line of talk for the person at the terminal."""
    err.print(message, style=style, markup=False, soft_wrap=True)


def warn(message: str) -> None:
    """Something the person should know, though the work goes on."""
    say(f"warning: {message}", style="yellow")


def fail(message: str) -> None:
    """Why the work stops."""
    say(f"error: {message}", style="bold red")


class LogHandler(logging.Handler):
    """Log records as talk, so that they do not break a live progress line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Says the record in the style of its level."""
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        say(f"{record.levelname.lower()}: {record.getMessage()}", style=style)


def stdout_bytes() -> BinaryIO:
    """Standard output for bytes; OutputError where the shell closed it."""
    if sys.stdout is None:
        raise OutputError("standard output is closed; there is nowhere to write to")
    return sys.stdout.buffer


def print_json(value: Any) -> None:
    """A value as JSON on stdout; numpy scalars and arrays are written as numbers and lists."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    data = orjson.dumps(value, option=options)
    try:
        stdout_bytes().write(data)
        stdout_bytes().flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def print_table(title: str | None, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout: a person's answer to `list`, `info`, `report`. Columns of numbers stand to the right."""
    table = Table(
        title=None if title is None else Text(title),
        title_justify="left",
        header_style="bold",
        box=None,
        pad_edge=False,
    )
    for i, name in enumerate(header):
        is_number = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{cell:.3f}" if isinstance(cell, float) else str(cell)) for cell in row))
    out.print(table)
