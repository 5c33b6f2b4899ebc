"""Cutting without encoding: where clips begin and end, what they keep, and that every packet is the source's."""

import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from ovdet_cli.errors import OutputError
from ovdet_cli.media.cut import Cut, Span, cut_video
from tests.media.clips import level, make_clip, packets_of, set_display_matrix

FRAME = Fraction(1, 25)
TICKS = range(0, 250 * 3600, 3600)  # 10 s
GROUP = 25


def cut(source: Path, *spans: tuple[str, str]) -> Cut:
    parts = [Span(Fraction(start), Fraction(end)) for start, end in spans]
    return cut_video(source, parts, lambda number, suffix: source.parent / "clips" / f"{number}{suffix}")


def levels(path: Path) -> list[tuple[Fraction, float]]:
    """Time and grey of every frame."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [(f.pts * Fraction(f.time_base), float(f.to_ndarray(format="gray")[:48, :64].mean())) for f in frames]


def clip_of(path: Path, **settings: object) -> Path:
    settings = {"ticks": TICKS, "options": {"g": str(GROUP), "sc_threshold": "0"}} | settings
    return make_clip(path, **settings)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
def test_a_clip_begins_at_the_keyframe_before_and_has_the_frames_up_to_the_end(name: str, tmp_path: Path) -> None:
    source = clip_of(tmp_path / name, audio="aac")
    whole = levels(source)
    first_s = whole[0][0]
    made = cut(source, (str(first_s + Fraction("1.52")), str(first_s + Fraction("2.5"))))
    (clip,) = made.clips
    assert (clip.path.name, clip.spans, made.notes, made.uncopied) == ("0.mp4", (0,), [], [])
    assert first_s + 1 == clip.from_s
    shown = levels(clip.path)
    assert shown[0][0] == 0
    until = round((clip.until_s - clip.from_s) / FRAME)
    assert until - 1 <= len(shown) <= until  # one that leans on a left out one is missing before the last
    assert 38 <= len(shown) <= 41  # 1 s to 2.5 s is 37.5 frames; a frame that others lean on may come along
    for i, (time_s, grey) in enumerate(shown[:38]):
        assert abs(time_s - i * FRAME) < Fraction(1, 500)
        assert grey == pytest.approx(whole[25 + i][1], abs=3)


def test_sound_is_copied_to_the_bit_and_in_sync(tmp_path: Path) -> None:
    source = clip_of(tmp_path / "a.mp4", audio="aac")
    (clip,) = cut(source, ("3.2", "6")).clips
    sound = packets_of(clip.path, "audio")
    whole = packets_of(source, "audio")
    at = [data for _, data in whole].index(sound[0][1], 100)
    assert [data for _, data in sound] == [data for _, data in whole[at : at + len(sound)]]
    assert whole[at][0] - sound[0][0] == pytest.approx(float(clip.from_s), abs=0.001)
    assert 0 <= sound[0][0] < 0.03 and abs(sound[-1][0] - Fraction(3)) < 0.05


def test_clips_that_would_begin_inside_the_one_before_are_one(tmp_path: Path) -> None:
    source = clip_of(tmp_path / "a.mp4", audio="aac")
    made = cut(source, ("1.1", "1.3"), ("1.6", "1.8"), ("5.5", "5.6"))
    assert [(clip.spans, clip.from_s) for clip in made.clips] == [((0, 1), 1), ((2,), 5)]
    assert len(levels(made.clips[0].path)) >= 20
    times = [time_s for time_s, _ in packets_of(made.clips[0].path, "audio")]
    assert max(b - a for a, b in pairwise(times)) < Fraction(3, 100)  # no hole where the first ended


def test_one_that_begins_before_the_first_frame_and_ends_after_the_last(tmp_path: Path) -> None:
    source = clip_of(tmp_path / "a.mkv")
    (clip,) = cut(source, ("-3", "99")).clips
    assert [data for _, data in packets_of(clip.path, "video")] != []
    assert len(levels(clip.path)) == 250
    (tail,) = cut(source, ("9.9", "99")).clips
    assert (tail.from_s, len(levels(tail.path))) == (9, 25)


def test_a_turned_clip_stays_turned(tmp_path: Path) -> None:
    source = set_display_matrix(clip_of(tmp_path / "a.mp4"), 0, 1, -1, 0)
    (clip,) = cut(source, ("2", "3")).clips
    with av.open(str(clip.path)) as container:
        turned = next(container.decode(video=0)).rotation
    with av.open(str(source)) as container:
        assert turned == next(container.decode(video=0)).rotation != 0


@pytest.mark.parametrize(
    ("name", "settings", "suffix"),
    [
        ("a.avi", {"codec": "mpeg4", "audio": "mp3", "options": {"g": "12", "bf": "2"}}, ".avi"),
        ("a.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "audio": "pcm_s16le"}, ".mkv"),
        ("a.mkv", {"audio": "pcm_s16le"}, ".mkv"),
        ("a.mpg", {"codec": "mpeg2video", "audio": "mp2", "options": {"g": "12", "bf": "2"}}, ".mkv"),
    ],
)
def test_what_mp4_does_not_hold_goes_into_another_container(
    name: str, settings: dict[str, object], suffix: str, tmp_path: Path
) -> None:
    source = clip_of(tmp_path / name, **({"ticks": range(250), "time_base": FRAME} | settings))
    first_s = levels(source)[0][0]
    (clip,) = cut(source, (str(first_s + 2), str(first_s + 4))).clips
    assert clip.path.suffix == suffix
    assert 48 <= len(levels(clip.path)) <= 66
    assert packets_of(clip.path, "audio")
    greys = [grey for _, grey in levels(clip.path)]
    assert any(abs(greys[-1] - level(i)) < 4 for i in range(95, 106))


def test_a_clock_that_breaks_off_is_followed(tmp_path: Path) -> None:
    one, two = (clip_of(tmp_path / name, ticks=[t + late for t in TICKS]) for name, late in (("1.ts", 0), ("2.ts", 0)))
    source = tmp_path / "both.ts"
    late = clip_of(tmp_path / "3.ts", ticks=[t + 90000 * 100 for t in TICKS])
    source.write_bytes(late.read_bytes() + one.read_bytes())
    begin_s = levels(late)[0][0]
    # The second part counts from 0 again; frames go on from where the first part ended.
    (clip,) = cut(source, (str(begin_s + 13), str(begin_s + 14))).clips
    greys = [grey for _, grey in levels(clip.path)]
    assert greys[:20] == pytest.approx([grey for _, grey in levels(two)][75:95], abs=3)
    assert abs(clip.from_s - begin_s - 13) <= FRAME


def test_subtitles_come_along(tmp_path: Path) -> None:
    clip_of(tmp_path / "a.mp4")
    words = tmp_path / "a.srt"
    words.write_text(
        "1\n00:00:00,500 --> 00:00:02,500\nover the edge\n\n2\n00:00:03,100 --> 00:00:03,600\ninside\n\n"
        "3\n00:00:08,000 --> 00:00:09,000\nlater\n"
    )
    for name, codec in (("s.mp4", "mov_text"), ("s.mkv", "srt")):
        command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.mp4", "-i", words, "-map", "0", "-map", "1"]
        subprocess.run([*command, "-c:v", "copy", "-c:s", codec, tmp_path / name], check=True)
        (clip,) = cut(tmp_path / name, ("2.2", "4")).clips
        assert clip.path.suffix == Path(name).suffix
        shown = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", clip.path, "-map", "0:s", "-f", "srt", "-"], capture_output=True, text=True
        ).stdout
        assert "over the edge" in shown and "inside" in shown and "later" not in shown
        assert "00:00:00,000 --> 00:00:00,500" in shown and "00:00:01,100 --> 00:00:01,600" in shown
        clip.path.unlink()


def test_a_damaged_file_gives_the_clips_before_the_damage(tmp_path: Path) -> None:
    source = clip_of(tmp_path / "a.mkv", audio="aac")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    made = cut(source, ("1", "2"), ("9", "9.5"))
    assert [clip.spans for clip in made.clips] == [(0,)]
    assert made.uncopied == [1]


def test_what_is_no_video_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    made = cut(tmp_path / "a.mp4", ("1", "2"))
    assert not made.clips and made.uncopied == [0] and len(made.notes) == 1
    assert cut(tmp_path / "gone.mp4") == Cut()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    source = clip_of(tmp_path / "a.mp4")
    (tmp_path / "clips").write_text("a file where the folder would be")
    made: Cut | None = None
    with pytest.raises(OutputError):
        made = cut(source, ("1", "2"))
    assert made is None
