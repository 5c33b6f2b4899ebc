"""Detic r18 through the public command equals the official code, with nothing but what the repository holds."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity.comparison import read_expected
from tests.parity.reference import PACKAGED, assert_command_equals, seeded_embeddings

GOLDEN = np.load(PACKAGED / "detic" / "r18.seeded.golden.npz")
CASES = json.loads(str(GOLDEN["meta"]))["variants"]


@pytest.mark.parametrize("case", CASES)
def test_command_equals_official_code(case: str, r18_weights: Path, tmp_path: Path) -> None:
    embeddings = seeded_embeddings()
    np.testing.assert_array_equal(embeddings[:, 0], GOLDEN["embeddings.col0"])
    np.save(tmp_path / "embeddings.npy", embeddings)
    (tmp_path / "words.txt").write_text("".join(f"thing {i}\n" for i in range(40)), encoding="utf-8")
    words = ["--vocab", str(tmp_path / "words.txt"), "--embeddings", str(tmp_path / "embeddings.npy")]
    settings = CASES[case]
    assert_command_equals(tmp_path, r18_weights, words, settings["picture"], settings, read_expected(GOLDEN, case))
