"""Embeddings of sentences on disk, one vector a tower and sentence."""

import contextlib
import hashlib
import json
import re
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ovdet_cli.errors import OutputError

_DAY_S = 86400
_PATIENCE_S = 10.0  # what another process's write of a whole list takes, several times over
_AT_ONCE = 500  # SQLite before 3.32 takes 999 parameters
_FLOAT = np.dtype("<f4")

# A row of `vectors` holds kilobytes and is written once; what changes with every use stands apart.
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB, checksum INTEGER)",
    "CREATE TABLE IF NOT EXISTS uses (key BLOB PRIMARY KEY, tower TEXT, used_s INTEGER) WITHOUT ROWID",
)
# What earlier versions kept: an array a list of sentences, and such arrays half written.
_OLD = re.compile(r"[0-9a-f]{64}\.npy|tmp\w+\.part")
_NUMBERED = re.compile(r"vectors-(\d{1,9})\.sqlite(?:-journal)?")


@dataclass(frozen=True)
class CacheFacts:
    """What a cache holds."""

    num_vectors: int
    num_towers: int
    num_bytes: int
    """On disk, with what earlier versions left."""


class EmbeddingCache:
    """A SQLite file of vectors; safe with several processes and threads, and never needed to go on.

    Whatever fails is as if nothing were there: a disk that is full or read-only, a file of something else, a network
    file system without locks. The journal is SQLite's default, as its write-ahead log needs memory that all readers
    share, which network file systems have not; locks that a file system only pretends to give can damage the file, and
    every vector carries a checksum. A damaged file is given up for one of the next number rather than renamed or
    replaced: the journal of a process that still writes it goes by the old name, and would be played into the new file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, tower_hash: str, sentences: Sequence[str]) -> dict[str, np.ndarray]:
        """Of the sentences those that are there, each with its vector float32 (D,), read-only."""
        sentence_of = {_key(tower_hash, sentence): sentence for sentence in sentences}
        keys = list(sentence_of)
        found: dict[str, np.ndarray] = {}
        stale: list[bytes] = []
        now_s = time.time()
        with contextlib.suppress(OSError, sqlite3.Error), self._opened() as database:
            for start in range(0, len(keys), _AT_ONCE):
                for key, content, checksum, used_s in _select(database, keys[start : start + _AT_ONCE]):
                    vector = _vector(key, content, checksum)
                    if vector is None or key not in sentence_of:
                        continue
                    found[sentence_of[key]] = vector
                    if not isinstance(used_s, int) or abs(now_s - used_s) >= _DAY_S:
                        stale.append(key)
            if stale:
                _note_use(database, tower_hash, stale, int(now_s))
        # A tower has one width; where several are found nobody can tell which is right.
        return found if len({len(vector) for vector in found.values()}) <= 1 else {}

    def put(self, tower_hash: str, sentences: Sequence[str], vectors: np.ndarray) -> None:
        """Stores vectors float32 (N, D); what cannot be written, or is not of that kind, only costs time again."""
        is_whole = vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == len(sentences)
        if not is_whole or not vectors.size or not np.isfinite(vectors).all():
            return
        keys = [_key(tower_hash, sentence) for sentence in sentences]
        contents = [vector.tobytes() for vector in vectors.astype(_FLOAT, copy=False)]
        rows = [(key, content, _checksum(key, content)) for key, content in zip(keys, contents, strict=True)]
        uses = [(key, tower_hash, int(time.time())) for key in keys]
        for _ in range(2):  # the second time into a new file, where the first was found damaged
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with self._opened(makes=True) as database, _writing(database):
                    database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                    database.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?, ?)", uses)
                return
            except sqlite3.Error as error:
                if not _is_damage(error):
                    return
            except OSError:
                return

    def prune(self, older_than_days: float | None) -> int:
        """Removes vectors not used for so many days (noted to a day), or all; gives their number.

        What earlier versions left goes in any case. OutputError if the folder cannot be changed.
        """
        try:
            removed = self._clear() if older_than_days is None else self._prune(older_than_days)
            for file in self._files(_OLD):
                file.unlink(missing_ok=True)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{self.folder} cannot be pruned: {error}") from error
        return removed

    def facts(self) -> CacheFacts:
        """What is there; nothing, where it cannot be read."""
        vectors, towers = 0, 0
        with contextlib.suppress(OSError, sqlite3.Error), self._opened() as database:
            if _has_tables(database):
                vectors, towers = database.execute("SELECT count(*), count(DISTINCT tower) FROM uses").fetchone()
        size = 0
        for file in (*self._files(_NUMBERED), *self._files(_OLD)):
            with contextlib.suppress(OSError):
                size += file.stat().st_size
        return CacheFacts(vectors, towers, size)

    def _prune(self, days: float) -> int:
        try:
            with self._opened() as database:
                if not _has_tables(database):
                    return 0
                with _writing(database):
                    limit = (time.time() - days * _DAY_S,)
                    removed = database.execute("DELETE FROM uses WHERE used_s < ?", limit).rowcount
                    database.execute("DELETE FROM vectors WHERE key NOT IN (SELECT key FROM uses)")
                if removed:
                    database.execute("VACUUM")
                return removed
        except (sqlite3.Error, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) or _is_damage(error):  # it was given up when this was seen
                return 0
            raise

    def _clear(self) -> int:
        """Gives up the file: unlike a deletion row by row that needs no space on a full disk."""
        removed = self.facts().num_vectors
        if files := self._numbered():
            self._give_up(files[-1])
        return removed

    def _files(self, pattern: re.Pattern[str]) -> list[Path]:
        """Files of the folder whose whole names fit; none where there is no folder."""
        try:
            return [file for file in self.folder.iterdir() if pattern.fullmatch(file.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _numbered(self) -> list[Path]:
        """Files of vectors; the last is the one in use."""
        return sorted((file for file in self._files(_NUMBERED) if file.suffix == ".sqlite"), key=_number)

    @contextlib.contextmanager
    def _opened(self, makes: bool = False) -> Iterator[sqlite3.Connection]:
        """The file in use; FileNotFoundError if there is none and none is to be made. Damage makes it given up."""
        files = self._numbered()
        if not files and not makes:
            raise FileNotFoundError
        file = files[-1] if files else self.folder / "vectors-1.sqlite"
        try:
            with contextlib.closing(_connect(file, makes)) as database:
                yield database
        except sqlite3.Error as error:
            if _is_damage(error):
                with contextlib.suppress(OSError, sqlite3.Error):
                    self._give_up(file)
            raise

    def _give_up(self, file: Path) -> None:
        """Begins the file of the next number and removes this one with all before it."""
        successor = self.folder / f"vectors-{_number(file) + 1}.sqlite"
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect(successor, True)) as new, _writing(new):
            pass
        for old in sorted(self._files(_NUMBERED)):  # a file before its journal: without that it would be another one
            if _number(old) <= _number(file):
                old.unlink(missing_ok=True)


def _number(file: Path) -> int:
    match = _NUMBERED.fullmatch(file.name)
    assert match is not None
    return int(match[1])


def _connect(file: Path, makes: bool) -> sqlite3.Connection:
    # A file that may not be written is opened to be read. Transactions are begun by hand.
    address = f"{file.absolute().as_uri()}?mode={'rwc' if makes else 'rw'}"
    database = sqlite3.connect(address, timeout=_PATIENCE_S, isolation_level=None, uri=True)
    database.text_factory = bytes  # text that is damaged cannot be decoded
    try:
        database.execute("PRAGMA page_size = 32768")  # of a new file: 15 of CLIP's vectors a page, not one
    except BaseException:
        database.close()
        raise
    return database


@contextlib.contextmanager
def _writing(database: sqlite3.Connection) -> Iterator[None]:
    """One transaction that writes; the lock comes first, as two that read before could not both get it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in _SCHEMA:
            database.execute(statement)
        yield
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


