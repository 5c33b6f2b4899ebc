"""TensorFlow checkpoints: those that TensorFlow wrote are read byte for byte, damaged ones are told as such."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import ModelError
from ovdet_cli.models import tensor_bundle
from ovdet_cli.models.tensor_bundle import TensorBundle, crc32c, find_bundle, unsnap

WRITTEN = Path(__file__).parents[1] / "data" / "reference" / "vild" / "tiny_bundle"
"""Written by TensorFlow's own Saver, with the values beside it."""


@pytest.mark.parametrize("name", ["one.ckpt-7", "two.ckpt-7"])
def test_what_tensorflow_wrote_is_read_byte_for_byte(name: str) -> None:
    expected = np.load(WRITTEN / "expected.npz")
    bundle = TensorBundle(WRITTEN / name)
    assert set(bundle) == set(expected.files), "strings are left out"
    assert len(bundle) == 73
    for key in expected.files:
        found = bundle[key].numpy()
        assert (found.dtype, found.shape, found.tobytes()) == (
            expected[key].dtype,
            expected[key].shape,
            expected[key].tobytes(),
        ), key
        assert bundle.shape(key) == expected[key].shape


def test_a_folder_with_one_checkpoint_is_enough(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="but has none"):
        find_bundle(tmp_path)
    inner = tmp_path / "resnet50_vild"
    inner.mkdir()
    for file in WRITTEN.glob("one*"):
        shutil.copy(file, inner)
    assert find_bundle(tmp_path) == inner / "one.ckpt-7"
    for file in WRITTEN.glob("two*"):
        shutil.copy(file, inner)
    with pytest.raises(ModelError, match=r"one\.ckpt-7, resnet50_vild/two\.ckpt-7"):
        find_bundle(tmp_path)


def copied(folder: Path) -> Path:
    for file in WRITTEN.glob("one*"):
        shutil.copy(file, folder)
        (folder / file.name).chmod(0o644)
    return folder / "one.ckpt-7"


def index_of(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")


def shard_of(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.data-00000-of-00001")


def test_what_is_missing_or_cut_short_is_told(tmp_path: Path) -> None:
    prefix = copied(tmp_path)
    whole = shard_of(prefix).read_bytes()
    shard_of(prefix).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="beyond the end of its file; fetch the checkpoint again"):
        TensorBundle(prefix)
    shard_of(prefix).unlink()
    with pytest.raises(ModelError, match="a part of the checkpoint is missing"):
        TensorBundle(prefix)
    index_of(prefix).write_bytes(b"")
    with pytest.raises(ModelError, match="no TensorFlow checkpoint"):
        TensorBundle(prefix)
    index_of(prefix).unlink()
    with pytest.raises(ModelError, match="cannot read"):
        TensorBundle(prefix)


def test_a_changed_number_is_found_by_its_checksum(tmp_path: Path) -> None:
    prefix = copied(tmp_path)
    data = bytearray(shard_of(prefix).read_bytes())
    data[100] ^= 1
    shard_of(prefix).write_bytes(data)
    bundle = TensorBundle(prefix)
    with pytest.raises(ModelError, match="are damaged"):
        dict(bundle)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_an_index_breaks_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    """With checksums out of the way, or they would catch it all before the reader meets it."""
    prefix = copied(tmp_path)
    index = bytearray(index_of(prefix).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(index) - 1))
        index[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(index)))
    index_of(prefix).write_bytes(index if data.draw(st.booleans()) else index[cut:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_bundle, "_masked", lambda crc: _Anything())
        try:
            bundle = TensorBundle(prefix)
            for name in bundle:
                assert bundle[name].shape == bundle.shape(name)
        except ModelError:
            pass


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@given(st.binary(max_size=300))
def test_any_bytes_are_an_index_or_an_error(data: bytes) -> None:
    with contextlib.suppress(tensor_bundle._MalformedError):
        list(tensor_bundle._entries(data + tensor_bundle._MAGIC))


@given(st.binary(max_size=200))
def test_any_bytes_are_unpacked_or_an_error(data: bytes) -> None:
    with contextlib.suppress(tensor_bundle._MalformedError):
        unsnap(data)


def test_snappy() -> None:
    # "abcd", then copies: 8 from 4 back (two-byte offset), 4 from 1 back (one-byte offset), 5 from 16 back (four-byte)
    packed = bytes([21, 3 << 2]) + b"abcd" + bytes([7 << 2 | 2, 4, 0, 0 << 2 | 1, 1, 4 << 2 | 3, 16, 0, 0, 0])
    assert unsnap(packed) == b"abcd" + b"abcdabcd" + b"dddd" + b"abcda"
    long = bytes(range(100))
    assert unsnap(bytes([100, 60 << 2, 99]) + long) == long


def test_the_checksum_is_castagnolis() -> None:
    """The check value of RFC 3720, appendix B.4, and the same by the book for odd lengths."""
    assert crc32c(np.zeros(32, np.uint8)) == 0x8A9136AA
    assert crc32c(np.frombuffer(b"123456789", np.uint8)) == 0xE3069283
    for length in (0, 1, 17, 1000, 5001):
        data = np.random.default_rng(length).integers(0, 256, length).astype(np.uint8)
        state = 0xFFFFFFFF
        for byte in data.tolist():
            state ^= byte
            for _ in range(8):
                state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
        assert crc32c(data) == state ^ 0xFFFFFFFF
