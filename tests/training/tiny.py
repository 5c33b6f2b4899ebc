"""A Detic small enough to train in a test, and data of every kind to train it on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ovdet_cli.media.images import write_image
from ovdet_cli.models.detic.config import BackboneConfig, CenterNetConfig, DeticConfig
from ovdet_cli.models.spec import Asset, ModelSpec, Preprocess
from ovdet_cli.models.zoo import BUILTIN
from ovdet_cli.training.centernet_targets import CenterNetRules
from ovdet_cli.training.detic import DeticRecipe
from ovdet_cli.training.samples import Sample

CONFIG = DeticConfig(
    BackboneConfig("basic-resnet", "1-1-1-1", (32, 48, 64)),
    CenterNetConfig(num_convs=1, pre_nms_top=60, post_nms_top=30, nms_iou=0.8),
    pyramid_channels=64,  # two a group: torch refuses to norm a map of 1x1 with one
    num_levels=3,
    roi_canonical=64.0,
    hidden=64,
    embedding=16,
    mask_convs=1,
    mask_channels=16,
    temperature=10.0,
    learned_scale=True,
    delta_weights=((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0)),
)
RECIPE = DeticRecipe(
    CenterNetRules(((0, 24), (16, 48), (32, 1e7)), (8, 16, 32)),
    CenterNetConfig(pre_nms_top=60, post_nms_top=30),
    match_ious=(0.5, 0.6),
    regions=24,
    positive_share=0.5,
    federated=0,
)
PREPROCESS = Preprocess(64, 96)
SPEC: ModelSpec = replace(
    BUILTIN,
    name="tiny",
    stem="tiny",
    config=CONFIG,
    weights=Asset("tiny", "weights", "https://example.org/tiny.pth", 1, "none"),
    preprocess=PREPROCESS,
)
RECIPE_TOML = """
[recipe]
match_ious = [0.5, 0.6]
regions = 24
positive_share = 0.5
federated = 0
[recipe.centernet]
level_sizes = [[0, 24], [16, 48], [32, 1e7]]
strides = [8, 16, 32]
[recipe.proposals]
pre_nms_top = 60
post_nms_top = 30
"""
COLOURS = ((220, 40, 40), (40, 200, 60), (50, 80, 230))


def picture(objects: list[tuple[int, tuple[int, int, int, int]]], size: int = 64, seed: int = 0) -> np.ndarray:
    """Grey noise with filled boxes (x1 y1 x2 y2) in their class's colour, uint8 (size, size, 3)."""
    image = np.random.default_rng(seed).integers(100, 140, (size, size, 3), dtype=np.uint8)
    for class_id, (x1, y1, x2, y2) in objects:
        image[y1:y2, x1:x2] = COLOURS[class_id % 3]
    return image


def sample(objects: list[tuple[int, tuple[int, int, int, int]]], size: int = 64, seed: int = 0) -> Sample:
    """The picture with boxes, and masks that fill them."""
    boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
    masks = np.zeros((len(objects), size, size), bool)
    for mask, (_, (x1, y1, x2, y2)) in zip(masks, objects, strict=True):
        mask[y1:y2, x1:x2] = True
    return Sample(picture(objects, size, seed), boxes, np.array([c for c, _ in objects], np.int64), masks)


def labelled(class_id: int, seed: int = 0) -> Sample:
    """A picture of which only the class is known."""
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return Sample(picture([(class_id, (10, 12, 50, 44))], seed=seed), *nothing, labels=np.array([class_id]))


def write_coco(folder: Path, names: tuple[str, ...] = ("cat", "dog"), count: int = 4) -> Path:
    """COCO annotations with their pictures: one object each, the last picture without any."""
    (folder / "pictures").mkdir(parents=True)
    images, annotations = [], []
    for i in range(count):
        box = (8 + i, 10, 40 + i, 46)
        objects = [(i % len(names), box)] if i + 1 < count else []
        write_image(folder / "pictures" / f"{i}.png", picture(objects, seed=i))
        images.append({"id": i + 1, "file_name": f"{i}.png", "height": 64, "width": 64})
        for class_id, (x1, y1, x2, y2) in objects:
            outline = [x1, y1, x2, y1, x2, y2, x1, y2]
            annotations.append(
                {"id": i, "image_id": i + 1, "category_id": class_id + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
                | {"area": (x2 - x1) * (y2 - y1), "segmentation": [outline], "iscrowd": 0}
            )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    path = folder / "boxes.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def write_labelled(folder: Path, names: tuple[str, ...] = ("dog", "fox")) -> Path:
    """A folder of pictures for each class."""
    for class_id, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(2):
            write_image(folder / name / f"{i}.png", labelled(class_id, seed=i).image)
    return folder


def write_artwork(folder: Path, names: tuple[str, ...] = ("square", "bar")) -> Path:
    """An artwork store: a drawing of each name in two styles, pixels written by hand."""
    folder.mkdir(parents=True)
    rows, blocks, start = [], [], 0
    for style in ("noto", "twemoji"):
        for category, name in enumerate(names):
            block = np.full((40, 40 - 20 * category, 4), 255, np.uint8)
            block[..., :3] = COLOURS[category]
            rows.append([style, name, category, 0, start, *block.shape[:2]])
            start += block.size
            blocks.append(block.tobytes())
    (folder / "pixels.bin").write_bytes(b"".join(blocks))
    index = {"version": 1, "sha256": "00", "bytes": start, "sources": [], "categories": names, "drawings": rows}
    (folder / "index.json").write_text(json.dumps(index))
    return folder
