"""The road of a run as a stream of steps: inputs -> decoded frames -> detections, in input order."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

from ovdet_cli.detections import Detections
from ovdet_cli.detector.choosing import RegionPolicy
from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.words import Words
from ovdet_cli.errors import DeviceError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import InputList, count_sampled, open_source
from ovdet_cli.regions import StoredRegions


@dataclass(frozen=True)
class Begin:
    """An input begins."""

    source: SourceInfo


@dataclass(frozen=True)
class End:
    """An input has ended."""

    source: SourceInfo


@dataclass(frozen=True, eq=False)
class Found:
    """A frame and what was found in it; of one that was not sampled, or is reused, what was found last in its video."""

    frame: Frame
    detections: Detections
    regions: StoredRegions | None = None
    """What an index keeps of it, where the run makes one."""


_MOST_HEADERS = 200  # opening a video for its length costs milliseconds, over a network more

_MOST_WAITING = 1 << 30  # bytes of pictures that wait for a batch to fill

Step = Begin | End | Frame | Failure
Result = Begin | End | Found | Failure


def weigh(step: Step | Result) -> int:
    """Bytes of the picture that a step carries."""
    frame = step.frame if isinstance(step, Found) else step
    return frame.image.nbytes if isinstance(frame, Frame) else 0


def expected_frames(inputs: InputList, sampling: Sampling) -> int | None:
    """Roughly how many pictures and frames will be analysed, from the headers of the videos alone; None: unknown."""
    videos = [info for info in inputs.sources if info.kind == "video"]
    if len(videos) > _MOST_HEADERS:
        return None
    counts = [count_sampled(info, sampling) for info in videos]
    if any(count is None for count in counts):
        return None
    return len(inputs.sources) - len(videos) + sum(count or 0 for count in counts)


def read_inputs(inputs: InputList, sampling: Sampling, *, keep_all: bool, workers: int) -> Generator[Step, None, None]:
    """Decodes every input in order; pictures on `workers` threads, a few ahead of the reader."""
    yield from inputs.missing
    ahead: deque[tuple[SourceInfo, Future[list[Frame | Failure]] | None]] = deque()

    def steps(info: SourceInfo, picture: Future[list[Frame | Failure]] | None) -> Iterator[Step]:
        yield Begin(info)
        yield from picture.result() if picture else open_source(info, sampling, keep_all).frames()
        yield End(info)

    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for info in inputs.sources:
                is_picture = info.kind == "image"
                ahead.append((info, pool.submit(_read_picture, info) if is_picture else None))
                if len(ahead) > workers:
                    yield from steps(*ahead.popleft())
            while ahead:
                yield from steps(*ahead.popleft())
        finally:
            for _, future in ahead:
                if future:
                    future.cancel()


def _read_picture(info: SourceInfo) -> list[Frame | Failure]:
    return list(open_source(info).frames())


def detect_frames(
    steps: Generator[Step, None, None], detector: Detector, words: Words, batch: int, keep: RegionPolicy | None = None
) -> Generator[Result, None, None]:
    """Puts detections to the sampled frames, `batch` of them at a time; everything else passes in its place."""
    waiting: list[Step] = []
    num_sampled = 0
    last = Detections.empty()
    with closing(steps):  # an error here ends the stage before this one too
        for step in steps:
            waiting.append(step)
            num_sampled += _is_asked(step)
            # Frames that are only drawn wait too, and each is a whole picture in memory.
            if num_sampled >= batch or len(waiting) >= 4 * batch or sum(map(weigh, waiting)) > _MOST_WAITING:
                last = yield from _resolve(waiting, detector, words, last, keep)
                waiting, num_sampled = [], 0
        yield from _resolve(waiting, detector, words, last, keep)


def _is_asked(step: Step) -> bool:
    """Whether it is a frame that the network sees."""
    return isinstance(step, Frame) and step.is_sampled and not step.is_reused


def _resolve(
    waiting: list[Step], detector: Detector, words: Words, last: Detections, keep: RegionPolicy | None
) -> Generator[Result, None, Detections]:
    """Yields the results of some steps; returns what unsampled frames after them hold."""
    frames = [step for step in waiting if isinstance(step, Frame) and _is_asked(step)]
    results = iter(_detect(frames, detector, words, keep))
    for step in waiting:
        if isinstance(step, Begin):
            last = Detections.empty()
        if not isinstance(step, Frame):
            yield step
            continue
        if step.is_cut:
            last = Detections.empty()
        if not _is_asked(step):
            yield Found(step, last)
            continue
        result = next(results)
        if isinstance(result, Failure):
            yield result
            if step.time_s is not None:  # not analysed, but a frame of its video all the same
                yield Found(replace(step, is_sampled=False), last)
            continue
        last, regions = result
        yield Found(step, last, regions)
    return last


def _detect(
    frames: list[Frame], detector: Detector, words: Words, keep: RegionPolicy | None
) -> list[tuple[Detections, StoredRegions | None] | Failure]:
    """Detections and regions of each frame; one too large for the device's memory becomes a failure, others do not."""
    try:
        return list(detector.analyse([frame.image for frame in frames], words, keep))
    except DeviceError as error:
        if len(frames) == 1:
            frame = frames[0]
            return [Failure(frame.source, str(error), frame.index, frame.time_s)]
        return [result for frame in frames for result in _detect([frame], detector, words, keep)]
