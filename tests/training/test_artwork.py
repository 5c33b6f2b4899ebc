"""Artwork: packages -> drawings -> a store that is opened again. A small package is made here; nothing is fetched."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.errors import DownloadError, InputError
from ovdet_cli.training import artwork_build, artwork_fetch
from ovdet_cli.training.artwork import CLUTTER, Artwork, Drawing
from ovdet_cli.training.artwork_sets import SETS, find_set
from ovdet_cli.training.categories import Category
from ovdet_cli.training.icon_match import EmojiNames, match_clutter, match_set
from ovdet_cli.training.icon_set import IconSet, rasterise

DOG, CAT, COOK, ARROW, STAR = "1F415", "1F408", "1F9D1-200D-1F373", "2B06", "2B50"
CATEGORIES = tuple(
    Category(name, "g", "s", False, codes, (), "")
    for name, codes in (("dog", (DOG,)), ("cat", (CAT,)), ("cook", (COOK,)), ("star", (STAR,)))
)
ICONS = {
    "dog": {"body": '<rect x="2" y="4" width="16" height="8" fill="#f00"/>'},
    "man-cook": {"body": '<circle cx="10" cy="10" r="9" fill="currentColor"/>'},
    "up-arrow": {"body": '<path d="M10 1L19 19H1z" fill="#00f" opacity="0.5"/>'},
    "small": {"body": '<rect x="110" y="-40" width="2" height="1" fill="#0f0"/>', "left": 100, "top": -50},
    "left-half": {"body": '<rect width="5" height="20"/><rect x="5" width="5" height="5"/>'},
    "nothing": {"body": "<g/>"},
}
ALIASES = {
    "hound": {"parent": "dog"},
    "old-hound": {"parent": "hound"},
    "right-half": {"parent": "left-half", "hFlip": True},
    "lost": {"parent": "nowhere"},
}
NAMES = EmojiNames(
    {DOG: "dog", CAT: "cat", COOK: "cook", ARROW: "up arrow", STAR: "star"},
    {CAT: "HOUND"},
    {DOG: "s", CAT: "s", COOK: "s", ARROW: "arrow", STAR: "s"},
)


def write_package(folder: Path, icons: Mapping[str, object] = ICONS) -> Path:
    folder.mkdir(parents=True)
    data = {"prefix": folder.name, "icons": icons, "aliases": ALIASES, "width": 20, "height": 20}
    (folder / "icons.json").write_text(json.dumps(data))
    (folder / "chars.json").write_text(json.dumps({"2b06-fe0f": "up-arrow"}))
    return folder


@pytest.fixture
def icons(tmp_path: Path) -> IconSet:
    return IconSet.open(write_package(tmp_path / "noto"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two training drawings (one held out), one piece of clutter, one unseen; pixels written by hand."""
    rows: list[list[object]] = []
    blocks, start = [], 0
    for style, name, category, held in (
        ("noto", "dog", 0, 0),
        ("twemoji", "dog", 0, 1),
        ("noto", "up-arrow", CLUTTER, 0),
        ("openmoji", "dog", 0, 0),
    ):
        block = np.full((4, 5 + len(rows), 4), len(rows), np.uint8)
        rows.append([style, name, category, held, start, *block.shape[:2]])
        start += block.size
        blocks.append(block.tobytes())
    folder = tmp_path / "art"
    folder.mkdir()
    (folder / "pixels.bin").write_bytes(b"".join(blocks))
    index = {"version": 1, "sha256": "00", "bytes": start, "sources": [], "categories": ["dog"], "drawings": rows}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_an_emoji_is_found_by_code_by_label_and_by_alias(icons: IconSet) -> None:
    assert icons.find(ARROW, ("anything",)) == "up-arrow"
    assert icons.find(DOG, ("dog",)) == "dog"
    assert icons.find(DOG, ("Old  Hound",)) == "old-hound"
    assert icons.find(DOG, ("OLDHOUND",)) == "old-hound"
    assert icons.find(DOG, ("fish",)) is None
    assert icons.parent("old-hound") == "dog"
    with pytest.raises(InputError, match="leads nowhere"):
        icons.parent("lost")


def test_an_icon_that_lost_its_style_sheet_is_not_taken(tmp_path: Path) -> None:
    icons = IconSet.open(write_package(tmp_path / "fxemoji", {"dog": {"body": '<path class="st0" d="M0 0h9v9z"/>'}}))
    assert icons.find(DOG, ("dog",)) is None


