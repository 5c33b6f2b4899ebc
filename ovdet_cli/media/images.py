"""Picture file <-> RGB array.

Pixels are Pillow's, to the bit: the detectors were published on pictures read by it or by libraries that agree with it.
ICC profiles are ignored, as they are in the training pipelines of every model here; HDR gain maps likewise.
"""

import contextlib
import os
import stat
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile, DibImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ovdet_cli.errors import InputError, OutputError
from ovdet_cli.media.writing import write_error

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".avif"),
        *(".heic", ".heif", ".apng"),
    )
)

# 500 megapixels are 1.5 GB of RGB: four times the largest camera back, and still far from what a small file can claim.
MAX_PIXELS = 500_000_000

_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_HEAD_BYTES = 64  # room for the brands in an `ftyp` box
_DIB_HEADER_SIZES = frozenset((12, 40, 52, 56, 64, 108, 124))
_WRITERS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP",
    ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".gif": "GIF", ".avif": "AVIF",
}  # fmt: skip
_EXIF_DIRECTORY = 0x8769  # EXIF 2.32, 4.6.3: where DateTimeOriginal lies
_bomb_lock = threading.Lock()

_T = TypeVar("_T")
Opener = Callable[[IO[bytes]], ImageFile.ImageFile]
Loader = Callable[[ImageFile.ImageFile], _T]

# First bytes -> Pillow's plugin. Image.open() is not used: it applies a global pixel limit, and tries formats that run
# other programs (EPS). An MPO, the stereo or burst file of some cameras, comes out of `jpeg_factory`.
_SIGNATURES: tuple[tuple[bytes, Opener], ...] = (
    (b"\xff\xd8\xff", jpeg_factory),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
)


def read_image(path: Path) -> np.ndarray:
    """The picture in `path`, RGB uint8 (H, W, 3), upright (all eight EXIF orientations applied).

    The format is told from the content, not from the suffix. Transparency is laid over white, as most viewers show it;
    16-bit samples keep their high byte; 32-bit ones are scaled by their range; of an animation comes the first frame.

    Raises:
        InputError: no such picture, not a picture, broken, cut short, or larger than `MAX_PIXELS`.
    """
    return _read(path, _pixels)


