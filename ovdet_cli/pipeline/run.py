"""run(job): sources -> detector -> sinks, gives a RunSummary."""

import logging
import platform
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.photographs import looks_like_photograph
from ovdet_cli.detector.words import Words
from ovdet_cli.errors import TooManyFailuresError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.models.zoo import RECOMMENDED
from ovdet_cli.pipeline.interrupts import InterruptGuard
from ovdet_cli.pipeline.job import DetectJob
from ovdet_cli.pipeline.overlap import run_ahead
from ovdet_cli.pipeline.stream import Begin, End, Found, Result, Step, detect_frames, read_inputs, weigh
from ovdet_cli.render.annotate import DrawnSink, ImageSink, VideoSink
from ovdet_cli.results.jsonl import JsonlSink
from ovdet_cli.results.record import SCHEMA
from ovdet_cli.results.sinks import Sink, open_record_sinks

log = logging.getLogger(__name__)

_FEW = 5  # photographs a detection: from then on the summary says why
_PACKAGES = ("torch", "torchvision", "timm", "open_clip_torch", "av", "opencv-python-headless", "pillow", "numpy")


@dataclass
class RunSummary:
    """What a run did, while it goes and when it has ended."""

    status: str = "running"
    """running, done, failed or interrupted."""
    inputs_total: int = 0
    inputs_done: int = 0
    pictures: int = 0
    """Pictures analysed."""
    video_frames: int = 0
    """Video frames analysed."""
    frames_with_detections: int = 0
    detections: int = 0
    """Detections above the threshold."""
    recorded: int = 0
    """Detections in the records."""
    failed: int = 0
    """Pictures and frames that could not be analysed."""
    undrawn: int = 0
    """Inputs whose annotated copy could not be made, though their records stand."""
    photographs: int = 0
    """Pictures and frames that are outside the world of a model which knows drawings alone; a video by its first."""
    in_photographs: int = 0
    """Detections above the threshold in those pictures and frames."""
    labels: Counter[str] = field(default_factory=Counter)
    """Detections above the threshold by name."""
    notes: list[str] = field(default_factory=list)
    """What the person should know of the output."""
    current: str = ""
    """The input that is being written."""
    decode_s: float = 0.0
    """Seconds that the decoding thread was at work."""
    detect_s: float = 0.0
    """Seconds that the writer waited for results."""
    write_s: float = 0.0
    """Seconds spent writing and drawing."""
    total_s: float = 0.0

    @property
    def frames(self) -> int:
        """Pictures and video frames analysed."""
        return self.pictures + self.video_frames

    def counts(self) -> dict[str, Any]:
        """The numbers of run.json."""
        return {
            "inputs": self.inputs_total,
            "inputs_done": self.inputs_done,
            "pictures": self.pictures,
            "video_frames": self.video_frames,
            "frames_with_detections": self.frames_with_detections,
            "detections": self.detections,
            "recorded": self.recorded,
            "failed": self.failed,
            "undrawn": self.undrawn,
            "labels": dict(self.labels.most_common()),
        }


def run(job: DetectJob, on_progress: Callable[[RunSummary], None] = lambda summary: None) -> RunSummary:
    """Carries out a job; records are on disk as soon as they are made, and run.json tells how it ended.

    on_progress is called after every frame. KeyboardInterrupt closes everything, so that a video under way is
    playable, and is raised again. TooManyFailuresError: more than `max_failures` frames failed.
    """
    missing = len(job.inputs.missing)
    summary = RunSummary(inputs_total=len(job.inputs.sources) + missing, inputs_done=missing)
    started = datetime.now(UTC)
    begun = time.perf_counter()

    def describe() -> None:
        summary.total_s = time.perf_counter() - begun
        if job.folder:
            job.folder.write_info(_info(job, summary, started))

    if job.folder:
        job.folder.clear()
    describe()
    with InterruptGuard() as guard:
        try:
            with ExitStack() as stack:
                writer = _Writer(job, summary, stack)
                frames = _timed(
                    read_inputs(job.inputs, job.sampling, keep_all=bool(writer.drawn), workers=job.workers), summary
                )
                batch = job.detector.batch
                found = detect_frames(run_ahead(frames, 2 * batch, weigh), job.detector, job.words, batch)
                results = stack.enter_context(closing(run_ahead(found, 2 * batch, weigh)))
                _drain(results, writer, summary, on_progress, guard)
            if summary.photographs > _FEW * summary.in_photographs:
                little = f"{summary.in_photographs} found in {summary.photographs} that look like photographs"
                summary.notes = [*summary.notes, f"{little}: {_world(job.detector)}"]
            summary.status = "done"
        except KeyboardInterrupt:
            summary.status = "interrupted"
            raise
        except BaseException:
            summary.status = "failed"
            raise
        finally:
            describe()
    return summary


def _timed(steps: Generator[Step, None, None], summary: RunSummary) -> Generator[Step, None, None]:
    """Counts the seconds that decoding takes."""
    with closing(steps):
        while True:
            begun = time.perf_counter()
            step = next(steps, None)
            summary.decode_s += time.perf_counter() - begun
            if step is None:
                return
            yield step


def _drain(
    results: Iterator[Result],
    writer: "_Writer",
    summary: RunSummary,
    on_progress: Callable[[RunSummary], None],
    guard: InterruptGuard,
) -> None:
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