def test_the_drawing_is_placed_by_its_own_view_box(icons: IconSet) -> None:
    assert 'viewBox="100 -50 20 20"' in icons.svg("small")
    assert 'viewBox="0 0 20 20"' in icons.svg("old-hound")
    assert "#000000" in icons.svg("man-cook")
    with pytest.raises(InputError, match="no icon"):
        icons.svg("unicorn")


def test_a_drawing_is_cropped_and_brought_to_size(icons: IconSet) -> None:
    pytest.importorskip("resvg_py")
    dog = rasterise(icons.svg("dog"))
    assert dog is not None
    assert dog.dtype == np.uint8
    assert dog.shape[1] == pytest.approx(144, abs=4)
    assert dog.shape[0] == pytest.approx(72, abs=4)
    assert (dog[5:-5, 5:-5] == (255, 0, 0, 255)).all()
    small = rasterise(icons.svg("small"))  # far off the origin, and tiny
    assert small is not None
    assert small.shape[1] > 100
    assert rasterise(icons.svg("nothing")) is None


def test_alpha_is_straight_and_flips_are_followed(icons: IconSet) -> None:
    pytest.importorskip("resvg_py")
    arrow = rasterise(icons.svg("up-arrow"))
    assert arrow is not None
    middle = arrow[arrow.shape[0] // 2, arrow.shape[1] // 2]
    assert middle[:3].tolist() == [0, 0, 255]
    assert middle[3] == pytest.approx(128, abs=2)
    left, right = rasterise(icons.svg("left-half")), rasterise(icons.svg("right-half"))
    assert left is not None
    assert right is not None
    np.testing.assert_allclose(left[..., 3].astype(int), right[:, ::-1, 3].astype(int), atol=2)


def test_an_svg_that_cannot_be_drawn_is_an_input_error() -> None:
    pytest.importorskip("resvg_py")
    with pytest.raises(InputError, match="cannot draw"):
        rasterise('<svg viewBox="0 0 20 20"><g></svg>')


def test_categories_take_emoji_and_fall_back_on_man_and_woman(icons: IconSet) -> None:
    found = match_set(icons, "train", CATEGORIES, NAMES)
    # `cat` leads by its second name to the dog's own icon, which is taken.
    assert found == [Drawing("noto", "dog", 0), Drawing("noto", "man-cook", 2)]


def test_sets_without_emoji_match_by_name_alone(tmp_path: Path) -> None:
    names = ("dog", "cat-2", "cat-food", "ram", "abstract-001", "star-shape", "vortex")
    icons = IconSet.open(write_package(tmp_path / "game-icons", {name: {"body": "<g/>"} for name in names}))
    assert [d.name for d in match_set(icons, "extra", CATEGORIES, NAMES)] == ["dog", "cat-2"]
    assert [d.name for d in match_clutter(icons, "extra", CATEGORIES, NAMES)] == ["abstract-001", "vortex"]


def test_signs_are_clutter(icons: IconSet) -> None:
    assert match_clutter(icons, "train", CATEGORIES, NAMES) == [Drawing("noto", "up-arrow", CLUTTER)]


def test_held_out_drawings_leave_enough_and_spare_the_twins() -> None:
    styles = [item.style for item in SETS if item.role == "train"]
    drawings = [Drawing(style, str(c), c) for c in range(200) for style in styles]
    drawings += [Drawing("noto", "rare", 999), Drawing("openmoji", "rare", 999), Drawing("noto", "sign", CLUTTER)]
    held = [d for d in artwork_build.hold_out(drawings) if d.held_out]
    assert len(held) == 60  # 5 % of 1,201 pairs
    assert not {d.style for d in held} & {"fluent-emoji", "fluent-emoji-flat", "openmoji"}
    assert not {d.category for d in held} & {999, CLUTTER}
    assert artwork_build.hold_out(drawings) == artwork_build.hold_out(drawings)


def test_a_store_is_written_and_opened(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    write_package(tmp_path / "packages" / "noto")
    drawings = [Drawing("noto", "dog", 0), Drawing("noto", "nothing", 1), Drawing("noto", "up-arrow", CLUTTER, True)]
    said: list[str] = []
    folder = tmp_path / "deep" / "art"
    artwork_build.write_store(folder, tmp_path / "packages", drawings, ["dog", "cat"], said.append)
    artwork = Artwork.open(folder)
    assert artwork.drawings == (drawings[0], drawings[2])
    assert artwork.categories == ("dog", "cat")
    assert artwork.styles == ("noto",)
    assert "nothing to see in noto nothing" in said
    expected = rasterise(IconSet.open(tmp_path / "packages" / "noto").svg("up-arrow"))
    assert expected is not None
    np.testing.assert_array_equal(artwork.pixels(1), expected)
    assert [path.name for path in folder.parent.iterdir()] == ["art"]
    sources = json.loads((folder / "index.json").read_text())["sources"]
    assert sources[0]["licence"] == "Apache-2.0"


def test_drawings_are_selected_by_role(store: Path) -> None:
    artwork = Artwork.open(store)
    assert artwork.training_styles == ("noto", "twemoji")
    assert artwork.select() == {CLUTTER: [2], 0: [0]}
    assert artwork.select(categories=[0]) == {0: [0]}
    assert artwork.select(held_out=True) == {0: [1]}
    assert artwork.select_unseen("openmoji") == {0: [3]}
    assert artwork.pixels(3).shape == (4, 8, 4)
    assert (artwork.pixels(1) == 1).all()


def test_unseen_and_share_alike_styles_are_refused_for_training(store: Path) -> None:
    with pytest.raises(ValueError, match="openmoji"):
        Artwork.open(store).select(styles=["noto", "openmoji"])
    with pytest.raises(ValueError, match="training style"):
        Artwork.open(store).select_unseen("noto")
    assert all(item.role == "unseen" for item in SETS if item.is_share_alike)
    with pytest.raises(ValueError, match="unknown style"):
        find_set("comic")


def test_pixels_cannot_be_written(store: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Artwork.open(store).pixels(0)[0, 0] = 7


def test_a_missing_store_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="python -m ovdet_cli"):
        Artwork.open(tmp_path / "none")


@pytest.mark.parametrize("damage", ["cut", "gone", "version", "garbage", "list"])
def test_a_damaged_store_is_said(store: Path, damage: str) -> None:
    if damage == "cut":
        (store / "pixels.bin").write_bytes(b"1234")
    elif damage == "gone":
        (store / "pixels.bin").unlink()
    elif damage == "version":
        (store / "index.json").write_text('{"version": 99}')
    else:
        (store / "index.json").write_text("[]" if damage == "list" else "{")
    with pytest.raises(InputError, match="delete"):
        Artwork.open(store)


def test_a_package_that_is_no_icon_set_is_said(tmp_path: Path) -> None:
    (tmp_path / "noto").mkdir()
    with pytest.raises(InputError, match="not an icon package"):
        IconSet.open(tmp_path / "noto")


def test_build_refuses_a_folder_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        artwork_build.build(tmp_path, print)


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_only_the_named_files_are_unpacked(tmp_path: Path) -> None:
    package = pack(tmp_path / "p.tgz", {"package/en/data.json": b"[]", "../evil.json": b"x", "package/x.js": b"x"})
    artwork_fetch.unpack(package, ["en/data.json"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data.json"]
    with pytest.raises(DownloadError, match="cannot unpack"):
        artwork_fetch.unpack(package, ["icons.json"], tmp_path / "out2")


def test_fetching_checks_the_hash_and_goes_on_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pack(tmp_path / "p.tgz", {"package/icons.json": b"{}", "package/chars.json": b"{}"})
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    item = replace(find_set("noto"), integrity=f"sha512-{digest}")
    monkeypatch.setattr(artwork_fetch, "_pack", lambda item, scratch: package)
    said: list[str] = []
    artwork_fetch.fetch(tmp_path / "packages", said.append, [item])
    artwork_fetch.fetch(tmp_path / "packages", said.append, [item])
    assert said == [f"fetching @iconify-json/noto {item.version}"]
    assert sorted(path.name for path in (tmp_path / "packages" / "noto").iterdir()) == ["chars.json", "icons.json"]
    with pytest.raises(DownloadError, match="not the expected file"):
        artwork_fetch.fetch(tmp_path / "packages", said.append, [find_set("twemoji")])
    assert not (tmp_path / "packages" / "twemoji").exists()


def test_without_npm_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artwork_fetch.shutil, "which", lambda name: None)
    with pytest.raises(DownloadError, match="npm is not installed"):
        artwork_fetch.fetch(tmp_path, print, [find_set("noto")])
