import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ovdet_cli.cli import models
from ovdet_cli.errors import DownloadError, MissingAssetError, ModelError
from ovdet_cli.models import store, zoo
from ovdet_cli.models.pull import Pulled, PullReport

SPEC = zoo.MODELS["detic-r18"]
LVIS = zoo.EMBEDDINGS["lvis"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's folder, whose name looks like Rich markup."""
    folder = tmp_path / "home[bold]"
    monkeypatch.setenv("OVDET_HOME", str(folder))
    monkeypatch.setenv("OVDET_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models.app, list(arguments))


def put(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * 1000)
    return file


def test_list() -> None:
    put(store.weights_path(SPEC))
    store.set_default_model("detic-r18")
    result = run("list")
    assert result.exit_code == 0
    for spec in zoo.MODELS.values():
        assert spec.name in result.stdout
        assert spec.trained_on in result.stdout
        assert all(figure in result.stdout for _, figure in spec.results)
    lines = result.stdout.splitlines()
    assert [line for line in lines if "here" in line] == [line for line in lines if line.startswith("detic-r18 *")]
    assert lines[0].startswith("builtin ")
    assert "comes with ovdet" in lines[0]
    assert sum("comes with ovdet" in line for line in lines) == 1
    assert "free words: yes" in result.stdout
    assert "clip-vit-b-32" in result.stdout
    assert result.stderr == ""


def test_list_without_a_choice_names_the_built_in_model_and_one_for_photographs(home: Path) -> None:
    stdout = run("list").stdout
    assert stdout.startswith("builtin *")
    assert f"* builtin is the default model; recommended for photographs: {zoo.RECOMMENDED}" in stdout
    assert not home.exists()


def test_picture_towers_are_listed_with_their_sizes() -> None:
    put(store.image_encoder_path("clip-rn50-image"))
    lines = [line.split() for line in run("list").stdout.splitlines()]
    assert ["clip-vit-b-32-image", "605", "MB", "-", "image-encoder"] in lines
    assert ["clip-rn50-image", "408", "MB", "here", "image-encoder"] in lines
    assert run("path", "clip-rn50-image").stdout == f"{store.image_encoder_path('clip-rn50-image')}\n"


def test_list_json(home: Path) -> None:
    put(store.embeddings_path("lvis"))
    value = json.loads(run("list", "--json").stdout)
    assert value["default"] == "builtin"
    assert value["home"] == str(home)
    assert [model["name"] for model in value["models"]] == list(zoo.MODELS)
    present = {asset["name"]: asset["is_present"] for asset in value["assets"]}
    assert list(present) == [name for name in zoo.TEXT_ENCODERS if name != "builtin-text"] + list(
        zoo.EMBEDDINGS
    ) + list(zoo.IMAGE_ENCODERS)
    assert [name for name, is_present in present.items() if is_present] == ["lvis"]


@pytest.mark.parametrize("name", ["detic-r18", SPEC.stem])
def test_info(name: str, home: Path) -> None:
    result = run("info", name)
    assert result.exit_code == 0
    for text in (
        SPEC.stem,
        SPEC.weights.url,
        "2201.02605",
        "22.1",
        "Apache-2.0",
        "official demo",
        "0.5",
        "300",
        "one per box",
        "800",
        "1333",
        '"a {}"',
        f"{home}/weights/{SPEC.stem}.pth",
        "ovdet models pull detic-r18",
    ):
        assert text in result.stdout


def test_info_of_a_pulled_model() -> None:
    put(store.weights_path(SPEC))
    store.write_facts(SPEC.weights, source="x", published_sha256="a" * 64, sha256="b" * 64)
    store.set_default_model("detic-r18")
    stdout = run("info", "detic-r18").stdout
    for text in ("a" * 64, "b" * 64, str(store.weights_path(SPEC)), "the default model"):
        assert text in stdout
    assert "models pull" not in stdout


def test_info_does_not_give_a_handed_file_the_hash_of_another() -> None:
    file = put(store.weights_path(SPEC))
    store.write_facts(SPEC.weights, source="x", published_sha256="a" * 64, sha256="b" * 64)
    file.unlink()
    assert "b" * 64 not in run("info", "detic-r18").stdout
    put(store.handed_path(SPEC.weights))
    stdout = run("info", "detic-r18").stdout
    assert "b" * 64 not in stdout
    assert str(store.handed_path(SPEC.weights)) in stdout


def test_info_json() -> None:
    value = json.loads(run("info", "detic-r18", "--json").stdout)
    assert value["official_name"] == SPEC.stem
    assert value["weights"]["url"] == SPEC.weights.url
    assert value["weights"]["is_present"] is False
    assert value["defaults"] == {
        "threshold": 0.5,
        "nms_iou": 0.5,
        "max_detections": 300,
        "one_class_per_box": True,
        "canvas": False,
        "short_side": 800,
        "max_size": 1333,
    }


def test_info_tells_what_could_not_be_verified() -> None:
    assert "not verified" in run("info", "vild-r50").stdout
    assert "clip_synonym_prompt.npy" in run("info", "vild-r50").stdout
    assert "not verified" not in run("info", "builtin").stdout


@pytest.mark.parametrize("command", ["info", "use", "path", "pull"])
def test_an_unknown_model(command: str) -> None:
    result = run(command, "[red]detic")
    assert isinstance(result.exception, ModelError)
    assert "[red]detic" in str(result.exception)


def test_path(home: Path) -> None:
    assert run("path").stdout == f"{home}\n"
    file = put(store.weights_path(SPEC))
    assert run("path", "detic-r18").stdout == f"{file}\n"
    file = put(store.embeddings_path("lvis"))
    assert run("path", "lvis").stdout == f"{file}\n"


def test_path_of_what_is_not_here() -> None:
    result = run("path", "detic-r18")
    assert isinstance(result.exception, MissingAssetError)
    assert result.exception.exit_code == 1
    assert result.stdout == ""


def test_use() -> None:
    result = run("use", SPEC.stem)
    assert result.exit_code == 0
    assert "detic-r18 is now the default model" in result.stderr
    assert "not on this machine yet: `ovdet models pull detic-r18`" in result.stderr
    assert store.default_model() == "detic-r18"
    put(store.weights_path(SPEC))
    assert "not on this machine" not in run("use", "detic-r18").stderr


def pretend_pull(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """A pull that brings the weights and finds the embeddings; gives what it was called with."""
    calls: list[dict[str, object]] = []

    def pull(names: list[str], **options: object) -> PullReport:
        calls.append({"names": names, **options})
        if progress := options.get("progress"):
            for done in (0, 200, 1000):
                progress(SPEC.weights, done, 1000)  # type: ignore[operator]
        if tell := options.get("tell"):
            tell("converting [bold] it")  # type: ignore[operator]
        weights = Pulled(SPEC.weights, put(store.weights_path(SPEC)), False, "aa")
        return PullReport((weights, Pulled(LVIS, put(store.embeddings_path("lvis")), True, None)), "detic-r18")

    monkeypatch.setattr("ovdet_cli.models.pull.pull", pull)
    return calls


def test_pull(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    calls = pretend_pull(monkeypatch)
    result = run("pull", "detic-r18", "lvis", "--force")
    assert result.exit_code == 0
    assert calls[0]["names"] == ["detic-r18", "lvis"]
    assert calls[0]["force"] is True
    assert calls[0]["offline"] is False
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == "fetching detic-r18: 0 B of 1.0 kB (0%)"
    assert lines[1] == "converting [bold] it"
    assert lines[2] == f"detic-r18: done, {home}/weights/{SPEC.stem}.safetensors (1.0 kB)"
    assert lines[3] == f"lvis: already here, {home}/embeddings/lvis.npy (1.0 kB)"
    assert lines[4].startswith("detic-r18 is now the default model")


def test_nothing_of_ours_is_pulled(home: Path) -> None:
    for names in (["builtin"], ["builtin-text"], ["builtin", "--force"]):
        result = run("pull", *names)
        assert result.exit_code == 0
        assert result.stderr == f"{names[0]} comes with ovdet: there is nothing to pull\n"
    assert not home.exists()


def test_the_built_in_models_facts(home: Path) -> None:
    stdout = run("info", "builtin").stdout
    for text in ("the default model", "comes with ovdet", "builtin-text", "CARD.md", str(store.BUNDLED)):
        assert text in stdout
    assert "models pull" not in stdout
    weights = json.loads(run("info", "builtin", "--json").stdout)["weights"]
    assert weights["is_present"]
    assert weights["is_bundled"]
    assert weights["size"] == store.weights_path(zoo.BUILTIN).stat().st_size > 5e6
    assert weights["sha256"] == store.hash_file(store.weights_path(zoo.BUILTIN))
    assert run("path", "builtin").stdout == f"{store.weights_path(zoo.BUILTIN)}\n"
    assert "not on this machine" not in run("use", "builtin").stderr


def test_pull_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend_pull(monkeypatch)
    result = run("pull", "detic-r18", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert "progress" not in calls[0]


def test_pull_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    pretend_pull(monkeypatch)
    monkeypatch.setattr(models.console, "err", Console(stderr=True, force_terminal=True, width=200, highlight=False))
    result = run("pull", "detic-r18")
    assert result.exit_code == 0
    assert "1.0/1.0 kB" in result.stderr
    assert "converting [bold] it" in result.stderr


def test_pull_offline() -> None:
    result = run("pull", "lvis", "--offline")
    assert isinstance(result.exception, DownloadError)
    assert "OVDET_OFFLINE" in str(result.exception)


@pytest.mark.parametrize("command", [[], ["list"], ["info"], ["pull"], ["path"], ["use"]])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(command: list[str], option: str) -> None:
    result = run(*command, option)
    assert result.exit_code == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["info", "detic-r18"], ["path"], ["pull", "-h"]])
def test_looking_does_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom ovdet_cli.cli.models import app\n"
        f"app({arguments!r}, standalone_mode=False)\nsys.exit(3 if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
