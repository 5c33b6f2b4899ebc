"""Weight file -> tensors by name -> our names -> strict load."""

import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ovdet_cli.errors import ModelError, OutputError

KeyMap = tuple[tuple[str, str | None], ...]


class _SafetensorsFile(Mapping[str, Tensor]):
    """Tensors of a safetensors file, each read when asked for."""

    def __init__(self, path: Path) -> None:
        self._file = safe_open(path, framework="pt")
        self._names = list(self._file.keys())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_checkpoint(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a `.safetensors` or PyTorch file (`.pth`, `.pt`, ...) by their own names.

    A PyTorch file may hold them under "model" (with optimizer state and the like beside it) or be a plain state dict.
    It is read without running code: a file that wants to run any is refused with ModelError.
    """
    if not path.is_file():
        raise ModelError(f"no weight file at {path}")
    try:
        if path.suffix == ".safetensors":
            return _SafetensorsFile(path)
        return _read_pickled(path)
    except PermissionError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except SafetensorError as error:
        raise ModelError(f"{path} is no safetensors file, or is cut short: {_one_line(error)}") from error


def _numpy_globals() -> list[Any]:
    """What older detectron2 files need besides tensors: plain numpy numbers and arrays, which run nothing."""
    import numpy as np

    reconstruct = np.ndarray.__reduce__(np.zeros(0))[0]
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "?")}
    # Files written by numpy 1 name the same functions by their old home.
    old = [(reconstruct, "numpy.core.multiarray._reconstruct"), (scalar, "numpy.core.multiarray.scalar")]
    return [reconstruct, scalar, np.ndarray, np.dtype, *dtypes, *old]


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            # Memory-mapped where the format allows it: tensors that are dropped are then never read.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted:
            raise ModelError(
                f"{path} wants to run code when it is opened ({wanted[1]}) and was refused; "
                "a file of weights needs none: get it from its publisher again, or as safetensors"
            ) from error
        raise ModelError(f"{path} is not a PyTorch checkpoint that can be read safely: {_one_line(error)}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ModelError(f"{path} is not a PyTorch checkpoint, or is cut short: {_one_line(error)}") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no tensors by name, but a {type(content).__name__}")
    tensors = {name: torch.as_tensor(value) for name, value in content.items() if _is_array(value)}
    if not tensors:
        raise ModelError(f"{path} holds no tensors by name; its entries: {', '.join(map(str, list(content)[:8]))}")
    return tensors


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor) or type(value).__module__ == "numpy"


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _list(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def translate(names: Mapping[str, Tensor] | list[str], key_map: KeyMap) -> tuple[dict[str, str], list[str]]:
    """(our name -> foreign name, foreign names that no pattern knows)."""
    ours: dict[str, str] = {}
    unknown = []
    for name in names:
        for pattern, target in key_map:
            if match := re.fullmatch(pattern, name):
                if target is not None:
                    ours[match.expand(target)] = name
                break
        else:
            unknown.append(name)
    return ours, unknown


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], key_map: KeyMap, origin: str) -> None:
    """Fills the model from a checkpoint, strictly in both directions.

    origin names the file in the error, which lists missing, unexpected and misshapen keys under the file's own names.
    """
    ours, unknown = translate(tensors, key_map)
    wanted = model.state_dict()
    missing = sorted(set(wanted) - set(ours))
    unexpected = sorted(unknown + [foreign for name, foreign in ours.items() if name not in wanted])
    loaded, misshapen = {}, []
    for name in set(ours) & set(wanted):
        tensor = tensors[ours[name]]
        if tensor.shape != wanted[name].shape:
            misshapen.append(f"{ours[name]} {list(tensor.shape)} instead of {list(wanted[name].shape)}")
        loaded[name] = tensor.to(wanted[name].dtype)
    problems = [
        f"{len(found)} {kind}: {_list(sorted(found))}"
        for kind, found in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if found
    ]
    if problems:
        raise ModelError(f"{origin} does not fit this model. " + ". ".join(problems))
    model.load_state_dict(loaded, strict=True)


def convert_checkpoint(source: Path, target: Path) -> None:
    """Writes the tensors of a checkpoint as safetensors, under their own names; atomic."""
    tensors = {}
    seen: set[int] = set()
    for name, tensor in read_checkpoint(source).items():
        # safetensors refuses tensors that share memory.
        tensor = tensor.contiguous()
        tensors[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    write_safetensors(tensors, target)


def write_safetensors(tensors: dict[str, Tensor], target: Path) -> None:
    """Tensors by name into a safetensors file; atomic, OutputError when it cannot be written."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part)
        part.replace(target)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write {target}: {_one_line(error)}") from error
