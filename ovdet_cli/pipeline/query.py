"""query(job): an index asked other words, with the records that `detect` would have written."""

import fnmatch
import heapq
import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.detector.asking import Asker
from ovdet_cli.detector.words import Words
from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.encoders import Encoding
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import InputList
from ovdet_cli.pipeline.description import describe_query
from ovdet_cli.pipeline.folder import RunFolder
from ovdet_cli.pipeline.interrupts import InterruptGuard
from ovdet_cli.pipeline.job import Render
from ovdet_cli.pipeline.overlap import run_ahead
from ovdet_cli.pipeline.stream import Begin, End, Found, Result, read_inputs
from ovdet_cli.pipeline.summary import RunSummary
from ovdet_cli.pipeline.writing import ResultWriter, described, drain, open_drawn
from ovdet_cli.regions import StoredRegions
from ovdet_cli.render.annotate import DrawnSink
from ovdet_cli.render.draw import DrawStyle
from ovdet_cli.results.index import Index, IndexedFrame
from ovdet_cli.results.sinks import check_formats

log = logging.getLogger(__name__)

_FRAMES_AT_ONCE = 64
_REGIONS_AT_ONCE = 4096
_FRAMES_AHEAD = 2 * _FRAMES_AT_ONCE

Answers = Callable[[Sequence[IndexedFrame], float], list[Detections]]
"""Frames with regions, and a score at which nothing is of use any more -> what was found in each."""


@dataclass(frozen=True)
class Where:
    """Which frames are asked.

    sources: patterns of which a source's name fits one; none: all do. start_s, end_s: the part of every video, the
    end excluded; pictures, which have no time, are then not asked.
    """

    sources: tuple[str, ...] = ()
    start_s: Fraction | None = None
    end_s: Fraction | None = None

    def takes_source(self, name: str) -> bool:
        """Whether frames of that source are asked."""
        return not self.sources or any(fnmatch.fnmatchcase(name, pattern) for pattern in self.sources)

    def takes(self, frame: IndexedFrame) -> bool:
        """Whether the frame is asked."""
        if not self.takes_source(frame.source.name):
            return False
        if self.start_s is None and self.end_s is None:
            return True
        if frame.time_s is None:
            return False
        is_early = self.start_s is not None and frame.time_s < self.start_s
        return not is_early and (self.end_s is None or frame.time_s < self.end_s)


@dataclass(frozen=True)
class QueryJob:
    """Words asked of an index."""

    run: Path
    index: Index
    asker: Asker
    words: Words
    folder: RunFolder | None
    """None: records go to `stream` as JSON lines."""
    threshold: float
    """Detections above this are drawn and counted; the asker's may be lower."""
    formats: Sequence[str] = ("jsonl", "csv")
    render: Render = "none"
    style: DrawStyle = field(default_factory=DrawStyle)
    where: Where = field(default_factory=Where)
    encoding: Encoding = field(default_factory=Encoding)
    """Codec and quality of annotated video."""
    sampling: Sampling = field(default_factory=Sampling)
    """That of the run, for drawing."""
    like: np.ndarray | None = None
    """Features float32 (S, D) of an example, to find what looks like it; then `words` is its one name."""
    top: int | None = None
    """Keep each word's best so many detections of the whole run, and the frames that hold them; None: all."""
    with_masks: bool = True
    max_failures: int | None = None
    command: Sequence[str] = ()
    stream: BinaryIO | None = None
    embeddings: Path | None = None

    def __post_init__(self) -> None:
        if self.folder is not None and self.folder.path.resolve().is_relative_to(self.run.resolve()):
            raise UsageError(f"a query never writes into the run it asks ({self.run}): name another folder with -o")
        if self.folder is None and self.render != "none":
            raise UsageError("annotated pictures need a run folder: leave out -o -")
        check_formats(self.formats)

    def answer(self, frames: Sequence[IndexedFrame], least: float = 0.0) -> list[Detections]:
        """What the words, or the example, find in frames with regions; what is not above `least` may be left out."""
        stored = [_regions_of(frame) for frame in frames]
        if self.like is not None:
            return self.asker.find_similar(stored, self.like, least)
        return self.asker.answer(stored, self.words, with_masks=self.with_masks, least=least)


def _regions_of(frame: IndexedFrame) -> tuple[StoredRegions, tuple[int, int]]:
    assert frame.regions is not None
    assert frame.size_hw is not None
    return frame.regions, frame.size_hw


