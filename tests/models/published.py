"""A publisher on 127.0.0.1 that misbehaves as told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Publisher:
    """Serves `files` (path -> bytes) and notes the requests; the switches say how it misbehaves."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etag: str | None = '"one"'
        self.last_modified: str | None = None
        self.content_type = "application/octet-stream"
        self.knows_ranges = True
        self.compares_if_range = True
        self.drop_after: list[int] = []
        """Bytes of the body after which each of the next answers ends."""
        self.statuses: list[int] = []
        """Statuses that the next answers have instead of the file."""
        self.redirects: dict[str, str] = {}
        self.tells_length = True
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of every request."""
        return [headers.get("Range") for _, headers in self.requests]


@contextmanager
def publishing() -> Iterator[Publisher]:
    """A publisher that answers until the block ends."""
    publisher = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, publisher)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    publisher.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield publisher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, publisher: Publisher) -> None:
    publisher.requests.append((handler.path, dict(handler.headers)))
    if publisher.statuses:
        handler.send_error(publisher.statuses.pop(0))
        return
    if handler.path in publisher.redirects:
        handler.send_response(302)
        handler.send_header("Location", publisher.redirects[handler.path])
        handler.end_headers()
        return
    if handler.path not in publisher.files:
        handler.send_error(404)
        return
    content = publisher.files[handler.path]
    start = _start(handler, publisher)
    if start >= len(content) > 0:
        handler.send_error(416)
        return
    body = content[start:]
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if publisher.etag:
        handler.send_header("ETag", publisher.etag)
    if publisher.last_modified:
        handler.send_header("Last-Modified", publisher.last_modified)
    handler.send_header("Content-Type", publisher.content_type)
    if publisher.tells_length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if publisher.drop_after:
        body = body[: publisher.drop_after.pop(0)]
    handler.wfile.write(body)


def _start(handler: BaseHTTPRequestHandler, publisher: Publisher) -> int:
    """Where the answer's body begins in the file."""
    asked = handler.headers.get("Range")
    condition = handler.headers.get("If-Range")
    if asked is None or not publisher.knows_ranges:
        return 0
    if publisher.compares_if_range and condition not in (None, publisher.etag, publisher.last_modified):
        return 0
    return int(asked.removeprefix("bytes=").rstrip("-"))
