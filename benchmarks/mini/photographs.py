"""False boxes on real photographs, where a model of drawn things should say nothing.

    python benchmarks/mini/photographs.py fetch FOLDER
    python benchmarks/mini/photographs.py measure FOLDER [--model builtin] [--threshold T]

Two kinds are counted apart. On a `photo` every box counts as false, although landscapes, cities, rooms and people hold
many things that the model has words for. On a photograph of `known-things` (a dog, a castle, a telephone) one such
thing is the evident subject, and a box may be right. The third kind, `background`, is for training (see
`SceneConfig.photographs`): never measured on, and kept in a folder of its own.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if __name__ == "__main__":  # as a file, the repository is not on the path
    sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.mini.photograph_fetch import PACKAGES, Photograph, fetch, load_list
from ovdet_cli.detector.detector import Detector
from ovdet_cli.errors import InputError, OvdetError
from ovdet_cli.media.images import read_image

THRESHOLDS = tuple(round(0.2 + 0.1 * step, 1) for step in range(8))
RESAMPLES = 2000
KINDS = ("photo", "known-things")


@dataclass(frozen=True)
class Measured:
    """What was found in one photograph, surest first."""

    photograph: Photograph
    scores: tuple[float, ...]
    names: tuple[str, ...]

    def count(self, threshold: float) -> int:
        """Boxes whose score is above the threshold."""
        return sum(score > threshold for score in self.scores)


@dataclass(frozen=True)
class Rate:
    """Boxes a photograph with its 95 % interval, over n photographs; `touched` of them have any."""

    n: int
    boxes: int
    touched: int
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Boxes a photograph."""
        return self.boxes / self.n


def rate_of(counts: Sequence[int]) -> Rate:
    """Boxes a photograph; the interval is the bootstrap's over photographs, as boxes come in bunches.

    Where no photograph has a box the bootstrap knows no doubt, and the upper end is Poisson's: -ln(0.025) / n.
    """
    values = np.asarray(counts)
    if not len(values):
        raise ValueError("no photographs to count")
    picks = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(1), (2.5, 97.5))
    if not values.any():
        high = -np.log(0.025) / len(values)
    return Rate(len(values), int(values.sum()), int((values > 0).sum()), float(low), float(high))


