"""What a video holds comes back in its copy: colours, shape, sound, subtitles, chapters, and times that break."""

import shutil
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from ovdet_cli.errors import InputError, UsageError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.media import timeline
from ovdet_cli.media.adts import read_adts
from ovdet_cli.media.encoders import Encoding
from ovdet_cli.media.hardware import decoding_on
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.subtitles import HEADER, plain_text, timed_text
from ovdet_cli.media.video import read_video
from ovdet_cli.media.video_writer import VideoWriter
from tests.media import clips
from tests.media.clips import make_clip, packets_of

FRAME = Fraction(1, 25)
WHOLE, DEFAULT = Sampling(), Encoding()
new_pyav = pytest.mark.skipif(not hasattr(av.container.Container, "chapters"), reason="this PyAV knows no chapters")


def copied(
    source: Path, *, sampling: Sampling = WHOLE, encoding: Encoding = DEFAULT
) -> tuple[Path, list[str], list[Frame | Failure]]:
    """The video written anew as a run does it: file, notes, and what was read."""
    made = source.with_name(f"{source.name}.out.mp4")
    items = list(read_video(source, source.name, sampling, keep_all=True))
    cut = {"start_s": sampling.start_s, "end_s": sampling.end_s}
    writer = VideoWriter(made, source, encoding=encoding, **cut)
    for item in items:
        if isinstance(item, Frame):
            writer.write(item.image, item.time_s)
    writer.close(is_whole=not isinstance(items[-1], Failure))
    return made, writer.notes, items


def times_of(items: Sequence[Frame | Failure]) -> list[Fraction]:
    return [item.time_s for item in items if isinstance(item, Frame)]


def shown(path: Path) -> list[Frame]:
    return [item for item in read_video(path, "made") if isinstance(item, Frame)]


