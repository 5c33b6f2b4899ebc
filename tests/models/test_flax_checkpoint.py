"""Flax checkpoints and SavedModel variables: what Flax and TensorFlow wrote is read, damaged files are told as such."""

import json
import os
from pathlib import Path

import msgpack
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from ovdet_cli.errors import ModelError
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import convert_checkpoint, foreign_names, read_checkpoint
from ovdet_cli.models.flax_checkpoint import is_flax_file, read_flax
from ovdet_cli.models.tensor_bundle import TensorBundle, find_bundle
from ovdet_cli.models.zoo import MODELS
from tests.models.test_archives import zipped

DATA = Path(__file__).parents[1] / "data"
WRITTEN = DATA / "flax"
"""Written by Flax itself: see make_foreign_checkpoints.py there."""
REFERENCE = Path(os.environ.get("OVDET_REFERENCE", Path(__file__).parents[3] / "shared" / "reference")) / "dito"


def same(found: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert tuple(found[name].shape) == values.shape, name
        np.testing.assert_array_equal(found[name].numpy(), values, err_msg=name)


@pytest.mark.parametrize("kind", ["trained", "pretrained"])
def test_what_flax_wrote_is_read(kind: str) -> None:
    expected = np.load(WRITTEN / "expected.npz")
    wanted = {n.removeprefix(f"{kind}/"): expected[n] for n in expected.files if n.startswith(f"{kind}/")}
    assert len(wanted) > 8
    assert is_flax_file(WRITTEN / kind)
    same(read_flax(WRITTEN / kind), wanted)
    same(dict(read_checkpoint(WRITTEN / kind)), wanted)


def test_a_flax_checkpoint_in_an_archive_becomes_safetensors(tmp_path: Path) -> None:
    source = zipped(tmp_path / "r50.zip", {"r50/r50_checkpoint_184000": (WRITTEN / "trained").read_bytes()})
    convert_checkpoint(source, tmp_path / "out.safetensors")
    converted = load_file(tmp_path / "out.safetensors")
    assert converted.keys() == read_flax(WRITTEN / "trained").keys()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.safetensors", "r50.zip"]


def test_variables_without_names_have_them_by_their_order(tmp_path: Path) -> None:
    expected = dict(np.load(DATA / "saved_model" / "expected.npz"))
    bundle = TensorBundle(find_bundle(DATA / "saved_model"))
    assert bundle.is_nameless
    same(bundle.named(list(reversed(expected))), expected)
    with pytest.raises(ModelError, match=rf"holds {len(expected)} variables, and the model has {len(expected) - 1}"):
        bundle.named(list(expected)[1:])
    files = {f"vit/{f.relative_to(DATA / 'saved_model')}": f.read_bytes() for f in bundle.prefix.parent.iterdir()}
    other = {name.replace("vit/", "text_model/"): content for name, content in files.items()}
    source = zipped(tmp_path / "demo.zip", files | other)
    convert_checkpoint(source, tmp_path / "out.safetensors", "vit/", list(expected))
    same(load_file(tmp_path / "out.safetensors"), expected)


def packed(shape: object, dtype: str, content: bytes, kind: int = 1) -> msgpack.ExtType:
    return msgpack.ExtType(kind, msgpack.packb((shape, dtype, content)))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([1, 2], "it holds a list"),
        ({"step": 3}, "its entries are step"),
        ({"params": {"a": packed((2,), "<f4", b"")}}, "type '<f4', which is not read here"),
        ({"params": {"a": packed((2,), "object", b"")}}, "type 'object'"),
        ({"params": {"a": packed((3,), "float32", bytes(8))}}, r"shape \[3\] has 2 numbers"),
        ({"params": {"a": packed((-1,), "float32", bytes(8))}}, r"shape \[-1\]"),
        ({"params": {"a": packed((1 << 60, 1 << 60), "float32", bytes(8))}}, "has 2 numbers"),
        ({"params": {"a": packed((1,), "float32", bytes(7))}}, "damaged"),
        ({"params": {"a": {"__msgpack_chunked_array__": True}}}, "pieces of an array are missing"),
        ({"params": {"a": msgpack.ExtType(1, msgpack.packb(((1,), 7, b"")))}}, "damaged"),
        ({"params": {"a": {"__msgpack_chunked_array__": True, "shape": {"5": 1}, "chunks": {}}}}, "damaged"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, tree: object, message: str) -> None:
    (tmp_path / "w").write_bytes(msgpack.packb(tree))
    with pytest.raises(ModelError, match=message):
        read_flax(tmp_path / "w")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert not is_flax_file(tmp_path / "w")
    with pytest.raises(ModelError, match="cannot read the weights"):
        read_flax(tmp_path / "w")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["trained", "pretrained"]))
def test_no_damage_breaks_the_reader(tmp_path: Path, data: st.DataObject, kind: str) -> None:
    content = bytearray((WRITTEN / kind).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "w").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    is_flax_file(tmp_path / "w")
    try:
        found = read_flax(tmp_path / "w")
    except ModelError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in found.values())


@pytest.mark.reference
@pytest.mark.parametrize(("layout", "name"), [("vit_l16", "dito-vit-l"), ("vit_s16", "dito-vit-s")])
def test_our_order_is_the_savedmodels(layout: str, name: str) -> None:
    entries = json.loads((REFERENCE / f"{layout}.manifest.json").read_text())["tensors"]
    spec = MODELS[name]
    with torch.device("meta"):
        model = architecture_of(spec).build(spec.config)
    ours = sorted(foreign_names(model, architecture_of(spec).key_map(spec.config)), key=lambda n: n.split("/"))
    assert ours == [entry["name"] for entry in sorted(entries, key=lambda entry: entry["savedmodel"])]
