"""Weight file -> tensors by name -> our names -> strict load."""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ovdet_cli.errors import ModelError, OutputError
from ovdet_cli.models import archives, pickled_arrays, tensor_bundle
from ovdet_cli.models.compact import ROW_SCALE, unpack_rows
from ovdet_cli.models.flax_checkpoint import is_flax_file, read_flax
from ovdet_cli.models.tensor_bundle import TensorBundle

KeyMap = tuple[tuple[str, str | None] | tuple[str, str, str], ...]
"""Rows of a pattern for a file's name, our name (None: known and dropped) and, where it differs from PyTorch's, how the
file lays the numbers out: a name in `LAYOUTS`. The first row that fits a whole name decides."""

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda t: t.T,  # [in, out]
    "vector": lambda t: t[:, 0],  # [in, 1]
    "conv": lambda t: t.permute(3, 2, 0, 1),  # [height, width, in, out]
    # TensorFlow's transposed convolution: [height, width, out, in].
    "deconv": lambda t: t.permute(3, 2, 0, 1),
    # Flax's transposed convolution: [height, width, in, out], turned by half a circle.
    "flipped deconv": lambda t: t.flip(0, 1).permute(2, 3, 0, 1),
    "heads out": lambda t: t.flatten(1).T,  # [in, heads, width of a head]
    "heads in": lambda t: t.flatten(0, 1).T,  # [heads, width of a head, out]
    "flat": lambda t: t.flatten(),
    # A dense layer on a flattened map, whose 7 x 7 x channels inputs come row by row with the channels last.
    "dense of map": lambda t: t.reshape(7, 7, -1, t.shape[-1]).permute(3, 2, 0, 1).flatten(1),
}


