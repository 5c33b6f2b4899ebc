import errno
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import OutputError
from ovdet_cli.frame import Frame
from ovdet_cli.media import encoders, video_writer
from ovdet_cli.media.video import Sampling, read_video
from ovdet_cli.media.video_writer import VideoWriter
from tests.media import clips
from tests.media.clips import make_clip, packets_of

MS = Fraction(1, 1000)


def frames_of(path: Path, sampling: Sampling = Sampling()) -> list[Frame]:  # noqa: B008
    frames = list(read_video(path, "clip", sampling))
    assert all(isinstance(frame, Frame) for frame in frames), frames[-1]
    return frames


def rewrite(source: Path, target: Path, **cut: Fraction) -> tuple[list[Frame], list[Frame], list[str]]:
    """What was read from the source, what the written file gives back, and the notes."""
    frames = frames_of(source, Sampling(**cut))
    with VideoWriter(target, source, **cut) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s)
    assert [entry for entry in target.parent.iterdir() if "part" in entry.name] == []
    return frames, frames_of(target), writer.notes


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("ntsc.mp4", {"time_base": Fraction(1001, 30000), "ticks": range(30)}),
        ("vfr.mkv", {"time_base": MS, "ticks": clips.VFR_MS}),
        ("late.mp4", {"ticks": range(324_000_017, 324_000_017 + 20 * 3003, 3003)}),
        ("offset.ts", {"ticks": range(126_000, 126_000 + 20 * 3600, 3600)}),
        ("odd-base.mp4", {"time_base": Fraction(7, 1013), "ticks": (0, 1, 5, 6, 9, 30)}),
        ("fine-base.mp4", {"time_base": Fraction(1, 1_000_003), "ticks": (0, 33_333, 66_671, 100_000)}),
        ("decoding-order.avi", {"time_base": Fraction(1, 25), "ticks": range(20)}),
        ("one-frame.mp4", {"ticks": [0]}),
    ],
)
def test_every_frame_keeps_its_exact_time(tmp_path: Path, name: str, options: dict) -> None:
    read, written, notes = rewrite(make_clip(tmp_path / name, **options), tmp_path / "out.mp4")
    assert [frame.time_s for frame in written] == [frame.time_s for frame in read]
    assert notes == []
    for frame, original in zip(written, read, strict=True):
        assert abs(int(frame.image.mean()) - int(original.image.mean())) <= 3


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.integers(1, 900), min_size=1, max_size=8),
    first=st.integers(0, 100_000),
    den=st.sampled_from([24, 1000, 12800, 30000, 44100, 90000, 1_000_000]),
)
def test_any_times_come_back_exactly(tmp_path: Path, gaps: list[int], first: int, den: int) -> None:
    source = make_clip(tmp_path / "a.mp4", time_base=Fraction(1, den), ticks=[0, 1])
    times = [Fraction(first + sum(gaps[:count]), den) for count in range(len(gaps) + 1)]
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        for index, time_s in enumerate(times):
            writer.write(clips.grey_picture(index, (32, 32)), time_s)
    assert [frame.time_s for frame in frames_of(tmp_path / "out.mp4")] == times


