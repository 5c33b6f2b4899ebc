"""Interlaced frames -> whole pictures."""

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ovdet_cli.media.timeline import Damage

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

T = TypeVar("T")


def deinterlaced(
    frames: Iterable[tuple[T, "VideoFrame | Damage"]],
) -> Iterator[tuple[T, "VideoFrame | Damage"]]:
    """The frames, each with what belongs to it; from the first interlaced one on through yadif.

    yadif looks at the frame before and the one after, so a frame comes out when the next one has gone in. It makes one
    picture of the two fields of a frame and lets whole frames pass as they are.
    """
    field_filter: _FieldFilter[T] | None = None
    for tag, frame in frames:
        if isinstance(frame, Damage) or (field_filter is None and not frame.interlaced_frame):
            yield tag, frame
            continue
        shape = frame.width, frame.height, frame.format.name
        if field_filter is None or field_filter.shape != shape:
            yield from field_filter.rest() if field_filter else ()
            field_filter = _FieldFilter(shape)
        yield from field_filter.passed(tag, frame)
    yield from field_filter.rest() if field_filter else ()


class _FieldFilter(Generic[T]):
    """yadif for frames of one shape."""

    def __init__(self, shape: tuple[int, int, str]) -> None:
        from av.filter import Graph
        from av.video.format import VideoFormat

        self.shape = shape
        width, height, pix_fmt = shape
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=width, height=height, format=VideoFormat(pix_fmt, width, height), time_base=Fraction(1)
        )
        yadif = self._graph.add("yadif", "mode=send_frame:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(yadif)
        yadif.link_to(sink)
        self._graph.configure()
        self._waiting: deque[T] = deque()
        self._num_in = 0

    def passed(self, tag: T, frame: "VideoFrame") -> Iterator[tuple[T, "VideoFrame"]]:
        """Takes one frame in; yields what comes out."""
        frame.pts, frame.time_base = self._num_in, Fraction(1)  # the tag knows the true time
        self._num_in += 1
        self._waiting.append(tag)
        self._graph.push(frame)
        yield from self._ready()

    def rest(self) -> Iterator[tuple[T, "VideoFrame"]]:
        """What is still inside."""
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[tuple[T, "VideoFrame"]]:
        import av

        while self._waiting:
            try:
                frame: Any = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield self._waiting.popleft(), frame