def answer_frames(
    frames: Iterator[IndexedFrame], where: Where, answer: Answers, best: "BestOfEach | None" = None
) -> Iterator[tuple[IndexedFrame, Detections]]:
    """Every frame that `where` takes with what was found in it; frames are asked some at a time.

    best: what takes the answers and needs only those above its `least`.
    """
    asked = _Asked(answer)
    waiting: list[tuple[IndexedFrame, bool]] = []
    num_regions = 0
    passed: IndexedFrame | None = None  # the last analysed frame, while it is not asked
    for frame in frames:
        if frame.regions is not None:
            passed = frame
        if not where.takes(frame):
            continue
        if frame.is_reused and passed is not None and passed.source == frame.source:
            waiting.append((passed, False))  # outside of what is asked, but it holds what this frame took over
        if frame.is_reused or frame.regions is not None:
            passed = None
        waiting.append((frame, True))
        num_regions += 0 if frame.regions is None else len(frame.regions)
        if len(waiting) >= _FRAMES_AT_ONCE or num_regions >= _REGIONS_AT_ONCE:
            yield from asked.of(waiting, best.least if best else 0.0)
            waiting, num_regions = [], 0
    yield from asked.of(waiting, best.least if best else 0.0)


class _Asked:
    """Answers to frames; those that were not analysed, as they are like the one before, take over its."""

    def __init__(self, answer: Answers) -> None:
        self._answer = answer
        self._source = ""
        self._last = Detections.empty()

    def of(
        self, waiting: Sequence[tuple[IndexedFrame, bool]], least: float
    ) -> Iterator[tuple[IndexedFrame, Detections]]:
        """The frames that are marked as taken, each with what was found in it."""
        found = iter(self._answer([frame for frame, _ in waiting if frame.regions is not None], least))
        for frame, is_taken in waiting:
            if frame.source.name != self._source:
                self._source, self._last = frame.source.name, Detections.empty()
            if frame.regions is not None:
                self._last = next(found)
            if is_taken:
                yield frame, Detections.empty() if frame.size_hw is None else self._last


class BestOfEach:
    """Of each of so many classes the `top` surest detections of a run."""

    def __init__(self, top: int, num_classes: int) -> None:
        self._top = top
        self._num_classes = num_classes
        self._best: dict[int, list[tuple[float, int, int]]] = {}

    @property
    def least(self) -> float:
        """A score that is too low by now, whatever the class."""
        is_full = len(self._best) == self._num_classes and all(len(heap) == self._top for heap in self._best.values())
        return min(heap[0][0] for heap in self._best.values()) if is_full else 0.0

    def of(self, answered: Iterator[tuple[IndexedFrame, Detections]]) -> Iterator[tuple[IndexedFrame, Detections]]:
        """The frames that hold some of them, with these alone, in order of the run."""
        held: dict[int, tuple[IndexedFrame, Detections, set[int]]] = {}
        for number, (frame, found) in enumerate(answered):
            kept: set[int] = set()
            held[number] = (replace(frame, regions=None), found, kept)  # the file's pages must not be held
            for place, (_, score, class_id, _) in enumerate(found):
                heap = self._best.setdefault(class_id, [])
                # Among equals the earlier ones stay.
                item = (score, -number, -place)
                if len(heap) < self._top:
                    heapq.heappush(heap, item)
                elif item > heap[0]:
                    _, gone, spot = heapq.heapreplace(heap, item)
                    held[-gone][2].discard(-spot)
                    if not held[-gone][2] and -gone != number:
                        del held[-gone]
                else:
                    continue
                kept.add(place)
            if not kept:
                del held[number]
        for frame, found, kept in held.values():
            yield frame, found.select(np.array(sorted(kept), np.int64))


def _results(answered: Iterator[tuple[IndexedFrame, Detections]]) -> Generator[Result, None, None]:
    """Answers as a run's results: with every source's begin and end, failures as they were."""
    source: SourceInfo | None = None
    for frame, found in answered:
        if source is None or source.name != frame.source.name:
            if source is not None:
                yield End(source)
            source = frame.source
            yield Begin(source)
        time_s = None if frame.time_s is None else Fraction(frame.time_s)
        if frame.size_hw is None:
            yield Failure(source.name, frame.error or "", frame.index, time_s)
        else:
            shown = Frame.without_pixels(frame.size_hw, source.name, frame.index, time_s)
            yield Found(replace(shown, is_reused=frame.is_reused), found)
    if source is not None:
        yield End(source)


def query(job: QueryJob, on_progress: Callable[[RunSummary], None] = lambda summary: None) -> RunSummary:
    """Carries out a query; the records are those that `detect` would write with these words, from what was indexed."""
    summary = RunSummary()
    sources: list[SourceInfo] = []
    with described(job.folder, summary, lambda started: describe_query(job, summary, started, sources)) as guard:
        with ExitStack() as stack:
            writer = ResultWriter(job, summary, stack)
            # Records are written while the next frames are asked.
            results = stack.enter_context(closing(run_ahead(_results(_answers(job)), _FRAMES_AHEAD)))
            drain(_noting(results, sources), writer, summary, on_progress, guard)
        summary.inputs_total = summary.inputs_done
        if job.folder is not None and job.render != "none":
            _draw(job, sources, summary, guard)
    return summary


