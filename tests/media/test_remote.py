"""Files at an address, from a server of this test's own: brought whole, named safely, never a secret told."""

import http.server
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.errors import InputError, UsageError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media import remote
from ovdet_cli.media.images import write_image
from ovdet_cli.media.remote import RemoteInfo, fetch, parts_of, shown, without_secrets
from ovdet_cli.media.sources import InputList, collect_inputs, open_source
from tests.media.clips import make_clip

Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    answers: dict[str, Answer]
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        answer = self.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(404)
        else:
            answer(self)

    def log_message(self, *_: object) -> None:
        pass


class Server:
    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        handler = type("Bound", (Handler,), {"answers": self.answers, "seen": self.seen})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def whole(data: bytes, kind: str = "application/octet-stream") -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def breaking(data: bytes, first: int, *, resumes: bool) -> Answer:
    """Breaks off after `first` bytes, each time anew; goes on where asked to, if it `resumes`."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and resumes else 0
        handler.send_response(206 if begin else 200)
        handler.send_header("ETag", '"one"')
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        handler.wfile.write(data[begin : begin + first])

    return answer


def to(place: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.end_headers()

    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_TIMEOUT_S", 2.0)
    monkeypatch.setattr(remote.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))


@pytest.fixture
def png(tmp_path: Path) -> bytes:
    write_image(tmp_path / "a.png", np.full((8, 12, 3), 200, np.uint8))
    return (tmp_path / "a.png").read_bytes()


def info(server: Server, path: str, tmp_path: Path, **options: object) -> RemoteInfo:
    return RemoteInfo("a", tmp_path / "kept" / "a", "image", server.url(path), **options)  # type: ignore[arg-type]


def only(inputs: InputList) -> SourceInfo:
    (source,) = inputs.sources
    return source


def test_a_picture_and_a_video(server: Server, tmp_path: Path, png: bytes) -> None:
    clip = make_clip(tmp_path / "b.mp4")
    server.answers |= {"/in/a.png": whole(png), "/in/b.mp4": whole(clip.read_bytes())}
    inputs = collect_inputs([server.url("/in/a.png?key=secret"), server.url("/in/b.mp4")])
    assert [(source.name, source.kind) for source in inputs.sources] == [("in/a.png", "image"), ("in/b.mp4", "video")]
    assert inputs.name == "a-and-1-more"
    assert not server.seen
    counts = [len(list(open_source(source).frames())) for source in inputs.sources]
    assert counts == [1, 50]
    assert server.seen[0][0] == "/in/a.png?key=secret"
    for source in inputs.sources:
        assert source.path.is_file()
        remote.discard(source)
    assert not inputs.sources[0].path.parent.exists()


def test_names_come_from_the_path_and_lead_nowhere() -> None:
    assert parts_of("https://h.org/a%20b/c.mp4?x=/../y#z") == ("h.org", ("a b", "c.mp4"))
    assert parts_of("http://u:p@h.org:81/%2e%2e/..//./a%2f..%5cb%0a.png") == ("h.org_81", ("a_.._b\\n.png",))
    for bad in ("http://", "http://h.org", "http://h.org/", "http://[bad/a.png", "http://h.org:x/a.png"):
        with pytest.raises(InputError, match="address"):
            parts_of(bad)


def test_several_hosts_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    write_image(tmp_path / "own" / "a.png", np.zeros((4, 4, 3), np.uint8))
    inputs = collect_inputs(
        ["http://one.org/a.png", "http://two.org/a.png", "http://one.org/a.png?v=2", str(tmp_path / "own")]
    )
    assert [source.name for source in inputs.sources] == [
        "one.org/a.png",
        "two.org/a.png",
        "one.org/a-2.png",
        "own/a.png",
    ]
    assert len({source.path for source in inputs.sources}) == 4


def test_secrets_are_sent_and_never_shown(server: Server, tmp_path: Path, png: bytes) -> None:
    other = Server()
    try:
        server.answers["/a.png"] = to(other.url("/b.png"))
        other.answers["/b.png"] = whole(png)
        secret = f"http://me:pa%40ss@127.0.0.1:{server.port}/a.png?token=xyz"
        source = only(collect_inputs([secret]))
        assert [type(frame) for frame in open_source(source).frames()] == [Frame]
        assert server.seen[0][1]["Authorization"] == "Basic bWU6cGFAc3M="
        assert "Authorization" not in other.seen[0][1]
    finally:
        other.close()
    for text in (repr(source), shown(secret), without_secrets(secret)):
        assert not any(word in text for word in ("pa%40ss", "pa@ss", "xyz", "token"))
    assert without_secrets("--classes") == "--classes"


def test_an_address_without_an_ending_is_asked_what_it_is(server: Server, png: bytes) -> None:
    server.answers |= {
        "/photo": whole(png, "image/png"),
        "/film": whole(b"", "video/mp4"),
        "/live": whole(b"", "application/vnd.apple.mpegurl"),
    }
    kinds = [only(collect_inputs([server.url(path)])).kind for path in ("/photo", "/film")]
    assert kinds == ["image", "video"]
    with pytest.raises(UsageError, match="none of the"):
        collect_inputs([server.url("/live")])


def test_failing_addresses_of_a_list_are_records(server: Server, tmp_path: Path, png: bytes) -> None:
    server.answers |= {"/a.png": whole(png), "/login.png": whole(b"<html>", "text/html")}
    addresses = [server.url(path) for path in ("/a.png", "/gone.png", "/login.png", "/gone", "/")]
    (tmp_path / "list.txt").write_text("\n".join(addresses))
    inputs = collect_inputs([f"@{tmp_path / 'list.txt'}"])
    found = [frame for source in inputs.sources for frame in open_source(source).frames()]
    assert [type(frame) for frame in found] == [Frame, Failure, Failure]
    assert "404" in found[1].error
    assert "web page" in found[2].error
    assert ["404" in failure.error or "no address" in failure.error for failure in inputs.missing] == [True, True]


def test_offline_forbids_it(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVDET_OFFLINE", "1")
    with pytest.raises(UsageError, match="OVDET_OFFLINE"):
        collect_inputs([server.url("/a.png")])
    (tmp_path / "list.txt").write_text(server.url("/a.png"))
    (failure,) = open_source(only(collect_inputs([f"@{tmp_path / 'list.txt'}"]))).frames()
    assert isinstance(failure, Failure)
    assert "OVDET_OFFLINE" in failure.error
    assert not server.seen


def test_a_broken_connection_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400
    server.answers["/a"] = breaking(data, 30_000, resumes=True)
    wanted = info(server, "/a", tmp_path)
    fetch(wanted, waits_s=(0.0, 0.0))
    assert wanted.path.read_bytes() == data
    assert [headers.get("Range") for _, headers in server.seen] == [
        None, "bytes=30000-", "bytes=60000-", "bytes=90000-",
    ]  # fmt: skip


def test_a_server_that_always_breaks_is_given_up(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = breaking(bytes(5000), 1000, resumes=False)
    with pytest.raises(InputError, match="after 1000 of 5000 bytes"):
        fetch(info(server, "/a", tmp_path), waits_s=(0.0, 0.0))
    assert 3 <= len(server.seen) <= 4
    assert not list((tmp_path / "kept").iterdir())


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    def busy(handler: Handler) -> None:
        server.answers["/a"] = whole(b"here")
        handler.send_error(503)

    server.answers["/a"] = busy
    wanted = info(server, "/a", tmp_path)
    fetch(wanted, waits_s=(0.0,))
    assert wanted.path.read_bytes() == b"here"


def test_the_limit_holds_whether_announced_or_not(server: Server, tmp_path: Path) -> None:
    def unannounced(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(bytes(3000))

    server.answers |= {"/a": whole(bytes(3000)), "/b": unannounced}
    for path in ("/a", "/b"):
        with pytest.raises(InputError, match="--max-download"):
            fetch(info(server, path, tmp_path, most_bytes=2000))
    assert not list((tmp_path / "kept").iterdir())
    fetch(info(server, "/b", tmp_path, most_bytes=3000))


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/a.png"])
def test_redirects_leave_the_web_never(server: Server, tmp_path: Path, place: str) -> None:
    server.answers["/a"] = to(place)
    with pytest.raises(InputError, match=r"not followed|302"):
        fetch(info(server, "/a", tmp_path))


def test_redirects_that_never_end(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = to("/a")
    with pytest.raises(InputError, match="302"):
        fetch(info(server, "/a", tmp_path))


def test_a_silent_server_times_out(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(remote, "_TIMEOUT_S", 0.2)
    server.answers["/a"] = lambda handler: time.sleep(1)
    with caplog.at_level(logging.CRITICAL), pytest.raises(InputError, match="timed out"):
        fetch(info(server, "/a", tmp_path), waits_s=(0.0,))


def test_the_end_of_the_run_ends_a_download(server: Server, tmp_path: Path) -> None:
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                handler.wfile.write(b"drop")
                time.sleep(0.05)

    server.answers["/a"] = drip
    wanted = info(server, "/a", tmp_path)
    threading.Timer(0.2, wanted.is_stopped.set).start()
    began = time.monotonic()
    with pytest.raises(InputError, match="the run ended"):
        fetch(wanted)
    assert time.monotonic() - began < 2
    assert not list((tmp_path / "kept").iterdir())
