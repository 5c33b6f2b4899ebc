"""The run folder: made, locked against other processes, cleared when asked, and described by run.json."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ovdet_cli.errors import OutputError, UsageError
from ovdet_cli.frame import SourceInfo
from ovdet_cli.media.walk import is_run_folder
from ovdet_cli.results.sinks import RECORD_FILES

RUN_FILE = "run.json"
_TABLES = ("crops.csv", "stills.csv", "clips.csv")
_OWN = (*RECORD_FILES, *_TABLES, "images", "videos", "crops", "stills", "clips", "index", "report", RUN_FILE)
_LOCK = ".ovdet.lock"


class RunFolder:
    """A folder that one run writes; a context manager that holds its lock.

    OutputError where the folder cannot be written, is being written by another process, or holds a run already
    (with `overwrite` that run is removed, and nothing else in the folder is touched).
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self._is_new = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / _LOCK)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputError(
                f"another ovdet is writing {path}; wait for it, or choose another folder with -o"
            ) from error
        except OSError as error:
            raise OutputError(f"cannot write the run folder {path}: {error.strerror or error}") from error
        try:
            self._old = self._find_old(overwrite)
        except BaseException:
            self.close()
            raise

    def _find_old(self, overwrite: bool) -> list[Path]:
        """What an earlier run left here; OutputError unless it may go."""
        found = [self.path / name for name in _OWN if (self.path / name).exists()]
        if found and not is_run_folder(self.path):
            # Someone's own `images` folder, say: never ours to remove.
            raise OutputError(
                f"{self.path} is no run folder but holds {', '.join(place.name for place in found)}, which a run would "
                "write; choose another folder with -o"
            )
        if found and not overwrite:
            raise OutputError(
                f"{self.path} already holds a run; choose another folder with -o, or write it anew with --overwrite"
            )
        return found

    def check_inputs(self, sources: Iterable[SourceInfo]) -> None:
        """UsageError if an input lies in what `clear` removes."""
        doomed = [place.resolve() for place in self._old]
        for source in sources if doomed else ():
            if any(source.path.resolve().is_relative_to(place) for place in doomed):
                raise UsageError(
                    f"{source.path} is part of the run that --overwrite removes; name another folder with -o"
                )

    def clear(self) -> None:
        """Removes the earlier run. Called when the new one begins: one that cannot start costs nothing."""
        try:
            for place in self._old:  # run.json last: with it, what is left after a kill is still known as a run
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                else:
                    place.unlink()
        except OSError as error:
            raise OutputError(f"cannot remove the old run in {self.path}: {error.strerror or error}") from error

    def write_info(self, info: dict[str, Any]) -> None:
        """Writes run.json as a whole."""
        part = self.path / f".{RUN_FILE}.part"
        try:
            text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
            # An undecodable file name on the command line: written as the records write it.
            text = re.sub("[\ud800-\udfff]", lambda match: f"\\\\u{ord(match[0]):04x}", text)
            part.write_text(text, encoding="utf-8")
            part.replace(self.path / RUN_FILE)
        except OSError as error:
            raise OutputError(f"cannot write {self.path / RUN_FILE}: {error.strerror or error}") from error

    def read_info(self) -> dict[str, Any]:
        """What run.json says now."""
        return json.loads((self.path / RUN_FILE).read_text(encoding="utf-8"))

    def close(self) -> None:
        """Gives the lock back; a folder that was made here and stayed empty goes."""
        with contextlib.suppress(OSError):  # removed while held: whoever comes next makes a new one
            (self.path / _LOCK).unlink()
        self._lock.release()
        if self._is_new:
            with contextlib.suppress(OSError):  # it holds a run, or someone removed it
                self.path.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
