import contextlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.media import timeline
from ovdet_cli.media.sampling import Sampler
from ovdet_cli.media.video import VIDEO_SUFFIXES, Sampling, count_frames, has_video_stream, parse_time, read_video
from tests.media import clips
from tests.media.clips import make_clip

MS = Fraction(1, 1000)
NTSC = Fraction(1001, 30000)
SHORT_GROUPS = {"g": "10", "bf": "2"}
HIDDEN_FRAMES = {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "12", "b": "200k"}
# What each kind of file is there to try.
KINDS = {
    "b-frames.mp4": {"options": SHORT_GROUPS},
    "ntsc.mp4": {"time_base": NTSC, "ticks": range(50), "options": SHORT_GROUPS},
    "vfr.mkv": {"time_base": MS, "ticks": clips.VFR_MS, "options": {"g": "4", "bf": "2"}},
    "offset.ts": {"ticks": range(324_000_000, 324_000_000 + 50 * 3600, 3600), "options": SHORT_GROUPS},
    "offset.mp4": {"ticks": range(324_000_000, 324_000_000 + 50 * 3003, 3003), "options": SHORT_GROUPS},
    "open-groups.ts": {"options": {"g": "10", "x264-params": "open-gop=1:bframes=3"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "time_base": Fraction(1, 25), "ticks": range(50)},
    "decoding-order.avi": {"time_base": Fraction(1, 25), "ticks": range(50), "options": SHORT_GROUPS},
    "hidden-frames.webm": {
        "codec": "libvpx", "time_base": MS, "ticks": range(0, 2000, 40), "options": HIDDEN_FRAMES,
    },
    "mpeg2.mpg": {"codec": "mpeg2video", "time_base": Fraction(1, 25), "ticks": range(50), "options": SHORT_GROUPS},
    "10-bit.mkv": {"codec": "ffv1", "pix_fmt": "yuv420p10le", "time_base": MS, "ticks": clips.VFR_MS},
}  # fmt: skip
EXACT = [name for name in KINDS if name != "decoding-order.avi"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, kind in KINDS.items():
        make_clip(folder / name, **kind)
    return folder


def frames_of(path: Path, sampling: Sampling = Sampling(), keep_all: bool = False) -> list[Frame]:  # noqa: B008
    frames = list(read_video(path, "clip", sampling, keep_all))
    assert all(isinstance(frame, Frame) for frame in frames), [f for f in frames if isinstance(f, Failure)]
    return frames


def only_failure(path: Path) -> Failure:
    (failure,) = read_video(path, "clip")
    assert isinstance(failure, Failure)
    assert failure.time_s is None
    assert failure.source == "clip"
    assert "\n" not in failure.error
    return failure


def corners(image: np.ndarray) -> dict[str, tuple[int, int, int]]:
    height, width = image.shape[:2]
    places = {
        "top left": (height // 4, width // 4),
        "top right": (height // 4, width * 3 // 4),
        "bottom left": (height * 3 // 4, width // 4),
        "bottom right": (height * 3 // 4, width * 3 // 4),
    }
    shown = {}
    for place, (y, x) in places.items():
        distances = {name: np.abs(image[y, x].astype(int) - rgb).sum() for name, rgb in clips.CORNERS.items()}
        shown[place] = min(distances, key=distances.__getitem__)
    return shown


@pytest.mark.parametrize("name", EXACT)
def test_frames_come_in_order_with_index_and_exact_time(folder: Path, name: str) -> None:
    kind = KINDS[name]
    frames = frames_of(folder / name)
    ticks, time_base = kind.get("ticks", clips.TICKS_25), kind.get("time_base", Fraction(1, 90000))
    assert [frame.index for frame in frames] == list(range(len(ticks)))
    shift = frames[0].time_s - ticks[0] * time_base  # MPEG muxers delay everything by what their buffers need
    assert shift == 0 or Path(name).suffix in (".ts", ".mpg")
    assert [frame.time_s - shift for frame in frames] == [tick * time_base for tick in ticks]
    tolerance = 12 if "webm" in name or "mpg" in name or "avi" in name else 6
    for index, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        assert abs(int(frame.image.mean()) - clips.level(index)) <= tolerance, index


def test_times_rise_where_a_container_knows_only_decoding_order(folder: Path) -> None:
    frames = frames_of(folder / "decoding-order.avi")
    assert len(frames) == 50
    assert all(before.time_s < after.time_s for before, after in pairwise(frames))
    assert [abs(int(frame.image.mean()) - clips.level(frame.index)) < 6 for frame in frames] == [True] * 50


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("start", ["0.04", "0.5", "0.75", "1.2", "1.6"])
def test_a_late_start_gives_the_frames_a_full_decode_gives(folder: Path, name: str, start: str) -> None:
    whole = frames_of(folder / name)
    expected = [frame for frame in whole if frame.time_s - whole[0].time_s >= Fraction(start)]
    frames = frames_of(folder / name, Sampling(start_s=Fraction(start)))
    assert [(frame.index, frame.time_s) for frame in frames] == [(frame.index, frame.time_s) for frame in expected]
    assert all(np.array_equal(frame.image, other.image) for frame, other in zip(frames, expected, strict=True))


@pytest.mark.parametrize("name", ["b-frames.mp4", "ntsc.mp4", "vfr.mkv", "offset.ts", "offset.mp4", "mjpeg.avi"])
def test_a_late_start_enters_at_a_keyframe(folder: Path, name: str) -> None:
    entry = timeline.find_entry(folder / name, Fraction("1.2"))
    assert entry is not None
    assert entry.keyframe_pts > entry.pts[0]


def test_packets_that_hide_frames_are_not_counted_as_frames(folder: Path) -> None:
    assert timeline.find_entry(folder / "hidden-frames.webm", Fraction(1)) is None


def test_a_seek_that_lands_elsewhere_falls_back_to_a_full_decode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = timeline.find_entry(folder / "b-frames.mp4", Fraction("1.2"))
    assert entry is not None
    wrong = timeline.EntryPoint(
        entry.keyframe_pts, entry.seek_ts, entry.first_s, [pts - 1 for pts in entry.pts], entry.target_ticks
    )
    monkeypatch.setattr(timeline, "find_entry", lambda path, start_s: wrong)
    frames = frames_of(folder / "b-frames.mp4", Sampling(start_s=Fraction("1.2")))
    assert [frame.index for frame in frames] == list(range(30, 50))


def test_the_end_is_exclusive_and_counts_from_the_first_frame(folder: Path) -> None:
    frames = frames_of(folder / "offset.mp4", Sampling(start_s=NTSC * 3, end_s=NTSC * 7))
    assert [frame.index for frame in frames] == [3, 4, 5, 6]
    assert frames[0].time_s == 3600 + 3 * NTSC


def test_every_nth_counts_from_the_first_frame_in_range(folder: Path) -> None:
    sampling = Sampling(every=4, start_s=Fraction(1), end_s=Fraction(3, 2))
    assert [frame.index for frame in frames_of(folder / "b-frames.mp4", sampling)] == [25, 29, 33, 37]


def test_keep_all_marks_the_sampled_frames(folder: Path) -> None:
    frames = frames_of(folder / "b-frames.mp4", Sampling(every=20), keep_all=True)
    assert [frame.index for frame in frames] == list(range(50))
    assert [frame.index for frame in frames if frame.is_sampled] == [0, 20, 40]


def test_fps_takes_the_first_frame_at_or_after_each_tick(folder: Path) -> None:
    frames = frames_of(folder / "vfr.mkv", Sampling(fps=Fraction(4)))
    assert [int(frame.time_s * 1000) for frame in frames] == [0, 250, 900, 1500, 2000, 2500]


@given(
    gaps=st.lists(st.integers(1, 5000), min_size=1, max_size=60),
    first=st.integers(-10_000, 10_000_000),
    fps=st.fractions(Fraction(1, 100), 2000).filter(bool),
)
def test_fps_sampling_matches_its_definition(gaps: list[int], first: int, fps: Fraction) -> None:
    times, time_s = [], first * MS
    for gap in gaps:
        times.append(time_s)
        time_s += gap * MS
    sampler = Sampler(Sampling(fps=fps))
    taken = [time_s for time_s in times if sampler.takes(time_s)]
    ticks, last = set(), (times[-1] - times[0]) * fps
    for time_s in times:  # the first frame at or after tick k is the first whose floor reaches k
        ticks.add(((time_s - times[0]) * fps) // 1)
    assert taken[0] == times[0]
    assert len(taken) == len(ticks)
    assert {((time_s - times[0]) * fps) // 1 for time_s in taken} == ticks
    assert len(taken) <= last + 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90.5", "90.5"), ("1:30.5", "90.5"), ("01:02:03", "3723"), ("0", "0"), (".5", "0.5"),
     ("90:00", "5400"), (" 7 ", "7")],
)  # fmt: skip
def test_times_are_read_exactly(text: str, seconds: str) -> None:
    assert parse_time(text) == Fraction(seconds)


@pytest.mark.parametrize("text", ["", "abc", "-1", "1:60", "1:60:00", "1:2:3:4", "1e5", "1:", ":5", "inf", "1/3", "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot read the time"):
        parse_time(text)


@given(st.text(max_size=12))
def test_no_text_breaks_the_time_reader(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_time(text) >= 0


@pytest.mark.parametrize(
    "wrong",
    [{"every": 0}, {"fps": Fraction(0)}, {"every": 2, "fps": Fraction(1)}, {"start_s": Fraction(-1)},
     {"start_s": Fraction(5), "end_s": Fraction(5)}, {"end_s": Fraction(0)}],
)  # fmt: skip
def test_samplings_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Sampling(**wrong)


@pytest.mark.parametrize(
    ("matrix", "quarter_turns", "is_mirrored"),
    [
        ((1, 0, 0, 1), 0, False),
        ((0, 1, -1, 0), 1, False),  # as a phone held upright writes it: shown a quarter clockwise
        ((-1, 0, 0, -1), 2, False),
        ((0, -1, 1, 0), 3, False),
        ((-1, 0, 0, 1), 0, True),
        ((1, 0, 0, -1), 2, True),
        ((0, 1, 1, 0), 3, True),
        ((0, -1, -1, 0), 1, True),
    ],
)
def test_frames_are_shown_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], quarter_turns: int, is_mirrored: bool
) -> None:
    picture = clips.corner_picture((64, 32))
    path = make_clip(tmp_path / "a.mp4", size_wh=(64, 32), ticks=[0, 3600], pictures=[picture, picture])
    clips.set_display_matrix(path, *matrix)
    shown = np.rot90(picture[:, ::-1] if is_mirrored else picture, -quarter_turns)
    for frame in frames_of(path):
        assert frame.image.shape == shown.shape
        assert corners(frame.image) == corners(shown)


def test_the_rotation_agrees_with_pyav(tmp_path: Path) -> None:
    """PyAV gives degrees counter-clockwise that undo the turn shown: -90 for a phone held upright."""
    path = clips.set_display_matrix(make_clip(tmp_path / "a.mp4", ticks=[0, 3600]), 0, 1, -1, 0)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).rotation == -90


# H.273 matrix -> luma weights of red and blue
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


@pytest.mark.parametrize(
    ("colorspace", "color_range", "height", "matrix"),
    [(1, 1, 32, 1), (6, 1, 32, 6), (5, 1, 32, 6), (9, 1, 32, 9), (1, 2, 32, 1), (6, 2, 32, 6),
     (2, 1, 32, 6), (2, 1, 720, 1), (6, 1, 720, 6), (2, 0, 32, 6)],
)  # fmt: skip
@pytest.mark.parametrize("yuv", [(120, 90, 170), (60, 140, 110), (200, 128, 128)])
def test_colours_follow_matrix_and_range(
    tmp_path: Path, colorspace: int, color_range: int, height: int, matrix: int, yuv: tuple[int, int, int]
) -> None:
    y, u, v = yuv
    planes = [np.full((height // s, 32 // s), value, np.uint8) for value, s in ((y, 1), (u, 2), (v, 2))]
    path = clips.make_planes(tmp_path / "a.mkv", planes, "yuv420p", colorspace, color_range)
    (frame,) = frames_of(path)
    assert np.abs(frame.image[5, 5].astype(int) - rgb_of(yuv, matrix, color_range == 2)).max() <= 2


def rgb_of(yuv: tuple[int, int, int], matrix: int, is_full: bool) -> np.ndarray:
    red, blue = WEIGHTS[matrix]
    y, cb, cr = (yuv[0] / 255, (yuv[1] - 128) / 255, (yuv[2] - 128) / 255) if is_full else (
        (yuv[0] - 16) / 219, (yuv[1] - 128) / 224, (yuv[2] - 128) / 224
    )  # fmt: skip
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.rint(np.array([r, g, b]) * 255), 0, 255)


def test_ten_bits_become_eight(tmp_path: Path) -> None:
    planes = [np.full((32 // s, 32 // s), value, np.uint16) for value, s in ((500, 1), (400, 2), (600, 2))]
    (frame,) = frames_of(clips.make_planes(tmp_path / "a.mkv", planes, "yuv420p10le", 1, 1))
    assert np.abs(frame.image[5, 5].astype(int) - rgb_of((125, 100, 150), 1, False)).max() <= 2


@pytest.mark.parametrize("size_wh", [(33, 17), (1, 1), (9, 50), (65, 2)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "gray", "bgr0"])
def test_odd_sizes(tmp_path: Path, size_wh: tuple[int, int], pix_fmt: str) -> None:
    width, height = size_wh
    luma = np.full((height, width), 120, np.uint8)
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    planes = {"yuv420p": [luma, chroma, chroma], "gray": [luma], "bgr0": [np.repeat(luma, 4, axis=1)]}[pix_fmt]
    (frame,) = frames_of(clips.make_planes(tmp_path / "a.mkv", planes, pix_fmt, 2, 0, size_wh))
    assert frame.size_hw == (height, width)
    assert np.abs(frame.image.astype(int) - (121 if pix_fmt == "yuv420p" else 120)).max() <= 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"just some words\n" * 200, "not a video"),
        (b"\0" * 4096, "not a video"),
        (b"\x1aE\xdf\xa3", ""),
    ],
)
def test_what_is_no_video_is_one_failure(
    tmp_path: Path, content: bytes, says: str, capfd: pytest.CaptureFixture
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    failure = only_failure(path)
    assert says in failure.error
    assert failure.index == 0
    assert count_frames(path) is None
    assert not has_video_stream(path)
    assert capfd.readouterr() == ("", "")


def test_a_folder_a_missing_file_and_mere_sound_are_one_failure_each(tmp_path: Path) -> None:
    assert "no such file" in only_failure(tmp_path / "none.mp4").error
    assert "not a file" in only_failure(tmp_path).error
    path = make_clip(tmp_path / "sound.mkv", audio="aac")
    with av.open(str(path)) as source, av.open(str(tmp_path / "only.m4a"), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert "no video stream" in only_failure(tmp_path / "only.m4a").error


def test_words_called_txt_are_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("words, words\n" * 50)
    assert not has_video_stream(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=600),
    magic=st.sampled_from([b"", b"\0\0\0\x20ftypisom", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"G" + b"\0" * 187]),
)
def test_no_bytes_make_reading_raise(tmp_path: Path, content: bytes, magic: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(magic + content)
    assert sum(isinstance(frame, Failure) for frame in read_video(path, "clip")) <= 1


@pytest.mark.parametrize("name", ["b-frames.mp4", "mjpeg.avi", "vfr.mkv", "offset.ts", "mpeg2.mpg", "10-bit.mkv"])
@pytest.mark.parametrize("seed", range(4))
def test_damage_never_raises_and_leaves_every_number_once(folder: Path, tmp_path: Path, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = np.frombuffer((folder / name).read_bytes(), np.uint8).copy()
    at = rng.integers(len(data) // 4, len(data), 60)
    data[at] = rng.integers(0, 256, 60)
    path = tmp_path / name
    path.write_bytes(data.tobytes())
    results = list(read_video(path, "clip"))
    numbers = [result.index for result in results]
    assert numbers
    assert numbers == sorted(set(numbers))
    assert [result.index for result in results] == list(range(len(results)))
    if isinstance(results[-1], Failure):
        assert results[-1].time_s is None


@pytest.mark.parametrize(("name", "muxing"), [("a.mp4", {"movflags": "+faststart"}), ("a.mkv", {}), ("a.avi", {})])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(start_s=Fraction(1)), Sampling(end_s=Fraction(100))])
def test_a_truncated_file_says_so_after_its_good_frames(
    tmp_path: Path, name: str, muxing: dict[str, str], sampling: Sampling
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
    path = make_clip(
        tmp_path / name, codec="mjpeg", pix_fmt="yuvj420p", time_base=Fraction(1, 25), ticks=range(150),
        pictures=[noise[index % 8] for index in range(150)], muxing=muxing,
    )  # fmt: skip
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    *frames, failure = read_video(path, "clip", sampling)
    first = 25 if sampling.start_s else 0
    assert [frame.index for frame in frames] == list(range(first, first + len(frames)))
    assert len(frames) > 60 - first
    assert isinstance(failure, Failure)
    assert failure.index == frames[-1].index + 1


def test_a_last_picture_that_stands_long_is_no_truncation(tmp_path: Path) -> None:
    frames_of(make_clip(tmp_path / "a.mp4", time_base=MS, ticks=[0, 40, 80, 9000]))
    frames_of(make_clip(tmp_path / "a.mkv", time_base=MS, ticks=[0, 40, 80, 9000]))


def test_a_range_without_a_frame_is_a_failure_that_says_how_long_the_video_is(folder: Path) -> None:
    (failure,) = read_video(folder / "b-frames.mp4", "clip", Sampling(start_s=Fraction(60)))
    assert isinstance(failure, Failure)
    assert "1.96 s" in failure.error


@pytest.mark.parametrize("name", ["b-frames.mp4", "offset.ts", "mjpeg.avi"])
def test_frames_are_counted_from_the_header(folder: Path, name: str) -> None:
    assert count_frames(folder / name) == 50


def test_names_that_look_like_addresses_or_are_no_utf8_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4", ticks=[0, 3600])
    monkeypatch.chdir(tmp_path)
    for name in ("http:x.mp4", "50%d off?.mp4", b"\xff\xfe.mp4".decode("utf-8", "surrogateescape")):
        Path(name).write_bytes((tmp_path / "a.mp4").read_bytes())
        assert len(frames_of(Path(name))) == 2


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in VIDEO_SUFFIXES)


def test_metadata_in_an_old_encoding_costs_no_frames(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", ticks=[0, 3600], title="Cafe au lait")
    path.write_bytes(path.read_bytes().replace(b"Cafe au", b"Caf\xe9 au"))
    assert len(frames_of(path)) == 2
