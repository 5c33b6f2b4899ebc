"""Writes a set of the benchmark as COCO-format pictures, so that any detector can be measured on it.

    python -m benchmarks.mini.export --artwork FOLDER --set "new scenes" --out FOLDER

Makes OUT/annotations.json (boxes, masks as run lengths, all names as categories), OUT/pictures/0001.png .., and the
names: OUT/classes.txt, the whole vocabulary, and OUT/novel.txt, those without boxes in training.
"""

import argparse
import json
from pathlib import Path

import cv2

from benchmarks.mini.classes import load_classes
from benchmarks.mini.measure import truth_with_masks
from benchmarks.mini.pictures import TEST_SETS, test_pictures
from ovdet_cli.evaluation.datasets import GroundTruth
from ovdet_cli.training.artwork import Artwork


def coco_of(truth: GroundTruth) -> dict[str, list[dict[str, object]]]:
    """The truth as COCO's annotation file has it."""
    images = []
    for image in truth.images:
        assert image.size_hw is not None
        height, width = image.size_hw
        images.append({"id": image.id, "file_name": image.file_name, "width": width, "height": height})
    annotations = [
        {
            "id": number,
            "image_id": thing.image_id,
            "category_id": thing.category_id,
            "bbox": list(thing.box_xywh),
            "area": thing.area,
            "iscrowd": 0,
            "segmentation": thing.segmentation,
        }
        for number, thing in enumerate(truth.objects, start=1)
    ]
    categories = [{"id": id_, "name": name} for id_, name in truth.categories.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def main() -> None:
    """Draws and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artwork", type=Path, required=True, help="artwork store")
    parser.add_argument("--set", choices=list(TEST_SETS), default="new scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder to be made")
    asked = parser.parse_args()
    classes = load_classes()
    samples = test_pictures(Artwork.open(asked.artwork), classes, asked.set)
    truth = truth_with_masks(samples, classes.names)
    folder = asked.out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for image, sample in zip(truth.images, samples, strict=True):
        cv2.imwrite(str(folder / image.file_name), cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR))
    (asked.out / "annotations.json").write_text(json.dumps(coco_of(truth)), encoding="utf-8")
    no_boxes = [classes.names[i] for role in ("novel", "kind") for i in classes.ids(role)]
    for name, words in (("classes.txt", classes.names), ("novel.txt", no_boxes)):
        (asked.out / name).write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    print(f"{len(samples)} pictures, {len(truth.objects)} objects in {asked.out}")


if __name__ == "__main__":
    main()
