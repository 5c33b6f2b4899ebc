"""The training loop: steps, averaged weights, checkpoints from which a run goes on exactly, logs."""

import math
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ovdet_cli.errors import DeviceError, ModelError, OutputError, OvdetError, TrainingError
from ovdet_cli.training.batches import Batch
from ovdet_cli.training.run_log import Meter, RunLog, last_lines
from ovdet_cli.training.schedule import (
    OptimizerConfig,
    ScheduleConfig,
    build_optimizer,
    clip_gradients,
    learning_rate,
    set_learning_rate,
)

CHECKPOINT = "checkpoint.pt"
_GRACE_S = 30
_PATIENCE = 100  # iterations in a row without finite gradients; float16 needs some to find its scale

Window = Callable[[], AbstractContextManager[object]]
"""Context in which an interruption may arrive; see `Loop.run`."""


class BatchSource(Protocol):
    """Where batches come from: a pure function of the iteration, so that a resumed run sees what it would have seen."""

    def batch(self, iteration: int) -> Batch: ...


class Losses(Protocol):
    """A batch -> its losses by name; their sum is minimised."""

    def __call__(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]: ...


@dataclass(frozen=True)
class LoopConfig:
    """How a run is carried out."""

    iterations: int
    seed: int = 0
    workers: int = 1
    ema: float = 0.999
    log_every: int = 20
    checkpoint_every: int = 500
    evaluate_every: int = 0


@dataclass
class Progress:
    """Where a run stands, for whoever shows it."""

    iteration: int
    iterations: int
    losses: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    seconds_left: float = math.nan


class _ByIteration(Dataset[Batch | OvdetError]):
    def __init__(self, source: BatchSource) -> None:
        self._source = source

    def __getitem__(self, iteration: int) -> Batch | OvdetError:
        # Across processes an exception would arrive as another one, with a traceback for a message.
        try:
            return self._source.batch(iteration)
        except OvdetError as error:
            return error


def _start_worker(_: int) -> None:
    """A worker draws with one thread, for the others belong to the network, and leaves signals to its parent.

    Its death by one that the whole process group was sent would break the parent's step. Told to end, it does so in
    time if its parent does not end it first.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, lambda number, frame: os._exit(0))
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_GRACE_S))


def prefetch(source: BatchSource, iterations: range, workers: int) -> Generator[Batch, None, None]:
    """Batches of the iterations in order, prepared ahead in so many processes.

    Raises what the source raises, and TrainingError when a process dies.
    """
    loader: Iterable[Batch | OvdetError] = DataLoader(
        _ByIteration(source),
        batch_size=None,
        sampler=iterations,
        num_workers=workers,
        worker_init_fn=_start_worker,
        prefetch_factor=2 if workers else None,
    )
    batches = iter(loader)
    try:
        for batch in batches:
            if isinstance(batch, OvdetError):
                raise batch
            yield batch
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise TrainingError(
            f"a process that prepares pictures died, perhaps for lack of memory ({error}); use smaller batches, or "
            "run.workers = 0"
        ) from error
    finally:
        del batches  # ends the processes, which an error's traceback would keep


class AveragedWeights:
    """Exponential moving average of a module's parameters; buffers are copied. The first steps count for more."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        trained = {name for name, p in module.named_parameters() if p.requires_grad}
        state = module.state_dict()
        mine = [self.state[name] for name in trained]
        torch._foreach_lerp_(mine, [state[name].detach() for name in trained], 1 - decay)
        for name in state.keys() - trained:
            self.state[name].copy_(state[name])


