"""An index of 100,000 frames asked 100 words: seconds and peak memory of the public command.

    python -m benchmarks.query.scale [--frames 100000] [--folder FOLDER]

Synthetic features, as a detic-swin-b run with the compact default would store them: 24 to 100 regions a frame, 3 x 512
in int8, about five of which look like one of the words. The index is made in a temporary folder, through the writer
that `detect --index` uses, and is deleted afterwards.
"""

import argparse
import dataclasses
import os
import shutil
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.query.measured import measured
from benchmarks.query.stand_ins import OVDET, machine, unit_vectors, words_of
from ovdet_cli.detector.asking import classifier_path
from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.models.checkpoint import write_safetensors
from ovdet_cli.models.zoo import find_model
from ovdet_cli.regions import StoredRegions
from ovdet_cli.results.index import IndexWriter

MODEL, NUM_WORDS, VIDEO_FRAMES, FPS = "detic-swin-b", 100, 1000, 25
LEAST_REGIONS, MOST_REGIONS, STAGES, WIDTH = 24, 100, 3, 512
ALIKE = 5  # regions a frame that look like a word
KINDS = 512  # different frames: to draw more would measure the random numbers


def common_direction() -> np.ndarray:
    """What text embeddings share, and what regions of no word turn away from: logits of about -6, as in Detic."""
    direction: np.ndarray = unit_vectors(1, WIDTH, key=1)[0]
    return direction


def words() -> np.ndarray:
    """Embeddings (C, D) with cosines of about 0.5 among each other."""
    vectors = unit_vectors(NUM_WORDS, WIDTH) + common_direction()
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def draw(rng: np.random.Generator, words_CD: np.ndarray) -> StoredRegions:
    """One frame of 640 x 360."""
    count = int(rng.integers(LEAST_REGIONS, MOST_REGIONS + 1))
    features = rng.standard_normal((count, STAGES, WIDTH), dtype=np.float32) / np.float32(WIDTH**0.5)
    features -= np.float32(0.17) * common_direction()
    features[:ALIKE] += np.float32(0.5) * words_CD[rng.integers(len(words_CD), size=ALIKE)][:, None]
    features /= np.linalg.norm(features, axis=2, keepdims=True)
    corners = rng.uniform((0, 0), (480, 270), (count, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(20, 160, (count, 2))), axis=1).astype(np.float32)
    # A compact index keeps what could score above 0.25, half of the usual threshold.
    objectness = np.exp(rng.uniform(np.log(0.0625), np.log(0.9), count)).astype(np.float32)
    objectness[:ALIKE] = rng.uniform(0.3, 0.9, ALIKE)
    order = np.argsort(-objectness)
    return StoredRegions(boxes[order], objectness[order], features[order])


def make_index(run: Path, num_frames: int) -> int:
    """Writes the index of a run of videos; gives its regions."""
    run.mkdir()
    spec = find_model(MODEL)
    facts = {
        "model": {"name": spec.name, "architecture": spec.architecture, "weights_sha256": "0" * 64},
        "rules": dataclasses.asdict(spec.rules),
        "threshold": spec.rules.threshold,
        "post": "official",
        "size": {"short_side": spec.preprocess.short_side, "max_size": spec.preprocess.max_size},
        "regions": {"most": None, "floor": spec.rules.threshold / 2},
    }
    rng = np.random.default_rng(7)
    kinds = [draw(rng, words()) for _ in range(KINDS)]
    num_regions = 0
    with IndexWriter(run, facts, "int8") as index:
        write_safetensors({}, classifier_path(index.folder))  # this model's classifier has no weights
        for i in range(num_frames):
            video, place = divmod(i, VIDEO_FRAMES)
            name = f"camera-{video:03d}.mp4"
            if place == 0:
                index.begin(SourceInfo(name, run / name, "video"))
            kind = kinds[int(rng.integers(KINDS))]
            index.write(Frame.without_pixels((360, 640), name, place, Fraction(place, FPS)), kind)
            num_regions += len(kind)
    return num_regions


def forget(folder: Path) -> None:
    """Asks the system to drop these files from its cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Makes, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where there is room for the index (default: the system's)")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    needed = asked.frames * MOST_REGIONS * STAGES * WIDTH
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < 1.2 * needed:
            raise SystemExit(f"{folder} has no room for {needed / 1e9:.0f} GB: name another --folder")
        begun = time.perf_counter()
        num_regions = make_index(folder / "run", asked.frames)
        seconds = time.perf_counter() - begun
        shards = sorted((folder / "run" / "index").glob("*.arrows"))
        size = sum(path.stat().st_size for path in shards)
        print(machine())
        print(
            f"{asked.frames:,} frames, {num_regions / asked.frames:.1f} regions each: {size / 1e9:.2f} GB in "
            f"{len(shards)} shards, written in {seconds:.0f} s ({asked.frames / seconds:.0f} frames a second)"
        )
        named = words_of(words(), folder)
        for attempt in range(asked.rounds):
            for state in ("not in the cache", "as the system cached it"):
                if state == "not in the cache":
                    forget(folder / "run" / "index")
                out = folder / f"out-{attempt}"
                run = measured([*OVDET, "query", str(folder / "run"), *named, "-o", str(out), "--overwrite", "-q"])
                rows = sum(1 for _ in (out / "detections.csv").open("rb")) - 1
                print(
                    f"query, {NUM_WORDS} words, index {state}: {run['seconds']:.1f} s ({run['cpu_seconds']:.1f} "
                    f"CPU-seconds), peak {run['peak_mb']:.0f} MB (of that {run['peak_own_mb']:.0f} MB that no file "
                    f"stands for), {rows / asked.frames:.1f} detections a frame",
                    flush=True,
                )


if __name__ == "__main__":
    main()