class _Writer:
    """Hands results to the sinks and counts them."""

    def __init__(self, job: DetectJob, summary: RunSummary, stack: ExitStack) -> None:
        self._job = job
        self._summary = summary
        self._looked_at: str | None = None
        self._is_photograph = False
        self._records: list[Sink] = []
        self.drawn: list[DrawnSink] = []
        labels = job.words.names
        if job.stream is not None:
            self._records = [stack.enter_context(JsonlSink(job.stream, labels))]
        if job.folder is None:
            return
        path = job.folder.path
        for sink in open_record_sinks(path, job.formats, labels, category_ids=job.words.vocabulary.category_ids):
            self._records.append(stack.enter_context(sink))
        if job.render != "none":
            only_hits = job.render == "hits"
            times = (job.sampling.start_s, job.sampling.end_s)
            self.drawn = [
                stack.enter_context(ImageSink(path / "images", labels, job.style, only_hits)),
                stack.enter_context(VideoSink(path / "videos", labels, job.style, only_hits, *times)),
            ]

    def take(self, result: Result) -> None:
        """One step of the run into every sink that it concerns."""
        sinks: list[Sink] = [*self._records, *self.drawn]
        match result:
            case Begin(source):
                self._summary.current = source.name
                for sink in sinks:
                    sink.begin(source)
            case End(source):
                for sink in sinks:
                    sink.end(source)
                self._summary.inputs_done += 1
                self._summary.notes = [note for sink in self.drawn for note in sink.notes]
                self._summary.undrawn = sum(sink.num_undrawn for sink in self.drawn)
            case Failure(source, error):
                log.info("%s: failed: %s", source, error)
                for sink in sinks:
                    sink.skip(result)
                self._count_failure(result)
            case Found(frame, detections):
                strong = detections.above(self._job.threshold)
                if frame.is_sampled:
                    for sink in self._records:
                        sink.write(frame, detections)
                    if self._job.detector.knows:
                        self._look(frame, len(strong))
                    self._count(frame, [self._job.words.names[i] for i in strong.class_ids], len(detections))
                for drawn in self.drawn:
                    if frame.is_sampled or drawn.wants_every_frame:
                        drawn.write(frame, strong)

    def _look(self, frame: Frame, found: int) -> None:
        """Counts what is outside the model's world, and says so when the first such picture comes."""
        if self._looked_at != frame.source:
            self._looked_at = frame.source
            self._is_photograph = looks_like_photograph(frame.image)
            if self._is_photograph and not self._summary.photographs:
                log.warning("%s looks like a photograph: %s", frame.source, _world(self._job.detector))
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


def _world(detector: Detector) -> str:
    """What a model that knows little knows, and which one to take for the rest."""
    return f"the {detector.spec.name} model knows {detector.knows}; for photographs: ovdet models pull {RECOMMENDED}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _novel_names(words: Words) -> list[str]:
    """The classes that were scored as novel."""
    if words.is_novel_C is None:
        return []
    return [name for name, is_novel in zip(words.names, words.is_novel_C.tolist(), strict=True) if is_novel]


def _info(job: DetectJob, summary: RunSummary, started: datetime) -> dict[str, Any]:
    """The content of run.json."""
    detector, vocabulary = job.detector, job.words.vocabulary
    rules, preprocess = detector.rules, detector.preprocess
    return {
        "schema": SCHEMA,
        "status": summary.status,
        "command": list(job.command),
        "started": started.isoformat(timespec="seconds"),
        "finished": None if summary.status == "running" else datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "ovdet": _version("ovdet"),
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
        "model": {
            "name": detector.spec.name,
            "stem": detector.spec.stem,
            "weights": str(detector.weights),
            "weights_sha256": detector.weights_sha256,
            "text_encoder": detector.spec.text_encoder,
            "prompt": detector.spec.prompt,
        },
        "vocabulary": {
            "origins": [part.origin or "words" for part in vocabulary.parts],
            "sha256": vocabulary.sha256,
            "embeddings": list(job.words.origins),
            "embeddings_file": str(job.embeddings) if job.embeddings else None,
            "embeddings_sha256": job.words.sha256,
            "novel": _novel_names(job.words),
            "text_rows": job.words.rows.height if job.words.rows else None,
            "background_sha256": job.words.rows.sha256 if job.words.rows else None,
            "unfamiliar": [{"name": word.name, "nearest": word.nearest} for word in job.words.unfamiliar],
            "names": list(vocabulary.names),
        },
        "settings": {
            "threshold": job.threshold,
            "record_threshold": rules.threshold,
            "nms_iou": rules.nms_iou,
            "max_detections": rules.max_detections,
            "one_class": rules.one_class,
            "post": detector.post,
            "short_side": preprocess.short_side,
            "max_size": preprocess.max_size,
            "masks": detector.with_masks,
            "device": str(detector.device),
            "precision": str(detector.dtype).removeprefix("torch."),
            "batch": detector.batch,
            "formats": list(job.formats),
            "render": job.render,
            "every": job.sampling.every,
            "fps": None if job.sampling.fps is None else float(job.sampling.fps),
            "start_s": None if job.sampling.start_s is None else float(job.sampling.start_s),
            "end_s": None if job.sampling.end_s is None else float(job.sampling.end_s),
        },
        "inputs": {"name": job.inputs.name, "skipped": job.inputs.skipped},
        "counts": summary.counts(),
        "timings": {
            "total_s": round(summary.total_s, 3),
            "decode_s": round(summary.decode_s, 3),
            "waited_for_detector_s": round(summary.detect_s, 3),
            "write_s": round(summary.write_s, 3),
            "frames_per_second": round(summary.frames / summary.total_s, 3) if summary.total_s else None,
        },
        "notes": summary.notes,
    }