def _has_tables(database: sqlite3.Connection) -> bool:
    """Whether anything was put yet: a process that makes the file has it empty for a moment."""
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('vectors', 'uses')"
    return bool(database.execute(query).fetchone()[0] == 2)


def _select(database: sqlite3.Connection, keys: list[bytes]) -> list[tuple[object, object, object, object]]:
    """(key, vector, checksum, second of the last use) of those keys that are there."""
    if not _has_tables(database):
        return []
    marks = ",".join("?" * len(keys))
    query = f"SELECT key, vector, checksum, used_s FROM vectors LEFT JOIN uses USING (key) WHERE key IN ({marks})"
    return database.execute(query, keys).fetchall()


def _note_use(database: sqlite3.Connection, tower_hash: str, keys: list[bytes], now_s: int) -> None:
    database.execute("PRAGMA busy_timeout = 0")  # not worth a wait: the next use notes it
    with _writing(database):
        rows = [(key, tower_hash, now_s) for key in keys]
        database.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?, ?)", rows)


def _key(tower_hash: str, sentence: str) -> bytes:
    return hashlib.sha256(json.dumps([tower_hash, sentence]).encode()).digest()


def _checksum(key: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(key))


def _vector(key: object, content: object, checksum: object) -> np.ndarray | None:
    """The vector of a row; None if it is not what was stored. A damaged row may hold any type."""
    if not isinstance(key, bytes) or not isinstance(content, bytes) or checksum != _checksum(key, content):
        return None
    if not content or len(content) % _FLOAT.itemsize:
        return None
    vector = np.frombuffer(content, _FLOAT).astype(np.float32, copy=False)
    return vector if np.isfinite(vector).all() else None


def _is_damage(error: Exception) -> bool:
    """Whether the file is at fault: not SQLite's, broken, or with other tables than ours."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
