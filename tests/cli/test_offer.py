"""A person at a terminal is offered the download of what is missing; a script never is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ovdet_cli.cli import choices, models
from ovdet_cli.errors import MissingAssetError


class Loader:
    """Needs two assets, which `pull` brings."""

    def __init__(self) -> None:
        self.present: set[str] = set()

    def load(self) -> str:
        for name in ("detic-r18", "lvis"):
            if name not in self.present:
                raise MissingAssetError(f"{name} is missing", name, "about 5 MB")
        return "loaded"


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    loader = Loader()
    monkeypatch.setattr(models, "pull", lambda names: loader.present.update(names))
    return loader


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[str]]:
    def sit_down(answer: bool) -> list[str]:
        asked: list[str] = []
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr(choices.console.err, "_force_terminal", True)
        monkeypatch.setattr(choices.typer, "confirm", lambda text, err: asked.append(text) or answer)
        return asked

    return sit_down


def test_a_yes_brings_each_missing_thing(loader: Loader, at_terminal: Callable[[bool], list[str]]) -> None:
    asked = at_terminal(True)
    assert choices.offering_pull(loader.load) == "loaded"
    assert [text.split()[0] for text in asked] == ["detic-r18", "lvis"]
    assert "about 5 MB" in asked[0]


def test_a_no_leaves_the_error(loader: Loader, at_terminal: Callable[[bool], list[str]]) -> None:
    at_terminal(False)
    with pytest.raises(MissingAssetError):
        choices.offering_pull(loader.load)
    assert not loader.present


def test_what_a_pull_did_not_bring_is_not_asked_for_twice(
    loader: Loader, at_terminal: Callable[[bool], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = at_terminal(True)
    monkeypatch.setattr(models, "pull", lambda names: None)
    with pytest.raises(MissingAssetError):
        choices.offering_pull(loader.load)
    assert len(asked) == 1


def test_a_script_is_never_asked(loader: Loader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choices.typer, "confirm", lambda *a, **k: pytest.fail("asked"))
    with pytest.raises(MissingAssetError):
        choices.offering_pull(loader.load)
