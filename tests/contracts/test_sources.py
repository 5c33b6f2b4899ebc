"""What every Source promises, over every kind of Source. A new one adds a line to `GOOD` and to `EMPTY`."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.frame_pattern import SequenceInfo
from ovdet_cli.media.images import write_image
from ovdet_cli.media.remote import RemoteInfo
from ovdet_cli.media.sources import ImageSource, Source, VideoSource, open_source
from tests.media.clips import make_clip


def picture(folder: Path) -> Source:
    write_image(folder / "a.png", np.full((20, 30, 3), 90, np.uint8))
    return open_source(SourceInfo("in/a.png", folder / "a.png", "image"))


def video(folder: Path) -> Source:
    make_clip(folder / "a.mp4", ticks=range(0, 30 * 3600, 3600))
    return open_source(SourceInfo("in/a.mp4", folder / "a.mp4", "video"))


def sequence(folder: Path) -> Source:
    for number in (7, 8, 12):
        write_image(folder / f"f_{number:03d}.png", np.full((20, 30, 3), 9 * number, np.uint8))
    return open_source(SequenceInfo("in/f_%03d.png", folder / "f_%03d.png", "video"))


def remote(folder: Path) -> Source:
    """A file that has been brought already: the road to it is tests/media/test_remote.py's."""
    make_clip(folder / "a.mp4", ticks=range(0, 30 * 3600, 3600))
    return open_source(RemoteInfo("in/a.mp4", folder / "a.mp4", "video", "http://127.0.0.1:9/a.mp4"))


GOOD: dict[str, Callable[[Path], Source]] = {"image": picture, "video": video, "sequence": sequence, "remote": remote}
EMPTY: dict[str, Callable[[SourceInfo], Source]] = {"image": ImageSource, "video": VideoSource}
BAD = {
    "empty": b"",
    "words": b"words and more words\n" * 40,
    "zeros": bytes(5000),
    "jpeg head": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(30),
    "mp4 head": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41\0\0\0\x08free\0\0\xff\xffmdat",
    "matroska head": b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1f",
}


@pytest.fixture(params=GOOD)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    return GOOD[request.param](tmp_path)


def open_paths() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def test_frames_are_rgb_with_rising_indexes_and_times(source: Source) -> None:
    frames = list(source.frames())
    assert frames
    for frame in frames:
        assert isinstance(frame, Frame)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert frame.source == source.info.name
    assert [frame.index for frame in frames] == list(range(len(frames)))
    times = [frame.time_s for frame in frames]
    assert times == [None] if source.info.kind == "image" else all(a < b for a, b in pairwise(times))


def test_each_call_begins_anew(source: Source) -> None:
    first, second = list(source.frames()), list(source.frames())
    assert len(first) == len(second)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_an_iterator_closed_early_closes_its_file(source: Source) -> None:
    before = open_paths()
    frames = source.frames()
    next(frames)
    frames.close()
    assert open_paths() == before


def test_nothing_is_opened_before_the_first_frame_is_asked_for(source: Source) -> None:
    before = open_paths()
    frames = source.frames()
    assert open_paths() == before
    frames.close()


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_bad_input_is_one_failure_and_leaves_nothing_open(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    before = open_paths()
    (failure,) = EMPTY[kind](SourceInfo("in/bad", path, kind)).frames()
    assert isinstance(failure, Failure)
    assert (failure.source, failure.index, failure.time_s) == ("in/bad", 0, None)
    assert failure.error
    assert "\n" not in failure.error
    assert open_paths() == before


@pytest.mark.parametrize("kind", EMPTY)
def test_a_file_that_has_gone_is_one_failure(tmp_path: Path, kind: str) -> None:
    (failure,) = EMPTY[kind](SourceInfo("gone", tmp_path / "gone", kind)).frames()
    assert isinstance(failure, Failure)
    assert "no such file" in failure.error
