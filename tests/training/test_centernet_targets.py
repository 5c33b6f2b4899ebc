"""CenterNet's targets, against the official code's and in the corners of a map."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ovdet_cli.models.detic.centernet import STRIDES, decode_proposals
from ovdet_cli.models.detic.config import CenterNetConfig
from ovdet_cli.training.centernet_targets import CenterNetRules, CenterNetTargets, assign_levels, centernet_targets
from tests.training.reference import official, official_list

CASES = ("a", "b", "c")


def shapes_of(size_hw: tuple[int, int], strides: tuple[int, ...] = STRIDES) -> list[tuple[int, int]]:
    return [(size_hw[0] // stride, size_hw[1] // stride) for stride in strides]


def targets_of(case: str) -> CenterNetTargets:
    height, width = official(f"centernet/{case}/padded_size").tolist()
    return centernet_targets(official_list(f"centernet/{case}/gt_boxes", 2), shapes_of((height, width)))


def boxes(*rows: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


@pytest.mark.parametrize("case", CASES)
def test_heat_equals_the_official(case: str) -> None:
    heat, expected = targets_of(case).heat_M, official(f"centernet/{case}/flattened_hms")
    assert torch.equal(heat == 0, expected == 0)
    assert torch.equal(heat == 1, expected == 1)
    torch.testing.assert_close(heat, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_centre_cells_equal_the_official_with_repeats(case: str) -> None:
    found, expected = targets_of(case).centre_cells_P, official(f"centernet/{case}/pos_inds")
    assert found.sort().values.tolist() == expected.sort().values.tolist()


def test_case_a_holds_a_centre_cell_that_two_objects_share() -> None:
    cells = targets_of("a").centre_cells_P
    assert (len(cells), len(cells.unique())) == (14, 13)


@pytest.mark.parametrize("case", CASES)
def test_box_targets_equal_the_official(case: str) -> None:
    targets = targets_of(case)
    assert torch.equal(targets.box_cells_Q, official(f"centernet/{case}/reg_inds").long())
    torch.testing.assert_close(targets.ltrb_Q4, official(f"centernet/{case}/reg_targets"), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("levels/boxes", "levels/mask"),  # At and around the bounds.
        ("a/gt_boxes.0", "a/level_mask.0"),
        ("a/gt_boxes.1", "a/level_mask.1"),
        ("b/gt_boxes.1", "b/level_mask.1"),
    ],
)
def test_levels_equal_the_official_bounds_included(found: str, expected: str) -> None:
    mask = assign_levels(official(f"centernet/{found}"), CenterNetRules())
    assert torch.equal(mask, official(f"centernet/{expected}"))


def test_training_proposals_equal_the_official() -> None:
    config = replace(CenterNetConfig(), pre_nms_top=4000, post_nms_top=2000)
    pictures = decode_proposals(official_list("centernet/b/agn_hm", 5), official_list("centernet/b/ltrb", 5), config)
    for i, found in enumerate(pictures):
        assert len(found.scores_P) == int(official(f"centernet/b/proposals.{i}.count"))
        torch.testing.assert_close(
            found.scores_P[:64], official(f"centernet/b/proposals.{i}.scores"), atol=1e-6, rtol=0
        )
        torch.testing.assert_close(found.boxes_P4[:64], official(f"centernet/b/proposals.{i}.boxes"), atol=1e-3, rtol=0)


def test_pictures_without_objects_have_no_heat_and_no_cells() -> None:
    targets = centernet_targets([boxes(), boxes()], shapes_of((128, 128)))
    assert targets.heat_M.shape == (2 * (256 + 64 + 16 + 4 + 1),)
    assert not targets.heat_M.any()
    assert (len(targets.centre_cells_P), len(targets.box_cells_Q), targets.ltrb_Q4.shape) == (0, 0, (0, 4))


def test_one_box_is_learned_in_the_cells_around_its_centre() -> None:
    rules = CenterNetRules(level_sizes=((0, 80), (64, 160), (128, 1e7)), strides=(8, 16, 32))
    targets = centernet_targets([boxes(), boxes((20, 20, 52, 46))], shapes_of((64, 64), rules.strides), rules)
    # The centre (36, 33) lies in column 4, row 4 of 8 x 8 cells, behind the 64 cells of the first picture.
    centre = 64 + 4 * 8 + 4
    assert targets.centre_cells_P.tolist() == [centre]
    assert targets.box_cells_Q.tolist() == [centre + 8 * dy + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    # At (36, 36): 16, 16, 16 and 10 pixels to the edges, in strides of 8.
    assert targets.ltrb_Q4[4].tolist() == [2.0, 2.0, 2.0, 1.25]
    assert (targets.heat_M == 1).sum() == 3  # Its centre cell on each of the three levels.


def test_cells_outside_a_small_box_learn_no_box() -> None:
    targets = centernet_targets([boxes((33, 33, 39, 39))], shapes_of((128, 128)))
    assert targets.box_cells_Q.tolist() == targets.centre_cells_P.tolist() == [4 * 16 + 4]
    # A box of one pixel that misses its cell's middle is a positive without a box.
    targets = centernet_targets([boxes((33, 33, 34, 34))], shapes_of((128, 128)))
    assert (targets.centre_cells_P.tolist(), targets.box_cells_Q.tolist()) == ([4 * 16 + 4], [])


def learned_at(column: int, row: int, *objects: tuple[float, float, float, float]) -> list[float]:
    """What a cell of the finest level learns, in whatever order the objects come."""
    found = []
    for order in (objects, objects[::-1]):
        targets = centernet_targets([boxes(*order)], shapes_of((256, 256)))
        found.append(dict(zip(targets.box_cells_Q.tolist(), targets.ltrb_Q4.tolist(), strict=True))[row * 32 + column])
    assert found[0] == found[1]
    return found[0]


def test_of_two_objects_the_nearer_for_its_size_has_the_cell() -> None:
    # The middle (68, 60) is 8 pixels from the small one's centre and 10 from the large one's.
    assert learned_at(8, 7, (50, 50, 70, 70), (23, 5, 133, 115)) == [45 / 8, 55 / 8, 65 / 8, 55 / 8]


def test_an_object_keeps_its_own_centre_cell() -> None:
    # For its size the large one is nearer to the middle (60, 60), but the small one's centre lies in that cell.
    assert learned_at(7, 7, (48, 48, 66, 66), (13, 5, 123, 115)) == [12 / 8, 12 / 8, 6 / 8, 6 / 8]


def test_a_box_larger_than_the_picture_stays_on_the_map() -> None:
    targets = centernet_targets([boxes((-50, -70, 900, 800))], shapes_of((128, 128)))
    assert targets.heat_M.max() == 1
    assert targets.centre_cells_P.max() < len(targets.heat_M)
    assert (targets.ltrb_Q4 > 0).all()


def test_rules_and_maps_must_agree() -> None:
    with pytest.raises(ValueError, match="3 levels"):
        centernet_targets([boxes()], [(8, 8), (4, 4), (2, 2)])
    with pytest.raises(ValueError, match="2 strides"):
        CenterNetRules(strides=(8, 16))
