import errno
import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import DownloadError
from ovdet_cli.models import download as module
from ovdet_cli.models.download import download
from tests.models.published import Publisher, publishing

CONTENT = bytes(range(256)) * 2000
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "file.pth"


@pytest.fixture
def url(publisher: Publisher) -> str:
    publisher.files["/file.pth"] = CONTENT
    return f"{publisher.url}/file.pth"


def fetch(url: str, target: Path, *, waits: int = 3, sha256: str | None = None) -> tuple[str, list[float]]:
    slept: list[float] = []
    found = download(url, target, sha256=sha256, waits_s=[0.5 * 2**i for i in range(waits)], sleep=slept.append)
    assert target.read_bytes() == CONTENT
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    return found, slept


def break_off(url: str, target: Path, publisher: Publisher, after: int = 100_000) -> Path:
    """A first try that ends after so many bytes; gives the part."""
    publisher.drop_after = [after]
    with pytest.raises(DownloadError, match="could not be fetched"):
        fetch(url, target, waits=0)
    publisher.drop_after = []
    part = target.with_name(target.name + ".part")
    assert part.stat().st_size == after
    assert not target.exists()
    return part


def test_a_whole_file(url: str, target: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    found = download(url, target, sha256=HASH.upper(), progress=lambda done, total: steps.append((done, total)))
    assert found == HASH
    assert target.read_bytes() == CONTENT
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert steps == sorted(steps)


def test_a_file_of_unknown_length(url: str, target: Path, publisher: Publisher) -> None:
    publisher.tells_length = False
    assert fetch(url, target)[0] == HASH


def test_an_empty_file(url: str, target: Path, publisher: Publisher) -> None:
    publisher.files["/file.pth"] = b""
    assert download(url, target) == hashlib.sha256(b"").hexdigest()
    assert target.read_bytes() == b""


def test_a_dropped_connection_is_resumed(url: str, target: Path, publisher: Publisher) -> None:
    publisher.drop_after = [100_000, 50_000]
    found, slept = fetch(url, target, waits=1)
    assert found == HASH
    assert publisher.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert publisher.requests[1][1]["If-Range"] == '"one"'
    assert slept == [0.5, 0.5]  # bytes came each time, so the patience begins anew


def test_a_later_call_resumes(url: str, target: Path, publisher: Publisher) -> None:
    break_off(url, target, publisher)
    steps: list[int] = []
    download(url, target, sha256=HASH, progress=lambda done, _total: steps.append(done))
    assert steps[0] == 100_000
    assert publisher.ranges == [None, "bytes=100000-"]


def test_last_modified_serves_where_the_etag_is_weak(url: str, target: Path, publisher: Publisher) -> None:
    publisher.etag, publisher.last_modified = 'W/"one"', "Tue, 07 May 2024 10:00:00 GMT"
    break_off(url, target, publisher)
    fetch(url, target, sha256=HASH)
    assert publisher.requests[1][1]["If-Range"] == publisher.last_modified


def test_without_a_validator_it_restarts(url: str, target: Path, publisher: Publisher) -> None:
    publisher.etag = None
    break_off(url, target, publisher)
    fetch(url, target, sha256=HASH)
    assert publisher.ranges == [None, None]


def test_without_a_validator_no_resuming_is_promised(url: str, target: Path, publisher: Publisher) -> None:
    publisher.etag, publisher.drop_after = None, [100_000]
    with pytest.raises(DownloadError) as raised:
        download(url, target, waits_s=[])
    assert "kept" not in str(raised.value)


def test_a_server_that_ignores_range_restarts(url: str, target: Path, publisher: Publisher) -> None:
    publisher.knows_ranges = False
    break_off(url, target, publisher)
    fetch(url, target, sha256=HASH)
    assert publisher.ranges == [None, "bytes=100000-"]


def test_patience_ends_where_nothing_is_gained(url: str, target: Path, publisher: Publisher) -> None:
    publisher.knows_ranges = False
    publisher.drop_after = [100_000] * 20
    slept: list[float] = []
    with pytest.raises(DownloadError, match=r"100000 of 512000 bytes.*are kept"):
        download(url, target, waits_s=[1, 2, 4], sleep=slept.append)
    assert slept == [1, 2, 4]
    assert len(publisher.requests) == 4


@settings(max_examples=25, deadline=None)
@given(
    content=st.binary(max_size=300_000),
    drops=st.lists(st.integers(0, 150_000), max_size=4),
    statuses=st.lists(st.sampled_from([429, 500, 502, 503, 504]), max_size=2),
    etag=st.sampled_from(['"one"', 'W/"one"', None]),
    knows_ranges=st.booleans(),
)
def test_however_it_breaks_the_file_is_whole(
    content: bytes, drops: list[int], statuses: list[int], etag: str | None, knows_ranges: bool
) -> None:
    with publishing() as publisher, tempfile.TemporaryDirectory() as folder:
        publisher.files["/x"], publisher.drop_after, publisher.statuses = content, list(drops), list(statuses)
        publisher.etag, publisher.knows_ranges = etag, knows_ranges
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("OVDET_MIRROR", raising=False)
            target = Path(folder) / "x"
            found = download(f"{publisher.url}/x", target, waits_s=[0] * 8, sleep=lambda _wait: None)
        assert target.read_bytes() == content
        assert found == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("compares", [True, False])
def test_a_changed_file_restarts(url: str, target: Path, publisher: Publisher, compares: bool) -> None:
    publisher.files["/file.pth"] = CONTENT[::-1]
    break_off(url, target, publisher)
    publisher.files["/file.pth"], publisher.etag, publisher.compares_if_range = CONTENT, '"two"', compares
    fetch(url, target, sha256=HASH)


def test_a_file_that_became_shorter_restarts(url: str, target: Path, publisher: Publisher) -> None:
    publisher.files["/file.pth"] = CONTENT * 2
    break_off(url, target, publisher, after=len(CONTENT) + 10)
    publisher.files["/file.pth"], publisher.compares_if_range = CONTENT, False
    fetch(url, target, sha256=HASH)
    assert publisher.ranges == [None, f"bytes={len(CONTENT) + 10}-", None]


def test_another_address_restarts(url: str, target: Path, publisher: Publisher) -> None:
    break_off(url, target, publisher)
    publisher.files["/moved/file.pth"] = CONTENT
    fetch(url.replace("/file", "/moved/file"), target, sha256=HASH)
    assert publisher.ranges == [None, None]


def test_a_whole_part_is_not_asked_for_again(url: str, target: Path, publisher: Publisher) -> None:
    part = break_off(url, target, publisher)
    part.write_bytes(CONTENT)
    fetch(url, target, sha256=HASH)
    assert len(publisher.requests) == 1


def test_a_part_whose_note_is_damaged_restarts(url: str, target: Path, publisher: Publisher) -> None:
    part = break_off(url, target, publisher)
    part.with_name(part.name + ".json").write_text('{"url": ')
    fetch(url, target, sha256=HASH)


@pytest.mark.parametrize("recovers", [True, False])
def test_a_wrong_hash_leaves_nothing(url: str, target: Path, publisher: Publisher, recovers: bool) -> None:
    publisher.files["/file.pth"] = b"something else"
    with pytest.raises(DownloadError) as raised:
        download(url, target, sha256=HASH)
    assert HASH in str(raised.value)
    assert hashlib.sha256(b"something else").hexdigest() in str(raised.value)
    assert list(target.parent.iterdir()) == []
    if recovers:
        publisher.files["/file.pth"] = CONTENT
        fetch(url, target, sha256=HASH)


def test_not_found(url: str, target: Path, publisher: Publisher) -> None:
    with pytest.raises(DownloadError, match=r"/nowhere/x\.pth could not be fetched: the server answered 404") as raised:
        download(f"{publisher.url}/nowhere/x.pth", target)
    assert "OVDET_MIRROR" in str(raised.value)
    assert len(publisher.requests) == 1
    assert not target.exists()


def test_a_server_in_trouble_is_asked_again(url: str, target: Path, publisher: Publisher) -> None:
    publisher.statuses = [503, 500]
    found, slept = fetch(url, target)
    assert found == HASH
    assert slept == [0.5, 1.0]


def test_a_redirect_is_followed_and_resumed(url: str, target: Path, publisher: Publisher) -> None:
    publisher.redirects["/short"] = "/file.pth"
    publisher.drop_after = [100_000]
    assert fetch(f"{publisher.url}/short", target)[0] == HASH
    assert [path for path, _ in publisher.requests] == ["/short", "/file.pth"] * 2
    assert publisher.ranges[-1] == "bytes=100000-"


def test_a_redirect_loop(target: Path, publisher: Publisher) -> None:
    publisher.redirects["/loop"] = "/loop"
    with pytest.raises(DownloadError, match="302"):
        download(f"{publisher.url}/loop", target)


def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    from email.message import Message
    from io import BytesIO
    from urllib.request import Request

    handler = module._SafeRedirects()
    with pytest.raises(DownloadError, match="not encrypted"):
        handler.redirect_request(Request("https://a.b/c"), BytesIO(), 302, "Found", Message(), "http://a.b/c")


def test_a_web_page_instead_of_the_file(url: str, target: Path, publisher: Publisher) -> None:
    publisher.content_type = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="login"):
        download(url, target)
    assert not target.exists()


