"""Pictures and videos at an http(s) address: brought whole to a temporary file, read from there, and removed.

FFmpeg could read most of them over the network itself. A file is better: numbers and times of frames need several
passes and seeks, sound is copied in one more, each of which asks the server for ranges that it may not give; a dropped
connection can be mended here, while in the middle of a decode it looks like a damaged file; and pictures need one
anyway. The price is the room, hence the limit, and that a video is read only when all of it is here.
"""

import base64
import http.client
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from ovdet_cli.errors import InputError
from ovdet_cli.frame import SourceInfo
from ovdet_cli.media.naming import safe_name

MOST_BYTES = 8 << 30
"""An hour of camera video at 16 Mbit/s."""
_CHUNK = 1 << 16
_TIMEOUT_S = 15.0
_WAITS_S = (0.5, 2.0, 5.0)
_PASSING_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
# What is no sign of an address; a percent sign stays as it is, so that what is quoted already is not quoted twice.
_SAFE_SIGNS = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True)
class RemoteInfo(SourceInfo):
    """A file at an address as an input. `path`: where it lies while it is read."""

    url: str = field(default="", repr=False)
    most_bytes: int = MOST_BYTES
    is_stopped: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)
    """Set when the run ends: a download under way gives up."""


def is_address(text: str) -> bool:
    """Whether the text is an http(s) address and no path."""
    return _ADDRESS.match(text) is not None


