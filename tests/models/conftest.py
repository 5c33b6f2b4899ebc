"""A store of the test's own and a publisher on this machine: no test touches the real home or the network."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.published import Publisher, publishing


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's folder, which does not exist yet."""
    folder = tmp_path / "home [of mine]"
    monkeypatch.setenv("OVDET_HOME", str(folder))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OVDET_OFFLINE", raising=False)
    # An address that refuses connections, should a test forget the publisher.
    monkeypatch.setenv("OVDET_MIRROR", "http://127.0.0.1:9")
    return folder


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A publisher of files; OVDET_MIRROR is unset, so addresses are asked as they are."""
    monkeypatch.delenv("OVDET_MIRROR", raising=False)
    with publishing() as publisher:
        yield publisher
