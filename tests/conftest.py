"""What many tests need: a store of their own, and stand-in weights."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure, and a test that fails once must fail again.
settings.register_profile("ovdet", deadline=None, print_blob=True)
settings.load_profile("ovdet")


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's models or leaves anything there."""
    monkeypatch.setenv("OVDET_HOME", str(tmp_path / "ovdet-home"))
    for name in ("OVDET_MIRROR", "OVDET_OFFLINE", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def r18_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Detic r18 with deterministic stand-in weights: a real layout that detects nonsense."""
    from tests.parity.reference import PACKAGED, stand_in_weights

    return stand_in_weights(
        PACKAGED / "detic" / "r18.manifest.json", tmp_path_factory.mktemp("weights") / "r18.safetensors"
    )


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """The command's log settings end with the test."""
    yield
    log = logging.getLogger("ovdet_cli")
    log.handlers, log.propagate = [], True
    log.setLevel(logging.NOTSET)
