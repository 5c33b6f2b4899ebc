"""Flax checkpoints without JAX: a MessagePack tree whose arrays are extension types.

Facts: flax/serialization.py in google/flax (Apache-2.0). Arrays are extension 1, a packed (shape, dtype name, bytes in
C order); scalars of NumPy extension 3, the same of no dimension. What is larger than 2^30 bytes comes in flat chunks.
"""

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from torch import Tensor

from ovdet_cli.errors import ModelError

_ARRAY, _SCALAR = 1, 3
_CHUNKED = "__msgpack_chunked_array__"
_DTYPES = {
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool"),
}
_MOST_DIMENSIONS = 16


class _MalformedError(ValueError):
    """What is wrong with a file."""


_DAMAGE = (
    *(msgpack.UnpackException, _MalformedError, ValueError, TypeError, RecursionError),
    *(AttributeError, LookupError, MemoryError),
)
"""What comes of bytes that are no such tree."""


def is_flax_file(path: Path) -> bool:
    """Whether a file begins as a Flax checkpoint does: a map with text for its first key."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError:
        return False
    is_map = len(head) == 4 and (head[0] & 0xF0 == 0x80 or head[0] in (0xDE, 0xDF))
    first = {0xDE: 3, 0xDF: 5}.get(head[0], 1) if is_map else 0
    return is_map and (first > 3 or head[first] & 0xE0 == 0xA0 or head[first] in (0xD9, 0xDA))


def read_flax(path: Path) -> dict[str, Tensor]:
    """The parameters and batch statistics of a checkpoint by their paths, "params/..." and "batch_stats/...".

    Of a trained detector, {"optimizer": {"target": ...}, "model_state": {...}}; of a pretrained model, {"model_state":
    {"params": {"visual": ...}}}, the paths below "visual" stand behind "params/". Raises ModelError for anything else,
    and for a damaged file; memory stays within a few times the file's size.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror}") from error
    try:
        # Lengths are held against the buffer; nothing can claim more than there is.
        tree = msgpack.unpackb(data, ext_hook=_extension, strict_map_key=False, raw=False)
        roots = _roots(tree)
        return {name: _tensor(value) for root, part in roots.items() for name, value in _leaves(part, root)}
    except _DAMAGE as error:
        raise ModelError(f"{path} is no Flax checkpoint of a detector, or is damaged: {error}") from error


def _extension(code: int, data: bytes) -> Any:
    if code not in (_ARRAY, _SCALAR):
        return None  # complex numbers: no weight is one
    shape, name, content = msgpack.unpackb(data, raw=True)
    dtype = name.decode("ascii")
    if not all(isinstance(n, int) and n >= 0 for n in shape) or len(shape) > _MOST_DIMENSIONS:
        raise _MalformedError(f"an array has the shape {shape}")
    if dtype == "bfloat16":
        values = (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype in _DTYPES:
        values = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"))
    else:
        raise _MalformedError(f"an array is of the type {dtype!r}, which is not read here")
    if prod(shape) != len(values):
        raise _MalformedError(f"an array of the shape {list(shape)} has {len(values)} numbers")
    return values.reshape(shape)


def _roots(tree: Any) -> dict[str, Any]:
    """Where parameters and batch statistics lie in a file's tree."""
    if not isinstance(tree, Mapping):
        raise _MalformedError(f"it holds a {type(tree).__name__}")
    state = tree.get("model_state")
    state = state if isinstance(state, Mapping) else {}
    optimizer = tree.get("optimizer")
    if isinstance(optimizer, Mapping) and isinstance(optimizer.get("target"), Mapping):
        target = optimizer["target"]
        roots = {"params": target.get("params", target)}
        return roots | ({"batch_stats": state["batch_stats"]} if "batch_stats" in state else {})
    params = state.get("params")
    if isinstance(params, Mapping) and isinstance(params.get("visual"), Mapping):
        return {"params": params["visual"]}
    if isinstance(tree.get("params"), Mapping):
        return {name: tree[name] for name in ("params", "batch_stats") if name in tree}
    raise _MalformedError(f"its entries are {', '.join(map(str, list(tree)[:8])) or 'none'}")


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and _CHUNKED in tree:
        yield path, _joined(tree)
    elif isinstance(tree, Mapping):
        for name, part in tree.items():
            yield from _leaves(part, f"{path}/{name}")
    elif isinstance(tree, np.ndarray):
        yield path, tree


def _joined(tree: Mapping[Any, Any]) -> np.ndarray:
    """An array that was cut into flat chunks."""
    shape, chunks = (_in_order(tree.get(name)) for name in ("shape", "chunks"))
    if not all(isinstance(chunk, np.ndarray) for chunk in chunks) or not chunks:
        raise _MalformedError("the chunks of an array are none")
    flat = np.concatenate([chunk.ravel() for chunk in chunks])
    if prod(int(n) for n in shape) != flat.size:
        raise _MalformedError(f"an array of the shape {shape} has {flat.size} numbers")
    return flat.reshape([int(n) for n in shape])


def _in_order(table: Any) -> list[Any]:
    """The entries of {"0": a, "1": b, ...}; Flax writes lists and tuples so."""
    if isinstance(table, Mapping):
        return [table[str(i)] if str(i) in table else table[i] for i in range(len(table))]
    if isinstance(table, list | tuple):
        return list(table)
    raise _MalformedError("the pieces of an array are missing")


def _tensor(values: np.ndarray) -> Tensor:
    # Buffers out of the file cannot be written to.
    kind = np.int64 if values.dtype in (np.uint16, np.uint32, np.uint64) else values.dtype.newbyteorder("=")
    return torch.from_numpy(values.astype(kind))
