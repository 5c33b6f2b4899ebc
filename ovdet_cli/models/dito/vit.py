"""DITO's vision transformer: windowed attention, and a second, shifted pass that is averaged with the first.

Follows google-research/google-research, fvlm (4c429948, 8d8a4f1b; Apache-2.0): the code, where the paper differs. There
the shifted pass rolls rows up and columns to the right before positions are added, and no attention is masked.
"""

# B pictures, h w grid of tokens, D width, N heads, K windows a side

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention over sequences (B, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in (self.query, self.key, self.value))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A layer whose attention stays within windows, unless there is but one."""

    def __init__(self, width: int, heads: int, windows: int) -> None:
        super().__init__()
        self.windows = windows
        self.ln_1 = nn.LayerNorm(width, eps=_EPS)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, eps=_EPS)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, h, w, D)."""
        b, h, w, d = x.shape
        k = self.windows
        windows = self.ln_1(x).view(b, k, h // k, k, w // k, d).transpose(2, 3).reshape(b * k * k, -1, d)
        attended = self.attn(windows).view(b, k, k, h // k, w // k, d).transpose(2, 3).reshape(b, h, w, d)
        x = x + attended
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    """Pictures (B, 3, H, W) -> a map (B, D, H / patch, W / patch).

    global_layers: those whose attention spans the picture. shift: tokens the second pass is shifted by; 0: one pass.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        *,
        global_layers: tuple[int, ...],
        patch: int,
        positions: int,
        windows: int,
        shift: int,
    ) -> None:
        super().__init__()
        self.shift = shift
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch)
        self.positional_embedding = nn.Parameter(torch.zeros(positions**2, width))
        self.blocks = nn.Sequential(*(Block(width, heads, 1 if i in global_layers else windows) for i in range(layers)))
        self.ln_post = nn.LayerNorm(width, eps=_EPS)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.conv1(pixels).permute(0, 2, 3, 1)
        positions = self.positions((tokens.shape[1], tokens.shape[2]))
        x = self.blocks(tokens + positions)
        if self.shift:
            rolled = torch.roll(tokens, (-self.shift, self.shift), dims=(1, 2))
            x = (x + torch.roll(self.blocks(rolled + positions), (self.shift, -self.shift), dims=(1, 2))) / 2
        return self.ln_post(x).permute(0, 3, 1, 2)

    def positions(self, grid_hw: tuple[int, int]) -> Tensor:
        """Positional embeddings of a grid (h, w, D): the stored ones, resized."""
        stored = self.positional_embedding
        side = round(len(stored) ** 0.5)
        if grid_hw[0] * grid_hw[1] == len(stored):
            return stored.view(*grid_hw, -1)
        maps = stored.view(1, side, side, -1).permute(0, 3, 1, 2)
        return F.interpolate(maps, grid_hw, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
