"""Sink: where the frames of a run and their detections go, in input order."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from ovdet_cli.detections import Detections
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