def make_tagged(path: Path, tags: tuple[int, int, int, int], codec: str = "libx264", pix_fmt: str = "yuv420p") -> Path:
    """A clip of random blocks whose stream says matrix, primaries, transfer and range."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        options = {"x265-params": "log-level=none:crf=4"} if codec == "libx265" else {"crf": "4"}
        video = container.add_stream(codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        context = video.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        for _ in range(3):
            blocks = np.kron(rng.integers(40, 216, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(blocks, "rgb24").reformat(format=pix_fmt, dst_color_range=tags[3] or 1)
            frame.color_range = tags[3]
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def luma(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        planes = [frame.reformat(format="yuv420p").to_ndarray()[:48] for frame in container.decode(video=0)]
    return np.array(planes, float)


@pytest.mark.parametrize(
    "tags", [(2, 2, 2, 0), (1, 1, 1, 1), (6, 6, 6, 1), (5, 5, 4, 1), (1, 1, 1, 2), (9, 9, 14, 1), (5, 2, 2, 2)]
)
def test_colour_tags_stay_and_so_do_the_values_they_speak_of(tmp_path: Path, tags: tuple[int, int, int, int]) -> None:
    source = make_tagged(tmp_path / "a.mp4", tags)
    made, _, _ = copied(source, encoding=Encoding(crf=4))
    with av.open(str(made)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == tags
    assert np.abs(luma(source) - luma(made)).mean() < 1.5


def test_hdr_in_ten_bits_keeps_its_tags_and_is_told(tmp_path: Path) -> None:
    source = make_tagged(tmp_path / "a.mp4", (9, 9, 16, 1), "libx265", "yuv420p10le")
    made, notes, _ = copied(source, encoding=Encoding(crf=4))
    with av.open(str(made)) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.pix_fmt) == (9, 16, "yuv420p")
    assert any("HDR (PQ)" in note for note in notes)
    assert np.abs(luma(source) - luma(made)).mean() < 2


@pytest.mark.parametrize(
    ("matrix", "corner", "aspect"),
    [
        ((1, 0, 0, 1), "top left", Fraction(16, 11)),
        ((0, 1, -1, 0), "bottom left", Fraction(11, 16)),
        ((-1, 0, 0, -1), "bottom right", Fraction(16, 11)),
        ((0, -1, 1, 0), "top right", Fraction(11, 16)),
    ],
)
@pytest.mark.parametrize("size_wh", [(64, 48), (64, 64)])
def test_turned_pixels_that_are_not_square(
    tmp_path: Path, matrix: tuple[int, int, int, int], corner: str, aspect: Fraction, size_wh: tuple[int, int]
) -> None:
    pictures = [clips.corner_picture(size_wh)] * 3
    source = make_clip(
        tmp_path / "a.mp4", ticks=[0, 3600, 7200], size_wh=size_wh, pictures=pictures, aspect=Fraction(16, 11)
    )
    made, _, _ = copied(clips.set_display_matrix(source, *matrix))
    picture = shown(made)[0]
    assert np.abs(picture.image[8, 8].astype(int) - clips.CORNERS[corner]).max() < 25
    assert picture.size_hw == (size_wh if matrix[0] == 0 else size_wh[::-1])
    with av.open(str(made)) as container:
        assert Fraction(container.streams.video[0].sample_aspect_ratio) == aspect
        assert not next(container.decode(video=0)).side_data.get("DISPLAYMATRIX")


CODECS = [
    ("a.mov", "prores_ks", "yuv422p10le", {}),
    ("a.mov", "qtrle", "argb", {}),
    ("a.mov", "png", "rgb24", {}),
    ("a.webm", "libvpx-vp9", "yuva420p", {"deadline": "realtime", "cpu-used": "8"}),
    ("a.mkv", "libsvtav1", "yuv420p", {"preset": "12"}),
    ("a.mkv", "ffv1", "yuv444p", {}),
    ("a.avi", "mjpeg", "yuvj420p", {}),
    ("a.avi", "mpeg4", "yuv420p", {"bf": "2"}),
    ("a.ts", "mpeg2video", "yuv420p", {"bf": "2"}),
    ("a.gif", "gif", "rgb8", {}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options"), CODECS)
def test_every_codec_gives_all_its_frames_at_their_times(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    base = Fraction(1, 25) if codec in ("mpeg4", "mjpeg", "mpeg2video", "gif") else Fraction(1, 1000)
    ticks = range(12) if base == FRAME else range(0, 480, 40)
    source = make_clip(
        tmp_path / name, codec=codec, pix_fmt=pix_fmt, options=options, ticks=ticks, time_base=base, size_wh=(96, 64)
    )
    made, notes, items = copied(source)
    frames = shown(made)
    first = times_of(items)[0]
    assert len(frames) == 12
    assert [frame.time_s for frame in frames] == times_of(items) == [first + FRAME * i for i in range(12)]
    assert first == 0 or name == "a.ts"
    for frame, item in zip(frames, items, strict=True):
        assert np.abs(frame.image.astype(int).mean() - item.image.mean()) < 6
    assert not notes


def test_transparency_is_told_where_there_is_some(tmp_path: Path) -> None:
    source = tmp_path / "a.mov"
    with av.open(str(source), "w") as container:
        video = container.add_stream("qtrle", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "argb"
        picture = np.full((48, 64, 4), 120, np.uint8)
        container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgba").reformat(format="argb")))
        container.mux(video.encode(None))
    assert copied(source)[1] == ["its transparency is laid over white"]


def test_interlaced_frames_are_deinterlaced_each_at_its_time(tmp_path: Path) -> None:
    combed = np.full((64, 96, 3), 60, np.uint8)
    combed[::2, 30:60] = 200  # a thing that is there in one field alone
    source = make_clip(
        tmp_path / "a.mp4",
        ticks=range(0, 8 * 3600, 3600),
        size_wh=(96, 64),
        pictures=[combed] * 8,
        options={"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "4"},
    )
    made, notes, items = copied(source)
    assert [frame.time_s for frame in shown(made)] == times_of(items) == [FRAME * i for i in range(8)]
    assert [item.index for item in items] == list(range(8))
    steps = np.abs(np.diff(items[3].image[10:50, 45, 1].astype(int)))
    assert steps.mean() < 40  # 140 as stored
    assert any("deinterlaced" in note for note in notes)
    with av.open(str(made)) as container:
        assert not next(container.decode(video=0)).interlaced_frame


def lasting(packet: av.Packet) -> av.Packet:
    """The third picture's packet stands for 3 s."""
    packet.duration = 3000 if packet.pts == 80 else 40
    return packet


