"""Multi-scale deformable attention (arXiv:2010.04159, section 4.1) in plain PyTorch."""

# B pictures, Q queries, T cells of all levels, L levels, K points a level, N heads, D width, d width of a head

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Every query looks at a few places of every level, near its reference, and sums what it finds there.

    Parameter names are those of fundamentalvision/Deformable-DETR 11169a60 (Apache-2.0).
    """

    def __init__(self, width: int, num_levels: int, num_heads: int, num_points: int) -> None:
        super().__init__()
        self.shape = (num_heads, num_levels, num_points)
        places = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(width, 2 * places)
        self.attention_weights = nn.Linear(width, places)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def forward(
        self, queries: Tensor, references: Tensor, values: Tensor, grids_hw: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Queries (B, Q, D) -> (B, Q, D).

        references: points (B, Q, 2) or boxes (B, Q, 4: centre, size) as fractions of the picture. values: the cells of
        all levels (B, T, D), level by level in rows; grids_hw: each level's sides.
        """
        b, q, d = queries.shape
        offsets = self.sampling_offsets(queries).view(b, q, *self.shape, 2)
        weights = self.attention_weights(queries).view(b, q, self.shape[0], -1).softmax(-1).view(b, q, *self.shape)
        if references.shape[-1] == 2:
            sizes_L2 = torch.tensor([(w, h) for h, w in grids_hw], dtype=offsets.dtype, device=offsets.device)
            offsets = offsets / sizes_L2[:, None]
        else:
            offsets = offsets / self.shape[2] * references[:, :, None, None, None, 2:] * 0.5
        places = references[:, :, None, None, None, :2] + offsets
        return self.output_proj(self._gather(self.value_proj(values), places, weights, grids_hw).view(b, q, d))

    def _gather(
        self, values_BTD: Tensor, places: Tensor, weights: Tensor, grids_hw: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Weighted sums of the values at places (B, Q, N, L, K, 2); bilinear between cells, zero outside."""
        b, q, heads = places.shape[:3]
        found = []
        levels = values_BTD.split([h * w for h, w in grids_hw], dim=1)
        for number, (level, (h, w)) in enumerate(zip(levels, grids_hw, strict=True)):
            maps = level.view(b, h * w, heads, -1).permute(0, 2, 3, 1).reshape(b * heads, -1, h, w)
            where = (2 * places[:, :, :, number] - 1).transpose(1, 2).flatten(0, 1)
            found.append(F.grid_sample(maps, where, mode="bilinear", padding_mode="zeros", align_corners=False))
        sampled = torch.stack(found, dim=-2).flatten(-2)  # (B N, d, Q, L K)
        shares = weights.transpose(1, 2).reshape(b * heads, 1, q, -1)
        return (sampled * shares).sum(-1).view(b, -1, q).transpose(1, 2)
