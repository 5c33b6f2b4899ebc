"""Sink: where the frames of a run and their detections go, in input order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ovdet_cli.detections import Detections
from ovdet_cli.errors import OutputError
from ovdet_cli.frame import Failure, Frame, SourceInfo


class Sink(ABC):
    """Receives a whole run in input order; a context manager that owns its files.

    For every input: `begin(source)`, then `write` or `skip` for each of its frames, then `end(source)`.
    Only sinks with `wants_every_frame` are handed frames that were not sampled (with the last boxes found);
    every other one sees analysed frames and failures alone.
    """

    wants_every_frame = False

    def begin(self, source: SourceInfo) -> None:  # noqa: B027  an input's start concerns few sinks
        """Called before the first frame of an input."""

    @abstractmethod
    def write(self, frame: Frame, detections: Detections) -> None:
        """Takes one frame and what was found in it."""

    @abstractmethod
    def skip(self, failure: Failure) -> None:
        """Takes a frame that could not be decoded or analysed."""

    def end(self, source: SourceInfo) -> None:  # noqa: B027
        """Called after the last frame of an input, also when the run is interrupted inside it."""

    @abstractmethod
    def close(self) -> None:
        """Finishes the files; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system says against writing `path` (disk full, no permission) into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


class OutputFile:
    """A new file in which every write is on disk (or with the system) when it returns, and comes in one piece.

    Unbuffered, so that a killed run keeps each whole write, and a failed one leaves nothing behind to be flushed later.
    """

    def __init__(self, path: Path) -> None:
        """Makes the file, empty, and the folders above it.

        Raises:
            OutputError: here and in `write` and `close`, when the system refuses.
        """
        self.path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)

    def write(self, data: bytes, *, back: int = 0) -> None:
        """Puts `data` at the end, over the last `back` bytes; it must be no shorter than those."""
        with writing(self.path):
            if back:
                self._file.seek(-back, 2)
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with writing(self.path):
            self._file.close()
