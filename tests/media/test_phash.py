import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from ovdet_cli.errors import InputError
from ovdet_cli.media import phash
from ovdet_cli.media.images import read_grey, read_image
from ovdet_cli.media.phash import are_alike, file_print
from tests.media import clips

SAMPLES = Path(__file__).parents[2] / "samples"
PHOTO = SAMPLES / "posts" / "park.jpg"


def scene(seed: int, size_wh: tuple[int, int] = (640, 480)) -> Image.Image:
    """A picture with shapes of all sizes, as photographs have."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((size_wh[1], size_wh[0], 3))
    for side, strength in ((3, 60), (6, 40), (12, 25), (24, 15), (60, 8)):
        layer = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
            size_wh, Image.Resampling.BICUBIC
        )
        picture += (np.asarray(layer, float) - 128) * strength / 80
    return Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8))


def text_post(words: str) -> Image.Image:
    picture = Image.new("RGB", (800, 450), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 20, 80, 80), fill=(90, 90, 200))
    for line in range(6):
        draw.text(
            (20, 110 + 50 * line), words[line * 60 : line * 60 + 60], fill="black", font=ImageFont.load_default(size=24)
        )
    return picture


def made(picture: Image.Image, folder: Path, name: str = "a.png", **options: object) -> np.ndarray:
    picture.save(folder / name, **options)
    return file_print(folder / name)


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def inner(picture: Image.Image, share: float) -> Image.Image:
    across, down = round(picture.width * share / 2), round(picture.height * share / 2)
    return picture.crop((across, down, picture.width - across, picture.height - down))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda picture: jpeg(picture, 30),
    "small": lambda picture: picture.resize((picture.width // 3, picture.height // 3)),
    "large": lambda picture: picture.resize((picture.width * 2, picture.height * 2)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
    "contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.15),
    "cropped": lambda picture: inner(picture, 0.02),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_looks_alike_is_found(tmp_path: Path, change: str) -> None:
    pictures = [Image.open(PHOTO).convert("RGB"), *(scene(seed) for seed in range(9))]
    found = [bool(are_alike(made(p, tmp_path), made(CHANGES[change](p), tmp_path))) for p in pictures]
    assert sum(found) >= (9 if change == "cropped" else 10)


def test_different_pictures_are_apart(tmp_path: Path) -> None:
    prints = np.stack([file_print(PHOTO), *(made(scene(seed), tmp_path) for seed in range(60))])
    first, second = np.triu_indices(len(prints), 1)
    assert not are_alike(prints[first], prints[second]).any()


def test_text_differs_by_its_letters(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghij klmno"), 360)) for _ in range(8)]
    prints = np.stack([made(text_post(text), tmp_path) for text in texts])
    assert prints["is_strict"].all()
    first, second = np.triu_indices(len(prints), 1)
    assert not are_alike(prints[first], prints[second]).any()
    again = np.stack([made(jpeg(text_post(text), 60), tmp_path) for text in texts])
    assert are_alike(prints, again).all()


@pytest.mark.parametrize("kind", ["black", "white", "gradient", "noise of one level"])
def test_plain_pictures_are_alike_only_byte_by_byte(tmp_path: Path, kind: str) -> None:
    def plain(change: int) -> Image.Image:
        ramp = np.tile(np.linspace(0, 255, 200), (200, 1))
        noise = np.random.default_rng(change).integers(99, 101, (200, 200)).astype(float)
        levels = {"black": ramp * 0, "white": ramp * 0 + 255 - change, "gradient": ramp, "noise of one level": noise}
        grey = levels[kind].astype(np.uint8)
        grey[0, 0] = change
        return Image.fromarray(grey)

    assert are_alike(made(plain(0), tmp_path), made(plain(0), tmp_path))
    assert not are_alike(made(plain(0), tmp_path), made(plain(1), tmp_path))


def test_aspect_and_kind_count(tmp_path: Path) -> None:
    photo = scene(1)
    assert not are_alike(made(photo, tmp_path), made(photo.resize((480, 480)), tmp_path))
    as_video = made(photo, tmp_path).copy()
    as_video["is_video"] = True
    assert not are_alike(made(photo, tmp_path), as_video)


def test_a_turned_jpeg_is_the_upright_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = scene(2).transpose(Image.Transpose.ROTATE_90)
    assert are_alike(made(scene(2), tmp_path), made(turned, tmp_path, "b.jpg", exif=exif, quality=90))
    grey, aspect = read_grey(tmp_path / "b.jpg", 64)
    assert (grey.shape, grey.dtype, round(aspect, 3)) == ((64, 64), np.uint8, round(640 / 480, 3))


def test_a_jpeg_decoded_small_is_the_same(tmp_path: Path) -> None:
    scene(3, (2000, 1500)).save(tmp_path / "a.jpg", quality=90)
    small, _ = read_grey(tmp_path / "a.jpg", 64)
    whole = np.asarray(
        Image.fromarray(read_image(tmp_path / "a.jpg")).convert("L").resize((64, 64), Image.Resampling.BOX)
    )
    assert np.abs(small.astype(int) - whole).mean() < 2


def test_videos(tmp_path: Path) -> None:
    def video(name: str, seeds: list[int], size_wh: tuple[int, int] = (320, 240), codec: str = "libx264") -> np.ndarray:
        pictures = [np.asarray(scene(seeds[i * len(seeds) // 50], size_wh)) for i in range(50)]
        return file_print(clips.make_clip(tmp_path / name, size_wh=size_wh, pictures=pictures, codec=codec))

    first = video("a.mp4", [1, 2, 3, 4])
    assert first["is_video"]
    assert are_alike(first, video("b.mp4", [1, 2, 3, 4], (160, 120)))
    assert not are_alike(first, video("c.mp4", [1, 2, 5, 6]))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.mp4"])
def test_what_cannot_be_read_is_an_input_error(tmp_path: Path, name: str) -> None:
    for content in (None, b"", b"nothing", b"\xff\xd8\xff\xe0 cut"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            file_print(tmp_path / name)


def test_bits_are_counted_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(0).integers(0, 2**64, (5, 4), dtype=np.uint64)
    whole = phash.popcount(words)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert np.array_equal(phash.popcount(words), whole)
    assert whole.tolist() == [[int(word).bit_count() for word in row] for row in words]
