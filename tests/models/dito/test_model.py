"""DITO's own arithmetic; equality with the official code is in tests/parity/test_dito.py."""

import torch
import torch.nn.functional as F

from ovdet_cli.models.dito.model import NormedConv2d, NormedLinear
from ovdet_cli.models.dito.vit import Block, VisionTransformer
from ovdet_cli.models.interface import Regions, TextRows
from ovdet_cli.models.ops.proposals import keep_first_of_equals, pick_proposals
from ovdet_cli.models.ops.vlm_scores import join_scores
from tests.models.dito.tiny import TINY, build_tiny


def small_vit(**changes) -> VisionTransformer:
    torch.manual_seed(0)
    settings = {"global_layers": (1,), "patch": 16, "positions": 14, "windows": 2, "shift": 0, **changes}
    vit = VisionTransformer(16, 2, 2, **settings).eval()
    with torch.no_grad():
        vit.positional_embedding.normal_()
    return vit


@torch.inference_mode()
def test_attention_stays_in_its_window():
    torch.manual_seed(0)
    block = Block(16, 2, windows=2).eval()
    x = torch.randn(1, 8, 8, 16)
    changed = x.clone()
    changed[:, :4, 4:] += 1  # the upper right window
    difference = (block(changed) - block(x)).abs().amax(dim=-1)[0]
    assert (difference[:4, 4:] > 0).all()
    difference[:4, 4:] = 0
    assert not difference.any()


@torch.inference_mode()
def test_the_shifted_pass_is_averaged_with_the_first():
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    one, both = small_vit(), small_vit(shift=2)
    both.load_state_dict(one.state_dict())
    tokens = one.conv1(pixels).permute(0, 2, 3, 1)
    positions = one.positions((8, 8))
    plain = one.blocks(tokens + positions)
    # rows up, columns to the right; positions stay where they are
    shifted = one.blocks(torch.roll(tokens, (-2, 2), dims=(1, 2)) + positions)
    mean = (plain + torch.roll(shifted, (2, -2), dims=(1, 2))) / 2
    torch.testing.assert_close(both(pixels), one.ln_post(mean).permute(0, 3, 1, 2))


def test_stored_positions_are_taken_as_they_are_or_resized():
    vit = small_vit()
    torch.testing.assert_close(vit.positions((14, 14)).flatten(0, 1), vit.positional_embedding)
    larger = vit.positions((28, 28))
    assert larger.shape == (28, 28, 16)
    torch.testing.assert_close(larger.mean(dim=(0, 1)), vit.positional_embedding.mean(dim=0), atol=0.1, rtol=0)


def test_normed_layers_know_no_length():
    torch.manual_seed(0)
    dense, conv = NormedLinear(8, 5), NormedConv2d(8, 5, 3, padding=1)
    x, maps = torch.randn(4, 8), torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(dense(3 * x), dense(x))
    torch.testing.assert_close(dense(x), 20 * F.normalize(x, dim=1) @ F.normalize(dense.weight, dim=1).T)
    torch.testing.assert_close(conv(3 * maps), conv(maps))
    wide = NormedConv2d(8, 5, 3, padding=1)
    wide.load_state_dict({"weight": 7 * conv.weight, "bias": conv.bias})
    torch.testing.assert_close(wide(maps), conv(maps))


def test_equal_boxes_are_one_proposal():
    boxes = torch.tensor([[1.0, 1, 5, 5], [2, 2, 6, 6], [1, 1, 5, 5], [3, 3, 3, 9], [3, 3, 3, 9], [0, 0, 0, 0]])
    assert keep_first_of_equals(boxes, torch.zeros(6)).tolist() == [0, 1, 3, 4], "lines overlap nothing"
    scores = torch.tensor([0.1, 0.9, 0.8, 0.2, 0.3, 1.0])
    found, kept = pick_proposals([(boxes, scores), (boxes, scores)], keep_first_of_equals, pre_nms_top=4, count=3)
    torch.testing.assert_close(kept, torch.tensor([0.9, 0.9, 0.8]))
    assert found.tolist() == [[2, 2, 6, 6], [2, 2, 6, 6], [1, 1, 5, 5]]


def test_base_classes_trust_the_detector_more():
    torch.manual_seed(0)
    detector, vlm = torch.randn(3, 6), torch.randn(3, 6)
    is_novel = torch.tensor([True, False, True])
    scores = join_scores(detector, vlm, is_novel, 3, (0.35, 0.65), has_background=True)
    p, z = detector.softmax(1), vlm.softmax(1)
    weight = torch.tensor([0, 0.65, 0.35, 0.65, 0.65, 0.65])  # background, three classes, two of padding
    wanted = p ** (1 - weight) * z**weight
    torch.testing.assert_close(scores, (wanted / wanted.sum(1, keepdim=True))[:, 1:])


@torch.inference_mode()
def test_centerness_counts_three_times():
    model = build_tiny()
    features = F.normalize(torch.randn(2, 2, TINY.width), dim=2)
    texts, rows = torch.randn(3, TINY.width), TextRows(torch.randn(TINY.width), torch.randn(TINY.width), 8)
    half, whole = (
        model.classify(Regions(torch.zeros(2, 4), torch.full((2,), c), features), texts, None, rows) for c in (0.5, 1.0)
    )
    assert half.shape == (2, 7), "three classes and four rows of padding"
    torch.testing.assert_close(half * 8, whole)
    assert model.classify(Regions(torch.zeros(2, 4), torch.ones(2), features), texts).shape == (2, 3)


def test_a_long_list_has_no_padding():
    rows = TextRows(torch.zeros(4), torch.ones(4), 3)
    assert rows.num_padding(5) == 0
    assert rows.num_padding(1) == 1
