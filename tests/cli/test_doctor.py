import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner, Result

from ovdet_cli.cli import doctor as module
from ovdet_cli.models import store, zoo
from ovdet_cli.pipeline import diagnosis
from ovdet_cli.pipeline.diagnosis import Check

SPEC = zoo.MODELS["detic-r18"]

app = typer.Typer()
app.command()(module.doctor)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's folder, whose name looks like Rich markup."""
    folder = tmp_path / "home[bold]"
    monkeypatch.setenv("OVDET_HOME", str(folder))
    return folder


@pytest.fixture
def only_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the slow checks of packages out."""
    monkeypatch.setattr(diagnosis, "_PROBES", ())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def findings() -> dict[str, Check]:
    return {check.name: check for check in (*module.check_home(), *module.check_models())}


def put(file: Path, size: int = 1000) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    return file


def test_doctor_on_this_machine(home: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.stdout
    for text in ("torch", "torchvision", "opencv", "av", "fonts", str(home), "`ovdet models pull detic-swin-b`"):
        assert text in result.stdout
    assert "What to do:" in result.stdout
    assert not home.exists()


@pytest.mark.usefixtures("only_store")
def test_json(home: Path) -> None:
    checks = json.loads(run("--json").stdout)
    assert all(set(check) == {"name", "status", "detail", "remedy"} for check in checks)
    assert [check["name"] for check in checks] == [
        "home folder",
        "model builtin",
        "models",
        "default model",
    ]


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_an_error_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, option: list[str]) -> None:
    broken = Check("torch", "error", "broken [red]here", "mend [it]")
    monkeypatch.setattr(diagnosis, "_PROBES", (("torch", lambda: [broken]),))
    result = run(*option)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "broken [red]here" in result.stdout
    assert "mend [it]" in result.stdout


@pytest.mark.usefixtures("only_store")
def test_one_remedy_stands_once() -> None:
    stdout = run().stdout
    assert stdout.count("`ovdet models pull detic-swin-b`") == 1
    assert "models: `ovdet models pull detic-swin-b`" in stdout


@pytest.mark.usefixtures("only_store")
def test_a_fresh_machine_has_all_that_is_needed() -> None:
    checks = findings()
    assert {check.status for check in checks.values()} == {"ok"}
    assert "comes with ovdet" in checks["model builtin"].detail
    assert checks["default model"].detail == "none was chosen: builtin is used"


def test_a_damaged_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store, "BUNDLED", tmp_path)
    check = findings()["model builtin"]
    assert (check.status, check.remedy) == ("error", "install ovdet again")
    assert "weights.safetensors" in check.detail
    shutil.copytree(Path(store.__file__).parent / "builtin", tmp_path, dirs_exist_ok=True)
    put(tmp_path / "weights.safetensors")
    check = findings()["model builtin"]
    assert (check.status, check.detail) == ("warning", "not as it was made: weights.safetensors")


def test_everything_is_here() -> None:
    put(store.weights_path(SPEC))
    put(store.text_encoder_path("clip-vit-b-32"))
    for name in zoo.EMBEDDINGS:
        put(store.embeddings_path(name))
    store.write_facts(SPEC.weights, source="x", published_sha256="a", sha256="b")
    store.set_default_model("detic-r18")
    found = findings()
    assert {check.status for check in found.values()} == {"ok"}
    assert found["default model"].detail == "detic-r18"
    assert str(store.weights_path(SPEC)) in found["model detic-r18"].detail
    assert "by hand" in found["text tower clip-vit-b-32"].detail
    assert "kB used" in found["home folder"].detail


def test_a_file_that_was_cut() -> None:
    put(store.weights_path(SPEC))
    store.write_facts(SPEC.weights, source="x", published_sha256="a", sha256="b")
    put(store.weights_path(SPEC), 999)
    check = findings()["model detic-r18"]
    assert check.status == "warning"
    assert "999 bytes" in check.detail
    assert check.remedy == "`ovdet models pull --force detic-r18`"


def test_what_is_missing_beside_a_model_is_named() -> None:
    put(store.weights_path(SPEC))
    put(store.embeddings_path("lvis"))
    found = findings()
    assert found["embeddings"].detail == "here: lvis; missing: coco, openimages, objects365"
    assert found["embeddings"].remedy == "`ovdet models pull coco openimages objects365`"
    assert found["text tower clip-vit-b-32"].remedy == "`ovdet models pull clip-vit-b-32`"
    assert found["default model"].status == "ok"


def test_a_default_that_is_not_here() -> None:
    store.set_default_model("detic-r18")
    check = findings()["default model"]
    assert check.status == "warning"
    assert "`ovdet models pull detic-r18`" in (check.remedy or "")


@pytest.mark.usefixtures("only_store")
def test_a_damaged_config_stops_no_other_check(home: Path) -> None:
    put(home / "config.json")
    result = run("--json")
    assert result.exit_code == 1
    checks = json.loads(result.stdout)
    assert checks[-1]["name"] == "models"
    assert "config.json cannot be read" in checks[-1]["detail"]
    assert "model builtin" in [check["name"] for check in checks]


def test_little_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**9))
    check = findings()["home folder"]
    assert check.status == "warning"
    assert "1.0 GB free, little for a model" in check.detail


def test_a_home_that_is_not_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    check = findings()["home folder"]
    assert check.status == "warning"
    assert "not writable" in check.detail
    assert "OVDET_HOME" in (check.remedy or "")


def test_a_home_that_is_a_file(home: Path) -> None:
    put(home)
    assert findings()["home folder"].status == "warning"
