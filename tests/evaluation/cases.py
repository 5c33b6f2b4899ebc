"""Ground truth and results of any size, made from a seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ovdet_cli.evaluation.datasets import GroundTruth, read_ground_truth

HEIGHT, WIDTH = 200, 300
NAMES = {3: "cat", 1: "dog", 8: "hot dog", 20: "unseen"}


def write_truth(folder: Path, annotations: list[dict[str, Any]], *, num_images: int = 4) -> Path:
    """Writes annotations on pictures 10, 11 .., called `p10.jpg` and so on."""
    images = [
        {"id": 10 + i, "file_name": f"p{10 + i}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(num_images)
    ]
    categories = [{"id": id_, "name": name} for id_, name in NAMES.items()]
    entries = [{"id": i, **entry} for i, entry in enumerate(annotations)]
    path = folder / "truth.json"
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": entries}))
    return path


def truth_of(folder: Path, annotations: list[dict[str, Any]], **options: Any) -> GroundTruth:
    """The same, read."""
    return read_ground_truth(write_truth(folder, annotations, **options))


def thing(bbox: list[float], category_id: int = 3, image_id: int = 10, **more: Any) -> dict[str, Any]:
    """An annotation, or with `score` a result."""
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, **more}


def random_things(seed: int, count: int, *, num_images: int = 4, with_masks: bool = False) -> list[dict[str, Any]]:
    """Annotations: mostly small and medium objects of three categories; the sixth, twelfth .. is a crowd."""
    rng = np.random.default_rng(seed)
    things = []
    for i in range(count):
        width, height = np.exp(rng.uniform(np.log(8), np.log(150), 2)).tolist()
        box = [rng.uniform(0, WIDTH - width), rng.uniform(0, HEIGHT - height), width, height]
        entry = thing(box, int(rng.choice([3, 1, 8])), 10 + int(rng.integers(num_images)), iscrowd=int(i % 6 == 5))
        entry["area"] = 0.8 * width * height
        if with_masks:
            entry["segmentation"] = ellipse(box) if i % 2 else [rhombus(box)]
        if entry["iscrowd"]:
            entry["segmentation"] = ellipse(box)
        things.append(entry)
    return things


def random_results(seed: int, annotations: list[dict[str, Any]], *, with_masks: bool = False) -> list[dict[str, Any]]:
    """Results near the annotations, some twice, some with another name, and a few anywhere."""
    rng = np.random.default_rng(seed)
    results = []
    for entry in [*annotations, *annotations[::3]]:
        x, y, w, h = entry["bbox"]
        box = [x + rng.normal(0, 0.08 * w), y + rng.normal(0, 0.08 * h), w * rng.uniform(0.8, 1.2), h]
        category = entry["category_id"] if rng.random() < 0.8 else int(rng.choice([3, 1, 8, 20]))
        results.append(thing(box, category, entry["image_id"], score=float(rng.random())))
    for entry in random_things(seed + 1, len(annotations) // 2):
        score = float(rng.random() / 2)
        results += [thing(entry["bbox"], entry["category_id"], entry["image_id"], score=score)]
    if with_masks:
        results = [{**result, "segmentation": ellipse(result["bbox"])} for result in results]
    return results


def rhombus(box: list[float]) -> list[float]:
    """A polygon in the box."""
    x, y, w, h = box
    return [x + w / 2, y, x + w, y + h / 2, x + w / 2, y + h, x, y + h / 2]


def ellipse(box: list[float]) -> dict[str, Any]:
    """Compressed run lengths of an ellipse in the box."""
    x, y, w, h = box
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = ((columns - x - w / 2) / w) ** 2 + ((rows - y - h / 2) / h) ** 2 <= 0.25
    packed = coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {"size": packed["size"], "counts": packed["counts"].decode()}
