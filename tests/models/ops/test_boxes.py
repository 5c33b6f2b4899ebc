import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.models.ops.boxes import clip_boxes, decode_deltas, suppress

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
places = st.floats(-500, 2000, width=32)
sides = st.floats(4, 1500, width=32)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), places, places, sides, sides)


def encode(target, box, weights):
    """The deltas that move `box` to `target`: Faster R-CNN (arXiv:1506.01497), eq. 2, the parametrised targets."""
    (x1, y1, x2, y2), (a1, b1, a2, b2) = target, box
    w, h, wa, ha = x2 - x1, y2 - y1, a2 - a1, b2 - b1
    deltas = (((x1 + x2) - (a1 + a2)) / 2 / wa, ((y1 + y2) - (b1 + b2)) / 2 / ha, math.log(w / wa), math.log(h / ha))
    return [weight * delta for weight, delta in zip(weights, deltas, strict=True)]


@given(box=boxes, target=boxes, weights=st.sampled_from([WEIGHTS, (30.0, 20.0, 15.0, 3.0)]))
def test_decoding_is_the_inverse_of_encoding(box, target, weights):
    if max(target[2] - target[0], target[3] - target[1]) / min(box[2] - box[0], box[3] - box[1]) > 1000 / 16:
        return
    deltas = torch.tensor([encode(target, box, weights)], dtype=torch.float64)
    found = decode_deltas(deltas, torch.tensor([box], dtype=torch.float64), weights)
    torch.testing.assert_close(found, torch.tensor([target], dtype=torch.float64), rtol=1e-9, atol=1e-6)


def test_no_deltas_leave_a_box_where_it_is():
    box = torch.tensor([[10.0, 20.0, 40.0, 30.0], [5.0, 5.0, 5.0, 5.0]])
    torch.testing.assert_close(decode_deltas(torch.zeros(2, 4), box, WEIGHTS), box)


@pytest.mark.parametrize("delta", [1000.0, 5 * math.log(1000 / 16), 1e30])
def test_a_box_grows_1000_16ths_at_most(delta):
    found = decode_deltas(
        torch.tensor([[0.0, 0.0, delta, delta]]), torch.tensor([[100.0, 100.0, 116.0, 108.0]]), WEIGHTS
    )
    assert (found[0, 2] - found[0, 0]).item() == pytest.approx(1000, rel=1e-5)
    assert (found[0, 3] - found[0, 1]).item() == pytest.approx(500, rel=1e-5)


def test_a_box_may_shrink_without_limit():
    found = decode_deltas(torch.tensor([[0.0, 0.0, -500.0, 0.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]]), WEIGHTS)
    assert found[0, 2] == pytest.approx(found[0, 0].item(), abs=1e-5)


def test_clipping():
    found = clip_boxes(
        torch.tensor([[-5.0, -6.0, 700.0, 500.0], [3.0, 4.0, 5.0, 6.0], [700.0, -9.0, 800.0, -1.0]]), (480, 640)
    )
    assert found.tolist() == [[0, 0, 640, 480], [3, 4, 5, 6], [640, 0, 640, 0]]
    assert clip_boxes(torch.zeros(0, 4), (4, 4)).shape == (0, 4)


def test_suppression_is_within_a_class_and_surest_first():
    box = torch.tensor(
        [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.9], [50.0, 50.0, 60.0, 60.0]]
    )
    keep = suppress(box, torch.tensor([0.5, 0.6, 0.9, 0.1]), torch.tensor([0, 0, 1, 0]), 0.5)
    assert keep.tolist() == [2, 1, 3]


def test_suppression_is_above_the_limit_only():
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])  # IoU one half
    scores, ids = torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.long)
    assert suppress(box, scores, ids, 0.5).tolist() == [0, 1]
    assert suppress(box, scores, ids, 0.499).tolist() == [0]


def test_suppression_of_nothing():
    assert suppress(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5).tolist() == []


def test_few_boxes_are_kept_apart_by_an_offset_as_in_the_official_code():
    """torchvision's trick loses precision with many classes: an IoU just above the limit may come out on it."""
    torch.manual_seed(0)
    box = torch.rand(300, 2).mul(800).repeat(1, 2)
    box[:, 2:] += torch.rand(300, 2) * 60 + 1
    box, scores, ids = box.repeat(3, 1), torch.rand(900), torch.randint(0, 1203, (900,))
    from torchvision.ops import nms

    shift = ids.to(box) * (box.max() + 1)
    assert suppress(box, scores, ids, 0.5).tolist() == nms(box + shift[:, None], scores, 0.5).tolist()
