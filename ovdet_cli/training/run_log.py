"""What a training run tells: log.jsonl, and TensorBoard's events where the package is there."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ovdet_cli.errors import OutputError

LOG = "log.jsonl"
_EVALUATION = "eval_"


class Meter:
    """Means since the last look; a value that an iteration did not have counts only where it stood."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Takes one iteration's values."""
        for name, value in values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def take(self) -> dict[str, float]:
        """The means, and begins anew."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means


class RunLog:
    """The log of a folder, from an iteration on; lines beyond it, of a run that was killed, are dropped."""

    def __init__(self, folder: Path, iteration: int) -> None:
        self._path = folder / LOG
        kept = [line for line in _lines(self._path) if _iteration_of(line) <= iteration]
        self._write("".join(line + "\n" for line in kept), "w")
        self._board = _tensorboard(folder, iteration)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *error: object) -> None:
        if self._board is not None:
            self._board.close()

    def write(self, iteration: int, values: Mapping[str, float]) -> None:
        """Adds a line; numbers that JSON cannot hold become null. OutputError when the disk refuses."""
        rounded = {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in values.items()}
        self._write(json.dumps({"iteration": iteration, **rounded}) + "\n", "a")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, iteration)

    def write_evaluation(self, iteration: int, numbers: Mapping[str, float]) -> None:
        """Adds a line of what an evaluation measured."""
        self.write(iteration, {_EVALUATION + name: value for name, value in numbers.items()})

    def _write(self, text: str, mode: str) -> None:
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error


def last_lines(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last line of losses and the last one of an evaluation (names without `eval_`), each with its `iteration`.

    Empty where there is none.
    """
    losses: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}
    for line in _lines(folder / LOG):
        if math.isfinite(_iteration_of(line)):
            entry = json.loads(line)
            if any(name.startswith(_EVALUATION) for name in entry):
                evaluation = {name.removeprefix(_EVALUATION): value for name, value in entry.items()}
            else:
                losses = entry
    return losses, evaluation


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from error


def _iteration_of(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # a line cut short by a kill


def _tensorboard(folder: Path, iteration: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=iteration + 1)