class Loop:
    """One training run in a folder: `run` goes on from the last checkpoint there, or from the beginning.

    module: all that trains (the detector and what belongs to it). losses: a batch to its losses. half: context of the
    forward pass; a scaler is used for float16 alone, where small gradients would vanish.
    """

    def __init__(
        self,
        folder: Path,
        module: nn.Module,
        losses: Losses,
        source: BatchSource,
        config: LoopConfig,
        schedule: ScheduleConfig,
        optimizer: OptimizerConfig,
        *,
        fingerprint: str = "",
        device: torch.device | None = None,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.folder = folder
        self.module = module
        self.losses = losses
        self.source = source
        self.config = config
        self.schedule = schedule
        self.optimizer_config = optimizer
        self.fingerprint = fingerprint
        self.device = device or torch.device("cpu")
        self.scaler = scaler or torch.amp.GradScaler(enabled=False)
        self.optimizer = build_optimizer(module.named_parameters(), optimizer)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.average = AveragedWeights(module, config.ema) if config.ema else None
        self.iteration = 0
        self.seconds = 0.0
        self._is_whole = True
        self._saved: int | None = None
        self._skipped = 0

    # State

    def save(self) -> None:
        """Writes the checkpoint; atomic, so that a killed run keeps the last whole one."""
        state = {
            "fingerprint": self.fingerprint,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "module": self.module.state_dict(),
            "average": None if self.average is None else self.average.state,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generator": self.generator.get_state(),
        }
        part = self.folder / f".{CHECKPOINT}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("wb") as file:
                    torch.save(state, file)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self.folder / CHECKPOINT)
            finally:
                part.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"cannot write the checkpoint in {self.folder}: {error}. The one before it is kept"
            ) from error
        self._saved = self.iteration

    def restore(self) -> bool:
        """Takes up the folder's checkpoint; False: there is none. Refuses one of another configuration."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            fingerprint = state["fingerprint"]
        except Exception as error:
            raise ModelError(f"cannot read the checkpoint {path}: {error}. Remove it to begin anew") from error
        if fingerprint != self.fingerprint:
            raise TrainingError(
                f"{path} belongs to another configuration or other data; choose another folder, or remove it to begin "
                "anew"
            )
        self.module.load_state_dict(state["module"])
        if self.average is not None:
            self.average.state = {name: tensor.to(self.device) for name, tensor in state["average"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.generator.set_state(state["generator"])
        self.iteration, self.seconds = state["iteration"], state["seconds"]
        self._saved, self._is_whole = self.iteration, True
        return True

    # Running

    def run(
        self,
        *,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        show: Callable[[Progress], None] = lambda progress: None,
        tick: Callable[[int], None] = lambda iteration: None,
        until: int | None = None,
        window: Window = nullcontext,
    ) -> None:
        """Trains up to the end, or to iteration `until`; interrupted, it leaves a checkpoint of where it stood.

        show: told of the losses every `log_every` iterations. tick: told of every iteration. window: entered where an
        interruption does no harm, between steps; whoever catches signals lets them through there alone.
        """
        if not self.iteration or not self._is_whole:
            self.restore()
        end = self.config.iterations if until is None else min(until, self.config.iterations)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {self.folder}: {error.strerror}") from error
        with RunLog(self.folder, self.iteration) as log:
            try:
                self._steps(end, log, evaluate, show, tick, window)
                if evaluate and self.iteration >= self.config.iterations and not self._is_evaluated():
                    self._evaluate(evaluate, log, window)
            finally:
                # In the middle of a step the last checkpoint stands.
                if self._is_whole and self._saved != self.iteration:
                    self.save()

    def _is_evaluated(self) -> bool:
        return last_lines(self.folder)[1].get("iteration") == self.iteration

    def _evaluate(self, evaluate: Callable[[], Mapping[str, float]], log: RunLog, window: Window) -> None:
        with window():
            numbers = evaluate()
        log.write_evaluation(self.iteration, numbers)
        self.module.train()

    def _steps(
        self,
        end: int,
        log: RunLog,
        evaluate: Callable[[], Mapping[str, float]] | None,
        show: Callable[[Progress], None],
        tick: Callable[[int], None],
        window: Window,
    ) -> None:
        started, began_at = time.perf_counter(), self.iteration
        meter, config = Meter(), self.config
        self.module.train()
        with closing(prefetch(self.source, range(self.iteration, end), config.workers)) as batches:
            while self.iteration < end:
                with window():
                    batch = next(batches)
                before = time.perf_counter()
                rate = learning_rate(self.iteration, self.optimizer_config.learning_rate, self.schedule)
                self._is_whole = False
                meter.add(self._step(batch.to(self.device), rate))
                self.iteration += 1
                self._is_whole = True
                self.seconds += time.perf_counter() - before
                tick(self.iteration)
                if self.iteration % config.log_every == 0 or self.iteration == end:
                    left = (time.perf_counter() - started) / (self.iteration - began_at) * (end - self.iteration)
                    means = meter.take()
                    log.write(self.iteration, {"learning_rate": rate, **means, "seconds": self.seconds})
                    show(Progress(self.iteration, config.iterations, means, rate, left))
                if self.iteration % config.checkpoint_every == 0:
                    self.save()
                is_due = config.evaluate_every and self.iteration % config.evaluate_every == 0
                if evaluate and is_due and self.iteration < config.iterations:
                    self._evaluate(evaluate, log, window)

    def _step(self, batch: Batch, rate: float) -> dict[str, float]:
        # Stochastic depth draws from torch's own numbers; a resumed run must see the same ones.
        torch.manual_seed((self.config.seed << 32) + self.iteration)
        set_learning_rate(self.optimizer, rate)
        try:
            losses = dict(self.losses(batch, self.generator))
            total = torch.stack([loss.float() for loss in losses.values()]).sum()
            if not torch.isfinite(total):
                bad = ", ".join(name for name, loss in losses.items() if not torch.isfinite(loss))
                raise TrainingError(
                    f"iteration {self.iteration}: {bad or 'the sum of the losses'} is not finite; lower the learning "
                    "rate, or clip gradients harder. The last checkpoint is kept"
                )
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(total).backward()
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"iteration {self.iteration}: the memory of {self.device} is full; use smaller batches or pictures"
            ) from error
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.optimizer, self.optimizer_config)
        if self.scaler.is_enabled() or math.isfinite(norm):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self._check_gradients(norm)
        if self.average is not None:
            self.average.update(self.module, self.iteration)
        return {name: float(loss.detach()) for name, loss in losses.items()} | {
            "total": float(total.detach()),
            "norm": norm,
        }

    def _check_gradients(self, norm: float) -> None:
        """A step without finite gradients is left out; many of them in a row end the run."""
        self._skipped = 0 if math.isfinite(norm) else self._skipped + 1
        if self._skipped >= _PATIENCE:
            raise TrainingError(
                f"iteration {self.iteration}: gradients have not been finite for {_PATIENCE} iterations; lower the "
                "learning rate. The last checkpoint is kept"
            )


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context of half precision that a configuration names; nothing for float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.float16 if precision == "float16" else torch.bfloat16)
