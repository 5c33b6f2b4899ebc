"""One published file brought to this machine: resumed where it broke, checked, and put in place whole.

While it comes, `<target>.part` holds the bytes and `<target>.part.json` says of which publication they are.
"""

import errno
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from ovdet_cli.errors import DownloadError
from ovdet_cli.models import store

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes there will be (None if the server does not tell)."""

_CHUNK = 1 << 16
_TIMEOUT_S = 30.0
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    offline: bool = False,
    name: str = "",
    waits_s: Sequence[float] = _WAITS_S,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Brings `url` to `target` and gives its sha256.

    OVDET_MIRROR replaces the publisher's address (there the file may have a `name` of its own), OVDET_OFFLINE=1 forbids
    every connection. After a dropped connection it waits and resumes; `waits_s` holds one wait for each try in a row
    that brings nothing.

    Raises:
        DownloadError: no network, not found, disk full, a wrong hash, or offline.
    """
    address = mirrored(url, name)
    if offline or is_offline():
        raise DownloadError(
            f"{address} was not fetched: --offline or OVDET_OFFLINE forbids every connection. "
            f"The published file may be put at {target} by hand"
        )
    part = _Part(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_patiently(address, part, progress, waits_s, sleep)
        found = store.hash_file(part.path)
        if sha256 is None or found == sha256.lower():
            part.finish()
            return found
        part.clear()
    except OSError as error:
        raise _disk_error(address, target, error) from error
    raise DownloadError(
        f"{address} has sha256 {found} but {sha256.lower()} is expected. The file was thrown away; "
        "try again, and if it stays so, do not trust that address"
    )


def mirrored(url: str, name: str = "") -> str:
    """The address to ask instead of `url`: itself, or its file (called `name` there, if given) below OVDET_MIRROR."""
    mirror = os.environ.get("OVDET_MIRROR")
    if not mirror:
        return url
    if not mirror.startswith(("http://", "https://")):
        raise DownloadError(f"OVDET_MIRROR is {mirror!r}, but it must start with http:// or https://")
    return f"{mirror.rstrip('/')}/{name or url.rsplit('/', 1)[1]}"


def is_offline() -> bool:
    """True if OVDET_OFFLINE forbids every connection."""
    return os.environ.get("OVDET_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


class _BrokenError(Exception):
    """The connection failed in a way that may pass."""


@dataclass(frozen=True)
class _Publication:
    """Which version of which file the bytes of a part belong to."""

    url: str
    validator: str | None
    """A strong ETag, else Last-Modified: what If-Range compares."""
    total: int | None


class _Part:
    """The unfinished file beside its target."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def publication(self) -> _Publication | None:
        """What the bytes belong to; None if that is not known."""
        try:
            return _Publication(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def resumable(self) -> int:
        """Bytes that a later request may go on from: without a validator nobody could tell a changed file."""
        publication = self.publication
        return self.size if publication is not None and publication.validator is not None else 0

    def begin(self, publication: _Publication) -> None:
        """Starts anew; the bytes go first, so that a note never stands beside another version's bytes."""
        self.clear()
        self._note.write_text(json.dumps(vars(publication)), encoding="utf-8")

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        self.path.replace(self.target)
        self._note.unlink(missing_ok=True)


def _fetch_patiently(
    address: str, part: _Part, progress: Progress | None, waits_s: Sequence[float], sleep: Callable[[float], None]
) -> None:
    most = part.size
    tries = 0
    while True:
        try:
            _fetch(address, part, progress)
            return
        except _BrokenError as error:
            # A try that brings the file further does not count; a server that ignores Range never does.
            tries = 1 if part.size > most else tries + 1
            most = max(most, part.size)
            if tries > len(waits_s):
                kept = (
                    f" {part.resumable} bytes are kept and the next try goes on from there;" if part.resumable else ""
                )
                raise DownloadError(
                    f"{address} could not be fetched: {error}.{kept} look at the network (a proxy is read from "
                    "https_proxy; OVDET_MIRROR names another address) and run the command again"
                ) from error
            sleep(waits_s[tries - 1])


def _fetch(address: str, part: _Part, progress: Progress | None) -> None:
    """One request that brings the rest of the part; _BrokenError if not all of it came."""
    noted = part.publication
    have = part.resumable if noted is not None and noted.url == address else 0
    if noted is not None and have and have == noted.total:
        return
    headers = {"User-Agent": "ovdet", "Accept-Encoding": "identity"}
    if noted is not None and noted.validator is not None and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": noted.validator}
    response = _open(address, headers)
    if response is None:  # 416: the file is shorter than what is here, so it is another one
        part.clear()
        _fetch(address, part, progress)
        return
    with response:
        told = _publication(address, response)
        if have and response.status == 206:
            if noted is None or not _continues(noted, told, response.headers, have):
                part.clear()
                _fetch(address, part, progress)
                return
        else:
            have = 0
            part.begin(told)
        _receive(response, part, have, told, progress)


def _open(address: str, headers: dict[str, str]) -> http.client.HTTPResponse | None:
    """The answer to a request; None if the server has not the range that was asked for."""
    try:
        response: http.client.HTTPResponse = _opener().open(Request(address, headers=headers), timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and "Range" in headers:
            return None
        if error.code in _PASSING_STATUS:
            raise _BrokenError(f"the server answered {error.code} {error.reason}") from error
        raise DownloadError(_refusal(address, error)) from error
    except URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{address}: the server's certificate cannot be verified ({reason.verify_message}). Behind a proxy "
                "that opens connections, let SSL_CERT_FILE name the proxy's certificates"
            ) from error
        if isinstance(reason, socket.gaierror):
            raise DownloadError(
                f"{address}: the host's name cannot be resolved ({reason.strerror}). Is there a network? On a closed "
                "one, OVDET_MIRROR names another address, or put the file there by hand (`ovdet models info NAME`)"
            ) from error
        raise _BrokenError(str(reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_describe(error)) from error
    except ValueError as error:
        raise DownloadError(f"{address!r} is not an address: {error}") from error
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise DownloadError(
            f"{address} answered with a web page instead of the file: perhaps this network wants a login first"
        )
    return response


def _refusal(address: str, error: HTTPError) -> str:
    what = f"{address} could not be fetched: the server answered {error.code} {error.reason}"
    if error.code in (404, 410):
        what += ". The publisher may have moved the file; look for a newer ovdet"
    return f"{what}. OVDET_MIRROR names another address, and `ovdet models info NAME` says where to put a file by hand"


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DownloadError(f"{req.full_url} redirects to {newurl}, which is not encrypted; it was not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> OpenerDirector:
    return build_opener(_SafeRedirects)


def _publication(address: str, response: http.client.HTTPResponse) -> _Publication:
    """What the answer's head tells of the file."""
    etag = response.headers.get("ETag")
    # If-Range takes strong tags only (RFC 9110, 13.1.5).
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    if response.status == 206:
        total = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return _Publication(address, validator, int(total[1]) if total else None)
    length = response.headers.get("Content-Length", "")
    return _Publication(address, validator, int(length) if length.isdigit() else None)


def _continues(noted: _Publication, told: _Publication, headers: Message, have: int) -> bool:
    """True if a 206 goes on where the part ends, in the same version of the file."""
    begins_there = headers.get("Content-Range", "").startswith(f"bytes {have}-")
    same_total = noted.total is None or told.total == noted.total
    return begins_there and same_total and told.validator in (None, noted.validator)


def _receive(
    response: http.client.HTTPResponse, part: _Part, have: int, told: _Publication, progress: Progress | None
) -> None:
    """Appends the body to the part, which holds `have` bytes."""
    if told.total is not None and shutil.disk_usage(part.path.parent).free < told.total - have:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # _BrokenError is no OSError: what leaves here as OSError is the disk's.
    with part.path.open("ab") as file:
        if progress is not None:
            progress(have, told.total)
        for chunk in _chunks(response):
            file.write(chunk)
            have += len(chunk)
            if progress is not None:
                progress(have, told.total)
        file.flush()
        os.fsync(file.fileno())
    if told.total is not None and have > told.total:
        part.clear()
        raise _BrokenError(f"{have} bytes came where {told.total} were announced")
    if told.total is not None and have < told.total:
        raise _BrokenError(f"the connection ended after {have} of {told.total} bytes")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenError(_describe(error)) from error
        if not chunk:
            return
        yield chunk


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__


def _disk_error(address: str, target: Path, error: OSError) -> DownloadError:
    what = f"{address} could not be written to {error.filename or target}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(target.parent).free
        return DownloadError(
            f"{what} ({free / 1e6:.0f} MB are free). Make room and run the command again, it goes on where it "
            "stopped; or let OVDET_HOME name a folder on another disk"
        )
    return DownloadError(f"{what}. The environment variable OVDET_HOME names another place")
