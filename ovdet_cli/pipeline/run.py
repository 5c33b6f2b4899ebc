"""run(job): sources -> detector -> sinks, gives a RunSummary."""

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing

from ovdet_cli.detector.asking import classifier_path
from ovdet_cli.detector.detector import Detector
from ovdet_cli.media.hardware import decoding_on
from ovdet_cli.media.remote import discard
from ovdet_cli.models.checkpoint import write_safetensors
from ovdet_cli.models.zoo import RECOMMENDED
from ovdet_cli.pipeline.cuts import mark_cuts
from ovdet_cli.pipeline.description import describe_run
from ovdet_cli.pipeline.job import DetectJob
from ovdet_cli.pipeline.overlap import run_ahead
from ovdet_cli.pipeline.similar import mark_similar
from ovdet_cli.pipeline.stream import End, Result, Step, detect_frames, read_inputs, weigh
from ovdet_cli.pipeline.summary import RunSummary
from ovdet_cli.pipeline.track_stage import track_frames
from ovdet_cli.pipeline.writing import ResultWriter, described, drain, open_drawn
from ovdet_cli.results.index import IndexWriter

_FEW = 5  # photographs a detection: from then on the summary says why


def run(job: DetectJob, on_progress: Callable[[RunSummary], None] = lambda summary: None) -> RunSummary:
    """Carries out a job; records are on disk as soon as they are made, and run.json tells how it ended.

    on_progress is called after every frame. KeyboardInterrupt closes everything, so that a video under way is
    playable, and is raised again. TooManyFailuresError: more than `max_failures` frames failed.
    """
    missing = len(job.inputs.missing)
    summary = RunSummary(inputs_total=len(job.inputs.sources) + missing, inputs_done=missing)
    with described(job.folder, summary, lambda started: describe_run(job, summary, started)) as guard:
        with ExitStack() as stack:
            stack.enter_context(decoding_on(job.encoding.hwaccel))
            times = (job.sampling.start_s, job.sampling.end_s)
            index = _open_index(job, stack)
            world = _world(job.detector) if job.detector.knows else ""
            drawn = open_drawn(job, times, stack)
            if job.folder:
                drawn += job.looking.open(job.folder.path, job.words.names, job.style, stack)
            blur = job.looking.blurring(job.words.names)
            with_tracks = job.tracking is not None
            writer = ResultWriter(job, summary, stack, drawn, index, world, with_tracks=with_tracks, blur=blur)
            stack.callback(_discard_downloads, job)
            keep_all = any(sink.wants_every_frame for sink in drawn)
            frames = _timed(read_inputs(job.inputs, job.sampling, keep_all=keep_all, workers=job.workers), summary)
            if job.tracking is not None and not job.sampling.scenes:
                frames = mark_cuts(frames)
            if job.skip_similar is not None:
                frames = mark_similar(frames, job.skip_similar)
            batch = job.detector.batch
            keep = None if job.index is None else job.index.policy
            ahead = run_ahead(frames, 2 * batch, weigh)
            found = detect_frames(ahead, job.detector, job.words, batch, keep)
            if job.tracking is not None:
                found = track_frames(found, job.tracking)
            stop = job.inputs.is_stopped.set  # a download would be waited for
            results = stack.enter_context(closing(run_ahead(found, 2 * batch, weigh, on_stop=stop)))
            drain(_discarding(results), writer, summary, on_progress, guard)
        if summary.photographs > _FEW * summary.in_photographs:
            little = f"{summary.in_photographs} found in {summary.photographs} that look like photographs"
            summary.notes = [*summary.notes, f"{little}: {_world(job.detector)}"]
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


def _discarding(results: Iterator[Result]) -> Iterator[Result]:
    """Removes what was downloaded of an input once its end has been written."""
    for result in results:
        yield result
        if isinstance(result, End):
            discard(result.source)


def _discard_downloads(job: DetectJob) -> None:
    """What an early end left."""
    for source in job.inputs.sources:
        discard(source)


def _open_index(job: DetectJob, stack: ExitStack) -> IndexWriter | None:
    """The run's index, with all that is needed to ask it."""
    if job.index is None or job.folder is None:
        return None
    detector, policy = job.detector, job.index.policy
    facts = {
        "model": {
            "name": detector.spec.name,
            "architecture": detector.spec.architecture,
            "weights": str(detector.weights.absolute()),
            "weights_sha256": detector.weights_sha256,
        },
        "rules": dataclasses.asdict(detector.rules) | {"threshold": job.record_threshold},
        "threshold": job.threshold,
        "post": detector.post,
        "size": {"short_side": detector.preprocess.short_side, "max_size": detector.preprocess.max_size},
        "regions": {"most": policy.most, "floor": policy.floor},
    }
    index = IndexWriter(job.folder.path, facts, job.index.precision)
    write_safetensors(detector.classifier_tensors(), classifier_path(index.folder))
    return stack.enter_context(index)


def _world(detector: Detector) -> str:
    """What a model that knows little knows, and which one to take for the rest."""
    return f"the {detector.spec.name} model knows {detector.knows}; for photographs: ovdet models pull {RECOMMENDED}"
