"""The prints of many files: read by several threads, and kept in a cache file from one report to the next."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ovdet_cli.analysis.findings import Findings
from ovdet_cli.errors import InputError
from ovdet_cli.media.phash import PRINT, VERSION, file_print

_PART = 512  # files between two writes of the cache


def read_prints(
    places: Sequence[Path | None], findings: Findings, cache: Path | None = None, workers: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The prints of files, `PRINT` (N,), and which of them are known, bool (N,).

    A file that is None is not there; one that cannot be read is counted in `findings`. cache: a file that is made,
    and read again next time; prints are by path, size and time of the last change. A cache that cannot be used is
    none.
    """
    prints = np.zeros(len(places), PRINT)
    is_known = np.zeros(len(places), bool)
    with _Cache(cache) as kept, ThreadPoolExecutor(workers or os.cpu_count() or 1, "prints") as pool:
        for start in range(0, len(places), _PART):
            wanted = [
                (place, path) for place, path in enumerate(places[start : start + _PART], start) if path is not None
            ]
            marks = [_mark(path) for _, path in wanted]
            known = kept.get([str(path) for _, path in wanted], marks)
            fresh = [number for number, own in enumerate(known) if own is None]
            for number, made in zip(fresh, pool.map(_made, [wanted[number][1] for number in fresh]), strict=True):
                known[number] = made
            kept.put([(str(wanted[number][1]), marks[number], known[number] or b"") for number in fresh])
            for (place, path), own in zip(wanted, known, strict=True):
                if own and len(own) == PRINT.itemsize:
                    prints[place] = np.frombuffer(own, PRINT)[0]
                    is_known[place] = True
                else:
                    findings.add("unreadable picture", path.name)
    return prints, is_known


class _Cache:
    """Prints by path. Whatever is wrong with the file, nothing is known then and nothing kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._base: sqlite3.Connection | None = None

    def __enter__(self) -> "_Cache":
        if self._path is not None:
            try:
                self._open(self._path)
            except (sqlite3.DatabaseError, OSError):
                self._close()
                with contextlib.suppress(sqlite3.DatabaseError, OSError):
                    self._path.unlink(missing_ok=True)
                    self._open(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def get(self, paths: Sequence[str], marks: Sequence[str]) -> list[bytes | None]:
        """The prints; None where nothing is known."""
        if self._base is None or not paths:
            return [None] * len(paths)
        signs = ",".join("?" * len(paths))
        try:
            rows = self._base.execute(f"SELECT path, mark, print FROM prints WHERE path IN ({signs})", paths).fetchall()
        except (sqlite3.DatabaseError, UnicodeEncodeError):
            return [None] * len(paths)
        known = {(path, mark): own for path, mark, own in rows}
        return [known.get(key) for key in zip(paths, marks, strict=True)]

    def put(self, rows: Sequence[tuple[str, str, bytes]]) -> None:
        """Keeps prints; b"" for what could not be read."""
        if self._base is None or not rows:
            return
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeEncodeError), self._base:
            self._base.executemany("INSERT OR REPLACE INTO prints VALUES (?, ?, ?)", rows)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, timeout=5)
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            self._base.execute("DROP TABLE IF EXISTS prints")
            self._base.execute(f"PRAGMA user_version = {VERSION}")
        self._base.execute("PRAGMA synchronous = OFF")  # a lost cache is no loss
        self._base.execute("CREATE TABLE IF NOT EXISTS prints (path TEXT PRIMARY KEY, mark TEXT, print BLOB)")
        self._base.commit()

    def _close(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None


def _mark(path: Path) -> str:
    """What changes when a file does."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _made(path: Path) -> bytes | None:
    try:
        return file_print(path).tobytes()
    except InputError:
        return None
