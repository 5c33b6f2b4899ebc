"""Archives that mean harm, or are broken."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from ovdet_cli.errors import ModelError
from ovdet_cli.models import archives
from ovdet_cli.models.checkpoint import convert_checkpoint, read_checkpoint
from tests.models.test_tensor_bundle import WRITTEN


def tar(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "unpacked").mkdir()
    return tmp_path / "unpacked"


@pytest.mark.parametrize("make", [tar, zipped])
@pytest.mark.parametrize(
    "name", ["../../a.index", "/tmp/a.index", "x/../../a.index", "C:\\x\\a.index", "deep/er/a.index"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, target: Path, make, name: str) -> None:
    source = make(tmp_path / "archive", {name: b"1"})
    assert archives.is_archive(source)
    assert archives.unpack(source, target, lambda _: True) == [target / "a.index"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.index", "archive", "unpacked"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_passed_over(tmp_path: Path, target: Path, kind: bytes) -> None:
    assert archives.unpack(tar(tmp_path / "a", {"a.index": b""}, kind), target, lambda _: True) == []


def test_a_link_in_a_zip_is_passed_over(tmp_path: Path, target: Path) -> None:
    info = zipfile.ZipInfo("a.index")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert archives.unpack(tmp_path / "a", target, lambda _: True) == []


def test_what_grows_beyond_measure_is_refused(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 3_000_000)
    source = tar(tmp_path / "a", {"a.index": bytes(2_000_000), "b.index": bytes(2_000_000)})
    with pytest.raises(ModelError, match="unpacks to more than 3000000 bytes"):
        archives.unpack(source, target, lambda _: True)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_python_unpacks_without_a_limit_is_refused(tmp_path: Path, target: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w", kind) as archive:
        archive.writestr("a.index", bytes(1000))
    with pytest.raises(ModelError, match="compressed in a way"):
        archives.unpack(tmp_path / "a", target, lambda _: True)


def test_a_header_of_megabytes_is_refused(tmp_path: Path, target: Path) -> None:
    source = tar(tmp_path / "a", {"long": bytes(3_000_000)}, tarfile.XHDTYPE)
    with pytest.raises(ModelError, match="a header has 3000000 bytes"):
        archives.unpack(source, target, lambda _: True)


def test_folders_count_as_members(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MOST_FILES", 5)
    source = tar(tmp_path / "a", {f"d{i}": b"" for i in range(9)}, tarfile.DIRTYPE)
    with pytest.raises(ModelError, match="more than 5 files"):
        archives.unpack(source, target, lambda _: True)


def test_two_files_of_a_name_are_refused(tmp_path: Path, target: Path) -> None:
    with pytest.raises(ModelError, match=r"more than one file called a\.index"):
        archives.unpack(tar(tmp_path / "a", {"x/a.index": b"", "y/a.index": b""}), target, lambda _: True)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), make=st.sampled_from([tar, zipped]))
def test_a_damaged_archive_is_an_error_or_harmless(tmp_path: Path, data: st.DataObject, make) -> None:
    target = archives.free_folder(tmp_path / "unpacked")
    source = make(tmp_path / "archive", {"a.index": b"one" * 50, "b/c.data": b"two" * 70})
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    source.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    archives.is_archive(source)
    try:
        files = archives.unpack(source, target, lambda _: True)
    except ModelError:
        return
    assert all(file.parent == target for file in files)


@pytest.mark.parametrize(("make", "ending"), [(tar, ".tar.gz"), (zipped, ".zip")])
def test_a_checkpoint_in_an_archive_becomes_safetensors(tmp_path: Path, make, ending: str) -> None:
    members = {f"resnet50_vild/{file.name}": file.read_bytes() for file in WRITTEN.glob("two*")}
    source = make(tmp_path / f"resnet50_vild{ending}", members | {"resnet50_vild/model.meta": b"graph"})
    convert_checkpoint(source, tmp_path / "out.safetensors")
    converted, written = load_file(tmp_path / "out.safetensors"), read_checkpoint(WRITTEN / "two.ckpt-7")
    assert converted.keys() == written.keys()
    assert all((converted[name] == written[name]).all() for name in written)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.safetensors", source.name]


@pytest.mark.parametrize("name", ["two.ckpt-7", "two.ckpt-7.index", "two.ckpt-7.data-00001-of-00002"])
def test_a_checkpoint_is_named_by_any_of_its_files(name: str) -> None:
    assert len(read_checkpoint(WRITTEN / name)) == 73