def test_the_last_picture_stays_as_long_as_it_did(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        for pts in (0, 40, 80):
            frame = av.VideoFrame.from_ndarray(clips.grey_picture(pts, (64, 48)), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            for packet in video.encode(frame):
                container.mux(lasting(packet))
        for packet in video.encode(None):
            container.mux(lasting(packet))
    made, _, _ = copied(source)
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        assert abs(stream.duration * stream.time_base - Fraction(308, 100)) <= FRAME  # of reordering


def make_rich(path: Path) -> Path:
    """2 s with a title, chapters, sound in German with a name, two kinds of subtitles, and a cover."""
    with av.open(str(path), "w") as container:
        container.metadata.update({"title": "A film", "com.maker": "Phone"})
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        sound.metadata.update({"language": "deu", "title": "Comments"})
        kind = "mov_text" if path.suffix == ".mp4" else "ass"
        words = container.add_stream(kind)
        words.codec_context.subtitle_header = HEADER
        words.codec_context.time_base = Fraction(1, 1000)
        words.metadata["language"] = "fra"
        cover = container.add_stream("mjpeg", rate=25) if path.suffix == ".mp4" else None
        if cover is not None:
            cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic.value
        milli = Fraction(1, 1000)
        container.set_chapters(
            [
                {"id": 1, "start": 0, "end": 1000, "time_base": milli, "metadata": {"title": "One"}},
                {"id": 2, "start": 1000, "end": 2000, "time_base": milli, "metadata": {"title": "Two"}},
            ]
        )
        container.start_encoding()
        if cover is not None:
            container.mux(
                cover.encode(
                    av.VideoFrame.from_ndarray(clips.corner_picture((32, 32)), "rgb24").reformat(format="yuvj420p")
                )
            )
            container.mux(cover.encode(None))
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(clips.grey_picture(index, (64, 48)), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, FRAME
            container.mux(video.encode(frame))
            clips._hear(container, sound, Fraction(index * 1920, 48000), 48000)
            if index in (10, 30):
                text = "Hello\nyou & me" if index == 10 else "Again"
                data = (
                    timed_text(text)
                    if kind == "mov_text"
                    else b"0,0,Default,,0,0,0,,{\\i1}" + text.replace("\n", "\\N").encode()
                )
                packet = av.Packet(data)
                packet.pts = packet.dts = index * 40
                packet.duration, packet.time_base, packet.stream = 400, milli, words
                packet.is_keyframe = True
                container.mux(packet)
        for stream in (video, sound):
            container.mux(stream.encode(None))
    return path


def words_of(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        return [
            (p.pts * p.time_base, p.duration * p.time_base, bytes(p)[2:].decode())
            for p in container.demux(stream)
            if p.size > 2
        ]


@new_pyav
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_chapters_subtitles_names_and_covers_come_back(tmp_path: Path, name: str) -> None:
    source = make_rich(tmp_path / name)
    made, notes, _ = copied(source)
    with av.open(str(made)) as container:
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]) for c in container.chapters()
        ]
        assert chapters == [(0, 1, {"title": "One"}), (1, 2, {"title": "Two"})]
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["title"], tags.get("com.maker")) == ("A film", None if name == "a.mp4" else "Phone")
        sound, words = container.streams.audio[0], container.streams.subtitles[0]
        assert (sound.metadata["language"], words.metadata["language"]) == ("deu", "fra")
        assert words.codec_context.codec.name == "mov_text"
        covers = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
        assert len(covers) == (name == "a.mp4")
    assert words_of(made) == [
        (Fraction(4, 10), Fraction(4, 10), "Hello\nyou & me"),
        (Fraction(12, 10), Fraction(4, 10), "Again"),
    ]
    assert [data for _, data in packets_of(made, "audio")] == [data for _, data in packets_of(source, "audio")]
    assert any("timed text" in note for note in notes) == (name == "a.mkv")


@new_pyav
def test_a_cut_takes_chapters_and_subtitles_along(tmp_path: Path) -> None:
    cut = Sampling(start_s=Fraction(6, 10), end_s=Fraction(14, 10))
    made, _, items = copied(make_rich(tmp_path / "a.mkv"), sampling=cut)
    assert times_of(items)[0] == Fraction(6, 10)
    assert [frame.time_s for frame in shown(made)] == [FRAME * i for i in range(20)]
    assert words_of(made) == [
        (Fraction(0), Fraction(2, 10), "Hello\nyou & me"),
        (Fraction(6, 10), Fraction(2, 10), "Again"),
    ]
    with av.open(str(made)) as container:
        chapters = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in container.chapters()]
        sound = container.streams.audio[0]
        assert sound.duration * sound.time_base < Fraction(84, 100)
    assert chapters == [(0, Fraction(4, 10)), (Fraction(4, 10), Fraction(8, 10))]


