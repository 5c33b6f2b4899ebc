"""Detector time and peak memory with 80 and with 21,000 classes.

    python -m benchmarks.query.classes [--models detic-r50 detic-swin-b builtin] [--rounds 7] [--threads 1]

Random unit vectors as words, boxes alone (the mask head would hide the difference), one class per box and all of them.
Both counts take turns in one process for the time, medians; each has a process of its own for the memory. CPU-seconds
with --threads 1 are the same on a busy machine. Words that turn away from the model's features stand for real ones, of
which few score; plain random ones are the worst case of Detic: half of them score above 0.5 in every region.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.query.measured import measured
from benchmarks.query.stand_ins import PHOTOS, machine, unit_vectors, weights_of
from ovdet_cli.detector.choosing import RegionPolicy
from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.words import Words
from ovdet_cli.media.images import read_image
from ovdet_cli.vocabulary.vocabulary import Vocabulary

FEW, MANY = 80, 21_000
PICTURES = 3
KINDS = ("few score", "half score")


def make_detector(model: str, folder: Path, *, one_class: bool) -> Detector:
    """Boxes alone, on the CPU."""
    _, name, *rest = weights_of(model, folder)
    weights = rest[1] if rest else None
    return Detector(name, weights=weights, device="cpu", precision="fp32", masks=False, one_class=one_class)


def make_words(detector: Detector, count: int, kind: str, image: np.ndarray) -> Words:
    """Random words; where few are to score, turned away from what the regions of a picture share."""
    vectors = unit_vectors(count, detector.spec.config.embedding)
    if kind == "few score":
        nothing = Words(Vocabulary(["nothing"]), torch.zeros(1, vectors.shape[1]))
        ((_, stored),) = detector.analyse([image], nothing, RegionPolicy(None, -1.0))
        assert stored is not None
        shared = stored.features.mean(axis=(0, 1))
        vectors -= np.float32(0.5) * shared / np.linalg.norm(shared)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Words(Vocabulary([f"word {i}" for i in range(count)]), torch.from_numpy(vectors))


def pictures() -> list[np.ndarray]:
    """A few photographs."""
    return [read_image(path) for path in sorted(PHOTOS.glob("*.jpg"))[:PICTURES]]


def once(model: str, folder: Path, count: int, kind: str, *, one_class: bool) -> None:
    """What the process that is measured for memory does."""
    detector = make_detector(model, folder, one_class=one_class)
    images = pictures()
    words = make_words(detector, count, kind, images[0])
    for image in images:
        detector.detect(image, words)


def compare(model: str, folder: Path, kind: str, rounds: int, *, one_class: bool) -> str:
    """One row of the table."""
    detector = make_detector(model, folder, one_class=one_class)
    images = pictures()
    words = {count: make_words(detector, count, kind, images[0]) for count in (FEW, MANY)}
    took: dict[int, list[tuple[float, float]]] = {FEW: [], MANY: []}
    found = {FEW: 0, MANY: 0}
    for attempt in range(rounds + 1):
        for count in (FEW, MANY):
            begun, worked = time.perf_counter(), time.process_time()
            found[count] = sum(len(detector.detect(image, words[count])) for image in images)
            if attempt:  # the first round warms up
                took[count].append((time.perf_counter() - begun, time.process_time() - worked))
    few, many = (np.median(took[count], axis=0) / len(images) for count in (FEW, MANY))
    rule = "one" if one_class else "all"
    command = [sys.executable, "-m", "benchmarks.query.classes", "--folder", str(folder), "--once", model, kind, rule]
    peaks = [measured([*command, str(count)])["peak_mb"] for count in (FEW, MANY)]
    return (
        f"| {model} | {rule} | {kind} | {few[0]:.3f} | {many[0]:.3f} | {many[0] / few[0]:.2f} | {few[1]:.3f} | "
        f"{many[1]:.3f} | {many[1] / few[1]:.2f} | {peaks[0]:.0f} | {peaks[1]:.0f} | "
        f"{found[FEW] / len(images):.0f}, {found[MANY] / len(images):.0f} |"
    )


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["detic-r50", "detic-swin-b", "builtin"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of torch (default: as many as cores)")
    parser.add_argument("--folder", type=Path, help="keeps the stand-in weights")
    parser.add_argument("--once", nargs=4, metavar=("MODEL", "KIND", "RULE", "COUNT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        model, kind, rule, count = asked.once
        once(model, asked.folder, int(count), kind, one_class=rule == "one")
        return
    if asked.threads:
        torch.set_num_threads(asked.threads)
    print(machine())
    print(
        f"| model | classes per box | words | s, {FEW} | s, {MANY} | ratio | CPU-s, {FEW} | CPU-s, {MANY} | ratio "
        f"| peak MB, {FEW} | peak MB, {MANY} | detections |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or Path(name)
        for model in asked.models:
            for kind in asked.kinds:
                for one_class in (True, False):
                    print(compare(model, folder, kind, asked.rounds, one_class=one_class), flush=True)


if __name__ == "__main__":
    main()
