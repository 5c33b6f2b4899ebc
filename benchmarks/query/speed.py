"""Seconds a frame of `ovdet detect` and of `ovdet query` on the index it left, and bytes a frame of that.

    python -m benchmarks.query.speed [--models detic-swin-b builtin] [--frames 6000]

80 random words given as --embeddings, so that no text tower runs; the built-in model has its own words. Both commands
write jsonl and csv, no pictures. The query is asked of an index that holds the same frames many times over, as its
start-up would hide it otherwise; the start-up is the query of one copy. Stand-in weights make as many regions and
detections of a picture as a model can: real ones make fewer, and a query of them takes less.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.query.measured import measured
from benchmarks.query.stand_ins import OVDET, inputs_of, machine, vocabulary_of, weights_of
from ovdet_cli.detector.asking import classifier_path, features_of
from ovdet_cli.frame import Frame
from ovdet_cli.models.checkpoint import read_checkpoint, write_safetensors
from ovdet_cli.regions import StoredRegions
from ovdet_cli.results.index import Index, IndexWriter

NUM_WORDS = 80
STORED = {"compact": [], "exact": ["--index-regions", "all", "--index-precision", "fp16"]}


def multiply(run: Path, target: Path, frames: int) -> int:
    """An index with a run's frames again and again; gives how many there are."""
    target.mkdir()
    index = Index(run)
    facts = {name: index.facts[name] for name in ("model", "rules", "threshold", "post", "size", "regions")}
    kept = [frame for frame in index.frames() if frame.regions is not None and frame.size_hw is not None]
    plain = [
        StoredRegions(f.regions.boxes_xyxy, f.regions.objectness, features_of([f.regions]).numpy())
        for f in kept
        if f.regions is not None
    ]
    count = 0
    with IndexWriter(target, facts, index.precision) as writer:
        tensors = read_checkpoint(classifier_path(index.folder))
        write_safetensors({name: tensors[name] for name in tensors}, classifier_path(writer.folder))
        while count < frames:
            for frame, regions in zip(kept, plain, strict=True):
                assert frame.size_hw is not None
                writer.begin(frame.source)
                writer.write(Frame.without_pixels(frame.size_hw, frame.source.name, frame.index, None), regions)
            count += len(kept)
    return count


def compare(model: str, frames: int, rounds: int, folder: Path, weights: Path) -> None:
    """Prints the figures of one model."""
    options = weights_of(model, weights)
    words = vocabulary_of(model, NUM_WORDS, folder)
    detect_s = {}
    for name, stored in STORED.items():
        run = folder / f"{model}-{name}"
        command = [*OVDET, "detect", *inputs_of(model), *options, *words, "--index", *stored, "--no-masks"]
        measured([*command, "--device", "cpu", "--render", "none", "-q", "-o", str(run)])
        done = json.loads((run / "run.json").read_text(encoding="utf-8"))
        index = Index(run)
        assert index.num_frames is not None
        regions = sum(len(f.regions) for f in index.frames() if f.regions is not None) / index.num_frames
        detect_s[name] = done["timings"]["total_s"] / index.num_frames
        print(
            f"{model}, {name}: detect {detect_s[name]:.3f} s a frame ({index.num_frames} frames), "
            f"{done['counts']['detections'] / index.num_frames:.0f} detections and {regions:.0f} stored regions each, "
            f"{index.num_bytes / index.num_frames / 1000:.1f} kB a frame"
        )
        many = folder / f"{model}-{name}-many"
        count = multiply(run, many, frames if name == "compact" else frames // 4)
        best: dict[Path, tuple[float, float]] = {}
        for asked in [run, many] * rounds:
            out = ["-o", str(folder / "out"), "--overwrite", "-q"]
            took = measured([*OVDET, "query", str(asked), *words, *out])
            best[asked] = min(best.get(asked, (1e9, 1e9)), (took["seconds"], took["cpu_seconds"]))
        each = (best[many][0] - best[run][0]) / (count - index.num_frames)
        own = (best[many][1] - best[run][1]) / (count - index.num_frames)
        print(
            f"{model}, {name}: query {1000 * each:.3f} ms a frame ({1000 * own:.3f} CPU-ms; {count} frames), start-up "
            f"{best[run][0]:.1f} s; detect / query {detect_s[name] / each:.0f}",
            flush=True,
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["detic-swin-b", "builtin"])
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keeps the stand-in weights")
    asked = parser.parse_args()
    print(machine())
    for model in asked.models:
        with tempfile.TemporaryDirectory(dir=asked.folder) as name:
            compare(model, asked.frames, asked.rounds, Path(name), asked.folder or Path(name))


if __name__ == "__main__":
    main()
