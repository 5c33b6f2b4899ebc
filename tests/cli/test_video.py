"""`ovdet video`: a clip in, an annotated clip and records of exact times out."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import Result

from ovdet_cli.results.runs import load_run
from tests.media.clips import make_clip, packets_of
from tests.parity.reference import load_script

Ovdet = Callable[..., Result]
TICKS = [9000 + 3003 * i for i in range(12)] + [60000, 70000, 70090, 90000]
"""Times of the frames in 1/90000 s: 29.97 frames a second from 0.1 s on, then uneven ones."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Pictures that change, with odd sides, uneven times, a start after zero, and sound."""
    draw = load_script("picture").picture
    (tmp_path / "in").mkdir()
    pictures = [draw(91, 121, seed // 4) for seed in range(len(TICKS))]
    return make_clip(
        tmp_path / "in" / "clip.mkv",
        ticks=TICKS,
        time_base=Fraction(1, 90000),
        size_wh=(121, 91),
        pix_fmt="yuv444p",
        pictures=pictures,
        audio="aac",
    )


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [Fraction(frame.pts) * Fraction(stream.time_base) for frame in container.decode(stream)]


def test_a_clip_comes_back_with_its_times_and_sound(
    ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path
) -> None:
    result = ovdet("video", clip, *model_options, "--every", 4, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    made = tmp_path / "run" / "videos" / "clip.mkv.mp4"
    assert times_of(made) == times_of(clip)
    with av.open(str(made)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (122, 92)
    assert [data for _, data in packets_of(made, "audio")] == [data for _, data in packets_of(clip, "audio")]
    frames = load_run(tmp_path / "run").frames
    assert frames["index"].tolist() == [0, 4, 8, 12]
    assert frames["time_s"].tolist() == [float(times_of(clip)[i]) for i in (0, 4, 8, 12)]
    assert set(frames["width"]) == {121}


def test_frames_between_samples_keep_the_boxes(
    ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path
) -> None:
    ovdet("video", clip, *model_options, "--every", 4, "--no-masks", "-o", tmp_path / "run")
    ovdet("video", clip, *model_options, "--every", 4, "--render", "none", "-o", tmp_path / "plain")
    assert not (tmp_path / "plain" / "videos").exists()
    with av.open(str(tmp_path / "run" / "videos" / "clip.mkv.mp4")) as container:
        drawn = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    # Pictures change every four frames, as the boxes do: within a group everything stays.
    for i in range(12):
        change = np.abs(drawn[i + 1] - drawn[i]).mean()
        assert (change > 10) == (i % 4 == 3), f"between frames {i} and {i + 1}: {change}"
    assert load_run(tmp_path / "run").frames["index"].tolist() == load_run(tmp_path / "plain").frames["index"].tolist()


def test_a_part_of_a_clip(ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path) -> None:
    result = ovdet(
        "video", clip, *model_options, "--start", "0.2", "--end", "0.6", "--fps", "10", "-o", tmp_path / "run"
    )
    assert result.exit_code == 0, result.output
    shown = [time - times_of(clip)[0] for time in times_of(clip)]
    inside = [i for i, time in enumerate(shown) if Fraction(1, 5) <= time < Fraction(3, 5)]
    frames = load_run(tmp_path / "run").frames
    assert frames["index"].tolist()[0] == inside[0]
    assert set(frames["index"]) <= set(inside)
    assert frames["time_s"].tolist() == [float(times_of(clip)[i]) for i in frames["index"]]
    assert times_of(tmp_path / "run" / "videos" / "clip.mkv.mp4") == [shown[i] - shown[inside[0]] for i in inside]


def test_video_takes_videos_alone_and_detect_takes_both(
    ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path
) -> None:
    (clip.parent / "no video.mp4").write_text("this is no video")
    (clip.parent / "a.png").write_bytes(b"")
    only = ovdet("video", clip.parent, *model_options, "--every", 8, "-o", tmp_path / "only")
    assert only.exit_code == 3
    frames = load_run(tmp_path / "only").frames
    assert frames[["source", "status"]].drop_duplicates().to_numpy().tolist() == [
        ["clip.mkv", "ok"],
        ["no video.mp4", "error"],
    ]
    both = ovdet("detect", clip.parent, *model_options, "--every", 8, "--render", "none", "-o", tmp_path / "both")
    assert both.exit_code == 3
    assert set(load_run(tmp_path / "both").frames["source"]) == {"clip.mkv", "no video.mp4", "a.png"}


def test_a_clip_that_breaks_half_way(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    pictures = [load_script("picture").picture(48, 64, seed) for seed in range(24)]
    ticks = range(0, 24 * 30000, 30000)
    data = make_clip(tmp_path / "whole.mkv", ticks=ticks, pictures=pictures).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    result = ovdet("video", tmp_path / "cut.mkv", *model_options, "-o", tmp_path / "run")
    assert result.exit_code == 3, result.output
    frames = load_run(tmp_path / "run").frames
    assert frames["status"].tolist() == ["ok"] * (len(frames) - 1) + ["error"]
    assert len(frames) > 2
    assert len(times_of(tmp_path / "run" / "videos" / "cut.mkv.mp4")) == len(frames) - 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["counts"]["video_frames"] == len(frames) - 1


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_interruptions_leave_a_playable_clip(model_options: list[str], tmp_path: Path, times: int) -> None:
    pictures = [load_script("picture").picture(48, 64, seed % 5) for seed in range(400)]
    clip = make_clip(tmp_path / "clip.mp4", ticks=range(0, 400 * 3600, 3600), pictures=pictures)
    run = tmp_path / "run"
    command = [sys.executable, "-m", "ovdet_cli", "video", str(clip), *model_options, "--every", "4", "-o", str(run)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (run / "frames.csv").is_file() or (run / "frames.csv").read_bytes().count(b"\n") < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    analysed = load_run(run).frames["index"].tolist()
    written = times_of(run / "videos" / "clip.mp4")
    assert analysed[-1] < len(written) < 400
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"


def test_hits_alone_leave_no_video_without_any(
    ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path
) -> None:
    ovdet(
        "video", clip, *model_options, "--threshold", "0.999", "--every", 8, "--render", "hits", "-o", tmp_path / "run"
    )
    assert load_run(tmp_path / "run").detections.empty
    assert not list((tmp_path / "run").rglob("*.mp4"))
