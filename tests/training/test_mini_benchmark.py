"""The miniature benchmark's frozen list, its seeds and its report; the benchmark itself takes hours."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.mini import report, stages
from benchmarks.mini.classes import ROLES, load_classes
from benchmarks.mini.export import coco_of
from benchmarks.mini.measure import truth_with_masks
from benchmarks.mini.pictures import TEST_SETS, renamed
from ovdet_cli.errors import InputError
from ovdet_cli.evaluation.datasets import read_ground_truth
from ovdet_cli.training.categories import load_categories
from ovdet_cli.training.samples import Sample


def test_the_frozen_list_agrees_with_the_categories() -> None:
    classes = load_classes()
    known = {category.name: category for category in load_categories()}
    assert (len(classes.base), len(classes.novel), len(classes.kinds)) == (96, 24, 13)
    assert len(set(classes.names)) == len(classes.names)
    assert all(not known[name].novel for name in classes.base)
    assert all(known[name].novel for name in classes.novel)
    assert {known[name].subgroup for name in classes.kinds} == {"food-fruit"}
    assert not any(known[name].subgroup == "food-fruit" for name in (*classes.base, *classes.novel))
    assert classes.parent not in known


def test_class_ids_put_those_with_boxes_first() -> None:
    classes = load_classes()
    assert [i for role in ROLES for i in classes.ids(role)] == list(range(len(classes.names)))
    assert list(classes.ids("parent")) == [classes.num_boxed - 1]
    assert classes.names[classes.ids("novel")[0]] == classes.novel[0]


def test_a_list_with_a_wrong_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("base\tdog\nnovle\tcat\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        load_classes(path)


def test_columns_do_not_depend_on_a_seed_and_tell_all_names_apart() -> None:
    classes = load_classes()
    columns = stages.class_columns(classes, "random")
    torch.manual_seed(5)
    assert torch.equal(columns, stages.class_columns(classes, "random"))
    cosines = columns @ columns.T - torch.eye(len(columns))
    assert cosines.abs().max() < 0.4  # random directions in 192 dimensions


def test_boxes_teach_nothing_about_classes_without_boxes() -> None:
    classes = load_classes()
    torch.manual_seed(0)
    trained = stages.build(classes, "random", stages.RECIPE)
    trained.class_vectors.requires_grad_(True)
    sample = _sample(class_id=3)
    from benchmarks.mini.pictures import PREPROCESS
    from ovdet_cli.training.batches import make_batch

    losses = stages.BenchmarkLosses(trained, stages.RECIPE, classes.num_boxed, frozen_norms=False)
    total = torch.stack(list(losses(make_batch([sample], PREPROCESS), torch.Generator().manual_seed(0)).values())).sum()
    (gradient,) = torch.autograd.grad(total, trained.class_vectors)
    assert gradient[: classes.num_boxed].abs().sum() > 0
    assert not gradient[classes.num_boxed :].any()


def test_the_control_sees_as_many_batches_of_boxes() -> None:
    plan = stages.Plan(iterations=900, box_batch=8, label_batch=32, label_ratio=4.0)
    boxes, max_size = stages.STAGES[:2]
    assert (plan.iterations_of(boxes), plan.iterations_of(max_size)) == (450, 900)
    assert stages.Plan(iterations=900, label_ratio=8.0).iterations_of(boxes) == 300


def test_an_exported_set_is_a_coco_file_with_masks(tmp_path: Path) -> None:
    sample = renamed(_sample(class_id=1), np.array([-1, 7]))
    truth = truth_with_masks([sample], load_classes().names)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(coco_of(truth)), encoding="utf-8")
    read = read_ground_truth(path)
    assert [thing.category_id for thing in read.objects] == [8]
    assert read.objects[0].area == 20 * 30 and read.objects[0].box_xywh == (10, 20, 20, 30)
    assert read.categories == truth.categories


def test_the_report_gives_mean_range_and_difference() -> None:
    numbers = {("boxes", 0): 1.0, ("boxes", 1): 3.0, ("max_size", 0): 21.0, ("max_size", 1): 27.0}
    text = report.text_of([_line(stage, seed, novel) for (stage, seed), novel in numbers.items()])
    assert "max-size minus box-supervised, AP50 on new scenes: novel 22.0 (20.0 .. 24.0), base 0.0 (0.0 .. 0.0)" in text
    assert "| box-supervised: more base boxes | 2.0 (1.0 .. 3.0) |" in text


def _sample(class_id: int) -> Sample:
    masks = np.zeros((1, 64, 96), bool)
    masks[0, 20:50, 10:30] = True
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8)
    boxes = np.array([[10, 20, 30, 50]], np.float32)
    return Sample(image, boxes, np.array([class_id], np.int64), masks)


def _line(stage: str, seed: int, novel: float) -> dict[str, object]:
    groups = {"novel": {"ap50": novel}, "base": {"ap50": 50.0}, "kind": {"ap50": None}}
    return {
        "seed": seed,
        "stage": stage,
        "cpu_seconds": 300,
        "date": "2026-01-01",
        "processor": "one",
        "torch": "2",
        "artwork": "0123456789abcdef",
        "plan": {"iterations": 900},
        "sets": {name: {"box": groups, "mask": groups} for name in TEST_SETS},
    }
