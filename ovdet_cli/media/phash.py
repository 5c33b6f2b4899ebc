"""Prints: perceptual hashes of pictures and videos, alike for what looks alike.

A print is of the grey picture averaged to 64 x 64. Of its discrete cosine transform (the idea of pHash: C. Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) come two hashes: 64 bits, whether each of
the lowest frequencies is above their median, to find candidates; 256 bits, the signs of the lowest frequencies, to
check them. Measured on 2026-11-22: 194 different photographs and textures of 0.1 to 4 megapixels, each also changed in
ten ways.

- Found again: recompressed at JPEG quality 95 to 30, at half size, or 320 pixels wide: 99.5 to 100 %; brighter or
  darker by a tenth, or with 15 % more contrast: 97 %. Of pictures with shapes all over (and of all): cropped by 2 % of
  width and height 95 % (86 %); by 2 % on all four sides 86 % (76 %); cropped, small, brighter and recompressed 94 %
  (85 %).
- Taken for another: none of 18,721 pairs of different pictures, nor of 187,210 pairs of one and a changed other. The
  nearest are 91 of 256 bits apart, the two views of a stereo camera 61; `LOOSE` is 52.

Pictures of much plain ground (screenshots, text; 11 % of those photographs) have one shape and differ in their letters
alone: they must agree in all but `STRICT` of 256 bits, so they are found recompressed and resized, but not cropped. 20
made-up posts of text in one layout differ by 18 bits or more, the same one recompressed at half its size by 9 at most.
Not told apart are captions over one photograph: 4 to 11 bits.
A picture without shapes (plain, a gradient) is found again only where the bytes of its file are the same.
"""

import hashlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.frame import Frame
from ovdet_cli.media.facts import read_facts
from ovdet_cli.media.images import IMAGE_SUFFIXES, read_grey
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.video import read_video

VERSION = 1  # of all that changes a print
PRINT = np.dtype([("coarse", "<u8"), ("fine", "<u8", (4,)), ("aspect", "<f4"), ("is_strict", "?"), ("is_video", "?")])
NEAR = 7  # of 64 bits
LOOSE = 52  # of 256 bits
STRICT = 12
SAME_ASPECT = 0.1  # of the width's logarithm: a tenth of the width may be cut off, or squeezed

_SIDE = 64
_LOUD = 10.0  # noise of one grey level gives coefficients of about one
_FEWEST_LOUD = 12  # of 64; the least among the photographs measured is 23
_PLAIN_SHARE = 0.45  # of the picture in two neighbouring levels of 32
_MOST_BYTES = 1 << 20


def _diagonal(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the lowest frequencies but the mean, as JPEG orders them."""
    places = sorted(((i, j) for i in range(32) for j in range(32)), key=lambda place: (sum(place), place))
    rows, columns = np.array(places[1 : count + 1]).T
    return rows, columns


_LOW_64, _LOW_256 = _diagonal(64), _diagonal(256)
# Letters show in the middle frequencies; the lowest ones are the layout's, which a thousand screenshots share.
_LETTERS = slice(128, 192)


def file_print(path: Path) -> np.ndarray:
    """The print of a picture or video: a scalar of `PRINT`.

    Raises:
        InputError: it cannot be read.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        grey, aspect = read_grey(path, _SIDE)
        is_video = False
    else:
        grey, aspect = _grey_of_video(path)
        is_video = True
    found = grey_print(grey, aspect, is_video)
    return _print_of_bytes(path, aspect, is_video) if found is None else found


def grey_print(grey: np.ndarray, aspect: float, is_video: bool = False) -> np.ndarray | None:
    """The print of a grey picture (64, 64); None where it has too few shapes to be told from others."""
    frequencies = cv2.dct(grey.astype(np.float32))
    low, signs = frequencies[_LOW_64], frequencies[_LOW_256] > 0
    if int((np.abs(low) > _LOUD).sum()) < _FEWEST_LOUD:
        return None
    levels = np.bincount((grey >> 3).ravel(), minlength=32) / grey.size
    is_strict = bool((levels[:-1] + levels[1:]).max() > _PLAIN_SHARE)
    coarse = signs[_LETTERS] if is_strict else low > np.median(low)
    # Every fourth bit goes into the same 16: no quarter holds the lowest frequencies alone.
    mixed = coarse.reshape(16, 4).T
    return _packed(np.packbits(mixed).tobytes(), np.packbits(signs).tobytes(), aspect, is_strict, is_video)


def are_alike(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which pairs of prints are of near-duplicates: bool, one a pair."""
    strict = first["is_strict"] | second["is_strict"]
    fine = popcount(first["fine"] ^ second["fine"]).sum(axis=-1)
    return (
        (popcount(first["coarse"] ^ second["coarse"]) <= NEAR)
        & (fine <= np.where(strict, STRICT, LOOSE))
        & (np.abs(first["aspect"] - second["aspect"]) <= SAME_ASPECT)
        & (first["is_video"] == second["is_video"])
    )


def popcount(words: np.ndarray) -> np.ndarray:
    """How many bits are set in each uint64."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(words)
    halves = np.ascontiguousarray(words)[..., None].view(np.uint8)
    return _BITS[halves].sum(axis=-1, dtype=np.uint8)


_BITS = np.array([value.bit_count() for value in range(256)], np.uint8)


def _packed(coarse: bytes, fine: bytes, aspect: float, is_strict: bool, is_video: bool) -> np.ndarray:
    made = np.zeros((), PRINT)
    made["coarse"] = np.frombuffer(coarse, "<u8")[0]
    made["fine"] = np.frombuffer(fine, "<u8")
    made["aspect"] = np.log(aspect)
    made["is_strict"], made["is_video"] = is_strict, is_video
    return made


def _print_of_bytes(path: Path, aspect: float, is_video: bool) -> np.ndarray:
    """Of the file's bytes: equal only for the same, and far from everything else."""
    digest = hashlib.blake2b(digest_size=40)
    try:
        with path.open("rb") as file:
            for piece in iter(lambda: file.read(_MOST_BYTES), b""):
                digest.update(piece)
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror})") from error
    value = digest.digest()
    return _packed(value[:8], value[8:], aspect, True, is_video)


def _grey_of_video(path: Path) -> tuple[np.ndarray, float]:
    """Four frames from all over the video in one picture, 2 x 2, and its aspect."""
    import av

    try:
        duration_s = read_facts(path).duration_s
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path.name}: cannot be read") from error
    if not duration_s or duration_s <= 0:
        raise InputError(f"{path.name}: does not tell how long it is")
    half = _SIDE // 2
    mosaic = np.zeros((_SIDE, _SIDE), np.uint8)
    aspect = 1.0
    for place in range(4):
        frame = _frame_at(path, duration_s * (2 * place + 1) / 8)
        height, width = frame.size_hw
        aspect = width / height
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        top, left = place // 2 * half, place % 2 * half
        mosaic[top : top + half, left : left + half] = cv2.resize(grey, (half, half), interpolation=cv2.INTER_AREA)
    return mosaic, aspect


def _frame_at(path: Path, time_s: Fraction) -> Frame:
    frames = read_video(path, path.name, Sampling(start_s=time_s))
    try:
        found = next(frames, None)
    finally:
        frames.close()  # type: ignore[attr-defined]
    if not isinstance(found, Frame):
        raise InputError(f"{path.name}: its frames cannot be read")
    return found
