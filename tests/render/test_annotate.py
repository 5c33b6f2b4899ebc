"""Annotating sinks: which files appear, under which names, and what is in them."""

from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ovdet_cli.detections import Detections
from ovdet_cli.errors import OutputError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.images import read_image
from ovdet_cli.render import annotate
from ovdet_cli.render.annotate import IMAGE_NATIVE, VIDEO_NATIVE, ImageSink, VideoSink, annotated_name, place_in
from ovdet_cli.render.draw import DrawStyle, draw_detections

LABELS = ["cat"]
STYLE = DrawStyle()
HIT = Detections(np.array([[10, 30, 60, 60]], np.float32), np.array([0.9], np.float32), np.array([0]))
NOTHING = Detections.empty()

SUFFIXES = [".jpg", ".JPG", ".jpeg", ".png", ".gif", ".GIF", ".heic", ".mp4", ".MP4", ".mov", ".mkv", ".2024", ".", ""]
names = st.builds(
    lambda stem, ends: stem + "".join(ends),
    st.sampled_from(["a", "b/a", ""]),
    st.lists(st.sampled_from(SUFFIXES), max_size=4),
)


def picture(height=80, width=120):
    return np.full((height, width, 3), 128, np.uint8)


def image_source(name):
    return SourceInfo(name, Path("/in", name), "image")


def video_source(name):
    return SourceInfo(name, Path("/in", name), "video")


def run(sink, source, results):
    sink.begin(source)
    for i, found in enumerate(results):
        time_s = Fraction(i, 25) if source.kind == "video" else None
        sink.write(Frame(picture(), source.name, i, time_s), found)
    sink.end(source)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class FakeWriter:
    """Keeps what it is told, and has its file when it is closed."""

    made: ClassVar[list["FakeWriter"]] = []

    def __init__(self, path, source, *, start_s, end_s, fps, encoding):
        self.path, self.source, self.cut = path, source, (start_s, end_s)
        self.frames, self.notes = [], []
        FakeWriter.made.append(self)

    def write(self, image, time_s):
        self.frames.append((image, time_s))

    def close(self, *, is_whole=False):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"video")
        self.notes.append("no sound")


@pytest.fixture
def writers(monkeypatch):
    monkeypatch.setattr(annotate, "VideoWriter", FakeWriter)
    FakeWriter.made = []
    return FakeWriter.made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("b.JPEG", "b.JPEG"),
        ("scan.tiff", "scan.tiff"),
        ("b.gif", "b.gif.jpg"),
        ("b.gif.jpg", "b.gif.jpg.jpg"),
        ("b.HEIC.jpg.jpg", "b.HEIC.jpg.jpg.jpg"),
        ("b.png.jpg", "b.png.jpg"),
        ("IMG.2024.jpg", "IMG.2024.jpg"),
        ("photo", "photo.jpg.jpg"),
    ],
)
def test_picture_names(name, expected):
    assert annotated_name(name, IMAGE_NATIVE, ".jpg") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.mp4", "a.mp4"), ("a.mov", "a.mov.mp4"), ("a.mov.mp4", "a.mov.mp4.mp4"), ("a.MP4", "a.MP4")],
)
def test_video_names(name, expected):
    assert annotated_name(name, VIDEO_NATIVE, ".mp4") == expected


@given(st.lists(names, unique=True, min_size=2, max_size=12))
@example(["a", "a.jpg", "a.jpg.jpg", "a.jpg.jpg.jpg", "a.mp4", "a.mp4.mp4", "a.gif", "a.gif.jpg", "a.gif.jpg.jpg"])
def test_no_two_inputs_share_a_name(inputs):
    for native, extra in ((IMAGE_NATIVE, ".jpg"), (VIDEO_NATIVE, ".mp4")):
        outputs = [annotated_name(name, native, extra) for name in inputs]
        assert len(set(outputs)) == len(outputs)
        assert all(name.lower().endswith(native) for name in outputs)


@pytest.mark.parametrize("name", ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "a//b.jpg", "./a.jpg", "a/\0.jpg"])
def test_no_name_leads_out_of_the_folder(name, tmp_path):
    with pytest.raises(OutputError, match="rename the input"):
        place_in(tmp_path, name)
    sink = ImageSink(tmp_path / "images", LABELS, STYLE, False)
    run(sink, image_source(name), [HIT])
    assert sink.num_undrawn == len(sink.notes) == 1
    assert not list(tmp_path.rglob("*"))


