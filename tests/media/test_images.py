import contextlib
import errno
import io
import os
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ovdet_cli.errors import InputError, OutputError
from ovdet_cli.media import images
from ovdet_cli.media.images import IMAGE_SUFFIXES, is_picture, read_image, write_image
from tests.media import clips

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 36, 3), dtype=np.uint8)
SMOOTH = np.repeat(np.repeat(RNG.integers(0, 256, (3, 4, 3), dtype=np.uint8), 16, 0), 16, 1)
# EXIF 2.32, 4.6.4 A: the value -> what was done to the upright picture before it was stored
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def save(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.tif", {}),
        ("a.webp", {"lossless": True}),
        ("a.jpg", {"quality": 95}),
        ("a.avif", {"quality": 95}),
    ],
)
def test_every_orientation_comes_upright(tmp_path: Path, orientation: int, name: str, options: dict) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](SMOOTH)))
    path = save(tmp_path / name, stored, exif=exif(orientation), **options)
    image = read_image(path)
    assert image.shape == SMOOTH.shape
    error = np.abs(image.astype(int) - SMOOTH).mean()
    assert error < 8 if name in ("a.jpg", "a.avif") else error == 0


def test_a_jpeg_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(NOISE), quality=70)
    image = read_image(path)
    assert np.array_equal(image, np.asarray(Image.open(path).convert("RGB")))
    assert image.flags.c_contiguous
    assert image.flags.writeable or image.base is None or image.dtype == np.uint8


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".dib", ".tif", ".gif", ".jpg", ".avif"])
@pytest.mark.parametrize("disguise", [".jpg", ".png", ".nothing", ""])
def test_the_content_tells_the_format_not_the_suffix(tmp_path: Path, suffix: str, disguise: str) -> None:
    path = save(tmp_path / f"a{suffix}", Image.fromarray(SMOOTH))
    path = path.rename(tmp_path / f"picture{disguise}")
    assert is_picture(path)
    assert np.abs(read_image(path).astype(int) - SMOOTH).mean() < 25


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    picture = Image.fromarray(SMOOTH).convert(mode)
    try:
        path = save(tmp_path / f"a{suffix}", picture)
    except (OSError, KeyError):
        pytest.skip(f"Pillow does not write {mode} as {suffix}")
    image = read_image(path)
    expected = np.asarray(picture.convert("RGB")).astype(int)
    assert image.shape == SMOOTH.shape
    assert np.abs(image - expected).mean() < (8 if suffix == ".jpg" else 1.5)


def test_an_inverted_adobe_cmyk_jpeg_is_not_a_negative(tmp_path: Path) -> None:
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert read_image(save(tmp_path / "a.jpg", white)).min() > 250


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_over_white(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        picture = Image.new("P", (4, 4), 0)
        picture.putpalette([10, 20, 30])
        path = save(tmp_path / "a.png", picture, transparency=0)
    else:
        clear = (10, 20, 30, 0) if mode == "RGBA" else (10, 0)
        path = save(tmp_path / "a.png", Image.new(mode, (4, 4), clear))
    assert (read_image(path) == 255).all()


def test_half_transparency_is_mixed_with_white(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGBA", (4, 4), (0, 100, 200, 128)))
    assert np.abs(read_image(path)[0, 0].astype(int) - [127, 177, 227]).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str, byte_order: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 32).reshape(32, 64).astype("<u2")
    picture = Image.fromarray(ramp)
    if byte_order == ">" and suffix == ".tif":
        picture = Image.frombytes("I;16B", (64, 32), ramp.astype(">u2").tobytes())
    image = read_image(save(tmp_path / f"a{suffix}", picture))
    assert np.array_equal(image, np.repeat((ramp >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


def test_sixteen_bit_rgb_keeps_its_high_byte(tmp_path: Path) -> None:
    """Pillow writes no 16-bit RGB, so this PNG is put together by hand."""
    import zlib

    samples = RNG.integers(0, 65536, (8, 8, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    (tmp_path / "a.png").write_bytes(data)
    assert np.array_equal(read_image(tmp_path / "a.png"), (samples >> 8).astype(np.uint8))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 65535), (-3, 7), (1000, 90000)])
def test_float_pictures_are_scaled_by_their_range(tmp_path: Path, low: float, high: float) -> None:
    ramp = np.linspace(low, high, 256, dtype=np.float32).reshape(16, 16)
    ramp[0, 0], ramp[-1, -1] = low, high
    image = read_image(save(tmp_path / "a.tif", Image.fromarray(ramp)))
    assert image[0, 0, 0] == 0
    assert image[-1, -1, 0] == 255
    assert abs(int(image[8, 0, 0]) - 128) <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 5.0, -1e38])
def test_flat_and_infinite_floats_do_not_break(tmp_path: Path, value: float) -> None:
    picture = Image.fromarray(np.full((4, 4), value, np.float32))
    assert read_image(save(tmp_path / "a.tif", picture)).shape == (4, 4, 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif", ".tif"])
def test_an_animation_gives_its_first_picture(tmp_path: Path, suffix: str) -> None:
    first, second = (Image.new("RGB", (20, 20), colour) for colour in ((200, 0, 0), (0, 0, 200)))
    path = save(tmp_path / f"a{suffix}", first, save_all=True, append_images=[second])
    assert np.abs(read_image(path)[10, 10].astype(int) - (200, 0, 0)).max() < 8


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".avif"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_picture_cut_short_is_an_error_never_half_a_picture(tmp_path: Path, suffix: str, share: float) -> None:
    noise = RNG.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    data = save(tmp_path / f"a{suffix}", Image.fromarray(noise)).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    assert_input_error(path, "cut")


def assert_input_error(path: Path, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    message.encode()


def test_what_is_no_picture_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "words.jpg").write_text("not a picture, just words, and quite a few of them at that")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert_input_error(tmp_path / "empty.jpg", "empty")
    assert_input_error(tmp_path / "words.jpg", "not a picture")
    assert_input_error(tmp_path / "none.jpg", "no such file")
    assert_input_error(tmp_path / "pipe.jpg", "not a file")
    assert_input_error(tmp_path, "not a file")
    assert not is_picture(tmp_path / "words.jpg")
    assert not is_picture(tmp_path / "none.jpg")


def test_no_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(NOISE))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no permission stops
    assert_input_error(path, "permission")


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_heic_picture_is_read_upright(tmp_path: Path, quarter_turns: int) -> None:
    pytest.importorskip("pi_heif")
    path = clips.make_heic(tmp_path / "a.heic", SMOOTH, quarter_turns)
    upright = np.rot90(SMOOTH, quarter_turns)
    image = read_image(path.rename(tmp_path / "a.jpg"))
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 12


def test_a_heic_without_its_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    assert_input_error(tmp_path / "a.jpg", "pip install pi-heif")
    assert is_picture(tmp_path / "a.jpg")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(header + b"\0" * 100)
    assert_input_error(tmp_path / "a.bmp", "60000x60000")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif"])
def test_a_large_picture_passes_where_pillow_would_refuse(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = save(tmp_path / f"a{suffix}", Image.fromarray(NOISE))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the picture has 864
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path).load()
    assert read_image(path).shape == NOISE.shape
    assert Image.MAX_IMAGE_PIXELS == 100


def test_the_limit_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(NOISE))
    monkeypatch.setattr(images, "MAX_PIXELS", 863)
    assert_input_error(path, "36x24")


