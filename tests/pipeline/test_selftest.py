"""`ovdet selftest`'s checks: they pass on fitting files and fail on others."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovdet_cli.models import store
from ovdet_cli.models.zoo import MODELS, TEXT_ENCODERS
from ovdet_cli.pipeline.selftest import check_model
from ovdet_cli.vocabulary.vocabulary import Vocabulary


@pytest.fixture
def published(r18_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with stand-in weights, and embeddings "published" by a text tower that is all arithmetic."""

    class Tower:
        @classmethod
        def from_file(cls, path: Path, name: str) -> "Tower":
            return cls()

        def encode(self, sentences: list[str]) -> torch.Tensor:
            rows = [np.random.default_rng(list(text.encode())).standard_normal(512) for text in sentences]
            return torch.nn.functional.normalize(torch.from_numpy(np.float32(rows)), dim=1)

    for asset in (MODELS["detic-r18"].weights, TEXT_ENCODERS["clip-vit-b-32"]):
        store.converted_path(asset).parent.mkdir(parents=True, exist_ok=True)
    store.converted_path(MODELS["detic-r18"].weights).symlink_to(r18_weights)
    store.converted_path(TEXT_ENCODERS["clip-vit-b-32"]).write_bytes(b"")
    monkeypatch.setattr("ovdet_cli.models.text_encoders.clip.ClipTextEncoder", Tower)
    for name in ("coco", "lvis"):
        path = store.embeddings_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        sentences = [f"a {word}" for word in Vocabulary.built_in(name).names]
        np.save(path, 9 * Tower().encode(sentences).numpy().astype(np.float16))  # of any length, as published


@pytest.mark.usefixtures("published")
def test_fitting_files_pass(tmp_path: Path) -> None:
    checks = check_model("detic-r18", None, "cpu", tmp_path / "drawn.png")
    assert [(c.name, c.status) for c in checks] == [
        *(("weights", "ok"), ("hash", "ok"), ("text tower", "ok"), ("detection", "ok"))
    ]
    assert Image.open(tmp_path / "drawn.png").size == (640, 480)


@pytest.mark.usefixtures("published")
def test_a_text_tower_that_is_another_fails(tmp_path: Path) -> None:
    path = store.embeddings_path("coco")
    matrix = np.load(path)
    matrix[7] += 0.1 * matrix[8]
    np.save(path, matrix)
    by_name = {check.name: check for check in check_model("detic-r18", None, "cpu", tmp_path / "drawn.png")}
    assert by_name["text tower"].status == "error"
    assert "(truck)" in by_name["text tower"].detail
    assert by_name["detection"].status == "ok"


@pytest.mark.usefixtures("published")
def test_a_file_that_changed_since_the_pull_fails(tmp_path: Path) -> None:
    asset = MODELS["detic-r18"].weights
    store.write_facts(asset, source="test", published_sha256="0" * 64, sha256="1" * 64)
    checks = check_model("detic-r18", None, "cpu", tmp_path / "drawn.png")
    assert next(c for c in checks if c.name == "hash").status == "error"


def test_the_built_in_models_own_files(tmp_path: Path) -> None:
    checks = check_model("builtin", None, "cpu", tmp_path / "drawn.png")
    assert [c.name for c in checks] == ["weights", "hash", "text tower", "detection"]
    by_name = {check.name: check for check in checks}
    assert by_name["hash"].detail.endswith("as when it was made")
    assert "names lead to their own vector" in by_name["text tower"].detail
    assert {by_name[name].status for name in ("weights", "hash", "detection")} == {"ok"}


def test_missing_weights_are_the_only_finding(tmp_path: Path) -> None:
    (check,) = check_model("detic-r18", None, "cpu", tmp_path / "drawn.png")
    assert (check.name, check.status) == ("weights", "error")
    assert "ovdet models pull detic-r18" in check.detail
