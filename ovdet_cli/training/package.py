"""From a finished run to the files that ovdet ships: small weights, class vectors, words, model card and log.

python -m ovdet_cli.training.package RUN [WORDS] [TARGET]
"""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.errors import InputError, ModelError, OutputError, OvdetError
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import KeyMap, load_weights, read_checkpoint, write_safetensors
from ovdet_cli.models.compact import pack
from ovdet_cli.models.zoo import BUILTIN
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.model_card import Shipped, model_card

TEXT = "text.safetensors"
NAMES = "classes.csv"
MOST_BYTES = 15_000_000
"""Of all files together: what a package index and a first install can bear."""

_LOG_LINES = 400
_OWN_NAMES: KeyMap = ((r"(.*)", r"\1"),)


def package_builtin(run_folder: Path, words_folder: Path | None, target: Path) -> int:
    """Writes the built-in model's files into `target`, and returns their bytes.

    run_folder: of a `TrainingRun`, finished or not (then its last checkpoint is taken). words_folder: holds
    text.safetensors, the tower fitted to the run's class vectors; None leaves the tower that is there.
    A results.json in either (benchmark -> figure as text) goes into the model card.
    Raises InputError where the run lacks something, ModelError where it does not fit, OutputError over 15 MB.
    """
    weights, vectors_CD, names = read_run(run_folder)
    load_weights(architecture_of(BUILTIN).build(BUILTIN.config), weights, _OWN_NAMES, str(run_folder))
    if len(vectors_CD) != len(names):
        raise ModelError(f"{run_folder} has {len(vectors_CD)} class vectors for {len(names)} names")
    target.mkdir(parents=True, exist_ok=True)
    write_safetensors(pack(weights), target / BUILTIN.weights.bundled)
    write_safetensors({"embeddings": vectors_CD.half().contiguous()}, target / "classes.safetensors")
    _write(target / NAMES, _table(names))
    if words_folder is not None:
        words = _read(words_folder / TEXT, "fit the words first")
        (target / TEXT).write_bytes(words)
    lines = _read(run_folder / "log.jsonl", "give the folder of a training run").decode().splitlines()
    _write(target / "log.jsonl", "".join(f"{line}\n" for line in shortened(lines)))
    log = [json.loads(line) for line in lines]
    facts = _facts(run_folder, target, log)
    _write(target / "facts.json", json.dumps(facts, indent=1) + "\n")
    shipped = Shipped(facts, _config(run_folder), log, _results(words_folder) | _results(run_folder))
    _write(target / "CARD.md", model_card(shipped, len(names)))
    for file in target.iterdir():
        file.chmod(0o644)  # others than the owner read an installed package
    size = sum(file.stat().st_size for file in target.iterdir() if file.is_file())
    if size > MOST_BYTES:
        raise OutputError(f"the files in {target} have {size} bytes together; the limit is {MOST_BYTES}")
    return size


def read_run(folder: Path) -> tuple[dict[str, Tensor], Tensor, tuple[str, ...]]:
    """A run's averaged weights under our own names, its unit class vectors float32 (C, D), and the class names."""
    if (folder / "weights.safetensors").is_file():
        weights = _completed(read_checkpoint(folder / "weights.safetensors"))
        vectors_CD = read_checkpoint(folder / "classes.safetensors")["embeddings"].float()
        names = tuple((folder / "classes.txt").read_text(encoding="utf-8").splitlines())
        return weights, F.normalize(vectors_CD, dim=1), names
    try:
        state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds neither weights.safetensors nor a checkpoint: train first") from error
    average: Mapping[str, Tensor] = state["average"] or state["module"]
    prefix = "detector."
    weights = {n.removeprefix(prefix): t for n, t in average.items() if n.startswith(prefix)}
    names = Artwork.open(Path(_config(folder)["data"][0]["path"])).categories
    return _completed(weights), F.normalize(average["class_vectors"].float(), dim=1), names


def shortened(lines: Sequence[str]) -> list[str]:
    """A log's lines, at most 400 of them evenly spread; evaluations and the last one always stay."""
    step = -(-len(lines) // _LOG_LINES)
    last = len(lines) - 1
    return [line for i, line in enumerate(lines) if i % step == 0 or i == last or '"eval_' in line]


def _completed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what no arithmetic reads, and with scores as they are where nobody has calibrated them yet."""
    kept = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    return {"calibration": torch.tensor([1.0, 0.0]), **kept}


def _table(names: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "name"))
    writer.writerows(enumerate(names, start=1))
    return text.getvalue()


def _facts(run_folder: Path, target: Path, log: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """facts.json: what the files are and where they come from; `store.facts` reads the part about each file."""
    config = _config(run_folder)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    files = {}
    for file in sorted(target.glob("*.safetensors")):
        digest, size = store.hash_file(file), file.stat().st_size
        own = {"name": file.stem, "url": "", "source": "comes with ovdet", "published_sha256": digest}
        files[file.name] = {**own, "sha256": digest, "size": size, "date": date}
    artwork = Path(config["data"][0]["path"]).expanduser()
    return {
        "files": files,
        "seed": config["run"]["seed"],
        "iterations": max((line["iteration"] for line in log), default=0),
        "planned_iterations": config["schedule"]["iterations"],
        "seconds": max((line.get("seconds", 0.0) for line in log), default=0.0),
        "artwork_sha256": Artwork.open(artwork).fingerprint,
    }


def _config(run_folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_read(run_folder / "config.json", "give the folder of a training run"))
    return config


def _results(folder: Path | None) -> dict[str, str]:
    file = None if folder is None else folder / "results.json"
    if file is None or not file.is_file():
        return {}
    return {str(name): str(value) for name, value in json.loads(file.read_bytes()).items()}


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; {remedy}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def main() -> None:
    """The command."""
    if not 2 <= len(sys.argv) <= 4:
        sys.exit("usage: python -m ovdet_cli.training.package RUN [WORDS] [TARGET]")
    run_folder, *more = (Path(argument) for argument in sys.argv[1:])
    target = more[1] if len(more) > 1 else store.BUNDLED
    try:
        size = package_builtin(run_folder, more[0] if more else None, target)
    except OvdetError as error:
        sys.exit(f"error: {error}")
    print(f"{target}: {store.size_text(size)}")


if __name__ == "__main__":
    main()
