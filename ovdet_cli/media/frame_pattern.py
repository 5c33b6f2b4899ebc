"""Numbered pictures that are one video: `frame_%05d.png`."""

import logging
import os
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ovdet_cli.errors import InputError, UsageError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.images import IMAGE_SUFFIXES, read_image
from ovdet_cli.media.naming import safe_name
from ovdet_cli.media.sampling import Sampler, Sampling

log = logging.getLogger(__name__)

DEFAULT_FPS = Fraction(25)
"""That of ffmpeg."""
_NUMBER = re.compile(r"%(?:0?([1-9][0-9]?))?d")
_DECODERS = 2
_AHEAD = 4


@dataclass(frozen=True)
class SequenceInfo(SourceInfo):
    """A numbered sequence of pictures as an input: `path` is the pattern, `fps` the frames a second of its times."""

    fps: Fraction = DEFAULT_FPS


def fps_of(info: SourceInfo) -> Fraction | None:
    """Frames a second of numbered pictures; None for what says so itself."""
    return info.fps if isinstance(info, SequenceInfo) else None


def is_frame_pattern(text: str) -> bool:
    """Whether the name (not the folder) has a `%d` or `%05d` in it."""
    return _NUMBER.search(Path(text).name.replace("%%", "")) is not None


def stem_of(pattern: str) -> str:
    """What to call the sequence: the text before the number, else its folder's name."""
    name = Path(pattern).name
    at = re.search(r"%0?[0-9]*d", name.replace("%%", "\0\0"))
    before = name[: at.start() if at else None].replace("%%", "%").rstrip("_-. ")
    return before or Path(os.path.abspath(pattern)).parent.name  # noqa: PTH100 - a link keeps its name


def numbered_files(pattern: Path) -> list[tuple[int, Path]]:
    """Number and path of every picture that fits the pattern, by rising number.

    As in C, `%05d` is a number of five digits or more, and `%d` one without leading zeros; `%%` is a percent sign.
    A number that is missing is a gap in time and no end (ffmpeg stops there), and the first one may be any.

    Raises:
        UsageError: the pattern is none. InputError: its folder cannot be read.
    """
    expression = _expression(pattern.name)
    try:
        names = [path.name for path in pattern.parent.iterdir()]
    except OSError as error:
        raise InputError(f"{safe_name(str(pattern.parent))}: {error.strerror or error}") from error
    found = [(int(match[1]), pattern.parent / name) for name in names if (match := expression.fullmatch(name))]
    return sorted(found)


def _expression(name: str) -> re.Pattern[str]:
    parts = name.split("%%")
    numbers = [match for part in parts for match in _NUMBER.finditer(part)]
    if len(numbers) != 1 or "%" in _NUMBER.sub("", "".join(parts)):
        raise UsageError(
            f"{safe_name(name)}: a pattern of numbered pictures has one number, as in frame_%05d.png (a percent sign "
            "itself is %%)"
        )
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(f"{safe_name(name)}: a pattern of numbered pictures ends like a picture, as in frame_%05d.png")
    width = int(numbers[0][1] or 1)
    # More digits than the width never begin with a zero, so no two names have the same number.
    digits = f"([0-9]{{{width}}}|[1-9][0-9]{{{width},18}})"
    quoted = [re.escape(_NUMBER.sub("\0", part)).replace(re.escape("\0"), digits) for part in parts]
    return re.compile("%".join(quoted), re.ASCII)


def read_sequence(info: SequenceInfo, sampling: Sampling, keep_all: bool) -> Iterator[Frame | Failure]:
    """The pictures in range as the frames of a video: picture n is shown at (n - first) / fps.

    A picture that cannot be read is a Failure in its place, and the others follow.
    """
    try:
        files = numbered_files(info.path)
    except (InputError, UsageError) as error:
        yield Failure(info.name, str(error))
        return
    if not files:
        yield Failure(info.name, "no picture fits the pattern")
        return
    wanted = list(_in_range(files, info.fps, sampling, keep_all))
    if not wanted:
        last_s = (files[-1][0] - files[0][0]) / info.fps
        yield Failure(
            info.name, f"has no frame in the range asked for: its last frame is shown at {float(last_s):.2f} s"
        )
        return
    size_hw: tuple[int, int] | None = None
    for frame in _decoded(info.name, wanted):
        if isinstance(frame, Frame):
            if size_hw is not None and frame.size_hw != size_hw:
                log.warning(
                    "%s: the pictures differ in size: %dx%d, and %dx%d from frame %d on",
                    *(info.name, *size_hw[::-1], *frame.size_hw[::-1], frame.index),
                )
            size_hw = frame.size_hw
        yield frame


def count_sequence(info: SequenceInfo, sampling: Sampling) -> int | None:
    """How many frames are analysed; None when nothing tells."""
    if sampling.scenes:
        return None
    try:
        return len(list(_in_range(numbered_files(info.path), info.fps, sampling, keep_all=False)))
    except (InputError, UsageError):
        return None


@dataclass(frozen=True)
class _Place:
    """A picture of the sequence that is wanted."""

    path: Path
    index: int
    time_s: Fraction
    is_sampled: bool


def _in_range(files: list[tuple[int, Path]], fps: Fraction, sampling: Sampling, keep_all: bool) -> Iterator[_Place]:
    sampler = Sampler(sampling)
    for index, (number, path) in enumerate(files):
        time_s = (number - files[0][0]) / fps
        if sampling.end_s is not None and time_s >= sampling.end_s:
            return
        if time_s >= (sampling.start_s or 0):
            is_sampled = sampler.takes(time_s)
            if is_sampled or keep_all:
                yield _Place(path, index, time_s, is_sampled)


def _decoded(name: str, places: list[_Place]) -> Iterator[Frame | Failure]:
    """Decodes a few pictures ahead: a PNG takes longer than a frame of a video."""

    def read(place: _Place) -> Frame | Failure:
        try:
            return Frame(read_image(place.path), name, place.index, place.time_s, place.is_sampled)
        except InputError as error:
            return Failure(name, str(error), place.index, place.time_s)

    waiting: deque[Future[Frame | Failure]] = deque()
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="sequence") as pool:
        try:
            for place in places:
                waiting.append(pool.submit(read, place))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
