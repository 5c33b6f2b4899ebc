import threading
from fractions import Fraction

import numpy as np
import pytest

from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.media.again import read_again, read_frames
from ovdet_cli.media.images import write_image
from ovdet_cli.media.sources import open_source
from tests.media.clips import corner_picture, make_clip

TICKS = [9000 * i for i in (0, 1, 2, 10, 11, 40, 100, 101, 102, 103)]  # up to four seconds and six apart


@pytest.fixture
def clip(tmp_path):
    """A video of uneven frame rate, as a source, with its frames."""
    path = tmp_path / "clip.mp4"
    make_clip(path, ticks=TICKS)
    info = SourceInfo("clip.mp4", path, "video")
    frames = [frame for frame in open_source(info).frames() if isinstance(frame, Frame)]
    assert len(frames) == len(TICKS)
    return info, frames


@pytest.mark.parametrize("places", [[0], [9], [4, 2], [0, 1, 9], list(range(10)), [5, 5]])
def test_frames_are_those_of_the_first_reading(clip, places):
    info, frames = clip
    wanted = [(frames[i].index, float(frames[i].time_s)) for i in places]
    again = list(read_frames(info, wanted))
    assert [index for index, _ in again] == [frames[i].index for i in sorted(set(places))]
    for index, image in again:
        assert np.array_equal(image, frames[index].image)


def test_one_frame_or_none(clip):
    info, frames = clip
    assert np.array_equal(read_again(info, 3, float(frames[3].time_s)), frames[3].image)
    assert read_again(info, 99, 1000.0) is None
    assert read_again(info, 99, 0.0) is None
    gone = SourceInfo("gone.mp4", info.path.with_name("gone.mp4"), "video")
    assert read_again(gone, 0, 0.0) is None


def test_a_picture_is_read_whole(tmp_path):
    write_image(tmp_path / "a.png", corner_picture((8, 8)))
    image = read_again(SourceInfo("a.png", tmp_path / "a.png", "image"), 0, None)
    assert np.array_equal(image, corner_picture((8, 8)))
    (tmp_path / "b.png").write_text("no picture")
    assert read_again(SourceInfo("b.png", tmp_path / "b.png", "image"), 0, None) is None


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_video_that_is_cut_short_ends(clip, kept):
    info, frames = clip
    data = info.path.read_bytes()
    info.path.write_bytes(data[: int(len(data) * kept)])
    wanted = [(frame.index, float(frame.time_s)) for frame in frames]
    done: list[int] = []
    reading = threading.Thread(target=lambda: done.extend(i for i, _ in read_frames(info, wanted)), daemon=True)
    reading.start()
    reading.join(30)
    assert not reading.is_alive()
    assert set(done) <= set(range(10))


@pytest.mark.parametrize("times", [[0.0] * 10, [1e6] * 10, [5.0 - i for i in range(10)]])
def test_wrong_times_of_a_record_end_too(clip, times):
    info, frames = clip
    wanted = [(frame.index, time) for frame, time in zip(frames, times, strict=True)]
    assert {index for index, _ in read_frames(info, wanted)} <= set(range(10))


def test_times_are_rounded_to_floats_without_losing_the_frame(tmp_path):
    path = tmp_path / "ntsc.mp4"
    make_clip(path, ticks=range(0, 40 * 1001, 1001), time_base=Fraction(1, 30000))
    info = SourceInfo("ntsc.mp4", path, "video")
    frames = [frame for frame in open_source(info).frames() if isinstance(frame, Frame)]
    for place in (1, 13, 39):
        assert np.array_equal(read_again(info, place, float(frames[place].time_s)), frames[place].image)
