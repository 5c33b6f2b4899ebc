"""CLIP's ResNet (arXiv:2103.00020): three-layer stem, strides by average pooling, attention for a pool.

After openai/CLIP a1d07173, clip/model.py (MIT); names are the official ones.
"""

# B pictures, N regions, D embedding width, K channels

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1; a stride is an average pool before the last, and before the shortcut's projection."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        channels = 4 * width
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or in_channels != channels:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        shortcut = x
        if self.stride > 1:
            out, shortcut = F.avg_pool2d(out, self.stride), F.avg_pool2d(x, self.stride)
        if self.downsample is not None:
            shortcut = self.downsample(shortcut)
        return F.relu(self.bn3(self.conv3(out)) + shortcut)


class ClipResNet(nn.Module):
    """Pictures (B, 3, H, W) -> maps at strides 4, 8, 16, 32."""

    def __init__(self, blocks: Sequence[int], width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        in_channels = width
        for i, count in enumerate(blocks):
            own = width * 2**i
            first = Bottleneck(in_channels, own, 1 if i == 0 else 2)
            stage = nn.Sequential(first, *(Bottleneck(4 * own, own, 1) for _ in range(count - 1)))
            self.add_module(f"layer{i + 1}", stage)
            in_channels = 4 * own
        self.num_stages = len(blocks)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(pixels)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        maps = []
        for i in range(self.num_stages):
            x = self.get_submodule(f"layer{i + 1}")(x)
            maps.append(x)
        return maps


class AttentionPool(nn.Module):
    """Pooled maps (N, K, P, P) -> embeddings (N, D): their mean asks all places, itself among them."""

    def __init__(self, channels: int, bins: int, heads: int, embedding: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.zeros(bins * bins + 1, channels))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, embedding)

    def forward(self, pooled: Tensor) -> Tensor:
        places = pooled.flatten(2).transpose(1, 2)
        x = torch.cat((places.mean(dim=1, keepdim=True), places), dim=1) + self.positional_embedding
        q, k, v = (
            project(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, part in ((self.q_proj, x[:, :1]), (self.k_proj, x), (self.v_proj, x))
        )
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))
