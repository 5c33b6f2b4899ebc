"""From a run to the files that ship."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ovdet_cli.errors import InputError, ModelError, OutputError
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import load_weights, read_checkpoint
from ovdet_cli.models.zoo import BUILTIN
from ovdet_cli.training import package
from ovdet_cli.training.package import MOST_BYTES, package_builtin, shortened

NAMES = [f"thing {i}" for i in range(30)]


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = architecture_of(BUILTIN).build(BUILTIN.config).state_dict()
    return {name: tensor.contiguous() for name, tensor in state.items()}


@pytest.fixture
def artwork(tmp_path: Path) -> Path:
    """A store of no drawings."""
    folder = tmp_path / "artwork"
    folder.mkdir()
    index = {"version": 1, "sha256": "ab" * 32, "bytes": 1, "categories": NAMES, "drawings": []}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "pixels.bin").write_bytes(b"x")
    return folder


@pytest.fixture
def run(tmp_path: Path, artwork: Path, weights: dict[str, torch.Tensor]) -> Path:
    """A finished run."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_file({n: t for n, t in weights.items() if "num_batches" not in n}, folder / "weights.safetensors")
    save_file({"embeddings": torch.randn(30, 192) * 3}, folder / "classes.safetensors")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))
    config = {
        "data": [{"path": str(artwork)}],
        "run": {"seed": 5, "precision": "bfloat16", "ema": 0.99},
        "optimizer": {"learning_rate": 2e-3, "weight_decay": 0.03},
        "schedule": {"iterations": 900},
    }
    (folder / "config.json").write_text(json.dumps(config))
    lines = [{"iteration": i, "total": 3.0, "seconds": 60.0 * i} for i in range(1, 900)]
    lines.insert(500, {"iteration": 500, "eval_ap50": 0.61})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "text.safetensors").write_bytes(b"words")
    return folder


def test_what_ships_loads_as_the_built_in_model(run: Path, tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    size = package_builtin(run, run, tmp_path / "shipped")
    files = {file.name: file.stat().st_size for file in (tmp_path / "shipped").iterdir()}
    assert set(files) == {
        *("weights.safetensors", "classes.safetensors", "text.safetensors"),
        *("classes.csv", "facts.json", "log.jsonl", "CARD.md"),
    }
    assert size == sum(files.values())
    model = architecture_of(BUILTIN).build(BUILTIN.config)
    path = tmp_path / "shipped" / "weights.safetensors"
    load_weights(model, read_checkpoint(path), architecture_of(BUILTIN).key_map(BUILTIN.config), str(path))
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            wanted = weights[name]
            assert (tensor - wanted).abs().max() <= 5e-3 * wanted.abs().max() + 1e-6, name
    vectors = load_file(tmp_path / "shipped" / "classes.safetensors")["embeddings"]
    assert vectors.dtype == torch.float16
    np.testing.assert_allclose(vectors.float().norm(dim=1), 1, atol=1e-3)
    rows = (tmp_path / "shipped" / "classes.csv").read_text().splitlines()
    assert (rows[0], rows[1], rows[-1]) == ("id,name", "1,thing 0", "30,thing 29")


def test_the_card_tells_data_seed_results_and_how_to_do_it_again(run: Path, tmp_path: Path) -> None:
    (run / "results.json").write_text(json.dumps({"fxemoji": "AP50 38.1"}))
    package_builtin(run, None, tmp_path / "shipped")
    card = (tmp_path / "shipped" / "CARD.md").read_text()
    for text in (
        "30 everyday things",
        "seed 5, 899 of 900 iterations",
        "ab" * 32,
        "| fxemoji | AP50 38.1 |",
        "iteration 500: ap50 0.610",
        "ovdet_cli.training.shipped",
        "Twemoji",
        "CC-BY-4.0",
        store.hash_file(tmp_path / "shipped" / "weights.safetensors"),
    ):
        assert text in card, text
    assert str(tmp_path) not in card, "no place of this machine is told"


def test_facts_tell_the_files(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package_builtin(run, run, tmp_path / "shipped")
    monkeypatch.setattr(store, "BUNDLED", tmp_path / "shipped")
    noted = store.facts(BUILTIN.weights)
    assert noted is not None
    assert noted["sha256"] == store.hash_file(store.require(BUILTIN.weights))
    assert noted["size"] == store.size_of(BUILTIN.weights)


def test_an_unfinished_run_gives_its_last_averaged_weights(
    run: Path, tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    (run / "weights.safetensors").unlink()
    average = {f"detector.{name}": tensor for name, tensor in weights.items() if name != "calibration"}
    torch.save({"average": {**average, "class_vectors": torch.randn(30, 192)}}, run / "checkpoint.pt")
    package_builtin(run, run, tmp_path / "shipped")
    found = read_checkpoint(tmp_path / "shipped" / "weights.safetensors")
    assert found["calibration"].tolist() == [1, 0], "scores are as they are until somebody calibrates them"
    assert "thing 29" in (tmp_path / "shipped" / "classes.csv").read_text()


def test_a_long_log_is_thinned_but_keeps_evaluations(run: Path) -> None:
    lines = (run / "log.jsonl").read_text().splitlines()
    short = shortened(lines)
    assert len(short) <= 402
    assert lines[500] in short
    assert (short[0], short[-1]) == (lines[0], lines[-1])
    assert shortened(lines[:3]) == lines[:3]
    assert shortened([]) == []


def test_what_is_missing_or_does_not_fit(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="train first"):
        package_builtin(tmp_path / "artwork", None, tmp_path / "shipped")
    with pytest.raises(InputError, match="fit the words first"):
        package_builtin(run, tmp_path / "artwork", tmp_path / "shipped")
    monkeypatch.setattr(package, "MOST_BYTES", 1000)
    with pytest.raises(OutputError, match="the limit is 1000"):
        package_builtin(run, run, tmp_path / "shipped")
    (run / "classes.txt").write_text("one\n")
    with pytest.raises(ModelError, match="30 class vectors for 1 names"):
        package_builtin(run, run, tmp_path / "shipped")


def test_what_is_shipped_now_is_whole_and_small() -> None:
    folder = store.BUNDLED
    files = [file for file in folder.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    vectors = load_file(folder / "classes.safetensors")["embeddings"].float()
    assert vectors.shape == (len((folder / "classes.csv").read_text().splitlines()) - 1, BUILTIN.config.embedding)
    assert torch.allclose(F.normalize(vectors, dim=1), vectors, atol=2e-3)
    noted = json.loads((folder / "facts.json").read_text())["files"]
    assert {name: f["sha256"] for name, f in noted.items()} == {
        file.name: store.hash_file(file) for file in files if file.suffix == ".safetensors"
    }
