"""The command as a person calls it, with stand-in weights and seeded words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ovdet_cli.cli.main import app
from tests.parity.reference import seeded_embeddings


@pytest.fixture
def ovdet() -> Callable[..., Result]:
    """Calls `ovdet ...` in this process."""

    def call(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)

    return call


@pytest.fixture
def model_options(tmp_path: Path, r18_weights: Path) -> list[str]:
    """A detector that finds nonsense at once: stand-in weights, 40 words, a small input."""
    words = tmp_path / "given"
    words.mkdir()
    np.save(words / "embeddings.npy", seeded_embeddings())
    (words / "words.txt").write_text("".join(f"thing {i}\n" for i in range(40)), encoding="utf-8")
    return [
        *("--weights", str(r18_weights), "--vocab", str(words / "words.txt")),
        *("--embeddings", str(words / "embeddings.npy"), "--imgsz", "96", "--device", "cpu", "--threshold", "0.6"),
    ]
