"""Swin Transformer (arXiv:2103.14030) as a detection backbone.

Follows SwinTransformer/Swin-Transformer-Object-Detection (MIT) as used by facebookresearch/Detic 436cda2a. Not timm's:
timm shifts the map before it pads it to whole windows, the code that trained these weights pads first, so the two
differ wherever a side is no multiple of the window. Differences from the official code: none in arithmetic; the
attention mask of a size is built once and kept.
"""

# B pictures, H W map size, C channels, W windows, T tokens of a window, h heads

from functools import lru_cache

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

SIZES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    # name: width of the first stage, blocks a stage, heads a stage (arXiv:2103.14030, section 3.3)
    "tiny": (96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": (96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": (128, (2, 2, 18, 2), (4, 8, 16, 32)),
}
# Stochastic depth in training: the last block's chance to be left out (facebookresearch/Detic, `swintransformer.py`).
DROP_PATH = {"tiny": 0.2, "small": 0.2, "base": 0.3}


def split_windows(x_BHWC: Tensor, window: int) -> Tensor:
    """A map whose sides are multiples of `window` -> its windows (B * W, window * window, C)."""
    b, h, w, c = x_BHWC.shape
    x = x_BHWC.view(b, h // window, window, w // window, window, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, c)


def join_windows(windows: Tensor, window: int, size_hw: tuple[int, int]) -> Tensor:
    """The inverse of `split_windows`: (B, H, W, C)."""
    h, w = size_hw
    x = windows.view(-1, h // window, w // window, window, window, windows.shape[-1])
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, h, w, windows.shape[-1])


@lru_cache(maxsize=16)
def shifted_window_mask(size_hw: tuple[int, int], window: int, shift: int, device: torch.device) -> Tensor:
    """Additive attention mask (W, T, T): -100 between tokens that only the cyclic shift made neighbours."""
    region = torch.zeros(size_hw, device=device)
    bounds = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(bounds):
        for j, columns in enumerate(bounds):
            region[rows, columns] = 3 * i + j
    tokens = split_windows(region[None, :, :, None], window).squeeze(-1)
    return torch.where(tokens[:, None] == tokens[:, :, None], 0.0, -100.0)


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens in a window, int64 (T, T)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()
    dy = y[:, None] - y[None] + window - 1
    dx = x[:, None] - x[None] + window - 1
    return dy * (2 * window - 1) + dx


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for every relative position."""

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, num_heads))
        self.register_buffer("relative_position_index", relative_position_index(window), persistent=False)

    def forward(self, x_NTC: Tensor, mask_WTT: Tensor | None) -> Tensor:
        n, t, c = x_NTC.shape
        q, k, v = self.qkv(x_NTC).view(n, t, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        index = self.get_buffer("relative_position_index")
        bias = self.relative_position_bias_table[index.view(-1)].view(t, t, -1).permute(2, 0, 1)[None]
        if mask_WTT is not None:
            w = len(mask_WTT)
            bias = (bias + mask_WTT[:, None].to(bias.dtype)).repeat(n // w, 1, 1, 1)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype).expand(n, -1, -1, -1))
        return self.proj(x.transpose(1, 2).reshape(n, t, c))


class SwinBlock(nn.Module):
    """LayerNorm, (shifted) window attention, LayerNorm, MLP, each with a residual.

    drop_path: in training, the chance of each picture that a residual is left out (arXiv:1603.09382).
    """

    def __init__(self, dim: int, num_heads: int, window: int, shift: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop_path = DropPath(drop_path)

    def _attend(self, x_BHWC: Tensor) -> Tensor:
        _, h, w, _ = x_BHWC.shape
        # The zeros take part in attention: that is how the weights were trained.
        x = F.pad(x_BHWC, (0, 0, 0, -w % self.window, 0, -h % self.window))
        size_hw = (x.shape[1], x.shape[2])
        mask = None
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), dims=(1, 2))
            mask = shifted_window_mask(size_hw, self.window, self.shift, x.device)
        x = join_windows(self.attn(split_windows(x, self.window), mask), self.window, size_hw)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), dims=(1, 2))
        return x[:, :h, :w]

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x = x_BHWC + self.drop_path(self._attend(self.norm1(x_BHWC)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    """Halves the resolution: four neighbours side by side, LayerNorm, linear."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        _, h, w, _ = x_BHWC.shape
        x = F.pad(x_BHWC, (0, 0, 0, w % 2, 0, h % 2))
        # (row, column) offsets in the order of the weights: (0, 0) (1, 0) (0, 1) (1, 1)
        x = torch.cat((x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]), dim=-1)
        return self.reduction(self.norm(x))


class SwinBackbone(nn.Module):
    """Pictures (B, 3, H, W) -> maps at strides 8, 16, 32 (B, C, h, w), each through its own LayerNorm.

    drop_path: of the last block; the others' rise evenly from 0.
    """

    def __init__(
        self,
        width: int,
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        window: int = 7,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, stride=4)
        self.patch_norm = nn.LayerNorm(width)
        widths = [width * 2**i for i in range(len(depths))]
        rates = iter([drop_path * i / (sum(depths) - 1) for i in range(sum(depths))])
        self.stages = nn.ModuleList(
            nn.Sequential(*(SwinBlock(dim, num, window, (b % 2) * (window // 2), next(rates)) for b in range(depth)))
            for dim, num, depth in zip(widths, heads, depths, strict=True)
        )
        self.merges = nn.ModuleList(PatchMerging(dim) for dim in widths[:-1])
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in widths[1:])

    def forward(self, pixels: Tensor) -> list[Tensor]:
        pixels = F.pad(pixels, (0, -pixels.shape[-1] % 4, 0, -pixels.shape[-2] % 4))
        x = self.patch_norm(self.patch(pixels).permute(0, 2, 3, 1))
        x = self.stages[0](x)
        maps = []
        for merge, stage, norm in zip(self.merges, list(self.stages)[1:], self.norms, strict=True):
            x = stage(merge(x))
            maps.append(norm(x).permute(0, 3, 1, 2).contiguous())
        return maps


def build_swin(size: str) -> SwinBackbone:
    """Swin of a published size with windows of 7."""
    return SwinBackbone(*SIZES[size], drop_path=DROP_PATH[size])
