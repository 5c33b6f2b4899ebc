"""TensorFlow checkpoints (tensor bundles) without TensorFlow: `P.index`, a table of entries, and `P.data-*` shards.

The table is LevelDB's format; entries are protocol buffers. Facts: tensorflow/core/util/tensor_bundle and
tensorflow/core/lib/io/table in TensorFlow (Apache-2.0). Files come from strangers: every offset and length is held
against the size of what it points into before anything is read, and checksums are compared.
"""

# N bytes

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.errors import ModelError

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_TRAILER = 5  # a block's kind and checksum
_MOST_INDEX = 64 << 20
"""Bytes of an index: those of the largest published models have well under one million."""
_MOST_NAME = 4096
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    6: np.dtype("i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    14: np.dtype("<u2"),  # bfloat16, by its bits
    19: np.dtype("<f2"),
}
_STRING, _BFLOAT16 = 7, 14
_VARIABLE = re.compile(r"variables/(\d+)/\.ATTRIBUTES/VARIABLE_VALUE")


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int | None


class TensorBundle(Mapping[str, Tensor]):
    """Tensors of a checkpoint by their names, each read and checked when asked for; strings are left out."""

    def __init__(self, prefix: Path) -> None:
        """prefix: the path without `.index`. Raises ModelError for what is no bundle, or a damaged one."""
        self.prefix = prefix
        index = self.index
        try:
            if index.stat().st_size > _MOST_INDEX:
                raise ModelError(f"{index} has {index.stat().st_size} bytes: no index of a checkpoint is that large")
            data = index.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read {index}: {error.strerror}") from error
        try:
            entries = dict(_entries(data))
            num_shards = _header(entries.pop(b"", b""))
            found = {name.decode("utf-8"): _entry(value) for name, value in entries.items()}
        except (_MalformedError, UnicodeDecodeError) as error:
            raise ModelError(f"{index} is no TensorFlow checkpoint, or is damaged: {error}") from error
        self._entries = {name: entry for name, entry in found.items() if entry.dtype != _STRING}
        self._shards = [prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{num_shards:05d}") for i in range(num_shards)]
        self._check()

    def _check(self) -> None:
        """Every entry must lie in its shard, and be as long as its shape says."""
        try:
            sizes = [shard.stat().st_size for shard in self._shards]
        except OSError as error:
            raise ModelError(f"a part of the checkpoint is missing: {error.filename}") from error
        for name, entry in self._entries.items():
            dtype = _DTYPES.get(entry.dtype)
            if dtype is None:
                raise ModelError(f"{self.prefix}: {name} is of TensorFlow's type {entry.dtype}, which is not read here")
            if prod(entry.shape) * dtype.itemsize != entry.size:
                raise ModelError(f"{self.prefix}: {name} has {entry.size} bytes for the shape {list(entry.shape)}")
            if entry.shard >= len(sizes) or entry.offset + entry.size > sizes[entry.shard]:
                raise ModelError(f"{self.prefix}: {name} lies beyond the end of its file; fetch the checkpoint again")
        if sum(entry.size for entry in self._entries.values()) > sum(sizes):
            raise ModelError(f"{self.prefix}: the tensors together are larger than their files")

    @property
    def index(self) -> Path:
        """The file that names the tensors."""
        return self.prefix.with_name(f"{self.prefix.name}.index")

    @property
    def is_nameless(self) -> bool:
        """Whether these are the variables of a SavedModel, which are numbered."""
        return any(_VARIABLE.fullmatch(name) for name in self)

    def named(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The numbered variables by names that come from elsewhere, in any order.

        The numbers are those of `tf.nest.flatten`: names sorted part by part. What has another name is left out.
        ModelError where there are not as many variables as names.
        """
        numbers = sorted(int(match[1]) for name in self if (match := _VARIABLE.fullmatch(name)))
        if numbers != list(range(len(names))):
            raise ModelError(f"{self.prefix} holds {len(numbers)} variables, and the model has {len(names)}")
        ordered = sorted(names, key=lambda name: name.split("/"))
        return {name: self[f"variables/{i}/.ATTRIBUTES/VARIABLE_VALUE"] for i, name in enumerate(ordered)}

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, without reading it."""
        return self._entries[name].shape

    def __getitem__(self, name: str) -> Tensor:
        entry = self._entries[name]
        dtype = _DTYPES[entry.dtype]
        shard = self._shards[entry.shard]
        with shard.open("rb") as file:
            file.seek(entry.offset)
            numbers = np.fromfile(file, np.uint8, entry.size)
        if len(numbers) != entry.size or (entry.crc is not None and _masked(crc32c(numbers)) != entry.crc):
            raise ModelError(f"{shard}: the numbers of {name} are damaged; fetch the checkpoint again")
        values = numbers.view(dtype).reshape(entry.shape)
        if entry.dtype == _BFLOAT16:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return torch.from_numpy(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class _MalformedError(Exception):
    """What is wrong with an index."""


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of all blocks."""
    if len(data) < _FOOTER or data[-8:] != _MAGIC:
        raise _MalformedError("its end lacks the mark")
    footer = data[-_FOOTER:]
    place = 0
    handle = []
    for _ in range(4):
        number, place = _varint(footer, place)
        handle.append(number)
    for _, value in _block(data, handle[2], handle[3]):
        offset, place = _varint(value, 0)
        size, _ = _varint(value, place)
        yield from _block(data, offset, size)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    end = offset + size
    if end + _TRAILER > len(data) - _FOOTER:
        raise _MalformedError("a block lies beyond the end")
    if _masked(crc32c(np.frombuffer(data[offset : end + 1], np.uint8))) != int.from_bytes(
        data[end + 1 : end + 5], "little"
    ):
        raise _MalformedError("a block's checksum is wrong")
    block = data[offset:end]
    if data[end] == 1:
        block = unsnap(block)
    elif data[end] != 0:
        raise _MalformedError(f"a block is compressed in a way ({data[end]}) that is not known")
    if len(block) < 4:
        raise _MalformedError("a block is too short")
    limit = len(block) - 4 * (int.from_bytes(block[-4:], "little") + 1)
    place, key = 0, b""
    while place < limit:
        shared, place = _varint(block, place)
        fresh, place = _varint(block, place)
        length, place = _varint(block, place)
        if shared + fresh > _MOST_NAME:
            raise _MalformedError(f"a name has {shared + fresh} bytes")
        if shared > len(key) or place + fresh + length > limit:
            raise _MalformedError("an entry lies beyond the end of its block")
        key = key[:shared] + block[place : place + fresh]
        place += fresh
        yield key, block[place : place + length]
        place += length


def unsnap(data: bytes) -> bytes:
    """Snappy's raw format, unpacked; bounded by the 64 MiB that an index may have."""
    size, place = _varint(data, 0)
    if size > _MOST_INDEX:
        raise _MalformedError("a compressed block is too large")
    out = bytearray()
    while place < len(data):
        tag = data[place]
        place += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:
                extra = length - 60
                length, place = int.from_bytes(data[place : place + extra], "little") + 1, place + extra
            if place + length > len(data):
                raise _MalformedError("a compressed block ends early")
            out += data[place : place + length]
            place += length
        else:
            width = (0, 1, 2, 4)[kind]
            if place + width > len(data):
                raise _MalformedError("a compressed block ends early")
            distance = int.from_bytes(data[place : place + width], "little")
            place += width
            if kind == 1:
                length, distance = ((tag >> 2) & 7) + 4, distance | (tag >> 5) << 8
            if not 0 < distance <= len(out):
                raise _MalformedError("a compressed block copies from before its start")
            for _ in range(length):
                out.append(out[-distance])
        if len(out) > size:
            raise _MalformedError("a compressed block is longer than it says")
    if len(out) != size:
        raise _MalformedError("a compressed block is shorter than it says")
    return bytes(out)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, at most 64, and where it ends."""
    number = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            raise _MalformedError("a number ends early")
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise _MalformedError("a number is too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a protocol buffer's fields."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield tag >> 3, value
            continue
        length = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            length, place = _varint(data, place)
        if length is None or place + length > len(data):
            raise _MalformedError("a field cannot be read")
        yield tag >> 3, data[place : place + length]
        place += length


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise _MalformedError("a field should be a number")
    return value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _MalformedError("a field should not be a number")
    return value


def _header(data: bytes) -> int:
    """The number of shards."""
    fields = dict(_fields(data))
    shards = _number(fields.get(1, 0))
    if _number(fields.get(2, 0)) != 0:
        raise _MalformedError("it was written by a big-endian machine")
    if not 1 <= shards < 100_000:
        raise _MalformedError(f"it speaks of {shards} shards")
    return shards


def _entry(data: bytes) -> Entry:
    fields: dict[int, int | bytes] = {}
    for number, value in _fields(data):
        if number == 7:
            raise _MalformedError("a variable is cut into slices, which is not read here")
        fields[number] = value
    shape = tuple(
        _number(dict(_fields(_bytes(dim))).get(1, 0))
        for number, dim in _fields(_bytes(fields.get(2, b"")))
        if number == 2
    )
    crc = fields.get(6)
    return Entry(
        dtype=_number(fields.get(1, 0)),
        shape=shape,
        shard=_number(fields.get(3, 0)),
        offset=_number(fields.get(4, 0)),
        size=_number(fields.get(5, 0)),
        crc=None if crc is None else int.from_bytes(_bytes(crc), "little"),
    )


def find_bundle(folder: Path) -> Path:
    """The prefix of the one checkpoint in a folder; ModelError where there is none, or more than one."""
    prefixes = sorted({path.with_suffix("") for path in folder.rglob("*.index")})
    if len(prefixes) != 1:
        found = ", ".join(str(p.relative_to(folder)) for p in prefixes[:5]) or "none"
        raise ModelError(f"{folder} should hold one TensorFlow checkpoint (P.index beside P.data-*), but has {found}")
    return prefixes[0]


def is_bundle_file(path: Path) -> bool:
    """Whether a path names a file of a bundle."""
    return path.suffix == ".index" or re.fullmatch(r".+\.data-\d{5}-of-\d{5}", path.name) is not None


def prefix_of(path: Path) -> Path:
    """The prefix that a file of a bundle belongs to."""
    return path.with_suffix("") if path.suffix == ".index" else path.with_name(path.name.rpartition(".data-")[0])


# CRC-32C


@cache
def _table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(0x82F63B78), values >> 1)
    return values


def _apply(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    """A linear map of 32 bits, given by what it makes of each, for many states at once."""
    out = np.zeros_like(states)
    for bit in range(32):
        out ^= np.where((states >> np.uint32(bit)) & 1, matrix[bit], np.uint32(0))
    return out


@cache
def _zeros_behind(count: int) -> np.ndarray:
    """What so many zero bytes do to a state, as a linear map."""
    if count == 0:
        return np.uint32(1) << np.arange(32, dtype=np.uint32)
    if count == 1:
        states = np.uint32(1) << np.arange(32, dtype=np.uint32)
        return _table()[states & 255] ^ (states >> np.uint32(8))
    half = _zeros_behind(count // 2)
    twice = _apply(half, half)
    return _apply(_zeros_behind(1), twice) if count % 2 else twice


def crc32c(data: np.ndarray) -> int:
    """Checksum of bytes uint8 (N,), Castagnoli's polynomial; many stretches at once, joined at the end."""
    lanes = 1
    while lanes < 65536 and lanes * lanes < len(data):
        lanes *= 2
    length = len(data) // lanes
    table = _table()
    states = np.zeros(lanes, np.uint32)
    columns = data[: lanes * length].reshape(lanes, length).T
    for column in columns:
        states = table[(states ^ column) & 255] ^ (states >> np.uint32(8))
    while len(states) > 1:  # each pair of neighbours becomes one stretch
        states = _apply(_zeros_behind(length), states[0::2]) ^ states[1::2]
        length *= 2
    start = np.array([0xFFFFFFFF], np.uint32)
    state = int((_apply(_zeros_behind(length), start) ^ states)[0])
    for byte in data[length:].tolist():
        state = int(table[(state ^ byte) & 255]) ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def _masked(crc: int) -> int:
    """As the format stores checksums."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
