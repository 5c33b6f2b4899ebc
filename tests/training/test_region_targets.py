"""Matching, sampling, classes and masks of regions, against the official code's and in their corners."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from ovdet_cli.models.ops.boxes import clip_boxes, decode_deltas
from ovdet_cli.training.region_targets import (
    dynamic_classes,
    encode_deltas,
    federated_classes,
    mask_targets_from_bitmaps,
    mask_targets_from_polygons,
    match,
    sample_rows,
)
from tests.training.reference import official, official_arrays, official_list, unpacked

CLASSES = 20
IOUS = (0.6, 0.7, 0.8)
WEIGHTS = ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0))


def candidates(picture: int) -> Tensor:
    """Proposals with the ground truth behind them."""
    return torch.cat((official(f"roi/proposals.{picture}"), official(f"roi/gt_boxes.{picture}")))


def labels_of(index_R: Tensor, foreground_R: Tensor, picture: int) -> Tensor:
    classes = official(f"roi/gt_classes.{picture}")
    labels = torch.full_like(index_R, CLASSES)
    if len(classes):
        labels[foreground_R] = classes[index_R[foreground_R]]
    return labels


@pytest.mark.parametrize("stage", range(3))
@pytest.mark.parametrize("picture", range(2))
def test_match_equals_the_official(picture: int, stage: int) -> None:
    found = match(official(f"roi/proposals.{picture}"), official(f"roi/gt_boxes.{picture}"), IOUS[stage])
    assert torch.equal(found[0], official(f"roi/match{stage}.{picture}.idx"))
    assert torch.equal(found[1], official(f"roi/match{stage}.{picture}.label") == 1)


def test_match_without_objects_or_regions() -> None:
    index, foreground = match(torch.rand(3, 4), torch.zeros(0, 4), 0.5)
    assert (index.tolist(), foreground.tolist()) == ([0, 0, 0], [False] * 3)
    index, foreground = match(torch.zeros(0, 4), torch.rand(3, 4), 0.5)
    assert (index.dtype, foreground.dtype, len(index)) == (torch.int64, torch.bool, 0)


def test_a_box_without_area_matches_nothing() -> None:
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    assert match(point, point, 0.5)[1].tolist() == [False]


@pytest.mark.parametrize("picture", range(3))
def test_all_rows_are_kept_where_they_fit(picture: int) -> None:
    foreground = match(candidates(picture), official(f"roi/gt_boxes.{picture}"), IOUS[0])[1]
    rows = sample_rows(foreground, 512, 0.9)
    expected = official(f"roi/sampled.{picture}")
    assert sorted(rows.tolist()) == sorted(expected.tolist())
    assert torch.equal(foreground[rows], foreground[expected])  # Foreground first in both.


@pytest.mark.parametrize("picture", range(3))
def test_sampling_draws_as_many_of_each_kind_as_the_official(picture: int) -> None:
    index, foreground = match(candidates(picture), official(f"roi/gt_boxes.{picture}"), IOUS[0])
    rows = sample_rows(foreground, 24, 0.25, torch.Generator().manual_seed(1))
    expected = official(f"roi/sub24/gt_classes.{picture}")
    labels = labels_of(index, foreground, picture)
    assert torch.equal(labels[rows] == CLASSES, expected == CLASSES)
    assert torch.equal(labels[official(f"roi/sub24/sampled.{picture}")], expected)
    assert len(rows.unique()) == len(rows)


def test_sampling_follows_its_generator() -> None:
    foreground = torch.arange(100) < 50
    drawn = [sample_rows(foreground, 20, 0.5, torch.Generator().manual_seed(seed)).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("stage", range(3))
def test_every_stage_learns_from_the_official_boxes_and_labels(stage: int) -> None:
    """Labels of each stage's boxes, and the boxes its deltas hand on: decoded, clipped, empty ones dropped."""
    counts = official(f"roi/stage{stage}/counts").tolist()
    deltas = official(f"roi/stage{stage}/deltas").split(counts)
    for i, (boxes, expected) in enumerate(
        zip(
            official_list(f"roi/stage{stage}/boxes", 3),
            official(f"roi/stage{stage}/gt_classes").split(counts),
            strict=True,
        )
    ):
        index, foreground = match(boxes, official(f"roi/gt_boxes.{i}"), IOUS[stage])
        assert torch.equal(labels_of(index, foreground, i), expected)
        if i < 2:  # The third picture has no objects.
            assert torch.equal(official(f"roi/gt_boxes.{i}")[index], official(f"roi/stage{stage}/gt_boxes.{i}"))
        if stage < 2:
            refined = clip_boxes(
                decode_deltas(deltas[i], boxes, WEIGHTS[stage]), tuple(official(f"roi/size.{i}").tolist())
            )
            refined = refined[(refined[:, 2:] > refined[:, :2]).all(dim=1)]
            torch.testing.assert_close(refined, official(f"roi/stage{stage + 1}/boxes.{i}"), atol=1e-3, rtol=0)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_deltas_lead_to_the_object(weights: tuple[float, float, float, float]) -> None:
    corners = torch.rand(20, 2) * 50
    boxes = torch.cat((corners, corners + 1 + torch.rand(20, 2) * 50), dim=1)
    deltas = encode_deltas(boxes, boxes.flip(0), weights)
    torch.testing.assert_close(decode_deltas(deltas, boxes, weights), boxes.flip(0), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("stage", range(3))
def test_federated_classes_are_those_present_then_drawn_ones(stage: int) -> None:
    labels, weights = official(f"roi/stage{stage}/gt_classes"), official("roi/freq_weight")
    expected = official(f"roi/stage{stage}/fed_classes")
    present = labels.unique()
    assert CLASSES in present  # Background counts.
    assert torch.equal(expected[: len(present)], present)
    for seed in range(20):
        chosen = federated_classes(labels, CLASSES, len(expected), weights, torch.Generator().manual_seed(seed))
        assert torch.equal(chosen[: len(present)], present)
        assert len(chosen.unique()) == len(chosen) == len(expected)
        assert (weights[chosen[len(present) :]] > 0).all()


def test_classes_are_drawn_by_their_weights() -> None:
    weights, generator = torch.tensor([0.0, 1.0, 3.0, 0.0]), torch.Generator().manual_seed(0)
    drawn = Counter(int(federated_classes(torch.tensor([4]), 4, 2, weights, generator)[1]) for _ in range(2000))
    assert set(drawn) == {1, 2}
    assert drawn[2] / 2000 == pytest.approx(0.75, abs=0.04)


def test_none_is_drawn_where_enough_are_present_and_few_where_few_have_weight() -> None:
    assert federated_classes(torch.tensor([3, 0, 3, 5]), 9, 3).tolist() == [0, 3, 5]
    assert federated_classes(torch.tensor([3]), 9, 5, torch.eye(9)[2]).tolist() == [3, 2]


@pytest.mark.parametrize("kind", ["", "image_"])
def test_dynamic_map_equals_the_official(kind: str) -> None:
    expected, columns = official(f"roi/dynamic/{kind}inds"), official(f"roi/dynamic/{kind}cls_id_map")
    # All eight given: nothing is left to draw, and the order is rising.
    chosen, found = dynamic_classes(expected, 40, 8)
    assert torch.equal(chosen, expected.sort().values)
    assert torch.equal(found == 8, columns == 8)
    assert torch.equal(chosen[found[chosen]], chosen)


def test_dynamic_classes_come_from_those_with_weights() -> None:
    present = torch.tensor([25, 3])
    chosen, columns = dynamic_classes(present, 40, 6, torch.ones(10), torch.Generator().manual_seed(0))
    assert chosen[:2].tolist() == [3, 25]
    assert (chosen[2:] < 10).all() and len(chosen.unique()) == 6
    assert columns[chosen].tolist() == list(range(6)) and columns[40] == 6


def mask_inputs(picture: int) -> tuple[Tensor, Tensor]:
    """Objects of the foreground regions of a picture, and their boxes."""
    counts = official("roi/stage0/counts").tolist()
    first = sum(counts[:picture])
    rows = official("roi/mask/fg_rows")
    rows = rows[(rows >= first) & (rows < first + counts[picture])] - first
    return official(f"roi/mask/gt_index.{picture}"), official(f"roi/stage0/boxes.{picture}")[rows]


def test_polygon_masks_equal_the_official_to_the_cell() -> None:
    found = []
    for i in range(2):
        names = [name for name in official_arrays() if name.startswith(f"roi/gt_polygon.{i}.")]
        outlines: list[list] = [[] for _ in official(f"roi/gt_boxes.{i}")]
        for name in sorted(names):
            outlines[int(name.split(".")[2])].append(official_arrays()[name])
        found.append(mask_targets_from_polygons(outlines, *mask_inputs(i)))
    assert torch.equal(torch.cat(found), unpacked("roi/mask/targets", 28))


@pytest.mark.parametrize("picture", range(2))
def test_bitmap_masks_equal_the_official_to_the_cell(picture: int) -> None:
    width = int(official(f"roi/size.{picture}")[1])
    bitmaps = unpacked(f"roi/mask/gt_bitmask.{picture}", width)
    found = mask_targets_from_bitmaps(bitmaps, *mask_inputs(picture))
    assert torch.equal(found, unpacked(f"roi/mask/bitmask_targets.{picture}", 28))


def test_no_regions_no_masks() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert mask_targets_from_bitmaps(torch.zeros(0, 9, 9), none, torch.zeros(0, 4)).shape == (0, 28, 28)
    assert mask_targets_from_polygons([], none, torch.zeros(0, 4)).shape == (0, 28, 28)