def choose(photographs: Sequence[Photograph], at_most: int | None) -> list[Photograph]:
    """At most so many of each kind, evenly spread over the list."""
    chosen: list[Photograph] = []
    for kind in KINDS:
        some = [p for p in photographs if p.kind == kind]
        count = len(some) if at_most is None else min(at_most, len(some))
        chosen += [some[i * len(some) // count] for i in range(count)]
    return chosen


def measure(folder: Path, detector: Detector, at_most: int | None = None) -> list[Measured]:
    """Detections with the model's own vocabulary on the listed photographs that are in the folder."""
    present = choose([p for p in load_list() if (folder / p.name).exists()], at_most)
    if not present:
        raise InputError(f"{folder}: no photographs; run `python benchmarks/mini/photographs.py fetch {folder}`")
    words = detector.prepare_words(detector.own_vocabulary())
    names = words.vocabulary.names
    measured = []
    for photograph in present:
        found = detector.detect(read_image(folder / photograph.name), words)
        order = np.argsort(-found.scores, kind="stable")
        called = tuple(names[i] for i in found.class_ids[order])
        measured.append(Measured(photograph, tuple(found.scores[order].tolist()), called))
        if len(measured) % 50 == 0:
            print(f"{len(measured)} of {len(present)}", file=sys.stderr)
    return measured


def report(measured: Sequence[Measured], threshold: float) -> str:
    """The measure as text: both kinds at the threshold and over all, themes, and the names most often seen."""
    kinds = {kind: [m for m in measured if m.photograph.kind == kind] for kind in KINDS}
    lines = []
    for kind, some in kinds.items():
        if some:
            lines += _kind_lines(kind, some, threshold)
    return "\n".join(lines)


def _kind_lines(kind: str, measured: Sequence[Measured], threshold: float) -> list[str]:
    lines = [
        f"{kind}: {_line(measured, threshold)}",
        "",
        "| threshold | boxes | photographs with any | a photograph | 95 % |",
        "|---|---|---|---|---|",
    ]
    for each in sorted({*THRESHOLDS, threshold}):
        r = rate_of([m.count(each) for m in measured])
        lines.append(f"| {each:g} | {r.boxes} | {r.touched} | {r.mean:.3f} | {r.low:.3f} to {r.high:.3f} |")
    themes = defaultdict(list)
    for m in measured:
        themes[m.photograph.theme].append(m)
    lines += ["", *(f"{theme}: {_line(some, threshold)}" for theme, some in sorted(themes.items()))]
    for title, at in (("the threshold", threshold), ("half of it", threshold / 2)):
        seen = Counter(name for m in measured for name in m.names[: m.count(at)])
        lines.append(
            f"most seen at {title}: {', '.join(f'{name} {n}' for name, n in seen.most_common(15)) or 'nothing'}"
        )
    worst = sorted(measured, key=lambda m: (-m.count(threshold), -max(m.scores, default=0)))[:12]
    tops = [f"{m.photograph.name} {m.count(threshold)} ({m.names[0]} {m.scores[0]:.2f})" for m in worst if m.scores]
    return [*lines, f"most boxes: {'; '.join(tops) or 'none'}", ""]


def _line(measured: Sequence[Measured], threshold: float) -> str:
    r = rate_of([m.count(threshold) for m in measured])
    return (
        f"{r.mean:.3f} boxes a photograph (95 %: {r.low:.3f} to {r.high:.3f}) at {threshold:g}, "
        f"n = {r.n}, {r.boxes} boxes in {r.touched}"
    )


def _fetch(asked: argparse.Namespace) -> None:
    missing = fetch(asked.folder, lambda line: print(line, file=sys.stderr))
    kinds = Counter(p.kind for p in load_list() if (asked.folder / p.name).exists())
    print(
        f"{asked.folder}: {kinds['photo']} photo, {kinds['known-things']} known-things, "
        f"{kinds['background']} background, {len(missing)} not to be had"
    )
    for package in PACKAGES:
        print(f"  {package.name} {package.version or '(of this Debian)'}: {package.licence}")


def _measure(asked: argparse.Namespace) -> None:
    detector = Detector(asked.model, weights=asked.weights, masks=False)
    threshold = detector.rules.threshold if asked.threshold is None else asked.threshold
    # What a low threshold lets in changes nothing above it: suppression goes by score.
    detector = Detector(asked.model, weights=asked.weights, masks=False, threshold=min(threshold / 2, THRESHOLDS[0]))
    measured = measure(asked.folder, detector, asked.at_most)
    print(f"{detector.spec.name}, weights {detector.weights_sha256[:12]}")
    print(report(measured, threshold))
    if asked.json is not None:
        rows = [
            {"name": m.photograph.name, "kind": m.photograph.kind, "scores": m.scores, "names": m.names}
            for m in measured
        ]
        asked.json.write_text(json.dumps(rows), encoding="utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    fetching = commands.add_parser("fetch", help="bring the photographs")
    fetching.add_argument("folder", type=Path)
    fetching.set_defaults(run=_fetch)
    measuring = commands.add_parser("measure", help="count boxes on them")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--model", default="builtin")
    measuring.add_argument("--weights", type=Path, help="a file in place of the model's own weights")
    measuring.add_argument("--threshold", type=float, help="default: the model's")
    measuring.add_argument("--at-most", type=int, metavar="N", help="of each kind, for a quick look")
    measuring.add_argument("--json", type=Path, help="where to write every score and name")
    measuring.set_defaults(run=_measure)
    asked = parser.parse_args()
    try:
        asked.run(asked)
    except OvdetError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
