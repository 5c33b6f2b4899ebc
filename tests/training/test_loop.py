"""The loop on a toy model: exact resume, checkpoints that survive, logs that tell each iteration once."""

import errno
import json
import math
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ovdet_cli.errors import InputError, ModelError, OutputError, TrainingError
from ovdet_cli.training import loop as loop_module
from ovdet_cli.training.batches import Batch
from ovdet_cli.training.loop import AveragedWeights, Loop, LoopConfig
from ovdet_cli.training.run_log import last_lines
from ovdet_cli.training.schedule import OptimizerConfig, ScheduleConfig


class ToySource:
    def __init__(self, broken_at: int | None = None) -> None:
        self.broken_at = broken_at

    def batch(self, iteration: int) -> Batch:
        if iteration == self.broken_at:
            raise InputError(f"picture {iteration} is gone")
        pixels = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(iteration))
        return Batch(pixels, [(2, 2)] * 3, [], [], [])


class Toy(nn.Module):
    """Something with all that a run must keep: weights, buffers, and random numbers in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(12, 2)

    def forward(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        noise = torch.rand(3, 2, generator=generator)
        out = self.out(self.drop(self.norm(batch.pixels)).flatten(1))
        return {"a": ((out - noise) ** 2).mean(), "b": out.abs().mean()}


def toy_loop(folder: Path, losses: Any = None, source: Any = None, **config: Any) -> Loop:
    torch.manual_seed(5)
    toy = Toy()
    settings = LoopConfig(**({"iterations": 8, "seed": 3, "workers": 0, "log_every": 2, "ema": 0.9} | config))
    schedule = ScheduleConfig(settings.iterations, warmup_iterations=2)
    if losses is not None:
        losses = losses(toy)
    optimizer = OptimizerConfig(learning_rate=0.05)
    return Loop(folder, toy, losses or toy, source or ToySource(), settings, schedule, optimizer, fingerprint="f")


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key in value:
            yield from flat(value[key])
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from flat(entry)
    else:
        yield value


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def assert_same_checkpoints(first: Path, second: Path) -> None:
    one, two = checkpoint(first), checkpoint(second)
    del one["seconds"], two["seconds"]
    pairs = list(zip(flat(one), flat(two), strict=True))
    assert sum(isinstance(a, Tensor) for a, _ in pairs) > 20
    for a, b in pairs:
        assert torch.equal(a, b) if isinstance(a, Tensor) else a == b


def log_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_in_two_parts_equals_one_in_a_piece(tmp_path: Path, workers: int) -> None:
    toy_loop(tmp_path / "whole").run()
    toy_loop(tmp_path / "parts", workers=workers).run(until=4)
    assert checkpoint(tmp_path / "parts")["iteration"] == 4
    second = toy_loop(tmp_path / "parts", workers=workers)
    second.run()
    assert second.iteration == 8
    assert_same_checkpoints(tmp_path / "whole", tmp_path / "parts")
    assert [{k: v for k, v in line.items() if k != "seconds"} for line in log_lines(tmp_path / "parts")] == [
        {k: v for k, v in line.items() if k != "seconds"} for line in log_lines(tmp_path / "whole")
    ]


def test_an_interruption_between_steps_leaves_a_checkpoint_of_where_it_stood(tmp_path: Path) -> None:
    entered = 0

    @contextmanager
    def window() -> Iterator[None]:
        nonlocal entered
        entered += 1
        if entered == 4:
            raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        toy_loop(tmp_path / "parts").run(window=window)
    assert checkpoint(tmp_path / "parts")["iteration"] == 3
    toy_loop(tmp_path / "parts").run()
    toy_loop(tmp_path / "whole").run()
    assert_same_checkpoints(tmp_path / "whole", tmp_path / "parts")


def failing_at(iteration: int, error: BaseException) -> Any:
    """Losses that raise once."""

    def make(toy: Toy) -> Any:
        calls = iter(range(1000))

        def losses(batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
            if next(calls) == iteration:
                raise error
            return toy(batch, generator)

        return losses

    return make


def test_a_killed_step_keeps_the_last_checkpoint_and_its_log_lines_are_dropped(tmp_path: Path) -> None:
    settings = {"log_every": 1, "checkpoint_every": 3}
    with pytest.raises(KeyboardInterrupt):
        toy_loop(tmp_path, failing_at(5, KeyboardInterrupt()), **settings).run()
    assert checkpoint(tmp_path)["iteration"] == 3
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"iteration": 6, "los')
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 6
    toy_loop(tmp_path, **settings).run()
    assert [line["iteration"] for line in log_lines(tmp_path)] == [1, 2, 3, 4, 5, 6, 7, 8]
    toy_loop(tmp_path / "whole", **settings).run()
    assert_same_checkpoints(tmp_path / "whole", tmp_path)


def test_a_log_without_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"iteration": 2, "total": 1}\n')
    toy_loop(tmp_path).run(until=2)
    assert len(log_lines(tmp_path)) == 1


def test_losses_that_are_not_finite_end_the_run_and_keep_the_checkpoint(tmp_path: Path) -> None:
    def make(toy: Toy) -> Any:
        calls = iter(range(1000))

        def losses(batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
            return dict(toy(batch, generator)) | ({"bad": torch.tensor(math.nan)} if next(calls) == 5 else {})

        return losses

    with pytest.raises(TrainingError, match="iteration 5: bad is not finite"):
        toy_loop(tmp_path, make, checkpoint_every=4).run()
    saved = checkpoint(tmp_path)
    assert saved["iteration"] == 4
    assert all(torch.isfinite(t).all() for t in saved["module"].values())


def test_a_step_without_finite_gradients_is_left_out_and_many_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(toy: Toy) -> Any:
        return lambda batch, generator: {"root": (toy.out.weight * 0).sum().sqrt() + toy.out.bias.sum() * 0}

    loop = toy_loop(tmp_path / "some", make)
    before = loop.module.out.weight.detach().clone()
    loop.run(until=3)
    assert torch.equal(loop.module.out.weight, before)
    assert log_lines(tmp_path / "some")[0]["norm"] is None  # JSON knows no infinity
    monkeypatch.setattr(loop_module, "_PATIENCE", 3)
    with pytest.raises(TrainingError, match="not been finite for 3"):
        toy_loop(tmp_path / "many", make).run()


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_loop(tmp_path).run(until=2)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def save(state: object, file: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OutputError, match="No space left"):
        toy_loop(tmp_path).run()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_another_configuration_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    toy_loop(tmp_path).run(until=2)
    other = toy_loop(tmp_path)
    other.fingerprint = "g"
    with pytest.raises(TrainingError, match="another configuration"):
        other.run()
    (tmp_path / "checkpoint.pt").write_bytes((tmp_path / "checkpoint.pt").read_bytes()[:500])
    with pytest.raises(ModelError, match="Remove it"):
        toy_loop(tmp_path).run()


def test_averaged_weights_follow_the_formula() -> None:
    torch.manual_seed(0)
    toy = Toy()
    average = AveragedWeights(toy, 0.5)
    expected = toy.out.weight.detach().clone()
    for step in range(6):
        with torch.no_grad():
            toy.out.weight.add_(torch.randn_like(toy.out.weight))
            toy.norm.running_mean.add_(1)
        average.update(toy, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * toy.out.weight.detach()
    torch.testing.assert_close(average.state["out.weight"], expected)
    assert torch.equal(average.state["norm.running_mean"], toy.norm.running_mean)
    assert average.state["norm.num_batches_tracked"] == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_what_the_source_raises_comes_through_as_it_was(tmp_path: Path, workers: int) -> None:
    with pytest.raises(InputError, match=r"^picture 3 is gone$"):
        toy_loop(tmp_path, source=ToySource(broken_at=3), workers=workers).run()
    assert checkpoint(tmp_path)["iteration"] == 3


def test_evaluations_are_logged_when_due_and_once_at_the_end(tmp_path: Path) -> None:
    asked = []

    def evaluate() -> Mapping[str, float]:
        asked.append(loop.iteration)
        if len(asked) == 3:
            raise KeyboardInterrupt  # at the end, after the last checkpoint
        return {"ap": 0.5 + len(asked)}

    loop = toy_loop(tmp_path, evaluate_every=3)
    with pytest.raises(KeyboardInterrupt):
        loop.run(evaluate=evaluate)
    for _ in range(2):
        loop = toy_loop(tmp_path, evaluate_every=3)
        loop.run(evaluate=evaluate)
    assert asked == [3, 6, 8, 8]
    losses, evaluation = last_lines(tmp_path)
    assert losses["iteration"] == 8
    assert evaluation == {"iteration": 8, "ap": 4.5}


def test_progress_is_shown_with_the_log_and_ticked_every_iteration(tmp_path: Path) -> None:
    shown, ticks = [], []
    toy_loop(tmp_path, log_every=3).run(show=shown.append, tick=ticks.append, until=7)
    assert ticks == list(range(1, 8))
    assert [p.iteration for p in shown] == [3, 6, 7]
    assert set(shown[0].losses) == {"a", "b", "total", "norm"}
    assert shown[-1].seconds_left == 0


def test_tensorboard_gets_the_same_numbers_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[Any, ...]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            events.append((Path(folder).name, purge_step))

        def add_scalar(self, name: str, value: float, iteration: int) -> None:
            events.append((name, iteration))

        def close(self) -> None:
            events.append(("closed",))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    toy_loop(tmp_path).run(until=4)
    toy_loop(tmp_path).run(until=6)
    assert ("total", 4) in events
    assert ("tensorboard", 1) in events
    assert ("tensorboard", 5) in events  # events of a killed run beyond the checkpoint go
    assert events[-1] == ("closed",)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make"):
        toy_loop(tmp_path / "file" / "run").run()