def _read(path: Path, load: Loader[_T]) -> _T:
    """What `load` makes of the opened picture; whatever goes wrong is an InputError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a FIFO would wait for ever
            raise InputError(f"{_shown(path)}: is not a file; give a picture")
        with path.open("rb") as file:
            return _decode(file, path, load)
    except InputError:
        raise
    except PermissionError:
        raise InputError(f"{_shown(path)}: no permission to read it; change its permissions") from None
    except FileNotFoundError:
        raise InputError(f"{_shown(path)}: no such file") from None
    except MemoryError:
        raise InputError(f"{_shown(path)}: does not fit into memory; shrink the picture") from None
    # A broken file makes Pillow's plugins raise whatever they trip over: OSError, SyntaxError, struct.error, KeyError,
    # zlib.error, OverflowError ... Each of them means the same to the user.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{_shown(path)}: cannot be decoded ({reason}); the file is cut short or damaged") from error


def is_picture(path: Path) -> bool:
    """Whether the content begins like a picture of a format we read, whatever the file is called."""
    if not path.is_file():  # opening a FIFO would wait for ever
        return False
    try:
        with path.open("rb") as file:
            return _opener(file.read(_HEAD_BYTES), path) is not None
    except InputError:  # a HEIC without its decoder is still a picture
        return True
    except OSError:
        return False


def read_exif(path: Path) -> dict[int, object]:
    """What the camera noted beside the picture: EXIF tag -> value, of the main and of the Exif directory.

    Empty where there is nothing, or nothing that can be read; no pixel is decoded.
    """
    try:
        with path.open("rb") as file:
            opener = _opener(file.read(_HEAD_BYTES), path) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
            if opener is None:
                return {}
            file.seek(0)
            with opener(file) as picture:
                if isinstance(picture, PngImageFile) and "exif" not in picture.info:
                    return {}  # getexif() would decode the pixels to look behind them
                tags = picture.getexif()
                return {**tags, **tags.get_ifd(_EXIF_DIRECTORY)}
    except Exception:  # damaged EXIF raises anything, and is no reason to stop
        return {}


def read_grey(path: Path, side: int) -> tuple[np.ndarray, float]:
    """The picture averaged down to grey uint8 (side, side), upright, and its width by its height before.

    Many times faster than `read_image` for a JPEG, which is decoded small.

    Raises:
        InputError: as `read_image`.
    """

    def load(picture: ImageFile.ImageFile) -> tuple[np.ndarray, float]:
        width, height = picture.size
        picture.draft("L", (2 * side, 2 * side))
        picture.load()
        upright = _upright(picture)
        is_turned = (upright.width < upright.height) != (picture.width < picture.height)
        aspect = height / width if is_turned else width / height
        grey = cv2.cvtColor(_to_rgb(upright), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), aspect

    return _read(path, load)


def write_image(path: Path, rgb: np.ndarray, quality: int = 92) -> None:
    """Writes RGB uint8 (H, W, 3) in the format its suffix names; whole or not at all, folders made where missing.

    quality: 1 to 100, for the lossy formats (JPEG, WebP, AVIF).

    Raises:
        OutputError: the suffix names no format we write, or the disk refuses.
    """
    format_name = _WRITERS.get(path.suffix.lower())
    if format_name is None:
        raise OutputError(f"{_shown(path)}: cannot write {path.suffix or 'a name without ending'}; use .jpg or .png")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"a picture is RGB uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            Image.fromarray(np.ascontiguousarray(rgb)).save(file, format=format_name, quality=quality)
        os.replace(part, path)  # noqa: PTH105 - the one call that promises atomicity
    except (OSError, ValueError) as error:  # ValueError: more pixels a side than the format can hold
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise write_error(Path(_shown(path)), reason, error) from error
    finally:
        with contextlib.suppress(OSError):  # it is gone, or its folder never was
            part.unlink()


def _decode(file: IO[bytes], path: Path, load: Loader[_T]) -> _T:
    head = file.read(_HEAD_BYTES)
    if not head:
        raise InputError(f"{_shown(path)}: is empty (0 bytes)")
    opener = _opener(head, path)
    if opener is None:
        raise InputError(
            f"{_shown(path)}: is not a picture of a format ovdet reads (JPEG, PNG, WebP, BMP, TIFF, GIF, ...)"
        )
    try:
        return _load(opener, file, path, load)
    except Image.DecompressionBombError:
        # A few plugins check Pillow's own limit of 179 megapixels inside. It is a module global, so it is lifted only
        # for such a giant, one at a time, and put back; our own limit is checked before a pixel is decoded.
        with _bomb_lock:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
            try:
                return _load(opener, file, path, load)
            finally:
                Image.MAX_IMAGE_PIXELS = limit


def _load(opener: Opener, file: IO[bytes], path: Path, load: Loader[_T]) -> _T:
    file.seek(0)
    with opener(file) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise InputError(
                f"{_shown(path)}: has {width}x{height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels; "
                "cut it into tiles first"
            )
        return load(picture)


def _pixels(picture: ImageFile.ImageFile) -> np.ndarray:
    picture.load()
    return np.ascontiguousarray(_to_rgb(_upright(picture)))


def _opener(head: bytes, path: Path) -> Opener | None:
    """The Pillow plugin for a file that begins with `head`; None when it is no picture."""
    for signature, opener in _SIGNATURES:
        if head.startswith(signature):
            return opener
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WebPImageFile
    if head[4:8] == b"ftyp":
        # The major brand may be the neutral "mif1"; then the compatible ones tell.
        size = int.from_bytes(head[:4], "big")
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))]
        if any(brand in (b"avif", b"avis") for brand in brands):
            return AvifImageFile
        return _heif_opener(path) if any(brand in _HEIF_BRANDS for brand in brands) else None
    # A DIB is a BMP without its file header: recognised by the header's own size, and one plane.
    if int.from_bytes(head[:4], "little") in _DIB_HEADER_SIZES and head[12:14] == b"\x01\0":
        return DibImageFile
    return None


def _heif_opener(path: Path) -> Opener:
    try:
        from pi_heif import HeifImageFile
    except ImportError:
        raise InputError(f'{_shown(path)}: HEIC pictures need ovdet\'s extra "heic": pip install pi-heif') from None
    opener: Opener = HeifImageFile
    return opener


def _upright(picture: Image.Image) -> Image.Image:
    """Turned and mirrored as its EXIF orientation says; TIFF and HEIC arrive upright and have theirs removed."""
    try:
        return ImageOps.exif_transpose(picture)
    except (
        Exception
    ):  # damaged EXIF raises anything from SyntaxError to struct.error, and is no reason to lose the pixels
        return picture


def _to_rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith(("I", "F")):
        grey = _eight_bit(np.asarray(picture))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layer)
    return np.asarray(picture.convert("RGB"))


def _eight_bit(grey: np.ndarray) -> np.ndarray:
    """Grey samples of 16 or 32 bits as uint8, by what their type or range says white is.

    16-bit: the high byte, as Pillow does for 16-bit RGB. Signed, 32-bit and float: 0 to 1, 0 to 255 and 0 to 65535 are
    taken as such ranges; anything else (depth, elevation) is stretched from its least to its greatest finite value.
    """
    if grey.dtype.kind == "u" and grey.dtype.itemsize == 2:
        return (grey >> 8).astype(np.uint8)
    values = grey.astype(np.float64)
    is_finite = np.isfinite(values)
    low, high = (values[is_finite].min(), values[is_finite].max()) if is_finite.any() else (0.0, 0.0)
    if low >= 0 and high <= 65535:
        is_fraction = grey.dtype.kind == "f" and high <= 1
        low, high = 0.0, 1.0 if is_fraction else 255.0 if high <= 255 else 65535.0
    scaled = (np.where(is_finite, values, low) - low) * (255 / max(high - low, 1e-300))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _shown(path: Path) -> str:
    """The path on one line, safe to print: undecodable bytes and line breaks are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(path))
