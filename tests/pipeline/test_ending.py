"""Ctrl-C whatever the run is at: decoding, the network, a download; what is written is whole, and nothing is left."""

import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ovdet_cli.detections import Detections
from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.words import Words
from ovdet_cli.media import sources
from ovdet_cli.media.sources import collect_inputs
from ovdet_cli.pipeline.folder import RunFolder
from ovdet_cli.pipeline.job import DetectJob
from ovdet_cli.pipeline.run import run
from ovdet_cli.pipeline.similar import SkipSimilar
from ovdet_cli.results.jsonl import read_jsonl
from ovdet_cli.vocabulary.vocabulary import Vocabulary
from tests.media.clips import make_clip
from tests.parity.reference import seeded_embeddings

PATIENCE_S = 10


@pytest.fixture
def detector(r18_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Detector:
    """One that finds a box at once."""
    made = Detector(weights=r18_weights, device="cpu", threshold=0.4, short_side=64)

    def analyse(images: Sequence[np.ndarray], *_: Any) -> list[tuple[Detections, None]]:
        box, score = np.array([[1, 1, 9, 9]], np.float32), np.full(1, 0.9, np.float32)
        return [(Detections(box, score, np.zeros(1, np.int64)), None) for _ in images]

    monkeypatch.setattr(made, "analyse", analyse)
    return made


@pytest.fixture
def words(detector: Detector, tmp_path: Path) -> Words:
    np.save(tmp_path / "embeddings.npy", seeded_embeddings())
    return detector.prepare_words(Vocabulary([f"thing {i}" for i in range(40)]), tmp_path / "embeddings.npy")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", ticks=range(0, 60 * 3600, 3600))


def interrupt_soon() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()


def interrupted(job: DetectJob) -> float:
    """Seconds from the interruption, which someone sends, to the end."""
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(job)
    ended = time.monotonic()
    assert threading.active_count() <= threads
    assert job.folder is not None
    assert job.folder.read_info()["status"] == "interrupted"
    return ended


@pytest.mark.parametrize("stage", ["decoding", "network", "writing"])
@pytest.mark.parametrize("skip", [None, SkipSimilar()])
def test_a_playable_video_holds_the_frames_that_were_written(
    detector: Detector,
    words: Words,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    skip: SkipSimilar | None,
) -> None:
    began: list[float] = []

    def stall() -> None:
        if not began:
            began.append(time.monotonic())
            interrupt_soon()
            time.sleep(0.6)

    read, find = sources.read_video, detector.analyse

    def slow_read(*args: Any) -> Iterator[Any]:
        for frame in read(*args):
            if frame.index == 20 and stage == "decoding":
                stall()
            yield frame

    def slow_find(images: Sequence[np.ndarray], *rest: Any) -> Any:
        if stage == "network" and calls.append(None) is None and len(calls) > 8:
            stall()
        return find(images, *rest)

    calls: list[None] = []
    monkeypatch.setattr(sources, "read_video", slow_read)
    monkeypatch.setattr(detector, "analyse", slow_find)
    with RunFolder(tmp_path / "run") as folder:
        job = DetectJob(collect_inputs([str(clip)]), detector, words, folder, threshold=0.6, skip_similar=skip)
        if stage == "writing":
            with pytest.raises(KeyboardInterrupt):
                run(job, lambda summary: os.kill(os.getpid(), signal.SIGINT) if summary.frames == 10 else None)
        else:
            assert interrupted(job) - began[0] < PATIENCE_S
    with av.open(str(tmp_path / "run" / "videos" / "clip.mp4")) as container:
        written = sum(1 for _ in container.decode(video=0))
    assert 1 <= written < 60
    assert len(list(read_jsonl(tmp_path / "run" / "detections.jsonl"))) == written


def test_a_download_is_given_up_and_removed(
    detector: Detector, words: Words, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drip(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            interrupt_soon()
            try:
                for _ in range(600):
                    self.wfile.write(bytes(100))
                    time.sleep(0.1)
            except OSError:  # nobody listens any more
                pass

        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("ovdet_cli.media.remote.tempfile.gettempdir", lambda: str(tmp_path / "temporary"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        inputs = collect_inputs([str(clip), f"http://127.0.0.1:{server.server_port}/b.mp4"])
        with RunFolder(tmp_path / "run") as folder, pytest.raises(KeyboardInterrupt):
            began = time.monotonic()
            run(DetectJob(inputs, detector, words, folder, threshold=0.6))
        assert time.monotonic() - began < 2 * PATIENCE_S
    finally:
        server.shutdown()
        server.server_close()
    assert not list((tmp_path / "temporary").iterdir())
    with av.open(str(next((tmp_path / "run" / "videos").rglob("*.mp4")))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
