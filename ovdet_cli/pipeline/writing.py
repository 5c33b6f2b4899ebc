"""Results of a run into its sinks: records, index, annotated pictures and video."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, BinaryIO, Protocol

from ovdet_cli.detections import Detections
from ovdet_cli.detector.photographs import looks_like_photograph
from ovdet_cli.detector.words import Words
from ovdet_cli.errors import TooManyFailuresError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.media.encoders import Encoding
from ovdet_cli.pipeline.folder import RunFolder
from ovdet_cli.pipeline.interrupts import InterruptGuard
from ovdet_cli.pipeline.stream import Begin, End, Found, Result
from ovdet_cli.pipeline.summary import RunSummary
from ovdet_cli.render.annotate import DrawnSink, ImageSink, VideoSink
from ovdet_cli.render.blur import Blur, HidingAhead
from ovdet_cli.render.draw import DrawStyle
from ovdet_cli.results.index import IndexWriter
from ovdet_cli.results.jsonl import JsonlSink
from ovdet_cli.results.sinks import Sink, open_record_sinks

log = logging.getLogger(__name__)


@contextmanager
def described(
    folder: RunFolder | None, summary: RunSummary, info: Callable[[datetime], dict[str, Any]]
) -> Iterator[InterruptGuard]:
    """A run from its beginning to its end, however it ends: run.json tells of both. Clears the folder of an older one.

    info: when the run began -> the content of run.json.
    """
    started, begun = datetime.now(UTC), time.perf_counter()

    def describe() -> None:
        summary.total_s = time.perf_counter() - begun
        if folder:
            folder.write_info(info(started))

    if folder:
        folder.clear()
    describe()
    with InterruptGuard() as guard:
        try:
            yield guard
            summary.status = "done"
        except KeyboardInterrupt:
            summary.status = "interrupted"
            raise
        except BaseException:
            summary.status = "failed"
            raise
        finally:
            describe()


class Output(Protocol):
    """What a job says of its results."""

    @property
    def words(self) -> Words: ...
    @property
    def folder(self) -> RunFolder | None: ...
    @property
    def stream(self) -> BinaryIO | None: ...
    @property
    def threshold(self) -> float: ...
    @property
    def formats(self) -> Sequence[str]: ...
    @property
    def render(self) -> str: ...
    @property
    def style(self) -> DrawStyle: ...
    @property
    def encoding(self) -> Encoding: ...
    @property
    def max_failures(self) -> int | None: ...


def open_drawn(output: Output, times: tuple[Fraction | None, Fraction | None], stack: ExitStack) -> list[DrawnSink]:
    """The sinks of annotated pictures and video, where the job wants some. times: the part of a video that is kept."""
    if output.folder is None or output.render == "none":
        return []
    path, labels, only_hits = output.folder.path, output.words.names, output.render == "hits"
    return [
        stack.enter_context(ImageSink(path / "images", labels, output.style, only_hits)),
        stack.enter_context(VideoSink(path / "videos", labels, output.style, only_hits, *times, output.encoding)),
    ]


def drain(
    results: Iterator[Result],
    writer: "ResultWriter",
    summary: RunSummary,
    on_progress: Callable[[RunSummary], None],
    guard: InterruptGuard,
) -> None:
    """Hands every result to the writer; an interrupt is taken between two of them."""
    while True:
        begun = time.perf_counter()
        try:
            with guard.window():
                result = next(results, None)
        except KeyboardInterrupt:
            log.warning("interrupted: finishing the files")
            raise
        arrived = time.perf_counter()
        summary.detect_s += arrived - begun
        if result is None:
            return
        writer.take(result)
        summary.write_s += time.perf_counter() - arrived
        on_progress(summary)


class ResultWriter:
    """Hands results to the sinks and counts them.

    drawn: sinks of pictures and video. index: where regions go. world: of a model that knows little, what; pictures of
    another kind are counted and told. with_tracks: detections in videos have track ids. blur: hides
    things in what is drawn.
    """

    def __init__(
        self,
        job: Output,
        summary: RunSummary,
        stack: ExitStack,
        drawn: Sequence[DrawnSink] = (),
        index: IndexWriter | None = None,
        world: str = "",
        *,
        with_tracks: bool = False,
        blur: Blur | None = None,
    ) -> None:
        self._job = job
        self._summary = summary
        self._index = index
        self._world = world
        self._hiding = HidingAhead(blur) if blur and drawn else None
        self._looked_at: str | None = None
        self._is_photograph = False
        self._records: list[Sink] = []
        self.drawn = list(drawn)
        labels = job.words.names
        if job.stream is not None:
            self._records = [stack.enter_context(JsonlSink(job.stream, labels))]
        if job.folder is None:
            return
        path = job.folder.path
        category_ids = job.words.vocabulary.category_ids
        for sink in open_record_sinks(path, job.formats, labels, category_ids=category_ids, with_tracks=with_tracks):
            self._records.append(stack.enter_context(sink))

    def take(self, result: Result) -> None:
        """One step of the run into every sink that it concerns."""
        sinks: list[Sink] = [*self._records, *self.drawn]
        match result:
            case Begin(source):
                self._summary.current = source.name
                if self._index:
                    self._index.begin(source)
                for sink in sinks:
                    sink.begin(source)
            case End(source):
                self._draw_rest()
                for sink in sinks:
                    sink.end(source)
                self._summary.inputs_done += 1
                self._summary.notes = [note for sink in self.drawn for note in sink.notes]
                self._summary.undrawn = sum(sink.num_undrawn for sink in self.drawn)
            case Failure(source, error):
                log.info("%s: failed: %s", source, error)
                self._draw_rest()
                for sink in sinks:
                    sink.skip(result)
                if self._index:
                    self._index.skip(result)
                self._count_failure(result)
            case Found(frame, detections, regions):
                strong = self._job.words.strong(detections, self._job.threshold)
                if frame.is_sampled:
                    for sink in self._records:
                        sink.write(frame, detections)
                    if self._index and regions is not None:
                        self._index.write(frame, regions)
                    elif self._index and frame.is_reused:
                        self._index.reuse(frame)
                    if self._world:
                        self._look(frame, len(strong))
                    self._count(frame, [self._job.words.names[i] for i in strong.class_ids], len(detections))
                if self._hiding is None:
                    self._draw(frame, strong)
                else:
                    for shown, drawn in self._hiding.push(frame, detections, strong):
                        self._draw(shown, drawn)

    def _draw(self, frame: Frame, detections: Detections) -> None:
        for sink in self.drawn:
            if frame.is_sampled or sink.wants_every_frame:
                sink.write(frame, detections)

    def _draw_rest(self) -> None:
        """The frames that were held back to hide things in them."""
        if self._hiding is not None:
            for frame, detections in self._hiding.rest():
                self._draw(frame, detections)

    def _look(self, frame: Frame, found: int) -> None:
        """Counts what is outside the model's world, and says so when the first such picture comes."""
        if self._looked_at != frame.source:
            self._looked_at = frame.source
            self._is_photograph = looks_like_photograph(frame.image)
            if self._is_photograph and not self._summary.photographs:
                log.warning("%s looks like a photograph: %s", frame.source, self._world)
        if self._is_photograph:
            self._summary.photographs += 1
            self._summary.in_photographs += found

    def _count(self, frame: Frame, labels: list[str], recorded: int) -> None:
        summary = self._summary
        log.info("%s [%d]: %d detections", frame.source, frame.index, len(labels))
        if frame.time_s is None:
            summary.pictures += 1
        else:
            summary.video_frames += 1
            summary.reused += frame.is_reused
        summary.frames_with_detections += bool(labels)
        summary.detections += len(labels)
        summary.recorded += recorded
        summary.labels.update(labels)

    def _count_failure(self, failure: Failure) -> None:
        self._summary.failed += 1
        limit = self._job.max_failures
        if limit is not None and self._summary.failed > limit:
            raise TooManyFailuresError(
                f"{self._summary.failed} failed, more than --max-failures {limit} allows; the last: {failure.error}"
            )