def test_nobody_answers(target: Path) -> None:
    slept: list[float] = []
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/x\.pth could not be fetched") as raised:
        download("http://example.invalid/x.pth", target, waits_s=[1], sleep=slept.append)
    assert slept == [1]
    assert "run the command again" in str(raised.value)


def test_a_name_that_cannot_be_resolved(target: Path, monkeypatch: pytest.MonkeyPatch, publisher: Publisher) -> None:
    import socket

    def fail(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DownloadError, match="Is there a network"):
        download("http://example.invalid/x.pth", target)


@pytest.mark.parametrize("by_variable", [True, False])
def test_offline(
    url: str, target: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    if by_variable:
        monkeypatch.setenv("OVDET_OFFLINE", "1")
    with pytest.raises(DownloadError, match="OVDET_OFFLINE"):
        download(url, target, offline=not by_variable)
    assert publisher.requests == []
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("value", "offline"), [("0", False), ("", False), ("false", False), ("yes", True), ("1", True)]
)
def test_the_offline_variable(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("OVDET_OFFLINE", value)
    assert module.is_offline() is offline


def test_a_mirror(target: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVDET_MIRROR", f"{publisher.url}/kept/")
    publisher.files["/kept/a+b.npy"] = CONTENT
    assert fetch("https://example.invalid/deep/a+b.npy", target)[0] == HASH


def test_a_mirror_must_be_an_address(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVDET_MIRROR", "/media/usb")
    with pytest.raises(DownloadError, match="http://"):
        download("https://example.invalid/x", target)


def test_a_full_disk(url: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(module.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1000))
    with pytest.raises(DownloadError, match=r"No space left.*OVDET_HOME"):
        download(url, target)
    assert not target.exists()


def test_a_disk_that_fills_up_keeps_the_part(url: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", fail)
        with pytest.raises(DownloadError, match="goes on where it"):
            download(url, target)
    fetch(url, target, sha256=HASH)


def test_a_folder_that_cannot_be_made(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="OVDET_HOME"):
        download(url, tmp_path / "file" / "x.pth")


def test_an_interrupted_download_is_resumed(url: str, target: Path, publisher: Publisher) -> None:
    def interrupt(done: int, _total: int | None) -> None:
        if done > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(url, target, progress=interrupt)
    fetch(url, target, sha256=HASH)
    assert publisher.ranges[1] is not None
