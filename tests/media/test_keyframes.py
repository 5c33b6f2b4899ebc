"""Keyframes without the packets between them: the same frames, numbers and times as a full decode gives."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.media import timeline, video
from ovdet_cli.media.keyframes import can_skip
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.video import read_video
from tests.media.clips import TICKS_25, VFR_MS, make_clip

KEYFRAMES = Sampling(keyframes=True)
FIFTIETHS = {"time_base": Fraction(1, 25), "ticks": range(50)}  # 1/90000 s is more than MPEG's own clock can say
CODECS = {
    "h264 with B-frames": {"codec": "libx264", "options": {"g": "12", "bf": "3", "sc_threshold": "0"}},
    "h264 with an open group": {"codec": "libx264", "options": {"x264-params": "keyint=12:bframes=3:open-gop=1"}},
    "h265": {
        "codec": "libx265", "options": {"x265-params": "keyint=12:bframes=3:open-gop=1:log-level=none:pools=none"},
    },
    "vp9": {"codec": "libvpx-vp9", "options": {"g": "12", "cpu-used": "8"}},
    "mpeg2": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}, **FIFTIETHS},
    "mpeg4": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}, **FIFTIETHS},
    "every frame whole": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}  # fmt: skip


def facts(frames: list[Frame | Failure]) -> list[tuple[int, Fraction | None, float]]:
    assert not any(isinstance(frame, Failure) for frame in frames), frames
    return [(frame.index, frame.time_s, float(frame.image.mean())) for frame in frames if isinstance(frame, Frame)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("codec", CODECS)
def test_they_are_those_of_a_full_decode(tmp_path: Path, codec: str, suffix: str) -> None:
    try:
        clip = make_clip(tmp_path / f"a{suffix}", **CODECS[codec])  # type: ignore[arg-type]
    except (av.FFmpegError, ValueError):  # MPEG-4 of old in a transport stream
        pytest.skip("the container does not take it")
    everything = list(read_video(clip, "a", KEYFRAMES, keep_all=True))
    if isinstance(everything[0], Failure) and suffix == ".ts":
        pytest.skip("the container takes it and does not know it again")
    wanted = [frame for frame in everything if isinstance(frame, Frame) and frame.is_sampled]
    assert len(everything) == len(TICKS_25)
    found = facts(list(read_video(clip, "a", KEYFRAMES)))
    assert [f[:2] for f in found] == [f[:2] for f in facts(wanted)]
    assert np.allclose([f[2] for f in found], [f[2] for f in facts(wanted)], atol=1)


def test_only_keyframes_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "a.mp4", options={"g": "10", "sc_threshold": "0"})
    assert can_skip(clip)
    monkeypatch.setattr(timeline, "decoded_frames", None)
    monkeypatch.setattr(video._Reading, "_decoded_from", None)
    assert [index for index, *_ in facts(list(read_video(clip, "a", KEYFRAMES)))] == [0, 10, 20, 30, 40]


def test_uneven_times_and_a_part(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mkv", ticks=[90 * (500 + ms) for ms in VFR_MS], options={"g": "4", "sc_threshold": "0"}
    )
    full = facts(list(read_video(clip, "a")))
    keys = facts(list(read_video(clip, "a", KEYFRAMES)))
    assert [f[:2] for f in keys] == [f[:2] for f in full[::4]]
    part = Sampling(keyframes=True, start_s=Fraction(1, 5), end_s=Fraction(2))
    inside = [f[:2] for f in full[::4] if Fraction(1, 5) <= f[1] - full[0][1] < 2]  # type: ignore[operator]
    assert [f[:2] for f in facts(list(read_video(clip, "a", part)))] == inside
    thin = Sampling(every=2, keyframes=True)
    assert [f[0] for f in facts(list(read_video(clip, "a", thin)))] == [0, 8]


def test_a_part_without_a_keyframe_says_so(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", options={"g": "250", "sc_threshold": "0"})
    for keep_all in (False, True):
        *_, failure = read_video(clip, "a", Sampling(keyframes=True, start_s=Fraction(1)), keep_all)
        assert isinstance(failure, Failure)
        assert "no keyframe in the range" in failure.error


def test_keyframes_and_scenes_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude"):
        Sampling(keyframes=True, scenes=True)
