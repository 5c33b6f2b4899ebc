"""Headless Chromium without a driver: a frame around the report does as a reader would and tells a server.

The report's own policy lets no foreign script in; a page of the same origin that holds it in a frame can still reach
its document. So the report is tested as it is, and the server sees every request that it makes.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_HARNESS = """<!doctype html><meta charset="utf-8">
<iframe width="WIDTH" height="800" src="report.html#HASH"></iframe><script>
const tell = (what) => fetch("/said", {method: "POST", body: JSON.stringify(what)});
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const until = async (is) => {
  for (let k = 0; k < 400; k++) { if (is()) return; await pause(25); }
  throw Error("waited for " + is);
};
const frame = document.querySelector("iframe");
frame.onload = async () => {
  try {
    const win = frame.contentWindow, doc = win.document;
    const all = (selector) => [...doc.querySelectorAll(selector)];
    const texts = (selector) => all(selector).map((one) => one.textContent);
    const drawn = () => until(() => doc.documentElement.dataset.drawn === "all");
    const key = (target, name) => target.dispatchEvent(new win.KeyboardEvent("keydown", {key: name, bubbles: true}));
    await drawn();
    await tell({said: await (async () => { STEPS })()});
  } catch (error) { await tell({error: String(error.stack || error)}); }
};
</script>"""


@dataclass(frozen=True)
class Visit:
    """What a visit to a report gave."""

    said: Any
    """What the steps returned."""
    requests: list[str]
    """Paths asked of the server, but for the frame around the report."""
    console: list[str]
    """Lines that the page wrote to the browser's console."""


def visit(report: Path, steps: str, fragment: str = "", width: int = 1280) -> Visit:
    """Open a report, take the steps (the body of an async function in JavaScript) and give what they return.

    At hand are win, doc, all(selector), texts(selector), drawn(), key(target, name), pause(ms) and until(test).
    """
    page = _HARNESS.replace("STEPS", steps).replace("HASH", fragment).replace("WIDTH", str(width))
    said: queue.Queue[bytes] = queue.Queue()
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            body = page.encode() if self.path == "/" else report.read_bytes()
            self.send_response(200 if self.path in ("/", "/report.html") else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            said.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile, log = report.parent / "profile", report.parent / "console.txt"
    command = [
        *(str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"),
        *("--disable-background-networking", f"--user-data-dir={profile}", f"--window-size={width + 40},900"),
        f"http://127.0.0.1:{server.server_port}/",
    ]
    with log.open("wb") as errors:
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)
        try:
            answer = json.loads(said.get(timeout=60))
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
            server.shutdown()
            server.server_close()
    assert "error" not in answer, answer["error"]
    console = [line for line in log.read_text(errors="replace").splitlines() if "CONSOLE" in line]
    return Visit(
        answer["said"],
        [path for path in requests if path not in ("/", "/favicon.ico")],
        [line for line in console if "favicon" not in line],
    )
