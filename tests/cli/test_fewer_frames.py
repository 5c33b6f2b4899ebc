"""Fewer frames by the command: keyframes, shots, reused detections, numbered pictures, addresses."""

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import Result

from ovdet_cli.media.images import write_image
from ovdet_cli.results.jsonl import read_jsonl
from tests.media.clips import make_clip
from tests.parity.reference import load_script

Ovdet = Callable[..., Result]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Three still pictures of eight frames each, a keyframe every six."""
    draw = load_script("picture").picture
    pictures = [draw(96, 128, i // 8) for i in range(24)]
    (tmp_path / "in").mkdir()
    return make_clip(
        tmp_path / "in" / "clip.mp4", ticks=range(0, 24 * 9000, 9000), size_wh=(128, 96), pictures=pictures,
        options={"g": "6", "sc_threshold": "0", "crf": "10"},
    )  # fmt: skip


def records(run: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(run / "detections.jsonl"))


def info(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


def num_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("render", ["all", "none"])
def test_reused_frames_have_records_and_are_drawn(
    ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path, render: str
) -> None:
    result = ovdet("video", clip, *model_options, "--skip-similar", "--render", render, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    found = records(tmp_path / "run")
    assert [record["index"] for record in found] == list(range(24))
    assert [record["index"] for record in found if "reused" not in record] == [0, 8, 16]
    for i in range(24):
        assert found[i]["detections"] == found[i // 8 * 8]["detections"]
    counts = info(tmp_path / "run")["counts"]
    assert (counts["video_frames"], counts["reused"], counts["reused_share"]) == (24, 21, 0.875)
    settings = info(tmp_path / "run")["settings"]
    assert (settings["skip_similar"], settings["refresh_s"]) == ("normal", 5.0)
    assert "21 of them unchanged" in result.stderr
    if render == "all":
        assert num_frames(tmp_path / "run" / "videos" / "clip.mp4") == 24


def test_they_go_with_every_range_refresh_index_and_track(
    ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path
) -> None:
    result = ovdet(
        *("video", clip, *model_options, "--skip-similar", "--similar", "strict", "--refresh", "0.3", "--every", "2"),
        *("--start", "0.4", "--end", "1.6", "--render", "none", "--index", "--track", "-o", tmp_path / "run"),
    )
    assert result.exit_code == 0, result.output
    found = records(tmp_path / "run")
    assert [record["index"] for record in found] == [4, 6, 8, 10, 12, 14]
    assert [record["index"] for record in found if "reused" not in record] == [4, 8, 12]


def test_keyframes(ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path) -> None:
    for render in ("none", "all"):
        run = tmp_path / render
        result = ovdet("video", clip, *model_options, "--keyframes", "--render", render, "-o", run)
        assert result.exit_code == 0, result.output
        assert [(record["index"], record["time_s"]) for record in records(run)] == [
            (0, 0.0), (6, 0.6), (12, 1.2), (18, 1.8),
        ]  # fmt: skip
        assert info(run)["settings"]["keyframes"] is True
    assert num_frames(tmp_path / "all" / "videos" / "clip.mp4") == 24
    assert records(tmp_path / "all") == records(tmp_path / "none")


def test_a_frame_a_shot(ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path) -> None:
    for render in ("none", "all"):
        run = tmp_path / render
        result = ovdet("video", clip, *model_options, "--scenes", "--render", render, "-o", run)
        assert result.exit_code == 0, result.output
        assert [record["index"] // 8 for record in records(run)] == [0, 1, 2]
    assert num_frames(tmp_path / "all" / "videos" / "clip.mp4") == 24
    assert records(tmp_path / "all") == records(tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--keyframes", "--scenes"], "exclude each other"),
        (["--scenes", "--skip-similar"], "exclude each other"),
        (["--similar", "loose"], "add --skip-similar"),
        (["--refresh", "2"], "add --skip-similar"),
        (["--skip-similar", "--refresh", "0"], "more than 0"),
        (["--input-fps", "fast"], "--input-fps fast"),
        (["--fps", "2", "--every", "2"], "exclude each other"),
    ],
)
def test_what_does_not_go_together(
    ovdet: Ovdet, model_options: list[str], clip: Path, tmp_path: Path, options: list[str], told: str
) -> None:
    result = ovdet("video", clip, *model_options, *options, "-o", tmp_path / "run")
    assert result.exit_code == 2, result.output
    assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_numbered_pictures_come_back_as_a_video(ovdet: Ovdet, model_options: list[str], tmp_path: Path) -> None:
    draw = load_script("picture").picture
    for number in (9, 10, 11, 14):
        write_image(tmp_path / "in" / f"f_{number:04d}.png", draw(96, 128, number))
    result = ovdet("video", tmp_path / "in" / "f_%04d.png", *model_options, "--input-fps", "10", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert [(r["source"], r["index"], r["time_s"]) for r in records(tmp_path / "run")] == [
        ("f_%04d.png", 0, 0.0), ("f_%04d.png", 1, 0.1), ("f_%04d.png", 2, 0.2), ("f_%04d.png", 3, 0.5),
    ]  # fmt: skip
    (made,) = (tmp_path / "run" / "videos").iterdir()
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        assert [float(f.pts * stream.time_base) for f in container.decode(stream)] == [0.0, 0.1, 0.2, 0.5]
        assert stream.duration * stream.time_base == Fraction(6, 10)  # the last one stays for a tenth too
    assert not info(tmp_path / "run")["notes"]


@pytest.fixture
def site(clip: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    write_image(clip.parent / "a.png", np.full((96, 128, 3), 90, np.uint8))
    handler = functools.partial(Quiet, directory=str(clip.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_addresses_are_read_drawn_and_removed(
    ovdet: Ovdet,
    model_options: list[str],
    site: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setattr("ovdet_cli.media.remote.tempfile.gettempdir", lambda: str(places))
    (tmp_path / "list.txt").write_text(
        f"http://me:secret@{site}/clip.mp4?key=secret\nhttp://{site}/a.png\nhttp://{site}/gone.png\n"
    )
    words = ["ovdet", "detect", f"http://me:secret@{site}/a.png?key=secret"]
    monkeypatch.setattr("sys.argv", words)
    run = tmp_path / "run"
    result = ovdet("detect", f"@{tmp_path / 'list.txt'}", *model_options, "--every", "8", "-o", run)
    assert result.exit_code == 3, result.output
    assert [(record["source"], record["status"]) for record in records(run)] == [
        *[("clip.mp4", "ok")] * 3, ("a.png", "ok"), ("gone.png", "error"),
    ]  # fmt: skip
    assert "404" in records(run)[-1]["error"]
    assert num_frames(run / "videos" / "clip.mp4") == 24
    assert (run / "images" / "a.png").is_file()
    assert not list(places.iterdir())
    told = result.output + "".join(path.read_text() for path in (run / "run.json", run / "detections.jsonl"))
    assert "secret" not in told
    assert info(run)["command"] == ["ovdet", "detect", f"http://{site}/a.png"]


def test_offline_refuses_addresses(
    ovdet: Ovdet, model_options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVDET_OFFLINE", "1")
    result = ovdet("detect", "https://example.org/a.png", *model_options, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "OVDET_OFFLINE" in result.stderr
