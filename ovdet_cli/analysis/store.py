"""A DuckDB database of a report's records: on disk while the report lasts, in bounded memory.

Tables, filled in this order:

    run      run_id, name
    source   source_id, run_id, name, is_video            a file of a run, in order
    label    label_id, name                               in order of the runs, and of their names in a run
    frame    frame_id, source_id, index, time_s, width, height, is_ok, error, is_reused
    det      frame_id, label_id, score, x1, y1, x2, y2, track_id     all that was recorded, boxes in fractions of the
                                                          picture, NULL where its size is not known

DuckDB because a million posts do not fit in the memory of a script that makes tables of them, and because it needs no
server and nothing else (MIT licence).
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from ovdet_cli.errors import OutputError

MEMORY_MB = 1000
"""What DuckDB may take for itself; beyond it writes to disk. The process takes some 300 MB besides."""

_TABLES = """
CREATE TABLE run (run_id INTEGER, name VARCHAR);
CREATE TABLE source (source_id INTEGER, run_id INTEGER, name VARCHAR, is_video BOOLEAN);
CREATE TABLE label (label_id INTEGER, name VARCHAR);
CREATE TABLE frame (
  frame_id INTEGER, source_id INTEGER, "index" BIGINT, time_s DOUBLE, width BIGINT, height BIGINT, is_ok BOOLEAN,
  error VARCHAR, is_reused BOOLEAN
);
CREATE TABLE det (
  frame_id INTEGER, label_id INTEGER, score FLOAT, x1 FLOAT, y1 FLOAT, x2 FLOAT, y2 FLOAT, track_id BIGINT
);
"""


class Store:
    """The database; a context manager that removes it."""

    def __init__(self, memory_mb: int = MEMORY_MB) -> None:
        with ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="ovdet-report-", ignore_cleanup_errors=True)
            )
            try:
                self.connection = duckdb.connect(str(Path(folder) / "report.db"))
            except duckdb.Error as error:
                raise OutputError(
                    f"cannot make a database in {folder}: {error}; set TMPDIR to another place"
                ) from error
            stack.callback(self.connection.close)
            self.connection.execute(f"SET memory_limit = '{memory_mb}MB'")
            self.connection.execute(f"SET threads = {os.cpu_count() or 1}")
            self.connection.execute("SET temp_directory = ?", [folder])
            # Nothing is fetched, whatever a record holds.
            self.connection.execute("SET autoinstall_known_extensions = false")
            self.connection.execute(_TABLES)
            self._stack = stack.pop_all()

    def run(self, query: str, *parameters: Any) -> duckdb.DuckDBPyConnection:
        """Carries out SQL with `?` for the parameters.

        Raises:
            OutputError: the disk is full.
        """
        with _room():
            return self.connection.execute(query, list(parameters))

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a small answer."""
        with _room():
            return self.connection.execute(query, list(parameters)).fetchall()

    def columns(self, query: str, *parameters: Any) -> dict[str, Any]:
        """An answer as numpy arrays by name; columns with missing values are masked arrays."""
        with _room():
            return self.connection.execute(query, list(parameters)).fetchnumpy()

    def table(self, query: str, *parameters: Any) -> pa.Table:
        """An answer as an Arrow table."""
        with _room():
            return self.connection.sql(query, params=list(parameters)).to_arrow_table()

    def number(self, query: str, *parameters: Any) -> Any:
        """The one value of a one-row answer."""
        ((value,),) = self.rows(query, *parameters)  # all of them: a result that is left half read blocks the next one
        return value

    def put(self, name: str, table: pa.Table) -> None:
        """Makes a table of the database out of an Arrow table."""
        self._bring(table, f'CREATE OR REPLACE TABLE "{name}" AS FROM _arriving')

    def add(self, name: str, table: pa.Table) -> None:
        """Adds the rows of an Arrow table to a table of the database."""
        self._bring(table, f'INSERT INTO "{name}" FROM _arriving')

    def _bring(self, table: pa.Table, query: str) -> None:
        self.connection.register("_arriving", table)
        try:
            self.run(query)
        finally:
            self.connection.unregister("_arriving")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise OutputError(
            f"the report's database in {tempfile.gettempdir()} cannot go on ({error}); "
            "name a place with more room in TMPDIR"
        ) from error