def test_pictures_are_written_in_the_tree_of_the_input(tmp_path):
    with ImageSink(tmp_path, LABELS, STYLE, False) as sink:
        run(sink, image_source("cats/a.png"), [HIT])
        run(sink, image_source("b.gif"), [NOTHING])
        run(sink, video_source("c.mp4"), [HIT])
        sink.begin(image_source("bad.jpg"))
        sink.skip(Failure("bad.jpg", "not a picture"))
        sink.end(image_source("bad.jpg"))
    assert files(tmp_path) == ["b.gif.jpg", "cats/a.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "cats/a.png"), draw_detections(picture(), HIT, LABELS, STYLE))


def test_only_pictures_with_hits(tmp_path):
    with ImageSink(tmp_path, LABELS, STYLE, True) as sink:
        run(sink, image_source("a.jpg"), [HIT])
        run(sink, image_source("b.jpg"), [NOTHING])
    assert files(tmp_path) == ["a.jpg"]


def test_every_frame_of_a_video_is_written_with_its_detections(tmp_path, writers):
    with VideoSink(tmp_path, LABELS, STYLE, False, Fraction(1), Fraction(2)) as sink:
        assert sink.wants_every_frame
        run(sink, video_source("clips/a.mov"), [HIT, NOTHING, HIT])
        run(sink, image_source("b.jpg"), [HIT])
    (writer,) = writers
    assert (writer.path, writer.source) == (tmp_path / "clips/a.mov.mp4", Path("/in/clips/a.mov"))
    assert writer.cut == (Fraction(1), Fraction(2))
    assert [time_s for _, time_s in writer.frames] == [Fraction(i, 25) for i in range(3)]
    for (image, _), found in zip(writer.frames, [HIT, NOTHING, HIT], strict=True):
        np.testing.assert_array_equal(image, draw_detections(picture(), found, LABELS, STYLE))
    assert sink.notes == ["clips/a.mov: no sound"]


def test_only_videos_with_hits(tmp_path, writers):
    with VideoSink(tmp_path, LABELS, STYLE, True) as sink:
        run(sink, video_source("a.mp4"), [NOTHING, HIT, NOTHING])
        run(sink, video_source("b.mp4"), [NOTHING, NOTHING])
    assert files(tmp_path) == ["a.mp4"] and len(writers) == 2


def test_a_video_without_frames_opens_no_file(tmp_path, writers):
    with VideoSink(tmp_path, LABELS, STYLE, False) as sink:
        run(sink, video_source("a.mp4"), [])
    assert not writers and not files(tmp_path)


def test_an_interrupted_video_is_finished(tmp_path, writers):
    def break_off():
        with VideoSink(tmp_path, LABELS, STYLE, False) as sink:
            sink.begin(video_source("a.mp4"))
            sink.write(Frame(picture(), "a.mp4", 0, Fraction(0)), HIT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert files(tmp_path) == ["a.mp4"]


def test_a_video_frame_without_a_time_is_a_mistake(tmp_path, writers):
    with VideoSink(tmp_path, LABELS, STYLE, False) as sink:
        sink.begin(video_source("a.mp4"))
        with pytest.raises(ValueError, match="no time"):
            sink.write(Frame(picture(), "a.mp4", 3), HIT)


def test_with_the_real_writer(tmp_path):
    """Times come out as they went in, and nothing half-written stays."""
    av = pytest.importorskip("av")
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 120, 80, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(), format="rgb24")))
        container.mux(stream.encode(None))
    info = SourceInfo("in.mp4", source, "video")
    with VideoSink(tmp_path / "videos", LABELS, STYLE, True) as sink:
        run(sink, info, [HIT, HIT, NOTHING, NOTHING, NOTHING])
        run(sink, SourceInfo("none.mp4", source, "video"), [NOTHING] * 5)
    assert files(tmp_path / "videos") == ["in.mp4"]
    with av.open(str(tmp_path / "videos" / "in.mp4")) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert [time for time, _ in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert np.ptp(frames[0][1]) > 60 and np.ptp(frames[4][1]) < 30
