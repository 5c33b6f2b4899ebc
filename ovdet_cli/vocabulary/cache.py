"""Embeddings on disk, keyed by all that changes them."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError  # a damaged header of a .npy file is read as Python

import numpy as np


class EmbeddingCache:
    """One .npy a list of sentences and text tower; safe with several processes, and never needed to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, tower_hash: str, sentences: Sequence[str]) -> Path:
        key = hashlib.sha256(json.dumps([tower_hash, *sentences]).encode()).hexdigest()
        return self.folder / f"{key}.npy"

    def get(self, tower_hash: str, sentences: Sequence[str]) -> np.ndarray | None:
        """Unit vectors float32 (N, D) stored before; None where there are none or the file is damaged."""
        try:
            with self._path(tower_hash, sentences).open("rb") as file:
                vectors = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError, TokenError):
            return None
        is_whole = vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == len(sentences)
        return vectors if is_whole and np.isfinite(vectors).all() else None

    def put(self, tower_hash: str, sentences: Sequence[str], vectors: np.ndarray) -> None:
        """Stores vectors; a folder that cannot be written only costs the next run its time."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(suffix=".part", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, vectors, allow_pickle=False)
                Path(name).chmod(0o644)  # mkstemp gives 0600, and a shared store is read by others
                Path(name).replace(self._path(tower_hash, sentences))
            finally:
                Path(name).unlink(missing_ok=True)
