"""What happens to a whole picture between its maker and us: light, blur, noise, rescaling, JPEG."""

import functools

import cv2
import numpy as np

_GRAIN_SIDE = 1024


@functools.lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    """A stock of noise, uint8 (1024, 1024, 3): mean 128, deviation 32."""
    rng = np.random.Generator(np.random.PCG64(1))
    values = rng.standard_normal((_GRAIN_SIDE, _GRAIN_SIDE, 3), dtype=np.float32) * 32 + 128
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _noisy(rng: np.random.Generator, image: np.ndarray, deviation: float) -> np.ndarray:
    height, width = image.shape[:2]
    if max(height, width) > _GRAIN_SIDE:
        grain = cv2.resize(_grain(), (width, height), interpolation=cv2.INTER_NEAREST)
    else:
        y, x = (int(rng.integers(_GRAIN_SIDE - side + 1)) for side in (height, width))
        grain = _grain()[y : y + height, x : x + width]
    weight = deviation / 32
    return cv2.addWeighted(image, 1, grain, weight, -128 * weight)


def taken(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """The picture (uint8 RGB) as it might reach us; at strength 0 unchanged."""
    if rng.random() < 0.5 * strength:
        contrast, brightness = np.exp(rng.normal(0, 0.18)), rng.normal(0, 14)
        levels = (np.arange(256) - 128) * contrast + 128 + brightness
        image = cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    if rng.random() < 0.15 * strength:
        small = cv2.resize(image, None, fx=(fx := rng.uniform(0.5, 0.95)), fy=fx, interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.25 * strength:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.4))
    if rng.random() < 0.35 * strength:
        image = _noisy(rng, image, 1 + rng.exponential(5))
    if rng.random() < 0.6 * strength:
        quality = int(rng.integers(35, 96))
        # Channel order matters to JPEG: it stores brightness finer than colour.
        _, packed = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.cvtColor(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
    return image
