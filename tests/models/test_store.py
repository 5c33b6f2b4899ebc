import json
import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ovdet_cli.errors import MissingAssetError, ModelError, OutputError
from ovdet_cli.models import store, zoo
from ovdet_cli.models.spec import Asset

SPEC = zoo.MODELS["detic-r18"]
CLIP = zoo.TEXT_ENCODERS["clip-vit-b-32"]
IMAGE = zoo.IMAGE_ENCODERS["clip-vit-b-32-image"]
LVIS = zoo.EMBEDDINGS["lvis"]


def put(file: Path, content: bytes = b"x") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_home_is_named_by_the_environment_or_the_platform(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.home() == home
    monkeypatch.setenv("OVDET_HOME", "~/elsewhere")
    assert store.home() == Path.home() / "elsewhere"
    monkeypatch.setenv("OVDET_HOME", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    if sys.platform == "linux":
        assert store.home() == home / "ovdet"


def test_places(home: Path) -> None:
    assert store.weights_path(SPEC) == home / "weights" / f"{SPEC.stem}.safetensors"
    assert store.text_encoder_path("clip-vit-b-32") == home / "text-encoders" / "clip-vit-b-32.safetensors"
    assert store.image_encoder_path("clip-rn50-image") == home / "image-encoders" / "clip-rn50-image.safetensors"
    assert store.embeddings_path("lvis") == home / "embeddings" / "lvis.npy"
    assert store.download_path(LVIS) == home / "downloads" / "lvis_v1_clip_a+cname.npy"


def test_looking_makes_no_folder(home: Path) -> None:
    assert not store.is_present(SPEC.weights)
    assert store.facts(SPEC.weights) is None
    assert store.default_model() is None
    with pytest.raises(MissingAssetError):
        store.require(LVIS)
    assert not home.exists()


def test_a_published_file_put_there_by_hand_counts(home: Path) -> None:
    by_hand = put(home / "weights" / f"{SPEC.stem}.pth")
    assert store.handed_path(SPEC.weights) == by_hand
    assert store.is_present(SPEC.weights)
    assert store.require(SPEC.weights) == by_hand
    converted = put(home / "weights" / f"{SPEC.stem}.safetensors")
    assert store.weights_path(SPEC) == converted


def test_a_folder_in_the_place_of_a_file_is_not_the_file(home: Path) -> None:
    store.embeddings_path("lvis").mkdir(parents=True)
    assert not store.is_present(LVIS)


@pytest.mark.parametrize(
    ("asset", "told"),
    [
        (SPEC.weights, ["`ovdet models pull detic-r18`", "about 1.0 GB", f"weights/{SPEC.stem}.pth", "--weights FILE"]),
        (LVIS, ["`ovdet models pull lvis`", "1.2 MB", "embeddings/lvis.npy", "--embeddings FILE"]),
        (
            CLIP,
            [
                "`ovdet models pull clip-vit-b-32`",
                "605 MB",
                "downloads/open_clip_model.safetensors and run `ovdet models pull clip-vit-b-32 --offline`",
                "--embeddings FILE",
            ],
        ),
        (
            IMAGE,
            [
                "the picture tower clip-vit-b-32-image, which turns pictures given as examples into embeddings, is not",
                "`ovdet models pull clip-vit-b-32-image` (about 605 MB)",
                "downloads/open_clip_model.safetensors and run `ovdet models pull clip-vit-b-32-image --offline`",
                "leave examples out",
            ],
        ),
    ],
)
def test_what_is_missing_is_told_with_every_way_to_bring_it(asset: Asset, told: list[str], home: Path) -> None:
    with pytest.raises(MissingAssetError) as raised:
        store.require(asset)
    for text in (*told, str(home), asset.url):
        assert text in str(raised.value)


def test_no_embeddings_are_offered_in_place_of_a_picture_tower() -> None:
    with pytest.raises(MissingAssetError) as raised:
        store.require(IMAGE)
    assert "--embeddings" not in str(raised.value)
    assert (raised.value.name, raised.value.size_text) == ("clip-vit-b-32-image", "about 605 MB")


def test_the_hash_of_a_picture_tower_is_the_noted_one() -> None:
    file = put(store.converted_path(IMAGE), b"12345")
    store.write_facts(IMAGE, source="x", published_sha256="aa", sha256="noted")
    assert store.sha256_of(file) == "noted"
    assert not store.is_present(CLIP)


def test_find_asset() -> None:
    assert store.find_asset("clip-vit-b-32") is CLIP
    assert store.find_asset("clip-vit-b-32-image") is IMAGE
    assert store.find_asset("lvis") is LVIS
    assert store.find_asset("detic-r18") is store.find_asset(SPEC.stem) is SPEC.weights
    with pytest.raises(ModelError, match="detic-r18"):
        store.find_asset("detic-r81")


def test_facts(home: Path) -> None:
    put(store.converted_path(LVIS), b"12345")
    store.write_facts(LVIS, source="https://mirror/x", published_sha256="aa", sha256="bb")
    noted = store.facts(LVIS)
    assert noted is not None
    assert noted.pop("date").startswith("20")
    assert noted == {
        "name": "lvis",
        "url": LVIS.url,
        "source": "https://mirror/x",
        "published_sha256": "aa",
        "sha256": "bb",
        "size": 5,
    }
    assert names_in(home / "embeddings") == ["lvis.npy", "lvis.npy.json"]
    (home / "embeddings" / "lvis.npy.json").write_text("[1")
    assert store.facts(LVIS) is None


def test_default_model(home: Path) -> None:
    store.set_default_model(SPEC.stem)
    assert store.default_model() == "detic-r18"
    with pytest.raises(ModelError, match="no model is called"):
        store.set_default_model("nothing like it")
    assert store.default_model() == "detic-r18"


def test_other_settings_survive(home: Path) -> None:
    put(home / "config.json", b'{"theirs": 1}')
    store.set_default_model("detic-r18")
    assert json.loads((home / "config.json").read_bytes()) == {"theirs": 1, "default_model": "detic-r18"}


def test_a_damaged_config_is_named_and_mended(home: Path) -> None:
    put(home / "config.json", b"{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read .*models use NAME"):
        store.default_model()
    store.set_default_model("detic-r18")
    assert store.default_model() == "detic-r18"


def test_a_failed_write_leaves_the_old_file(home: Path) -> None:
    store.write_json(home / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        store.write_json(home / "x.json", {"a": object()})
    assert json.loads((home / "x.json").read_bytes()) == {"a": 1}
    assert names_in(home) == ["x.json"]


def test_a_home_that_cannot_be_made(home: Path) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file")
    with pytest.raises(OutputError, match="OVDET_HOME"):
        store.set_default_model("detic-r18")


def test_a_home_that_is_not_writable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.FileLock, "acquire", refuse)
    with pytest.raises(OutputError, match=r"config\.json\.lock cannot be written: Permission denied.*OVDET_HOME"):
        store.set_default_model("detic-r18")


def test_a_lock_holds_others_off(home: Path) -> None:
    told: list[str] = []
    order: list[str] = []
    waiting = threading.Event()

    def note_wait() -> None:
        told.append("wait")
        waiting.set()

    def second() -> None:
        with store.locked(LVIS, note_wait):
            order.append("second")

    with store.locked(LVIS, lambda: told.append("never")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert told == ["wait"]


def _write_many(folder: str, mark: str) -> None:
    for _ in range(100):
        store.write_json(Path(folder) / "x.json", {"mark": mark * 5000})


def test_a_reader_beside_two_writers_never_sees_half_a_file(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(home), mark)) for mark in "ab"]
    _write_many(str(home), "c")
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert len(json.loads((home / "x.json").read_bytes())["mark"]) == 5000
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert names_in(home) == ["x.json"]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (82_048, "82 kB"), (1_232_000, "1.2 MB")]
)
def test_size_text(size: int, text: str) -> None:
    assert store.size_text(size) == text


def test_the_store_does_not_load_torch() -> None:
    code = "import sys, ovdet_cli.models.store, ovdet_cli.models.pull; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_built_in_models_files_are_the_packages(home: Path) -> None:
    for asset in store.assets_of("builtin"):
        assert store.require(asset) == store.path(asset) == store.handed_path(asset) == store.BUNDLED / asset.bundled
        noted = store.facts(asset)
        assert noted is not None
        assert noted["sha256"] == store.sha256_of(store.path(asset)) == store.hash_file(store.path(asset))
        assert store.size_of(asset) == noted["size"]
    assert store.find_asset("builtin") == zoo.BUILTIN.weights
    assert not home.exists()


def test_a_missing_file_of_the_package_cannot_be_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUNDLED", tmp_path)
    with pytest.raises(ModelError, match="comes with ovdet: the installation is damaged") as raised:
        store.require(zoo.BUILTIN.weights)
    assert not isinstance(raised.value, MissingAssetError), "nobody is offered a download of it"
