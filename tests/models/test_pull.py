import hashlib
import io
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ovdet_cli.errors import DownloadError, ModelError, OutputError
from ovdet_cli.models import store, zoo
from ovdet_cli.models.pull import PullReport, pull
from ovdet_cli.models.store import assets_of
from tests.models.published import Publisher

SPEC = zoo.MODELS["detic-r18"]
CLIP = zoo.TEXT_ENCODERS["clip-vit-b-32"]
IMAGE = zoo.IMAGE_ENCODERS["clip-vit-b-32-image"]
COCO = zoo.EMBEDDINGS["coco"]
ROWS = {"lvis": 1203, "coco": 80, "openimages": 500, "objects365": 365}


def npy(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Conversion that upper-cases; gives the names of what was converted."""
    done: list[str] = []

    def convert(source: Path, target: Path, *_: object) -> None:
        done.append(source.name)
        content = source.read_bytes()
        if content == b"damaged":
            raise ModelError(f"{source} is no checkpoint")
        if content == b"unexpected":
            raise RuntimeError("nobody thought of this")
        if content == b"too much":
            raise OutputError(f"{target} cannot be written: No space left on device")
        target.write_bytes(content.upper())

    def convert_image(source: Path, target: Path, name: str) -> None:
        convert(source, target)
        target.write_bytes(f"picture tower {name} of ".encode() + source.read_bytes())

    for module, function, stands_in in (
        ("checkpoint", "convert_checkpoint", convert),
        ("text_encoders.clip", "convert_text_tower", convert),
        ("image_encoders.clip", "convert_image_tower", convert_image),
    ):
        stand_in = ModuleType(module)
        setattr(stand_in, function, stands_in)
        monkeypatch.setitem(sys.modules, f"ovdet_cli.models.{module}", stand_in)
    return done


@pytest.fixture
def published(publisher: Publisher, monkeypatch: pytest.MonkeyPatch, converted: list[str]) -> Publisher:
    """A mirror that holds small files under the names of all assets."""
    monkeypatch.setenv("OVDET_MIRROR", publisher.url)
    for name, asset in zoo.EMBEDDINGS.items():
        vectors = np.ones((ROWS.get(name, 1203), 512), np.float16)
        publisher.files[f"/{asset.file_name}"] = npy(vectors.T if name == "vild-lvis" else vectors)
    for spec in zoo.MODELS.values():
        publisher.files[f"/{spec.weights.file_name}"] = b"weights of " + spec.name.encode()
    publisher.files[f"/{CLIP.file_name}"] = b"clip"
    return publisher


def test_a_model_brings_all_it_needs(published: Publisher, converted: list[str], home: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    told: list[str] = []
    report = pull(
        ["detic-r18"], progress=lambda asset, done, total: steps.append((asset.name, done, total)), tell=told.append
    )
    assert report.new_default == store.default_model() == "detic-r18"
    assert [item.asset.name for item in report.items] == [*ROWS, SPEC.stem, "clip-vit-b-32"]
    assert not any(item.was_present for item in report.items)
    assert store.weights_path(SPEC).read_bytes() == b"WEIGHTS OF DETIC-R18"
    assert store.text_encoder_path("clip-vit-b-32").read_bytes() == b"CLIP"
    assert np.load(store.embeddings_path("lvis")).shape == (1203, 512)
    assert converted == [SPEC.weights.file_name, CLIP.file_name]
    assert [line.split()[1] for line in told] == ["detic-r18", "clip-vit-b-32"]
    assert ("clip-vit-b-32", 4, 4) in steps
    assert not [file for file in (home / "downloads").iterdir() if file.suffix != ".lock"]


def test_facts_are_noted(published: Publisher) -> None:
    pull(["detic-r18"])
    noted = store.facts(SPEC.weights)
    assert noted is not None
    assert noted["url"] == SPEC.weights.url
    assert noted["source"] == f"{published.url}/{SPEC.weights.file_name}"
    assert noted["published_sha256"] == sha(b"weights of detic-r18")
    assert noted["sha256"] == sha(b"WEIGHTS OF DETIC-R18")
    assert noted["size"] == 20


def test_what_is_here_is_left_alone(published: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    pull(["detic-r18"])
    asked = len(published.requests)
    monkeypatch.setenv("OVDET_OFFLINE", "1")
    report = pull(["detic-r18", "coco"])
    assert all(item.was_present for item in report.items)
    assert report.items[-2].published_sha256 == sha(b"weights of detic-r18")
    assert report.new_default is None
    assert len(published.requests) == asked


def test_weights_put_there_by_hand_are_left_alone(published: Publisher, converted: list[str]) -> None:
    by_hand = store.handed_path(SPEC.weights)
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(b"mine")
    report = pull(["detic-r18"])
    assert report.items[4].was_present
    assert report.items[4].path == by_hand
    assert converted == [CLIP.file_name]


def test_a_single_file_by_its_own_name(published: Publisher) -> None:
    report = pull(["coco", "clip-vit-b-32"])
    assert [item.asset.name for item in report.items] == ["coco", "clip-vit-b-32"]
    assert report.new_default is None
    assert store.default_model() is None


def test_two_models_share_their_files(published: Publisher) -> None:
    report = pull(["detic-r50", "detic-r18", "detic-r50"])
    assert len(report.items) == 7
    assert report.new_default == "detic-r50"
    assert len(published.requests) == 7


def test_a_second_model_does_not_become_the_default(published: Publisher) -> None:
    pull(["detic-r50"])
    assert pull(["detic-r18"]).new_default is None
    assert store.default_model() == "detic-r50"


def test_an_unknown_name_stops_everything_first(published: Publisher, home: Path) -> None:
    with pytest.raises(ModelError, match="no model is called"):
        pull(["coco", "detic-r81"])
    assert published.requests == []
    assert not home.exists()


def test_assets_of() -> None:
    assert [asset.name for asset in assets_of(SPEC.stem)] == [*ROWS, SPEC.stem, "clip-vit-b-32"]
    assert assets_of("coco") == (COCO,)


def test_a_changed_publication_is_refused_without_force(published: Publisher) -> None:
    pull(["detic-r18"])
    store.weights_path(SPEC).unlink()
    published.files[f"/{SPEC.weights.file_name}"] = b"other weights"
    with pytest.raises(DownloadError) as raised:
        pull(["detic-r18"])
    for text in (sha(b"weights of detic-r18"), sha(b"other weights"), "--force", "has changed"):
        assert text in str(raised.value)
    assert not store.is_present(SPEC.weights)
    assert not store.download_path(SPEC.weights).exists()
    pull(["detic-r18"], force=True)
    assert store.weights_path(SPEC).read_bytes() == b"OTHER WEIGHTS"
    store.weights_path(SPEC).unlink()
    pull(["detic-r18"])  # the new hash is the noted one now


def test_force_fetches_again(published: Publisher) -> None:
    pull(["coco"])
    store.embeddings_path("coco").write_bytes(b"scratched")
    pull(["coco"], force=True)
    assert np.load(store.embeddings_path("coco")).shape == (80, 512)


def test_the_published_hash_is_checked(published: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setitem(zoo.EMBEDDINGS, "coco", replace(COCO, sha256="0" * 64))
    with pytest.raises(DownloadError, match="0" * 64):
        pull(["coco"], force=True)
    by_hand = store.download_path(COCO)
    by_hand.write_bytes(published.files[f"/{COCO.file_name}"])
    with pytest.raises(DownloadError, match="0" * 64):
        pull(["coco"], offline=True)
    assert by_hand.is_file()


def test_a_damaged_download_is_thrown_away(published: Publisher) -> None:
    published.files[f"/{SPEC.weights.file_name}"] = b"damaged"
    with pytest.raises(ModelError, match="no checkpoint"):
        pull(["detic-r18"])
    assert not store.download_path(SPEC.weights).exists()
    assert store.default_model() is None
    published.files[f"/{SPEC.weights.file_name}"] = b"whole"
    pull(["detic-r18"])


def test_a_conversion_that_breaks_does_not_break_every_later_pull(published: Publisher) -> None:
    published.files[f"/{CLIP.file_name}"] = b"unexpected"
    with pytest.raises(RuntimeError):
        pull(["clip-vit-b-32"])
    published.files[f"/{CLIP.file_name}"] = b"whole"
    pull(["clip-vit-b-32"])


def test_a_full_disk_keeps_the_download(published: Publisher, converted: list[str]) -> None:
    published.files[f"/{SPEC.weights.file_name}"] = b"too much"
    with pytest.raises(OutputError, match="No space"):
        pull(["detic-r18"])
    assert store.download_path(SPEC.weights).read_bytes() == b"too much"


def test_files_by_hand_on_a_closed_network(published: Publisher, converted: list[str]) -> None:
    source = store.download_path(CLIP)
    source.parent.mkdir(parents=True)
    source.write_bytes(b"clip by hand")
    report = pull(["clip-vit-b-32"], offline=True)
    assert store.text_encoder_path("clip-vit-b-32").read_bytes() == b"CLIP BY HAND"
    assert report.items[0].published_sha256 == sha(b"clip by hand")
    assert not source.exists()
    assert published.requests == []
    noted = store.facts(CLIP)
    assert noted is not None
    assert noted["source"] == "by hand"


@pytest.mark.parametrize("names", [["clip-vit-b-32", "clip-vit-b-32-image"], ["clip-vit-b-32-image", "detic-r18"]])
@pytest.mark.parametrize("force", [False, True])
def test_both_towers_come_out_of_one_download(published: Publisher, names: list[str], force: bool) -> None:
    pull(names)
    if force:
        published.requests.clear()
        pull(names, force=True)
    assert sum(CLIP.file_name in path for path, _ in published.requests) == 1
    assert store.path(CLIP).read_bytes() == b"CLIP"
    assert store.path(IMAGE).read_bytes() == b"picture tower clip-vit-b-32 of clip"
    assert not store.download_path(CLIP).exists()
    noted = store.facts(IMAGE)
    assert noted is not None
    assert noted["published_sha256"] == sha(b"clip")
    assert noted["source"] == f"{published.url}/{CLIP.file_name}"


def test_a_picture_tower_alone(published: Publisher) -> None:
    told: list[str] = []
    report = pull(["clip-vit-b-32-image"], tell=told.append)
    assert [item.asset for item in report.items] == [IMAGE]
    assert report.new_default is None
    assert told == ["converting clip-vit-b-32-image to safetensors"]
    assert not store.is_present(CLIP)
    assert not store.download_path(IMAGE).exists()
    # The text tower later is a download again, which then is not kept for what is here.
    pull(["clip-vit-b-32", "clip-vit-b-32-image"])
    assert store.is_present(CLIP)
    assert not store.download_path(IMAGE).exists()
    assert sum(CLIP.file_name in path for path, _ in published.requests) == 2


def test_both_towers_of_a_file_by_hand(published: Publisher) -> None:
    source = store.download_path(IMAGE)
    source.parent.mkdir(parents=True)
    source.write_bytes(b"by hand")
    pull(["clip-vit-b-32", "clip-vit-b-32-image"], offline=True)
    assert store.path(CLIP).read_bytes() == b"BY HAND"
    assert store.path(IMAGE).read_bytes() == b"picture tower clip-vit-b-32 of by hand"
    assert [(store.facts(asset) or {})["source"] for asset in (CLIP, IMAGE)] == ["by hand"] * 2
    assert published.requests == []
    assert not source.exists()


def test_no_model_brings_a_picture_tower() -> None:
    brought = {asset.kind for name in zoo.MODELS for asset in assets_of(name)}
    assert brought == {"weights", "embeddings", "text-encoder"}
    assert assets_of("clip-vit-b-32-image") == (IMAGE,)


def test_a_damaged_file_by_hand_is_kept_and_named(published: Publisher) -> None:
    source = store.download_path(CLIP)
    source.parent.mkdir(parents=True)
    source.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="--force fetches it anew") as raised:
        pull(["clip-vit-b-32"], offline=True)
    assert str(source) in str(raised.value)
    assert source.exists()
    pull(["clip-vit-b-32"], force=True)
    assert store.text_encoder_path("clip-vit-b-32").read_bytes() == b"CLIP"


def test_offline_says_where_the_file_goes(published: Publisher) -> None:
    with pytest.raises(DownloadError, match="OVDET_OFFLINE") as raised:
        pull(["clip-vit-b-32"], offline=True)
    assert str(store.download_path(CLIP)) in str(raised.value)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"no array", "cannot be read"),
        (npy(np.ones((79, 512), np.float16)), "79 rows"),
        (npy(np.ones((80, 768), np.float16)), r"\(80, 768\)"),
        (npy(np.ones(512, np.float16)), r"\(512,\)"),
        (npy(np.ones((80, 512), np.int64)), "int64"),
        (npy(np.full((80, 512), np.nan)), "finite"),
        (npy(np.array([[object()]]), allow_pickle=True), "cannot be read"),
        (npy(np.ones((80, 512)))[:-100], "cannot be read"),
    ],
)
def test_embeddings_are_checked(published: Publisher, content: bytes, match: str) -> None:
    published.files[f"/{COCO.file_name}"] = content
    with pytest.raises(ModelError, match=match):
        pull(["coco"])
    assert not store.is_present(COCO)
    assert not store.download_path(COCO).exists()


def test_two_at_a_time_fetch_once(published: Publisher) -> None:
    reports: list[PullReport] = []
    first_is_in = threading.Event()
    second_waits = threading.Event()

    def hold(*_progress: object) -> None:
        first_is_in.set()
        second_waits.wait(5)

    first = threading.Thread(target=lambda: reports.append(pull(["coco"], progress=hold)))
    first.start()
    assert first_is_in.wait(5)
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        second_waits.set()

    reports.append(pull(["coco"], tell=tell))
    first.join()
    assert told == ["another ovdet is fetching coco: waiting for it"]
    assert sorted(report.items[0].was_present for report in reports) == [False, True]
    assert len(published.requests) == 1


def test_a_killed_process_leaves_no_lock(published: Publisher, home: Path) -> None:
    code = (
        "import os\nfrom ovdet_cli.models.pull import pull\n"
        "pull(['coco'], progress=lambda asset, done, total: done and os._exit(9))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert not store.is_present(COCO)
    pull(["coco"])
    assert store.is_present(COCO)


def test_a_real_checkpoint(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("ovdet_cli.models.checkpoint")
    safetensors = pytest.importorskip("safetensors.torch")
    monkeypatch.setenv("OVDET_MIRROR", publisher.url)
    monkeypatch.setattr("ovdet_cli.models.store.assets_of", lambda name: (SPEC.weights,))
    file = io.BytesIO()
    torch.save({"model": {"roi_heads.box": torch.arange(6.0).reshape(2, 3)}, "iteration": 7}, file)
    publisher.files[f"/{SPEC.weights.file_name}"] = file.getvalue()
    pull(["detic-r18"])
    tensors = safetensors.load_file(store.weights_path(SPEC))
    assert list(tensors) == ["roi_heads.box"]
    assert tensors["roi_heads.box"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_comes_with_ovdet_is_never_fetched(home: Path) -> None:
    report = pull(["builtin"], force=True)
    assert all(item.was_present and item.asset.bundled for item in report.items)
    assert len(report.items) == 3
    assert report.new_default is None
    assert not home.exists()


@pytest.mark.parametrize("force", [False, True])
def test_siblings_out_of_one_archive_fetch_it_once(
    publisher: Publisher, home: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    monkeypatch.setenv("OVDET_MIRROR", publisher.url)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for asset in (zoo.EMBEDDINGS[name] for name in ("dito-lvis", "dito-coco", "dito-background")):
            rows = {"dito-lvis": 1203, "dito-coco": 80, "dito-background": 2}[asset.name]
            archive.writestr(f"embeddings/{asset.member}", npy(np.ones((rows, 1024), np.float32)))
    publisher.files["/dito_large_embeddings.zip"] = file.getvalue()
    names = ["dito-lvis", "dito-coco", "dito-background"]
    pull(names)
    if force:
        publisher.requests.clear()
        pull(names, force=True)
    assert len(publisher.requests) == 1
    for name in names:
        facts = store.facts(zoo.EMBEDDINGS[name])
        assert facts is not None
        assert facts["source"] == f"{publisher.url}/dito_large_embeddings.zip"
        assert facts["published_sha256"] == sha(file.getvalue())
    assert not store.download_path(zoo.EMBEDDINGS["dito-lvis"]).exists()