def is_offline() -> bool:
    """True if OVDET_OFFLINE forbids every connection."""
    return os.environ.get("OVDET_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def shown(url: str) -> str:
    """The address without what may be secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        place = parts.hostname or ""
        place = f"[{place}]" if ":" in place else place
        place += f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return safe_name(urlunsplit((parts.scheme, place, parts.path, "", "")))


def parts_of(url: str) -> tuple[str, tuple[str, ...]]:
    """(host, parts of the path), fit to name a file by: nothing leads out of a folder, nothing is secret.

    Raises:
        InputError: it is no address of a file.
    """
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError as error:
        raise InputError(f"{shown(url)}: is no address: {error}") from None
    parts = tuple(_safe_part(part) for part in split.path.split("/") if part)
    parts = tuple(part for part in parts if part)
    if not host or not parts:
        raise InputError(f"{shown(url)}: is no address of a file")
    return re.sub(r"[^\w.-]", "_", host + (f"_{port}" if port else "")), parts


def _safe_part(part: str) -> str:
    text = unquote(part, errors="surrogateescape")
    text = re.sub(r'[/\\:*?"<>|\0]', "_", text)
    return "" if text in (".", "..") else safe_name(text)


def temporary_place(folder: Path, number: int, name: str) -> Path:
    """Where a file is kept while it is read; its ending tells the format to no one, but helps a person."""
    suffix = Path(name).suffix.lower()
    return folder / f"{number:06d}{suffix if re.fullmatch(r'[.][a-z0-9]{1,5}', suffix) else ''}"


def new_folder() -> Path:
    """A place for downloads that is nobody else's; it is made with the first one. TMPDIR chooses the disk."""
    return Path(tempfile.gettempdir(), f"ovdet-{secrets.token_hex(8)}")


def media_type(url: str) -> str:
    """What the server calls the file: "image/png". One request, nothing is brought.

    Raises:
        InputError: no answer.
    """
    try:
        with _open(url, {}) as response:
            return str(response.headers.get_content_type())
    except _BrokenError as error:
        raise InputError(f"{shown(url)}: could not be reached: {error.args[0]}") from error


def fetch(info: RemoteInfo, waits_s: Sequence[float] = _WAITS_S) -> None:
    """Brings the file to `info.path`, whole or not at all; it tries again, and goes on where it can.

    Raises:
        InputError: offline, no answer, refused, larger than the limit, stopped, or a page instead of a file.
    """
    if is_offline():
        raise InputError(f"{shown(info.url)}: was not fetched: OVDET_OFFLINE forbids every connection")
    if info.path.exists():
        return
    part = info.path.with_name(f"{info.path.name}.part")
    try:
        info.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _fetch_patiently(info, part, waits_s)
        part.replace(info.path)
    except OSError as error:
        raise InputError(
            f"{shown(info.url)}: cannot be written to {info.path.parent}: {error.strerror or error}; TMPDIR names "
            "another disk"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def discard(info: SourceInfo) -> None:
    """Removes the temporary file of an address, and its folder with the last one; nothing of any other input."""
    if isinstance(info, RemoteInfo):
        with suppress(OSError):
            info.path.unlink()
        with suppress(OSError):  # others are still in it
            info.path.parent.rmdir()


def without_secrets(argument: str) -> str:
    """A word of a command line; an address in it loses what may be secret."""
    return shown(argument) if is_address(argument) else argument


class _BrokenError(Exception):
    """The connection failed in a way that may pass."""


def _fetch_patiently(info: RemoteInfo, part: Path, waits_s: Sequence[float]) -> None:
    most, tries, tag = 0, 0, None
    while True:
        try:
            tag = _fetch_once(info, part, tag)
            return
        except _BrokenError as error:
            have = part.stat().st_size if part.exists() else 0
            # A try that brings the file further does not count; one that begins anew does.
            tries = 1 if have > most else tries + 1
            most = max(most, have)
            tag = error.args[1] if len(error.args) > 1 else tag
            if tries > len(waits_s):
                raise InputError(f"{shown(info.url)}: could not be fetched: {error.args[0]}") from error
            if info.is_stopped.wait(waits_s[tries - 1]):
                raise InputError(f"{shown(info.url)}: the run ended before it was here") from error


def _fetch_once(info: RemoteInfo, part: Path, tag: str | None) -> str | None:
    """One request that brings the rest; tag: the version that the part belongs to, which the server must confirm."""
    have = part.stat().st_size if tag is not None and part.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": tag} if have and tag is not None else {}
    with _open(info.url, headers) as response:
        begins_there = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not begins_there:
            raise _BrokenError("the server sent another part of the file than was asked for", None)
        have = have if response.status == 206 else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        _check_size(info, total or 0)
        etag = response.headers.get("ETag")
        # If-Range takes strong tags only (RFC 9110, 13.1.5).
        told = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        try:
            with part.open("ab" if have else "wb") as file:
                while chunk := _read(response):
                    file.write(chunk)
                    have += len(chunk)
                    _check_size(info, have)
                    if info.is_stopped.is_set():
                        raise InputError(f"{shown(info.url)}: the run ended before it was here")
        except _BrokenError as error:
            raise _BrokenError(error.args[0], told) from error
    if total is not None and have != total:
        raise _BrokenError(f"the connection ended after {have} of {total} bytes", told)
    return told


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)  # what is here, so that a slow server cannot keep a run from ending
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(str(error) or type(error).__name__) from error


def _check_size(info: RemoteInfo, size: int) -> None:
    if size > info.most_bytes:
        raise InputError(f"{shown(info.url)}: is larger than {info.most_bytes / 1e9:g} GB; --max-download allows more")


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """The answer of the server; _BrokenError for what may pass, InputError for what will not."""
    try:
        response: http.client.HTTPResponse = _opener().open(_request(url, headers), timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code in _PASSING_STATUS:
            raise _BrokenError(f"the server answered {error.code} {error.reason}") from None
        if error.code == 416 and headers:  # the file is shorter than what is here, so it is another one
            raise _BrokenError("the file has changed while it came", None) from None
        raise InputError(f"{shown(url)}: the server answered {error.code} {error.reason}") from None
    except URLError as error:
        raise _BrokenError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(str(error) or type(error).__name__) from error
    except ValueError as error:
        raise InputError(f"{shown(url)}: is no address: {error}") from None
    if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        response.close()
        raise InputError(f"{shown(url)}: is a web page, not a picture or video")
    return response


def _request(url: str, headers: dict[str, str]) -> Request:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    clean = urlunsplit((parts.scheme, place, quote(parts.path, safe=_SAFE_SIGNS), quote(parts.query, _SAFE_SIGNS), ""))
    request = Request(clean, headers={"User-Agent": "ovdet", "Accept-Encoding": "identity", **headers})
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        # Not to whom the server redirects.
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    return request


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects to http(s) alone, and never from https to http."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        allowed = "https://" if req.full_url.startswith("https:") else ("https://", "http://")
        if not newurl.startswith(allowed):
            raise InputError(f"{shown(req.full_url)}: redirects to {shown(newurl)}, which was not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> OpenerDirector:
    return build_opener(_SafeRedirects)
