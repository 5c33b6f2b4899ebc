"""`ovdet train`: a configuration in, weights out; a run that was stopped goes on."""

import logging
import math
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovdet_cli.cli import console
from ovdet_cli.cli import options as o
from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    from ovdet_cli.training.config import TrainConfig
    from ovdet_cli.training.run import TrainingRun


def train(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="A TOML file, or one that comes with ovdet: builtin, add-classes."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the run. One that was stopped goes on.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Put over the configuration's value, again and again: run.seed=2, data.0.path=photos.json.",
        ),
    ] = None,
    until: Annotated[
        int | None, typer.Option("--until", min=1, metavar="N", help="Stop after iteration N; a later call goes on.")
    ] = None,
    fetch_artwork: Annotated[
        bool, typer.Option("--fetch-artwork", help="Fetch and build the artwork of drawn scenes if it is not there.")
    ] = False,
    device: o.Device = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="CPU threads of the network. Default: all.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print a summary as JSON on standard output at the end.")
    ] = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a detector, or teach an official one new classes.

    Ctrl-C ends after the step at hand, with a checkpoint; the same command goes on from there.
    Example: ovdet train add-classes -o run --set data.0.path=boxes.json --set data.1.path=labelled
    """
    from ovdet_cli.training.config import find_config, read_config

    path, base = find_config(config)
    wanted = read_config(path, settings or [], base)
    _set_log_level(is_quiet=quiet)
    if output.exists() and not output.is_dir():
        raise UsageError(f"-o {output} is a file; name a folder")
    if fetch_artwork:
        _build_artwork(wanted, is_quiet=quiet)
    run = _open(wanted, output, device, threads, is_quiet=quiet)
    _train(run, until, is_quiet=quiet)
    summary = _summarise(run)
    if not quiet:
        _say_summary(summary)
    if json:
        console.print_json(summary)


def _set_log_level(*, is_quiet: bool) -> None:
    """Pictures that are left out are told as warnings."""
    log = logging.getLogger("ovdet_cli")
    log.handlers = [console.LogHandler()]
    log.propagate = False
    log.setLevel(logging.ERROR if is_quiet else logging.WARNING)


def _build_artwork(config: "TrainConfig", *, is_quiet: bool) -> None:
    """Builds the store of drawn scenes where the configuration wants one and none is there."""
    from ovdet_cli.training.artwork_build import build

    folders = dict.fromkeys(Path(data.path) for data in config.data if data.kind == "scenes")
    if not folders:
        raise UsageError("--fetch-artwork: the configuration draws no scenes")
    for folder in folders:
        if not folder.exists():
            build(folder, (lambda line: None) if is_quiet else console.say)


def _open(config: "TrainConfig", output: Path, device: str, threads: int | None, *, is_quiet: bool) -> "TrainingRun":
    """The run, taken up where its folder stands."""
    from ovdet_cli.training.run import TrainingRun, use_threads

    if threads:
        use_threads(threads)
    run = TrainingRun(config, output, device)
    done = run.resume()
    total = config.schedule.iterations
    if is_quiet:
        return run
    console.say(f"{run.spec.name} on {run.device}: {len(run.data.names)} classes, {total} iterations -> {output}")
    if done:
        state = "is finished" if done >= total else "goes on"
        console.say(f"the run in {output} {state}: {done} of {total} iterations are done")
    if not run.can_evaluate:
        console.say("nothing is evaluated: [evaluation] names no pictures")
    return run


def _train(run: "TrainingRun", until: int | None, *, is_quiet: bool) -> None:
    """Trains; interrupted, it says how to go on and lets the interruption end the command."""
    from ovdet_cli.cli.training_progress import TrainingProgress
    from ovdet_cli.pipeline.interrupts import InterruptGuard

    total = run.config.schedule.iterations
    end = total if until is None else min(until, total)
    with ExitStack() as stack:
        guard = stack.enter_context(InterruptGuard())
        progress = stack.enter_context(TrainingProgress(run.loop.iteration, end, is_quiet=is_quiet))
        try:
            run.run(progress.show, until, tick=progress.tick, window=guard.window)
        except KeyboardInterrupt:
            console.say(
                f"stopped after iteration {run.loop.iteration} of {total}; its checkpoint is in {run.folder}, "
                "and the same command goes on from there"
            )
            raise


def _summarise(run: "TrainingRun") -> dict[str, Any]:
    from ovdet_cli.training.run import CLASSES, NAMES, WEIGHTS
    from ovdet_cli.training.run_log import last_lines

    losses, evaluation = last_lines(run.folder)
    weights, names, vectors = (run.folder / name for name in (WEIGHTS, NAMES, CLASSES))
    command = ["ovdet", "detect", "PICTURES", "--model", run.spec.name, "--weights", str(weights)]
    command += ["--vocab", str(names), "--embeddings", str(vectors)]
    return {
        "iteration": run.loop.iteration,
        "iterations": run.config.schedule.iterations,
        "seconds": round(run.loop.seconds, 1),
        "losses": {name: value for name, value in losses.items() if name not in ("iteration", "seconds")},
        "evaluation": evaluation,
        "weights": str(weights),
        "command": shlex.join(command),
    }


def _say_summary(summary: dict[str, Any]) -> None:
    done, total = summary["iteration"], summary["iterations"]
    console.say(f"{done} of {total} iterations, {summary['seconds'] / 60:.1f} minutes of steps")
    losses = {name: value for name, value in summary["losses"].items() if value and name.startswith("loss")}
    shown = ", ".join(f"{name.removeprefix('loss_')} {value:.3g}" for name, value in losses.items())
    total_loss = summary["losses"].get("total")
    if total_loss is not None and math.isfinite(total_loss):
        console.say(f"last losses: total {total_loss:.3g} ({shown})")
    if evaluation := summary["evaluation"]:
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in evaluation.items() if name != "iteration")
        console.say(f"evaluation at iteration {evaluation['iteration']}: {numbers}")
    console.say(f"-> {summary['weights']}")
    console.say(f"use it: {summary['command']}")