def test_the_default_video_stream_is_taken_not_the_first(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        streams = []
        for size, disposition in ((32, 0), (64, 1)):
            stream = container.add_stream("ffv1", rate=25)
            stream.width = stream.height = size
            stream.pix_fmt, stream.disposition = "yuv420p", disposition
            streams.append(stream)
        for stream in streams:
            for index in range(3):
                picture = clips.grey_picture(index, (stream.width, stream.height))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")))
            container.mux(stream.encode(None))
    made, notes, _ = copied(source)
    assert shown(made)[0].size_hw == (64, 64)
    assert any("of 2 video streams" in note for note in notes)


def joined_ts(folder: Path, starts_s: Sequence[int]) -> Path:
    """Recordings of 2 s with sound, one behind the other, each with a clock of its own."""
    data = b""
    for start_s in starts_s:
        ticks = range(start_s * 90000, (start_s + 2) * 90000, 3600)
        part = make_clip(folder / "part.ts", ticks=ticks, audio="aac", muxing={"muxdelay": "0", "muxpreload": "0"})
        data += part.read_bytes()
    (folder / "a.ts").write_bytes(data)
    return folder / "a.ts"


@pytest.mark.parametrize("starts_s", [(100, 20), (100, 99), (5, 5)])
def test_a_clock_that_breaks_off_goes_on_for_pictures_and_sound(tmp_path: Path, starts_s: tuple[int, int]) -> None:
    source = joined_ts(tmp_path, starts_s)
    made, notes, _ = copied(source)
    frames, sounds = [frame.time_s for frame in shown(made)], [time_s for time_s, _ in packets_of(made, "audio")]
    assert len(frames) >= 97
    if starts_s == (100, 20):
        assert {b - a for a, b in pairwise(frames)} <= {FRAME, 2 * FRAME}
        assert abs(sounds[-1] - frames[-1]) < Fraction(15, 100)
        assert len(sounds) > 180
        assert any("clock breaks off 1 times" in note for note in notes)
    assert all(a < b for a, b in pairwise(frames))
    assert frames[-1] - frames[0] < 200


def test_a_gap_in_a_recording_stays_a_gap(tmp_path: Path) -> None:
    made, _, items = copied(joined_ts(tmp_path, (20, 100)))
    frames = times_of(items)
    assert [frame.time_s for frame in shown(made)] == frames
    assert Fraction(79) > max(b - a for a, b in pairwise(frames)) > Fraction(77)


def test_aac_of_transport_streams_is_copied_without_its_headers(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.ts", audio="aac")
    made, notes, _ = copied(source)
    stored = packets_of(source, "audio")
    assert all(read_adts(data) for _, data in stored)
    written = packets_of(made, "audio")
    assert [data for _, data in written] == [data[7:] for _, data in stored]
    assert all(abs(a - b) < Fraction(1, 10000) for (a, _), (b, _) in zip(written, stored, strict=True))
    with av.open(str(made)) as container:
        frame = next(container.decode(audio=0))
        assert (frame.sample_rate, frame.layout.name) == (48000, "mono")
    assert not notes


def harmed(path: Path, numbers: Sequence[int]) -> Path:
    """The MJPEG with nothing but zeros in some of its pictures."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in numbers:
        at, size = places[number]
        data[at + 8 : at + 8 + size - 8] = bytes(size - 8)
    path.write_bytes(data)
    return path


def test_damaged_packets_are_skipped_and_recorded(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", time_base=FRAME, ticks=range(20))
    made, _, items = copied(harmed(source, (4, 5, 11)))
    failures = [item for item in items if isinstance(item, Failure)]
    assert [failure.index for failure in failures] == [4, 5, 11]
    assert all("damaged packet is skipped" in failure.error for failure in failures)
    good = [i for i in range(20) if i not in (4, 5, 11)]
    assert [item.index for item in items if isinstance(item, Frame)] == good
    assert [frame.time_s for frame in shown(made)] == [FRAME * i for i in good]


def test_too_many_damaged_packets_in_a_row_end_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST_BAD", 3)
    source = make_clip(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", time_base=FRAME, ticks=range(20))
    items = list(read_video(harmed(source, range(5, 12)), "a"))
    assert [type(item) for item in items] == [Frame] * 5 + [Failure] * 4
    assert "3 packets in a row are damaged" in items[-1].error


def test_without_a_keyframe_at_the_start(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", options={"g": "10", "bf": "0", "sc_threshold": "0"}, audio="aac")
    source = tmp_path / "a.mkv"
    with av.open(str(whole)) as read, av.open(str(source), "w") as container:
        streams = [container.add_stream_from_template(stream) for stream in read.streams]
        num_pictures = 0
        for packet in read.demux():
            if packet.size:
                num_pictures += packet.stream.index == 0
                if packet.stream.index == 0 and num_pictures <= 3:
                    continue
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    made, notes, items = copied(source)
    assert times_of(items)[0] == FRAME * 10
    assert [frame.time_s for frame in shown(made)] == times_of(items)
    assert any("without a keyframe" in note for note in notes)
    assert [data for _, data in packets_of(made, "audio")] == [data for _, data in packets_of(whole, "audio")]


def test_a_killed_process_leaves_a_file_that_plays(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", ticks=range(0, 500 * 3600, 3600), audio="aac", options={"g": "250"})
    writer = VideoWriter(tmp_path / "out.mp4", source)
    for item in read_video(source, "a"):
        assert isinstance(item, Frame)
        writer.write(item.image, item.time_s)
    left = tmp_path / "left.mp4"
    shutil.copy(tmp_path / ".out.mp4.part.mp4", left)  # what a kill at this moment leaves
    writer.close()
    frames = shown(left)
    assert [frame.time_s for frame in frames[:250]] == [
        FRAME * i for i in range(250)
    ]  # of 20 s at most the encoder's delay and two fragments are missing
    assert packets_of(left, "audio")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.mp4", "left.mp4", "out.mp4"]


def test_a_picture_of_another_shape_is_not_stretched(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", ticks=[0, 3600])
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        writer.write(clips.grey_picture(0, (64, 48)), Fraction(0))
        writer.write(np.full((40, 20, 3), 200, np.uint8), FRAME)
    second = shown(tmp_path / "out.mp4")[1].image
    assert second[24, 32].mean() > 180
    assert second[24, 4].mean() < 30


@pytest.mark.parametrize(("codec", "tag"), [("hevc", "hvc1"), ("av1", "av01")])
def test_other_codecs(tmp_path: Path, codec: str, tag: str) -> None:
    source = make_clip(tmp_path / "a.mp4", ticks=range(0, 8 * 3600, 3600), size_wh=(66, 70), audio="aac")
    made, _, items = copied(source, encoding=Encoding(codec, preset="ultrafast" if codec == "hevc" else "12"))
    with av.open(str(made)) as container:
        assert container.streams.video[0].codec_tag == tag
    assert [frame.time_s for frame in shown(made)] == times_of(items)


@pytest.mark.parametrize(
    "wrong", [{"crf": 52}, {"crf": -1}, {"preset": "warp"}, {"codec": "av1", "preset": "veryfast"}]
)
def test_qualities_that_a_codec_does_not_have_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Encoding(**wrong)


@pytest.mark.skipif(any(Path("/dev").glob("nvidia*")), reason="this machine has a card")
def test_without_a_card_everything_runs_on_the_cpu(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = make_clip(tmp_path / "a.mp4", ticks=range(0, 8 * 3600, 3600))
    quiet, notes, _ = copied(source)
    assert len(shown(quiet)) == 8
    assert not notes
    with decoding_on("cuda"):
        made, notes, items = copied(source, encoding=Encoding(hwaccel="cuda"))
    assert len(shown(made)) == len(items) == 8
    assert any("NVIDIA" in note for note in notes)
    assert "decoded on the CPU" in caplog.text


@pytest.mark.parametrize(
    ("codec", "data", "text"),
    [
        ("srt", b"{\\an8}Hello <i>there</i>,\r\n1 < 2", "Hello there,\n1 < 2"),
        ("ssa", rb"3,0,Default,,0,0,0,,{\pos(1,2)}One, two\NThree\hfour", "One, two\nThree four"),
        ("webvtt", b"<v Ann>Tom &amp; Jerry</v>", "Tom & Jerry"),
        ("text", b"<as it is>", "<as it is>"),
        ("srt", b"\xff\xfe?", "\ufffd\ufffd?"),
    ],
)
def test_the_words_of_subtitles(codec: str, data: bytes, text: str) -> None:
    assert plain_text(codec, data) == text
    assert timed_text(text)[2:].decode() == text


def test_a_subtitle_is_never_longer_than_its_length_can_say() -> None:
    made = timed_text("é" * 40000)
    assert len(made) == 2 + int.from_bytes(made[:2], "big") <= 2 + 0xFFFF
    made[2:].decode()


def test_unreadable_sources_raise_what_they_should(tmp_path: Path) -> None:
    from ovdet_cli.media.facts import read_facts

    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError):
        read_facts(tmp_path / "empty.mp4")


@pytest.mark.parametrize(("name", "den", "audio"), [("a.mkv", 1000, "aac"), ("a.mp4", 30000, "libopus")])
def test_times_stay_exact_over_many_fragments(tmp_path: Path, name: str, den: int, audio: str) -> None:
    steps = np.random.default_rng(0).choice([den // 50, den // 25, den // 10, den // 3], 100)
    ticks = [0, *np.cumsum(steps).tolist()]
    source = make_clip(tmp_path / name, ticks=ticks, time_base=Fraction(1, den), audio=audio)
    made, _, items = copied(source)
    assert [frame.time_s for frame in shown(made)] == times_of(items) == [Fraction(tick, den) for tick in ticks]
    stored, written = packets_of(source, "audio"), packets_of(made, "audio")
    assert [data for _, data in written] == [data for _, data in stored]
    assert max(abs(a - b) for (a, _), (b, _) in zip(stored, written, strict=True)) < Fraction(1, 1000)


def make_coded(path: Path, timecode: str, rate: int | Fraction = 25) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.metadata["timecode"] = timecode
        for index in range(20):
            container.mux(video.encode(av.VideoFrame.from_ndarray(clips.grey_picture(index, (64, 48)), "rgb24")))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "timecode", "rate", "told"),
    [
        ("a.mov", "01:00:00:05", 25, False),
        ("a.mp4", "00:00:59;28", Fraction(30000, 1001), False),
        ("a.mkv", "01:02:03:04", 25, False),
        ("a.mkv", "00:00:59;20", 25, True),
        ("a.mkv", "some time", 25, True),
    ],
)
def test_a_timecode_comes_back(tmp_path: Path, name: str, timecode: str, rate: Fraction, told: bool) -> None:
    made, notes, _ = copied(make_coded(tmp_path / name, timecode, rate))
    assert len(shown(made)) == 20
    assert notes == (["its timecode is left out: MP4 cannot say it at this rate"] if told else [])
    with av.open(str(made)) as container:
        kept = container.streams.video[0].metadata.get("timecode")
    assert kept == (None if told else timecode)


def test_a_timecode_is_not_that_of_a_part(tmp_path: Path) -> None:
    _, notes, _ = copied(make_coded(tmp_path / "a.mov", "01:00:00:00"), sampling=Sampling(start_s=Fraction(2, 5)))
    assert notes == ["its timecode is left out: it is the source's first frame's"]


def test_sound_that_says_only_how_many_channels_it_has_keeps_them(tmp_path: Path) -> None:
    made, _, _ = copied(
        make_clip(
            tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", time_base=FRAME, ticks=range(20), audio="pcm_s16le"
        )
    )
    with av.open(str(made)) as container:
        assert container.streams.audio[0].layout.name == "mono"


def test_captions_inside_the_pictures_are_told(tmp_path: Path) -> None:
    plain = make_clip(
        tmp_path / "a.h264", ticks=range(10), time_base=FRAME, options={"bf": "0", "x264-params": "annexb=1"}
    )
    # ATSC A/53 part 4, 6.2.3: a user data SEI with one pair of CEA-608 characters before each picture.
    captions = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\x94\x20\xff"
    message = b"\x00\x00\x01\x06\x04" + bytes([len(captions)]) + captions + b"\x80"
    parts = plain.read_bytes().split(b"\x00\x00\x01")
    joined = b"".join(
        (message if part[:1] and part[0] & 31 in (1, 5) else b"") + b"\x00\x00\x01" + part for part in parts[1:]
    )
    source = tmp_path / "b.h264"
    source.write_bytes(joined)
    made, notes, _ = copied(source)
    assert "captions inside its pictures (CEA-608/708) are left out" in notes
    assert len(shown(made)) == 10
