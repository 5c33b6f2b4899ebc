"""Clips for the benchmark of fewer frames: a watching camera, a pan, cuts, slow changes; out of samples/posts alone."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from ovdet_cli.media.images import read_image

SAMPLES = Path(__file__).parents[2] / "samples" / "posts"
FPS, SECONDS = 10, 6
HEIGHT, WIDTH = 480, 720
_BALL_XY, _BALL_RADIUS = (331, 720), 39  # in park.jpg


def _ball(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The park's ball and its mask, `side` pixels wide."""
    (x, y), r = _BALL_XY, _BALL_RADIUS
    piece = read_image(SAMPLES / "park.jpg")[y - r : y + r, x - r : x + r]
    mask = cv2.circle(np.zeros(piece.shape[:2], np.float32), (r, r), r - 2, 1.0, -1)
    size = (side, side)
    return cv2.resize(piece, size, interpolation=cv2.INTER_AREA), cv2.resize(mask, size, interpolation=cv2.INTER_AREA)


def _lay(picture: np.ndarray, x: float, y: float, side: int) -> np.ndarray:
    """The picture with the ball at a place that need not be whole pixels."""
    ball, mask = _ball(side)
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    size = picture.shape[1::-1]
    there = cv2.warpAffine(mask, move, size)[..., None]
    return (picture * (1 - there) + cv2.warpAffine(ball, move, size) * there).astype(np.uint8)


def _noisy(picture: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _view() -> np.ndarray:
    return cv2.resize(read_image(SAMPLES / "stickers.jpg"), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def still() -> Iterator[np.ndarray]:
    """Nothing moves; the sensor is noisy."""
    for i in range(FPS * SECONDS):
        yield _noisy(_view(), 3, i)


def watch() -> Iterator[np.ndarray]:
    """A ball of 44 pixels rolls through in the third and fourth second."""
    for i in range(FPS * SECONDS):
        picture = _view()
        if 20 <= i < 40:
            picture = _lay(picture, (i - 20) * 36.0 - 10, 432, 44)
        yield _noisy(picture, 2, i)


def drift() -> Iterator[np.ndarray]:
    """A ball creeps by 5 pixels a second, and it grows dark by half a level a frame."""
    for i in range(FPS * SECONDS):
        picture = np.clip(_view().astype(np.float32) - i / 2, 0, 255).astype(np.uint8)
        yield _noisy(_lay(picture, 300 + i / 2, 430, 44), 2, i)


def pan() -> Iterator[np.ndarray]:
    """The camera turns over three pictures side by side."""
    park, chat = (read_image(SAMPLES / name) for name in ("park.jpg", "chat.png"))
    wide = np.hstack([cv2.resize(park, (360, HEIGHT)), _view(), cv2.resize(chat, (288, HEIGHT))])
    for i in range(FPS * SECONDS):
        x = round(i * (wide.shape[1] - WIDTH) / (FPS * SECONDS))
        yield _noisy(wide[:, x : x + WIDTH], 2, i)


def cuts() -> Iterator[np.ndarray]:
    """Six shots of a second, with a flash in the third."""
    stickers, park, chat = (read_image(SAMPLES / name) for name in ("stickers.jpg", "park.jpg", "chat.png"))
    size = (WIDTH, HEIGHT)
    views = [
        cv2.resize(stickers[:427, :640], size), cv2.resize(park[400:], size), cv2.resize(stickers, size),
        cv2.resize(chat[100:420], size), cv2.resize(park[:400], size), cv2.resize(stickers[-320:, -480:], size),
    ]  # fmt: skip
    for i in range(FPS * SECONDS):
        shift = np.array([[1, 0, i % FPS], [0, 1, 0]], np.float32)
        picture = cv2.warpAffine(views[i // FPS], shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        if i == 25:
            picture = (picture * 0.2 + 255 * 0.8).astype(np.uint8)
        yield _noisy(picture, 2, i)


CLIPS = {"still": (still, 28), "watch": (watch, 23), "drift": (drift, 23), "pan": (pan, 23), "cuts": (cuts, 23)}
"""Name -> pictures, and how strongly they are compressed (x264's CRF)."""


def write_clip(path: Path, name: str) -> Path:
    """Encodes one of the clips."""
    pictures, crf = CLIPS[name]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": str(crf), "g": "25"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path
