"""What a query gives back of the detections that `ovdet detect` found with the same words.

    python -m benchmarks.query.recall [--models builtin detic-swin-b detic-r50 vild-ensemble-r50] [--artwork STORE]

Default thresholds, of a compact index (the default) and of an exact one (all regions, fp16). A detection is given back
where the query has one of its class at IoU > 0.9, each counted once. The built-in model is asked its own words of the
samples, of photographs, and with --artwork of 100 drawn scenes as well; the others 80 random words of photographs.
"""

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import box_iou

from benchmarks.query.measured import measured
from benchmarks.query.speed import NUM_WORDS, STORED
from benchmarks.query.stand_ins import OVDET, inputs_of, machine, vocabulary_of, weights_of
from ovdet_cli.detections import Detections
from ovdet_cli.media.images import write_image
from ovdet_cli.results.index import Index
from ovdet_cli.results.jsonl import read_records
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.scenes import SceneConfig, SceneGenerator

MODELS = ("builtin", "detic-swin-b", "detic-r50", "vild-ensemble-r50")
SCENES = 100
IOU = 0.9
SAME_PX = 0.01


@dataclass
class Tally:
    """wanted, given: detections of detect and query; back: those that both have.

    neighbours: of these, by another region, as its own was suppressed. score: the largest difference where the region
    is the same.
    """

    wanted: int = 0
    given: int = 0
    back: int = 0
    neighbours: int = 0
    score: float = 0.0
    per_frame: list[float] = field(default_factory=list)

    def add(self, wanted: Detections, given: Detections) -> None:
        """Pairs a frame's detections, the surest first."""
        self.wanted += len(wanted)
        self.given += len(given)
        overlaps = box_iou(torch.from_numpy(wanted.boxes_xyxy), torch.from_numpy(given.boxes_xyxy)).numpy()
        overlaps[wanted.class_ids[:, None] != given.class_ids[None, :]] = 0
        back = 0
        for row in range(len(wanted)):
            place = int(overlaps[row].argmax()) if len(given) else 0
            if not len(given) or overlaps[row, place] <= IOU:
                continue
            overlaps[:, place] = 0
            back += 1
            if np.abs(wanted.boxes_xyxy[row] - given.boxes_xyxy[place]).max() < SAME_PX:
                self.score = max(self.score, abs(float(wanted.scores[row]) - float(given.scores[place])))
            else:
                self.neighbours += 1
        self.back += back
        self.per_frame.append(back / len(wanted) if len(wanted) else 1.0)


def draw_scenes(artwork: Path, folder: Path) -> Path:
    """Drawn scenes as picture files."""
    folder.mkdir()
    maker = SceneGenerator(Artwork.open(artwork), SceneConfig())
    for seed in range(SCENES):
        write_image(folder / f"{seed:03d}.png", maker.scene(1_000_000 + seed).image)
    return folder


def compare(model: str, inputs: list[str], what: str, folder: Path, weights: Path) -> None:
    """Prints two rows."""
    options = weights_of(model, weights)
    words = vocabulary_of(model, NUM_WORDS, folder)
    for name, stored in STORED.items():
        run, out = folder / f"{model}-{what}-{name}", folder / f"{model}-{what}-{name}-asked"
        command = [*OVDET, "detect", *inputs, *options, *words, "--index", *stored, "--no-masks"]
        measured([*command, "--device", "cpu", "--render", "none", "-q", "-o", str(run)])
        measured([*OVDET, "query", str(run), *words, "-q", "-o", str(out)])
        tally = Tally()
        pairs = zip(read_records(run / "detections.jsonl"), read_records(out / "detections.jsonl"), strict=True)
        for wanted, given in pairs:
            assert (wanted.source, wanted.index) == (given.source, given.index)
            tally.add(wanted.detections, given.detections)
        index = Index(run)
        assert index.num_frames is not None
        print(
            f"| {model} | {what} | {name} | {index.num_frames} | {tally.wanted} | {tally.given} | "
            f"{100 * tally.back / max(tally.wanted, 1):.2f} | {100 * min(tally.per_frame):.1f} | {tally.score:.5f} | "
            f"{tally.neighbours} | {index.num_bytes / index.num_frames / 1000:.1f} |",
            flush=True,
        )


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--artwork", type=Path, help="artwork store of the training package, for drawn scenes")
    parser.add_argument("--folder", type=Path, help="keeps the stand-in weights")
    asked = parser.parse_args()
    print(machine())
    print(
        "| model | pictures | index | frames | detect finds | query finds | given back, % | worst frame, % | largest "
        "score difference | by another region | kB a frame |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        for model in asked.models:
            what = "samples and photographs" if model == "builtin" else "photographs"
            compare(model, inputs_of(model), what, folder, asked.folder or folder)
            if model == "builtin" and asked.artwork:
                scenes = draw_scenes(asked.artwork, folder / "scenes")
                compare(model, [str(scenes)], "drawn scenes", folder, asked.folder or folder)


if __name__ == "__main__":
    main()
