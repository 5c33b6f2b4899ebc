"""GIF and PNG files that move are videos; those that do not are pictures."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.media.animations import is_animation
from ovdet_cli.media.facts import read_facts
from ovdet_cli.media.sources import collect_inputs, open_source
from tests.media.test_video_in_out import copied

VIDEO, BOTH, IMAGE = frozenset({"video"}), frozenset({"image", "video"}), frozenset({"image"})
MS = (50, 100, 200, 50, 300)


def pictures(number: int) -> list[Image.Image]:
    """A disc that walks to the right on nothing."""
    made = []
    for place in range(number):
        picture = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
        ImageDraw.Draw(picture).ellipse((4 + 8 * place, 12, 20 + 8 * place, 28), fill=(200, 0, 0, 255))
        made.append(picture)
    return made


def animation(path: Path, number: int = len(MS)) -> Path:
    """Each picture replaces the one before, so that what is uncovered becomes transparent again."""
    first, *rest = pictures(number)
    kind = {"format": "PNG"} if path.suffix == ".apng" else {"disposal": 2}
    first.save(path, save_all=True, append_images=rest, duration=list(MS[:number]), loop=0, **kind)
    return path


def frames_of(path: Path) -> list[Frame]:
    return [f for f in open_source(SourceInfo(path.name, path, "video")).frames() if isinstance(f, Frame)]


@pytest.mark.parametrize("name", ["a.gif", "a.apng", "a.png"])
def test_each_picture_at_its_time_on_white_and_once(tmp_path: Path, name: str) -> None:
    frames = frames_of(animation(tmp_path / name))
    starts = [sum(MS[:place]) for place in range(len(MS))]
    assert [frame.time_s for frame in frames] == [Fraction(start, 1000) for start in starts]
    for frame, drawn in zip(frames, pictures(len(MS)), strict=True):
        paper = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
        assert np.abs(frame.image.astype(int) - np.asarray(paper)).max() <= 8  # GIF has a palette


@pytest.mark.parametrize("name", ["a.gif", "a.apng"])
def test_its_copy_lasts_as_long(tmp_path: Path, name: str) -> None:
    made, notes, _ = copied(animation(tmp_path / name))
    assert notes == ["its transparency is laid over white"]
    facts = read_facts(made)
    assert facts.duration_s == Fraction(sum(MS), 1000)


def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    layers = [Image.new("RGBA", (32, 32), (0, 0, 0, alpha)) for alpha in (128, 64)]
    layers[0].save(tmp_path / "a.png", save_all=True, append_images=layers[1:], duration=100, blend=0)
    assert [int(frame.image.mean()) for frame in frames_of(tmp_path / "a.png")] == [127, 191]


@pytest.mark.parametrize(
    ("name", "number", "moves"),
    [("a.gif", 1, False), ("a.gif", 2, True), ("a.apng", 1, False), ("a.apng", 2, True), ("a.png", 2, True)],
)
def test_which_files_move(tmp_path: Path, name: str, number: int, moves: bool) -> None:
    assert is_animation(animation(tmp_path / name, number)) == moves


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"GIF89a" + bytes(30), b"\x89PNG\r\n\x1a\n" + bytes(9), b"RIFF1234WEBP"]
)
def test_broken_files_do_not_move(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.gif").write_bytes(data)
    assert not is_animation(tmp_path / "a.gif")


def test_a_cut_gif_is_looked_at_without_an_end(tmp_path: Path) -> None:
    whole = animation(tmp_path / "a.gif").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "b.gif").write_bytes(whole[:length])
        is_animation(tmp_path / "b.gif")


def test_what_they_are_taken_for(tmp_path: Path) -> None:
    moving, still = tmp_path / "m", tmp_path / "s"
    moving.mkdir()
    still.mkdir()
    for name in ("a.gif", "b.apng", "c.png"):
        animation(moving / name)
        animation(still / name, 1)

    def kinds(folder: Path, wanted: frozenset[str]) -> dict[str, str]:
        return {info.name: info.kind for info in collect_inputs([str(folder)], kinds=wanted).sources}

    assert kinds(moving, BOTH) == {"a.gif": "video", "b.apng": "video", "c.png": "image"}
    assert kinds(moving, VIDEO) == {"a.gif": "video", "b.apng": "video"}
    assert kinds(moving, IMAGE) == {"a.gif": "image", "b.apng": "image", "c.png": "image"}
    assert set(kinds(still, BOTH).values()) == {"image"}
    named = collect_inputs([str(moving / "c.png")], kinds=VIDEO).sources
    assert [info.kind for info in named] == ["video"]
    with pytest.raises(UsageError, match="GIF and APNG"):
        collect_inputs([str(still / "a.gif")], kinds=VIDEO)
    assert collect_inputs(["http://127.0.0.1:9/a.gif"], kinds=VIDEO).sources[0].kind == "video"
    assert collect_inputs(["http://127.0.0.1:9/a.gif"], kinds=BOTH).sources[0].kind == "image"
