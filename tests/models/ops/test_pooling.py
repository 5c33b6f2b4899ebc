import pytest
import torch
from torchvision.ops import roi_align

from ovdet_cli.models.ops.pooling import assign_levels, pool_regions


def box_of_side(side):
    return [10.0, 10.0, 10.0 + side, 10.0 + side]


@pytest.mark.parametrize(
    ("side", "level"),
    [(0, 3), (0.01, 3), (1, 3), (111.9, 3), (112, 3), (223, 3), (224, 4), (447, 4), (448, 5), (896, 5), (9000, 5)],
)
def test_levels_change_at_powers_of_two_of_224(side, level):
    assert assign_levels(torch.tensor([box_of_side(side)]), 3, 5).tolist() == [level]


def test_the_area_decides_not_a_side():
    assert assign_levels(torch.tensor([[0.0, 0.0, 112.0, 448.0], [0.0, 0.0, 111.0, 448.0]]), 3, 5).tolist() == [4, 3]


def test_levels_of_nothing():
    assert assign_levels(torch.zeros(0, 4), 3, 5).shape == (0,)


def pyramid(pictures=2, channels=4, size=(256, 320)):
    torch.manual_seed(0)
    return [torch.randn(pictures, channels, size[0] // s, size[1] // s) for s in (8, 16, 32)]


def test_one_level_equals_roi_align():
    maps = pyramid()
    boxes = [
        torch.tensor([[3.0, 5.0, 90.0, 70.0], [-20.0, 10.0, 30.5, 200.0]]),
        torch.tensor([[100.0, 100.0, 330.0, 150.0]]),
    ]
    found = pool_regions(maps[:1], boxes, 7)
    wanted = roi_align(maps[0], boxes, 7, spatial_scale=1 / 8, sampling_ratio=0, aligned=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(("side", "level"), [(60, 0), (230, 1), (460, 2)])
def test_every_region_comes_from_its_level_and_its_picture(side, level):
    maps = pyramid()
    other = torch.tensor([box_of_side(30.0)])
    box = torch.tensor([box_of_side(side)])
    found = pool_regions(maps, [torch.cat((other, other)), torch.cat((box, other))], 7)
    wanted = roi_align(maps[level][1:], [box], 7, spatial_scale=1 / (8 << level), sampling_ratio=0, aligned=True)
    torch.testing.assert_close(found[2:3], wanted, rtol=0, atol=0)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert not torch.equal(found[0], found[3])  # the same box in another picture


def test_a_picture_without_boxes_among_others():
    maps = pyramid(3)
    box = torch.tensor([box_of_side(50.0)])
    found = pool_regions(maps, [torch.zeros(0, 4), box, torch.zeros(0, 4)], 7)
    torch.testing.assert_close(found, pool_regions([m[1:2] for m in maps], [box], 7))


def test_no_box_at_all():
    assert pool_regions(pyramid(), [torch.zeros(0, 4), torch.zeros(0, 4)], 14).shape == (0, 4, 14, 14)
