"""The output plays in a browser: headless Chromium, where the machine has one."""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ovdet_cli.frame import Frame
from ovdet_cli.media.video import read_video
from ovdet_cli.media.video_writer import VideoWriter
from tests.media.clips import make_clip

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PAGE = """<!doctype html><video muted src="NAME"></video><script>
const video = document.querySelector("video");
const tell = (what) => fetch("/said", {method: "POST", body: JSON.stringify({what, width: video.videoWidth,
  height: video.videoHeight, seconds: video.duration, shown: video.currentTime})});
video.onerror = () => tell("error: " + video.error.message);
video.onended = () => tell("ended");
video.playbackRate = 4;
video.play().catch((error) => tell("error: " + error));
</script>"""


def asked_of_the_browser(folder: Path) -> dict[str, Any]:
    """What the page in `folder` says, served without byte ranges: so only a file whose index stands first begins."""
    said: queue.Queue[bytes] = queue.Queue()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def do_POST(self) -> None:
            said.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [
        *(
            str(BROWSER),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--autoplay-policy=no-user-gesture-required",
        ),
        *(f"--user-data-dir={folder / 'profile'}", f"http://127.0.0.1:{server.server_port}/page.html"),
    ]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        return json.loads(said.get(timeout=40))
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
        server.shutdown()
        server.server_close()


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_the_output_plays_in_a_browser(tmp_path: Path) -> None:
    ticks = [i * 3600 for i in range(30)] + [30 * 3600 + i * 9000 for i in range(8)]
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv444p", ticks=ticks, size_wh=(161, 91), audio="aac")
    with VideoWriter(tmp_path / "out.mp4", source) as writer:
        for frame in read_video(source, "a"):
            assert isinstance(frame, Frame)
            writer.write(frame.image, frame.time_s or Fraction(0))
    (tmp_path / "page.html").write_text(PAGE.replace("NAME", "out.mp4"))
    said = asked_of_the_browser(tmp_path)
    assert said["what"] == "ended", said
    assert (said["width"], said["height"]) == (162, 92)
    assert said["seconds"] == pytest.approx(2.0, abs=0.1)