def test_a_cut_begins_at_0(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.ts", options={"g": "10"})
    read, written, _ = rewrite(source, tmp_path / "out.mp4", start_s=Fraction("0.6"), end_s=Fraction("1.2"))
    assert len(read) == 15
    assert [frame.time_s for frame in written] == [frame.time_s - read[0].time_s for frame in read]
    assert written[0].time_s == 0


def test_times_before_0_are_moved_to_0(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        for index in range(3):
            writer.write(clips.grey_picture(index, (64, 48)), Fraction(index - 2, 25))
    assert [frame.time_s for frame in frames_of(tmp_path / "out.mp4")] == [0, Fraction(1, 25), Fraction(2, 25)]


@pytest.mark.parametrize("size_wh", [(64, 48), (1280, 720)])
def test_colours_survive(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    source = make_clip(tmp_path / "a.mp4", size_wh=size_wh, ticks=[0, 3600])
    colours = [(255, 255, 255), (0, 0, 0), (200, 30, 30), (30, 200, 30), (30, 30, 200), (230, 200, 40), (90, 90, 90)]
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        for index, colour in enumerate(colours):
            writer.write(np.full((size_wh[1], size_wh[0], 3), colour, np.uint8), Fraction(index, 25))
    for frame, colour in zip(frames_of(tmp_path / "out.mp4"), colours, strict=True):
        assert np.abs(frame.image[20, 20].astype(int) - colour).max() <= 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert tags == (2, 2, 2, 0)  # the source says nothing either
        assert context.pix_fmt == "yuv420p"
        assert context.codec.name == "h264"


@pytest.mark.parametrize("size_wh", [(33, 17), (1, 1), (2, 300), (65, 64), (16, 15)])
def test_odd_and_tiny_pictures_grow_by_their_edge(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    source = make_clip(tmp_path / "a.mp4", ticks=[0, 3600])
    picture = np.linspace(60, 190, height * width).reshape(height, width).astype(np.uint8)
    picture = np.repeat(picture[:, :, None], 3, axis=2)
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        writer.write(picture, Fraction(0))
    (frame,) = frames_of(tmp_path / "out.mp4")
    grown_h, grown_w = frame.size_hw
    assert grown_h % 2 == grown_w % 2 == 0
    assert (grown_h, grown_w) == (max(16, height + height % 2), max(16, width + width % 2))
    assert np.abs(frame.image[:height, :width].astype(int) - picture).mean() < 8
    assert np.abs(frame.image[-1, -1].astype(int) - picture[-1, -1]).max() < 24


def test_a_picture_of_another_size_is_scaled_with_a_note(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        for index, size_wh in enumerate([(64, 48), (32, 24), (120, 90)]):
            writer.write(clips.grey_picture(index, size_wh), Fraction(index, 25))
    assert [frame.size_hw for frame in frames_of(tmp_path / "out.mp4")] == [(48, 64)] * 3
    assert sum("size" in note for note in writer.notes) == 1


def test_pixels_that_are_not_square_keep_their_aspect(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", aspect=Fraction(16, 11))
    rewrite(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert Fraction(container.streams.video[0].sample_aspect_ratio) == Fraction(16, 11)


@pytest.mark.parametrize(
    ("name", "audio"), [("a.mp4", "aac"), ("a.ts", "aac"), ("a.mkv", "flac"), ("a.mkv", "ac3"), ("a.mp4", "libopus")]
)
def test_sound_is_copied_byte_for_byte_and_in_step(tmp_path: Path, name: str, audio: str) -> None:
    source = make_clip(tmp_path / name, audio=audio)
    _, _, notes = rewrite(source, tmp_path / "out.mp4")
    before, after = packets_of(source, "audio"), packets_of(tmp_path / "out.mp4", "audio")
    assert notes == []
    assert len(after) == len(before) > 20
    for (time_s, payload), (written_s, written) in zip(before, after, strict=True):
        assert abs(time_s - written_s) < Fraction(1, 1000)
        assert written in payload  # a transport stream's AAC loses its ADTS header


def test_sound_lies_between_the_pictures_not_after_them(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", ticks=range(0, 200 * 3600, 3600), audio="aac")
    rewrite(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        by_place = sorted((p.pos, p.stream.type) for p in container.demux() if p.size)
    half = [kind for _, kind in by_place[: len(by_place) // 2]]
    assert half.count("audio") > 100
    assert half.count("video") > 60


def test_sound_is_cut_with_the_pictures(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.ts", ticks=range(0, 100 * 3600, 3600), audio="aac", options={"g": "10"})
    read, _, _ = rewrite(source, tmp_path / "out.mp4", start_s=Fraction(1), end_s=Fraction(2))
    sound = packets_of(tmp_path / "out.mp4", "audio")
    assert 0 <= sound[0][0] < Fraction(1024, 48000)
    assert 0.9 < sound[-1][0] < 1
    shift = read[0].time_s
    before = {payload[7:]: time_s for time_s, payload in packets_of(source, "audio")}  # 7: the ADTS header
    for time_s, payload in sound:
        assert abs(before[payload] - shift - time_s) < Fraction(1, 1000)


@pytest.mark.parametrize(("name", "audio"), [("a.wmv", "wmav2"), ("a.avi", "pcm_s16le"), ("a.mkv", "pcm_u8")])
def test_sound_that_mp4_cannot_hold_becomes_aac_with_a_note(tmp_path: Path, name: str, audio: str) -> None:
    source = make_clip(
        tmp_path / name, time_base=Fraction(1, 25), ticks=range(75), codec="mpeg4", audio=audio, audio_rate=22050
    )
    _, _, notes = rewrite(source, tmp_path / "out.mp4")
    assert any("AAC" in note for note in notes)
    with av.open(str(tmp_path / "out.mp4")) as container:
        (stream,) = container.streams.audio
        assert stream.codec_context.codec.name == "aac"
        heard = [frame.to_ndarray() for frame in container.decode(stream)]
    assert 2.7 * 22050 < sum(part.shape[1] for part in heard) < 3.3 * 22050
    assert np.abs(np.concatenate(heard, axis=1)).max() > 0.1  # a tone, not silence


def test_several_sounds_are_all_kept(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", audio="aac", num_sounds=3)
    rewrite(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.audio) == 3
    assert len(packets_of(tmp_path / "out.mp4", "audio")) == len(packets_of(source, "audio")) > 60


def test_sound_that_cannot_be_added_leaves_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "a.mp4", audio="aac")
    monkeypatch.setattr("ovdet_cli.media.sidestreams._COPIED_SOUND", frozenset())
    monkeypatch.setattr("ovdet_cli.media.sidestreams._AAC_RATES", frozenset((1,)))
    monkeypatch.setattr("ovdet_cli.media.sidestreams._AAC_LAYOUTS", {"mono": "no such layout"})
    _, written, notes = rewrite(source, tmp_path / "out.mp4")
    assert len(written) == 50
    assert any("left out" in note for note in notes)


def test_an_interruption_leaves_a_playable_file_with_the_sound_to_there(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", ticks=range(0, 200 * 3600, 3600), audio="aac")
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "out.mp4", source) as writer:
        for frame in frames_of(source)[:50]:
            writer.write(frame.image, frame.time_s)
        raise KeyboardInterrupt
    assert len(frames_of(tmp_path / "out.mp4")) == 50
    assert packets_of(tmp_path / "out.mp4", "audio")[-1][0] < 2.1


def test_stopping_early_without_an_error_cuts_the_sound_too(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", ticks=range(0, 200 * 3600, 3600), audio="aac")
    writer = VideoWriter(tmp_path / "out.mp4", source)
    for frame in frames_of(source)[:50]:
        writer.write(frame.image, frame.time_s)
    assert not (tmp_path / "out.mp4").exists()
    assert (tmp_path / ".out.mp4.part.mp4").exists()
    writer.close()
    writer.close()
    assert packets_of(tmp_path / "out.mp4", "audio")[-1][0] < 2.1
    with pytest.raises(ValueError, match="closed"):
        writer.write(clips.grey_picture(0, (64, 48)), Fraction(9))


def test_no_frame_no_file(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with VideoWriter(tmp_path / "new" / "out.mp4", source):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_times_that_do_not_rise_are_moved_with_a_note(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        for index, tick in enumerate([0, 3600, 3600, 1800, 7200]):
            writer.write(clips.grey_picture(index, (64, 48)), Fraction(tick, 90000))
    times = [frame.time_s * 90000 for frame in frames_of(tmp_path / "out.mp4")]
    assert times == [0, 3600, 3601, 3602, 7200]
    assert any(note.startswith("2 frames") for note in writer.notes)


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    (tmp_path / "out.mp4").write_bytes(b"old")
    writer = VideoWriter(tmp_path / "out.mp4", source)
    writer.write(clips.grey_picture(0, (64, 48)), Fraction(0))
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    writer.close()
    assert len(frames_of(tmp_path / "out.mp4")) == 1


def test_a_source_that_has_gone_still_gives_pictures(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", tmp_path / "gone.mp4") as writer:
        writer.write(clips.grey_picture(0, (64, 48)), Fraction(1, 30))
    assert [frame.time_s for frame in frames_of(tmp_path / "out.mp4")] == [Fraction(1, 30)]
    assert writer.notes


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"), VideoWriter(tmp_path / "file" / "o.mp4", source) as w:
        w.write(clips.grey_picture(0, (64, 48)), Fraction(0))
    (tmp_path / ".o.mp4.part.mp4").mkdir()
    with pytest.raises(OutputError, match="cannot be written"), VideoWriter(tmp_path / "o.mp4", source) as writer:
        writer.write(clips.grey_picture(0, (64, 48)), Fraction(0))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("num_frames", [1, 20, 100])
def test_a_full_disk_is_an_output_error_and_leaves_no_file(tmp_path: Path, num_frames: int) -> None:
    source = make_clip(tmp_path / "a.mp4", audio="aac")
    (tmp_path / ".out.mp4.part.mp4").symlink_to("/dev/full")
    rng = np.random.default_rng(0)
    with pytest.raises(OutputError, match="cannot be written"), VideoWriter(tmp_path / "out.mp4", source) as writer:
        for index in range(num_frames):
            writer.write(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8), Fraction(index, 25))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_a_refused_rename_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "a.mp4")

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(video_writer.os, "replace", refuse)
    with pytest.raises(OutputError, match="Read-only"), VideoWriter(tmp_path / "out.mp4", source) as writer:
        writer.write(clips.grey_picture(0, (64, 48)), Fraction(0))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_without_x264_mpeg4_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "has_encoder", lambda name: name == "mpeg4")
    read, written, notes = rewrite(make_clip(tmp_path / "a.mp4"), tmp_path / "out.mp4")
    assert len(written) == len(read)
    assert all(abs(a.time_s - b.time_s) < MS for a, b in zip(read, written, strict=True))
    assert any("mpeg4" in note for note in notes)


def test_the_index_stands_at_the_beginning(tmp_path: Path) -> None:
    rewrite(make_clip(tmp_path / "a.mp4"), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_no_file_stays_open(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", audio="aac")
    rewrite(source, tmp_path / "out.mp4")
    names = {link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    assert not names & {"a.mp4", "out.mp4", ".out.mp4.part.mp4"}


@pytest.mark.parametrize("fps", [Fraction(7), Fraction(30000, 1001), Fraction(1, 2), Fraction(240), Fraction(25)])
def test_numbered_pictures_have_exact_times_and_each_stays_as_long(tmp_path: Path, fps: Fraction) -> None:
    with VideoWriter(tmp_path / "a.mp4", tmp_path / "f_%d.png", fps=fps) as writer:
        for number in range(4):
            writer.write(clips.grey_picture(number, (32, 32)), number / fps)
        writer.close(is_whole=True)
    assert [frame.time_s for frame in frames_of(tmp_path / "a.mp4")] == [number / fps for number in range(4)]
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == 4 / fps
    assert writer.notes == []