def test_a_damaged_exif_costs_no_pixels(tmp_path: Path) -> None:
    picture = Image.fromarray(NOISE)
    path = save(
        tmp_path / "a.png", picture, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\xff\xff\xff\xff"
    )
    assert np.array_equal(read_image(path), NOISE)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    magic=st.sampled_from(
        [
            b"",
            *[signature for signature, _ in images._SIGNATURES],
            b"RIFF\xff\0\0\0WEBPVP8L",
            b"\0\0\0\x18ftypavif",
            b"\0\0\0\x18ftypheic",
        ]
    ),
    content=st.binary(max_size=200),
)
@pytest.mark.filterwarnings("ignore")
def test_no_bytes_make_reading_raise_anything_else(tmp_path: Path, magic: bytes, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(magic + content)
    try:
        assert read_image(path).shape[2] == 3
    except InputError as error:
        assert "\n" not in str(error)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([".jpg", ".png", ".tif", ".webp", ".gif", ".bmp", ".avif"]),
    places=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_pictures_raise_only_input_errors(tmp_path: Path, suffix: str, places: list[tuple[int, int]]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, Image.registered_extensions()[suffix])
    data = bytearray(buffer.getvalue())
    for at, value in places:
        data[at % len(data)] = value
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        assert read_image(path).dtype == np.uint8


def test_many_threads_may_read_at_once(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{index}.png", Image.fromarray(NOISE + index)) for index in range(8)]
    barrier = threading.Barrier(4)

    def read(index: int) -> bool:
        if index < 4:
            barrier.wait()
        return np.array_equal(read_image(paths[index]), NOISE + index)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(8)))


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.JPEG", "a.png", "a.webp", "a.bmp", "a.tif", "a.gif", "a.avif", "new/folder/a.png"]
)
def test_a_written_picture_reads_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_image(path, SMOOTH)
    error = np.abs(read_image(path).astype(int) - SMOOTH).mean()
    assert error < 12
    assert error == 0 or path.suffix.lower() not in (".png", ".bmp", ".tif")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_writing_honours_the_umask(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", NOISE)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failed_write_leaves_the_old_picture_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_image(path, NOISE)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_image(path, NOISE)
    assert np.array_equal(read_image(path), NOISE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_image(tmp_path / "file" / "a.png", NOISE)
    with pytest.raises(OutputError, match="heic"):
        write_image(tmp_path / "a.heic", NOISE)
    with pytest.raises(OutputError):
        write_image(tmp_path / "a.webp", np.zeros((1, 20000, 3), np.uint8))  # 16383 is WebP's longest side
    with pytest.raises(ValueError, match="RGB uint8"):
        write_image(tmp_path / "a.png", NOISE[:, :, 0])


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)
