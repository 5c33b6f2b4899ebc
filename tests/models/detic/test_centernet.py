import math

import pytest
import torch

from ovdet_cli.models.detic.centernet import STRIDES, CenterNetHead, cell_centres, decode_proposals
from ovdet_cli.models.detic.config import CenterNetConfig

SIZES = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]


def logit(heat):
    return math.log(heat / (1 - heat))


def blank(pictures=1, sizes=SIZES):
    """Head outputs of no heat at all."""
    return [torch.full((pictures, 1, *s), -30.0) for s in sizes], [torch.zeros(pictures, 4, *s) for s in sizes]


def decode(heats, distances, **config):
    return decode_proposals(heats, distances, CenterNetConfig(**config))


@pytest.mark.parametrize("level", range(5))
def test_a_cell_becomes_a_box_around_its_place(level):
    heats, distances = blank()
    row, column = SIZES[level][0] - 1, SIZES[level][1] - 1
    heats[level][0, 0, row, column] = logit(0.36)
    distances[level][0, :, row, column] = torch.tensor([0.5, 1.0, 2.0, 3.0])
    (found,) = decode(heats, distances)
    s = STRIDES[level]
    x, y = column * s + s // 2, row * s + s // 2
    torch.testing.assert_close(found.boxes_P4, torch.tensor([[x - 0.5 * s, y - s, x + 2.0 * s, y + 3.0 * s]]))
    # Quirk 1: the score is the square root of the heat.
    torch.testing.assert_close(found.scores_P, torch.tensor([0.6]))


def test_centres_run_row_by_row():
    assert cell_centres((2, 3), 8, torch.device("cpu")).tolist() == [
        [4, 4],
        [12, 4],
        [20, 4],
        [4, 12],
        [12, 12],
        [20, 12],
    ]


def test_boxes_are_not_clipped():
    heats, distances = blank()
    heats[0][0, 0, 0, 0] = 0.0
    distances[0][0, :, 0, 0] = 100.0
    assert decode(heats, distances)[0].boxes_P4.tolist() == [[-796.0, -796.0, 804.0, 804.0]]


def test_empty_boxes_are_a_hundredth_of_a_pixel():
    heats, distances = blank()
    heats[1][0, 0, 2, 3] = 0.0
    torch.testing.assert_close(decode(heats, distances)[0].boxes_P4, torch.tensor([[56.0, 40.0, 56.01, 40.01]]))


def test_the_heat_threshold_is_strict():
    heats, distances = blank()
    heats[0][0, 0, 0, :3] = torch.tensor([0.0, 0.5, -0.5])  # sigmoid(0) is 0.5 to the bit
    (found,) = decode(heats, distances, heat_threshold=0.5)
    torch.testing.assert_close(found.scores_P, torch.tensor([0.5]).sigmoid().sqrt())


def test_the_default_threshold():
    heats, distances = blank()
    heats[0][0, 0, 0, 0], heats[0][0, 0, 0, 2] = logit(1.1e-4), logit(0.9e-4)
    assert len(decode(heats, distances)[0].scores_P) == 1


def test_every_level_keeps_its_own_best():
    heats, distances = blank()
    torch.manual_seed(0)
    for heat in heats[:2]:
        heat[:] = torch.randn_like(heat)
    (found,) = decode(heats, distances, pre_nms_top=5, nms_iou=1.0)
    wanted = torch.cat([heat.sigmoid().sqrt().flatten().topk(5).values for heat in heats[:2]])
    torch.testing.assert_close(found.scores_P, wanted.sort(descending=True).values)


def test_suppression_is_over_all_levels():
    heats, distances = blank()
    # The same box from a cell of stride 8 and one of stride 16.
    heats[0][0, 0, 1, 1], distances[0][0, :, 1, 1] = 1.0, 4.0
    heats[1][0, 0, 0, 0], distances[1][0, :, 0, 0] = 2.0, torch.tensor([28.0, 28.0, 36.0, 36.0]) / 16
    (found,) = decode(heats, distances)
    torch.testing.assert_close(found.scores_P, torch.sigmoid(torch.tensor([2.0])).sqrt())
    assert len(decode(heats, distances, nms_iou=1.0)[0].scores_P) == 2


def test_proposals_are_the_surest_and_sorted():
    heats, distances = blank()
    torch.manual_seed(0)
    heats[0][:] = torch.randn(1, 1, *SIZES[0])
    (found,) = decode(heats, distances, post_nms_top=256)
    wanted = heats[0].sigmoid().sqrt().flatten().sort(descending=True).values[:256]
    torch.testing.assert_close(found.scores_P, wanted)


def test_a_tie_at_the_last_place_keeps_all_of_them():
    heats, distances = blank()
    heats[0][0, 0, 0, :3] = 2.0
    heats[0][0, 0, 1:15] = 1.0  # 336 cells of one heat
    heats[0][0, 0, 15] = 0.5
    assert len(decode(heats, distances)[0].scores_P) == 3 + 336


def test_no_heat_gives_no_proposals():
    heats, distances = blank(2)
    heats[0][1, 0, 3, 3] = 1.0
    nothing, one = decode(heats, distances)
    assert nothing.boxes_P4.shape == (0, 4)
    assert nothing.scores_P.shape == (0,)
    assert len(one.scores_P) == 1


def test_heat_that_is_no_number_is_no_proposal():
    heats, distances = blank()
    heats[0][:] = math.nan
    assert len(decode(heats, distances)[0].scores_P) == 0


def test_the_head_scales_each_level_before_it_cuts_at_zero():
    torch.manual_seed(0)
    head = CenterNetHead(32, 1)
    maps = [torch.randn(2, 32, *s) for s in SIZES]
    with torch.no_grad():
        _, before = head(maps)
        head.scales[2].fill_(3.0)
        head.scales[4].fill_(-1.0)
        heats, after = head(maps)
    torch.testing.assert_close(after[2], 3 * before[2])
    torch.testing.assert_close(after[0], before[0])
    assert ((before[4] > 0) & (after[4] > 0)).sum() == 0
    assert (after[4] > 0).any()
    assert all((distance >= 0).all() for distance in after)
    assert [tuple(heat.shape) for heat in heats] == [(2, 1, *s) for s in SIZES]