class _SafetensorsFile(Mapping[str, Tensor]):
    """Tensors of a safetensors file, each read when asked for; matrices with row scales come as float32."""

    def __init__(self, path: Path) -> None:
        self._file = safe_open(path, framework="pt")
        names = list(self._file.keys())
        self._packed = {name for name in names if name + ROW_SCALE in names}
        scales = {name + ROW_SCALE for name in self._packed}
        self._names = [name for name in names if name not in scales]

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        tensor = self._file.get_tensor(name)
        return unpack_rows(tensor, self._file.get_tensor(name + ROW_SCALE)) if name in self._packed else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_checkpoint(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a safetensors or PyTorch file (told apart by content) by their own names.

    A TensorFlow checkpoint is named by its prefix or by one of its files; a Flax checkpoint is one file. A PyTorch file
    may hold them under "model" (with optimizer state and the like beside it) or be a plain state dict; it is read
    without running code: a file that wants to run any is refused with ModelError.
    """
    if tensor_bundle.is_bundle_file(path):
        path = tensor_bundle.prefix_of(path)
    if path.with_name(f"{path.name}.index").is_file():
        return TensorBundle(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except FileNotFoundError as error:
        raise ModelError(f"no weight file at {path}") from error
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror}") from error
    if not head:
        raise ModelError(f"the weight file {path} is empty")
    # A safetensors file begins with the length of its header, eight bytes, and the header with a brace.
    is_safetensors = head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    if is_flax_file(path) and not is_safetensors:
        return read_flax(path)
    if head[8:] != b"{":
        return _read_pickled(path)
    try:
        return _SafetensorsFile(path)
    except SafetensorError as error:
        raise ModelError(f"{path} is no safetensors file, or is cut short: {_one_line(error)}") from error


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        with torch.serialization.safe_globals(pickled_arrays.GLOBALS), path.open("rb") as file:
            # Memory-mapped where the format allows it: tensors that are dropped are then never read. By its name
            # torch would take a .safetensors file for one whatever it holds.
            is_mapped = zipfile.is_zipfile(path) and path.suffix != ".safetensors"
            content = torch.load(path if is_mapped else file, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # damaged bytes make torch's unpickler fail in every way there is
        # torch's own message goes on to recommend opening the file with code allowed.
        if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ModelError(
                f"{path} wants to run code when it is opened ({wanted[1]}) and was refused; "
                "a file of weights needs none: get it from its publisher again, or as safetensors"
            ) from error
        raise ModelError(f"{path} is neither a PyTorch checkpoint nor a safetensors file, or is damaged") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no tensors by name, but a {type(content).__name__}")
    values = {
        name: value.tensor if isinstance(value, pickled_arrays.PickledArray) else value
        for name, value in content.items()
    }
    tensors = {name: value for name, value in values.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{path} holds no tensors by name; its entries: {', '.join(map(str, list(content)[:8]))}")
    return tensors


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _list(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def translate(names: Mapping[str, Tensor] | list[str], key_map: KeyMap) -> tuple[dict[str, str], list[str]]:
    """(our name -> foreign name, foreign names that no pattern knows)."""
    ours: dict[str, str] = {}
    unknown = []
    for name in names:
        found = _find_row(name, key_map)
        if found is None:
            unknown.append(name)
        elif found[0] is not None:
            ours[found[0]] = name
    return ours, unknown


def _find_row(name: str, key_map: KeyMap) -> tuple[str | None, str] | None:
    """Our name and the layout of a file's name; None: no row knows it."""
    for pattern, target, *layout in key_map:
        assert pattern is not None
        if match := _compiled(pattern).fullmatch(name):
            return None if target is None else match.expand(target), "".join(filter(None, layout))
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Python's own cache holds fewer patterns than the longest key map has."""
    return re.compile(pattern)


def _laid_out(tensor: Tensor, layout: str, shape: torch.Size) -> Tensor:
    """A file's tensor as PyTorch has it; as it is where its shape does not allow that, to be told as misshapen."""
    try:
        laid = LAYOUTS[layout](tensor) if layout else tensor
    except (RuntimeError, IndexError):
        return tensor
    return laid if laid.shape == shape else tensor


def _foreign_name(ours: str, key_map: KeyMap) -> str:
    """The name that a file would have for one of ours: the first fitting row of the key map, read backwards."""
    for pattern, target, *_ in key_map:
        assert pattern is not None
        foreign = re.sub(r"\(\?:[^()]*\)\?", "", pattern)  # an optional prefix is left out
        groups = re.findall(r"\([^()]*\)", foreign)
        if target is None or len(groups) != foreign.count("("):
            continue
        backwards = target.replace(".", r"\.")
        for number, group in enumerate(groups, start=1):
            backwards = backwards.replace(f"\\{number}", group)
        if match := re.fullmatch(backwards, ours):
            for value in match.groups():
                foreign = re.sub(r"\([^()]*\)", value, foreign, count=1)
            return foreign.replace("\\", "")
    return ours


def foreign_names(model: nn.Module, key_map: KeyMap) -> list[str]:
    """The names that a published file has for the model's tensors."""
    state = model.state_dict()
    return [_foreign_name(name, key_map) for name in state if not name.endswith(".num_batches_tracked")]


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], key_map: KeyMap, origin: str) -> None:
    """Fills the model from a checkpoint, strictly in both directions.

    origin names the file in the error, which lists missing, unexpected and misshapen keys under the file's own names.
    """
    ours, unknown = translate(tensors, key_map)
    # A batch norm counts the batches that it has seen; no arithmetic of ours reads that.
    state = model.state_dict()
    wanted = {name: tensor for name, tensor in state.items() if not name.endswith(".num_batches_tracked")}
    missing = [_foreign_name(name, key_map) for name in set(wanted) - set(ours)]
    unexpected = unknown + [foreign for name, foreign in ours.items() if name not in wanted]
    loaded, misshapen = {}, []
    for name in set(ours) & set(wanted):
        found = _find_row(ours[name], key_map)
        assert found is not None
        tensor = _laid_out(tensors[ours[name]], found[1], wanted[name].shape)
        if tensor.shape != wanted[name].shape:
            misshapen.append(f"{ours[name]} {list(tensor.shape)} instead of {list(wanted[name].shape)}")
        loaded[name] = tensor.to(wanted[name].dtype)
    kinds = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
    if not any(kinds.values()):
        kinds["not finite"] = [ours[name] for name, tensor in loaded.items() if not torch.isfinite(tensor).all()]
    problems = [f"{len(found)} {kind}: {_list(sorted(found))}" for kind, found in kinds.items() if found]
    if problems:
        raise ModelError(f"{origin} does not fit this model. " + ". ".join(problems))
    model.load_state_dict(state | loaded, strict=True)


def convert_checkpoint(source: Path, target: Path, member: str = "", names: Sequence[str] = ()) -> None:
    """Writes the tensors of a checkpoint, or of the one in an archive, as safetensors; atomic.

    member: what the names of an archive's files must hold. names: of the variables of a SavedModel, which has none.
    """
    if not archives.is_archive(source):
        return _convert(source, target, names)
    folder = archives.free_folder(target.with_name(f".{target.name}.unpacked"))

    def is_wanted(name: str) -> bool:
        file = Path(name)
        return member in name and (tensor_bundle.is_bundle_file(file) or "checkpoint" in file.name)

    try:
        files = archives.unpack(source, folder, is_wanted)
        flax = [file for file in files if not tensor_bundle.is_bundle_file(file) and is_flax_file(file)]
        _convert(flax[0] if len(flax) == 1 else tensor_bundle.find_bundle(folder), target, names)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _convert(source: Path, target: Path, names: Sequence[str]) -> None:
    tensors = {}
    seen: set[int] = set()
    found = read_checkpoint(source)
    if isinstance(found, TensorBundle) and found.is_nameless:
        found = found.named(names)
    for name, tensor in found.items():
        tensor = tensor.contiguous()
        # safetensors refuses tensors that share memory.
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    write_safetensors(tensors, target)


def write_safetensors(tensors: dict[str, Tensor], target: Path) -> None:
    """Tensors by name into a safetensors file; atomic, OutputError when it cannot be written."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(tensors, part)
            part.chmod(0o644)  # safetensors makes it the owner's alone, and stores and indexes are shared
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {target}: {_one_line(error)}") from error
