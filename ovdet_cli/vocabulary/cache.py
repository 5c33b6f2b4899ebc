"""Embeddings on disk, keyed by all that changes them."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np


class EmbeddingCache:
    """One .npy a list of sentences and text tower; safe with several processes, and never needed to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, tower_hash: str, sentences: Sequence[str]) -> Path:
        key = hashlib.sha256("\0".join((tower_hash, *sentences)).encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / f"{key}.npy"

    def get(self, tower_hash: str, sentences: Sequence[str]) -> np.ndarray | None:
        """Unit vectors float32 (N, D) stored before; None where there are none or the file is damaged."""
        try:
            vectors = np.load(self._path(tower_hash, sentences), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return vectors if vectors.ndim == 2 and len(vectors) == len(sentences) else None

    def put(self, tower_hash: str, sentences: Sequence[str], vectors: np.ndarray) -> None:
        """Stores vectors; a folder that cannot be written only costs the next run its time."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(suffix=".part", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, vectors, allow_pickle=False)
                Path(name).replace(self._path(tower_hash, sentences))
            finally:
                Path(name).unlink(missing_ok=True)