def _answers(job: QueryJob) -> Iterator[tuple[IndexedFrame, Detections]]:
    if job.top is None:
        return answer_frames(job.index.frames(), job.where, job.answer)
    # A negative is never found, and none of its matches is waited for.
    num_classes = sum(not entry.is_negative for entry in job.words.vocabulary.entries)
    best = BestOfEach(job.top, num_classes)
    return best.of(answer_frames(job.index.frames(), job.where, job.answer, best))


def count_words(job: QueryJob) -> tuple[Counter[str], Counter[str]]:
    """(detections above the threshold, frames that hold some) by name."""
    detections: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    for _, found in _answers(job):
        labels = [job.words.names[i] for i in job.words.strong(found, job.threshold).class_ids]
        detections.update(labels)
        frames.update(set(labels))
    return detections, frames


@dataclass(frozen=True, eq=False)
class FoundMatch:
    """One of a word's surest detections in a run."""

    label: str
    score: float
    box_xyxy: np.ndarray
    frame: IndexedFrame

    @property
    def place(self) -> str:
        """The time in its video as M:SS.cc, or nothing for a picture."""
        if self.frame.time_s is None:
            return ""
        minutes, hundredths = divmod(round(self.frame.time_s * 100), 6000)
        return f"{minutes}:{hundredths // 100:02}.{hundredths % 100:02}"

    def plain(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "label": self.label,
            "score": round(self.score, 6),
            "source": self.frame.source.name,
            "index": self.frame.index,
            "time_s": self.frame.time_s,
            "box_xyxy": [round(float(v), 2) for v in self.box_xyxy],
        }


def surest(job: QueryJob) -> list[FoundMatch]:
    """Each word's surest matches, word by word in their order, the surest first."""
    found = [
        (class_id, FoundMatch(job.words.names[class_id], score, box, frame))
        for frame, detections in _answers(job)
        if not frame.is_reused  # the same again
        for box, score, class_id, _ in job.words.strong(detections, job.threshold)
    ]
    return [match for _, match in sorted(found, key=lambda pair: (pair[0], -pair[1].score))]


def _noting(results: Iterator[Result], sources: list[SourceInfo]) -> Iterator[Result]:
    """Notes every source that is in the records; inputs that were never there have no path."""
    for result in results:
        if isinstance(result, Begin) and result.source.path != Path():
            sources.append(result.source)
        yield result


def _draw(job: QueryJob, sources: Sequence[SourceInfo], summary: RunSummary, guard: InterruptGuard) -> None:
    """Decodes the sources again and draws what was found; records do not depend on whether they are still there."""
    there = [info for info in sources if info.path.is_file()]
    gone = [info.name for info in sources if not info.path.is_file()]
    notes = [f"{name} is not drawn: its file is no longer there" for name in gone]
    with ExitStack() as stack:
        times = (job.sampling.start_s, job.sampling.end_s)
        drawn = open_drawn(job, times, stack)
        for result in _drawn_results(job, InputList(tuple(there))):
            with guard.window():
                pass
            _show(result, drawn, job)
        summary.undrawn = len(gone) + sum(sink.num_undrawn for sink in drawn)
        summary.notes = [*notes, *(note for sink in drawn for note in sink.notes)]


def _drawn_results(job: QueryJob, inputs: InputList) -> Generator[Result, None, None]:
    """The decoded frames of the sources in order, with the answers to them; frames that were not asked hold none."""
    order = {info.name: number for number, info in enumerate(inputs.sources)}
    answered = (pair for pair in _answers(job) if pair[0].source.name in order and pair[0].size_hw is not None)
    ahead = next(answered, None)
    last = Detections.empty()
    with closing(read_inputs(inputs, job.sampling, keep_all=True, workers=1)) as steps:
        for step in steps:
            if isinstance(step, Begin):
                last = Detections.empty()
            if not isinstance(step, Frame):
                yield step
                continue
            if not step.is_sampled:
                yield Found(step, last)
                continue
            here = (order[step.source], step.index)
            # Answers to frames that are no longer decoded, as their file has changed, are passed over.
            while ahead is not None and (order[ahead[0].source.name], ahead[0].index) < here:
                ahead = next(answered, None)
            is_answered = ahead is not None and (order[ahead[0].source.name], ahead[0].index) == here
            last = ahead[1] if ahead is not None and is_answered else Detections.empty()
            yield Found(step, last)


def _show(result: Result, drawn: Sequence[DrawnSink], job: QueryJob) -> None:
    for sink in drawn:
        match result:
            case Begin(source):
                sink.begin(source)
            case End(source):
                sink.end(source)
            case Failure():
                sink.skip(result)
            case Found(frame, detections) if frame.is_sampled or sink.wants_every_frame:
                sink.write(frame, job.words.strong(detections, job.threshold))
