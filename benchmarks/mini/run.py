"""Runs the miniature benchmark: trainings and their measurements, going on where it stopped.

    python -m benchmarks.mini.run --artwork FOLDER --out FOLDER

One result a line in OUT/results.jsonl; each training has its own folder beside it. One thread, so that CPU-seconds mean
the same everywhere; several calls with different --seeds may run at once.
"""

import argparse
import datetime
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.mini.classes import load_classes
from benchmarks.mini.measure import scores_of
from benchmarks.mini.pictures import TEST_SETS, test_pictures
from benchmarks.mini.stages import STAGES, START, Plan, Stage, read_cpu_seconds, train
from ovdet_cli.training.artwork import Artwork


def done(path: Path) -> set[tuple[int, str]]:
    """Seeds and stages that have their line."""
    if not path.exists():
        return set()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(line["seed"], line["stage"]) for line in lines}


def processor() -> str:
    """The processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Trains and measures what is missing."""
    names = [stage.name for stage in (START, *STAGES)]
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artwork", type=Path, required=True, help="artwork store")
    parser.add_argument("--out", type=Path, required=True, help="folder of results and trainings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--stages", nargs="+", choices=names, default=names, help="start is always made first")
    parser.add_argument("--sets", nargs="+", choices=list(TEST_SETS), default=list(TEST_SETS), help="measured on")
    parser.add_argument("--columns", choices=["random", "text"], default=plan.columns)
    parser.add_argument("--start-iterations", type=int, default=plan.start_iterations)
    parser.add_argument("--names-iterations", type=int, default=plan.names_iterations, help="the start's first ones")
    parser.add_argument("--iterations", type=int, default=plan.iterations, help="of what follows the start")
    parser.add_argument("--image-weight", type=float, default=plan.image_weight)
    parser.add_argument("--rate", type=float, default=plan.rate, help="learning rate of what follows the start")
    parser.add_argument("--label-ratio", type=float, default=plan.label_ratio)
    asked = parser.parse_args()
    plan = Plan(
        start_iterations=asked.start_iterations,
        names_iterations=asked.names_iterations,
        iterations=asked.iterations,
        image_weight=asked.image_weight,
        label_ratio=asked.label_ratio,
        rate=asked.rate,
        columns=asked.columns,
    )
    torch.set_num_threads(1)
    artwork = Artwork.open(asked.artwork)
    for seed in asked.seeds:
        for stage in (START, *STAGES):
            if stage is START or stage.name in asked.stages:
                one(asked.out, artwork, stage, plan, seed, asked.sets)


def sets_of(stage: Stage) -> list[str]:
    """What a stage is measured on."""
    return [name for name, wanted in TEST_SETS.items() if ("kind" in wanted.roles) == stage.kinds]


def one(out: Path, artwork: Artwork, stage: Stage, plan: Plan, seed: int, sets: Sequence[str]) -> None:
    """Trains and measures one stage of one seed, unless its line is there."""
    path = out / "results.jsonl"
    if (seed, stage.name) in done(path):
        return
    classes = load_classes()
    folder, start = out / f"seed{seed}-{stage.name}", out / f"seed{seed}-{START.name}"
    folder.mkdir(parents=True, exist_ok=True)
    begin = None if stage is START else start
    trained = train(folder, begin, artwork, classes, stage, plan, seed, lambda line: print(line, flush=True))
    line = {
        "seed": seed,
        "stage": stage.name,
        "cpu_seconds": round(read_cpu_seconds(folder)),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "torch": torch.__version__,
        "artwork": artwork.fingerprint,
        "plan": asdict(plan),
        "sets": {
            name: scores_of(trained, test_pictures(artwork, classes, name), classes)
            for name in sets_of(stage)
            if name in sets
        },
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    for name, scores in line["sets"].items():  # type: ignore[attr-defined]
        short = {group: values["ap50"] for group, values in scores["box"].items()}
        print(f"seed {seed} {stage.name}, {name}: box AP50 {short}", flush=True)


if __name__ == "__main__":
    main()
