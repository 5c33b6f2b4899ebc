from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ovdet_cli.models.detic.swin import (
    PatchMerging,
    SwinBackbone,
    SwinBlock,
    WindowAttention,
    build_swin,
    join_windows,
    relative_position_index,
    shifted_window_mask,
    split_windows,
)

INDEX = Path(__file__).parents[2] / "data" / "reference" / "detic" / "swin_b.files" / "relative_position_index.npy"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("size_hw", [(7, 7), (14, 21), (28, 7)])
def test_joining_is_the_inverse_of_splitting(size_hw):
    x = torch.randn(3, *size_hw, 5)
    windows = split_windows(x, 7)
    assert windows.shape == (3 * size_hw[0] * size_hw[1] // 49, 49, 5)
    torch.testing.assert_close(join_windows(windows, 7, size_hw), x, rtol=0, atol=0)


def test_windows_come_picture_by_picture_row_by_row():
    x = torch.arange(2 * 4 * 6).view(2, 4, 6, 1)
    windows = split_windows(x, 2).squeeze(-1)
    assert windows[0].tolist() == [0, 1, 6, 7]
    assert windows[1].tolist() == [2, 3, 8, 9]
    assert windows[6].tolist() == [24, 25, 30, 31]


def test_relative_position_index_equals_the_official_file():
    np.testing.assert_array_equal(relative_position_index(7).numpy(), np.load(INDEX))


@pytest.mark.parametrize("size_hw", [(14, 14), (14, 21), (28, 28)])
def test_the_mask_parts_what_only_the_shift_made_neighbours(size_hw):
    """Tokens of a shifted window see each other if they are less than a window apart in the picture."""
    y, x = torch.meshgrid(torch.arange(size_hw[0]), torch.arange(size_hw[1]), indexing="ij")
    place = torch.stack((y, x), dim=-1)[None]
    tokens = split_windows(torch.roll(place, (-3, -3), dims=(1, 2)), 7)
    distance = (tokens[:, None] - tokens[:, :, None]).abs().amax(dim=-1)
    wanted = torch.where(distance < 7, 0.0, -100.0)
    torch.testing.assert_close(shifted_window_mask(size_hw, 7, 3, CPU), wanted, rtol=0, atol=0)


def test_the_mask_of_a_map_of_one_window():
    """There the official code shifts too, so the window falls apart into four regions."""
    first = shifted_window_mask((7, 7), 7, 3, CPU)[0, 0].view(7, 7)  # what the token at (3, 3) sees
    assert (first[:4, :4] == 0).all()
    assert (first == 0).sum() == 16


def test_attention_equals_the_written_out_formula():
    attention = WindowAttention(12, 3, 4)
    torch.nn.init.normal_(attention.relative_position_bias_table)
    x = torch.randn(6, 16, 12)
    mask = torch.where(torch.rand(3, 16, 16) < 0.3, -100.0, 0.0)
    q, k, v = attention.qkv(x).view(6, 16, 3, 3, 4).unbind(2)
    logits = torch.einsum("nihd,njhd->nhij", q * 4**-0.5, k)
    logits += attention.relative_position_bias_table[relative_position_index(4)].permute(2, 0, 1)
    logits += mask.repeat(2, 1, 1)[:, None]
    wanted = attention.proj(torch.einsum("nhij,njhd->nihd", logits.softmax(-1), v).reshape(6, 16, 12))
    torch.testing.assert_close(attention(x, mask), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [0, 3])
def test_what_lies_beyond_a_window_has_no_say(shift):
    block = SwinBlock(8, 2, 7, shift).eval()
    x = torch.randn(1, 21, 21, 8)
    changed = x.clone()
    changed[:, 20, 20] = 3 * torch.randn(8)
    moved = (block(changed) - block(x)).abs().amax(dim=-1)[0] > 0
    first = 17 if shift else 14  # the window of (20, 20): shifted windows start at 3, 10, 17
    assert moved[first:, first:].all()
    assert not moved[:first].any()
    assert not moved[:, :first].any()


@pytest.mark.parametrize("size_hw", [(5, 9), (7, 7), (8, 15), (1, 1)])
@pytest.mark.parametrize("shift", [0, 3])
def test_padding_comes_before_the_shift_and_takes_part(size_hw, shift):
    """The same as a block on the padded map whose pads are zero after the norm."""
    block = SwinBlock(8, 2, 7, shift).eval()
    x = torch.randn(2, *size_hw, 8)
    h, w = size_hw
    padded = F.pad(block.norm1(x), (0, 0, 0, -w % 7, 0, -h % 7))
    block_without_norm = SwinBlock(8, 2, 7, shift)
    block_without_norm.load_state_dict(block.state_dict())
    wanted = x + block_without_norm._attend(padded)[:, :h, :w]
    wanted = wanted + block.mlp(block.norm2(wanted))
    torch.testing.assert_close(block(x), wanted)


def test_merging_takes_neighbours_in_the_order_of_the_weights():
    merge = PatchMerging(1)
    merge.norm = torch.nn.Identity()
    torch.nn.init.zeros_(merge.reduction.weight)
    x = torch.arange(9.0).view(1, 3, 3, 1)
    for place, wanted in enumerate([[0, 2, 6, 8], [3, 5, 0, 0], [1, 0, 7, 0], [4, 0, 0, 0]]):
        with torch.no_grad():
            merge.reduction.weight.zero_()[0, place] = 1
        assert merge(x)[0, ..., 0].flatten().tolist() == wanted


@pytest.fixture
def backbone():
    model = SwinBackbone(8, (2, 2, 2, 2), (1, 2, 4, 8)).eval()
    for name, parameter in model.named_parameters():
        if "bias_table" in name:
            torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("size_hw", [(64, 96), (32, 32), (75, 61), (224, 224)])
def test_maps_have_the_strides_and_widths(backbone, size_hw):
    maps = backbone(torch.randn(1, 3, *size_hw))
    for i, found in enumerate(maps):
        sides = [-(-side // 4) for side in size_hw]
        for _ in range(i + 1):
            sides = [-(-side // 2) for side in sides]
        assert found.shape == (1, 16 << i, *sides)


def test_a_picture_does_not_depend_on_its_batch_mates(backbone):
    pictures = torch.randn(3, 3, 96, 160)
    for together, alone in zip(backbone(pictures), backbone(pictures[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_stochastic_depth_acts_in_training_alone_and_has_no_weights() -> None:
    torch.manual_seed(0)
    plain, dropping = (SwinBackbone(8, (2, 2, 2, 2), (1, 2, 4, 8), drop_path=rate) for rate in (0.0, 0.9))
    dropping.load_state_dict(plain.state_dict())
    rates = [block.drop_path.drop_prob for stage in dropping.stages for block in stage]
    torch.testing.assert_close(torch.tensor(rates), torch.linspace(0, 0.9, 8))
    pixels = torch.randn(1, 3, 56, 56)
    for kept, dropped in zip(plain.eval()(pixels), dropping.eval()(pixels), strict=True):
        assert torch.equal(kept, dropped)
    first, second = dropping.train()(pixels)[-1], dropping(pixels)[-1]
    assert not torch.equal(first, second)
    assert torch.equal(plain.train()(pixels)[-1], plain(pixels)[-1])


def test_published_sizes_drop_as_they_were_trained() -> None:
    with torch.device("meta"):
        blocks = [block for stage in build_swin("base").stages for block in stage]
    assert (blocks[0].drop_path.drop_prob, round(blocks[-1].drop_path.drop_prob, 6)) == (0.0, 0.3)
