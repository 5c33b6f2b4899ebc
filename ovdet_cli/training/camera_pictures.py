"""Real photographs as backgrounds: pictures in which a detector of drawn things should find nothing."""

import functools
import hashlib
from pathlib import Path

import cv2
import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.media.images import read_image

_LONG_SIDE_PX = 800  # what a photograph is kept at; scenes are smaller
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


class CameraPictures:
    """The photographs of a folder in the order of their names, each read when first asked for and then kept."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError if the folder holds none."""
        self._files = sorted(f for f in folder.glob("*") if f.suffix.lower() in _ENDINGS)
        self._pictures: dict[int, np.ndarray] = {}
        if not self._files:
            raise InputError(
                f"{folder}: no photographs there; `python benchmarks/mini/photographs.py fetch` brings some, and "
                '`data.0.photographs=""` does without'
            )

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the files' names and contents."""
        files = (f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in self._files)
        return hashlib.sha256("".join(files).encode()).hexdigest()

    def crop(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
        """A piece of one of them, uint8 (H, W, 3), 40 to 100 % of what fits, sometimes mirrored."""
        source = self._picture(int(rng.integers(len(self._files))))
        height, width = size_hw
        fitting = min(source.shape[0] / height, source.shape[1] / width) * rng.uniform(0.4, 1.0)
        rows, columns = max(1, int(height * fitting)), max(1, int(width * fitting))
        y = int(rng.integers(source.shape[0] - rows + 1))
        x = int(rng.integers(source.shape[1] - columns + 1))
        method = cv2.INTER_AREA if fitting > 1 else cv2.INTER_LINEAR
        image = cv2.resize(source[y : y + rows, x : x + columns], (width, height), interpolation=method)
        return cv2.flip(image, 1) if rng.random() < 0.5 else image

    def _picture(self, index: int) -> np.ndarray:
        if index not in self._pictures:
            image = read_image(self._files[index])
            factor = _LONG_SIDE_PX / max(image.shape[:2])
            if factor < 1:
                image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            self._pictures[index] = image
        return self._pictures[index]


@functools.lru_cache(maxsize=2)
def camera_pictures(folder: str) -> CameraPictures:
    """The one pool of this process for a folder."""
    return CameraPictures(Path(folder).expanduser())
