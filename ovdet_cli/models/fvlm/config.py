"""Configuration of an F-VLM detector: what differs between models, and what a test may shrink."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FvlmConfig:
    """CLIP's ResNet, frozen, with Mask R-CNN's heads on it and CLIP's own pooling for a second opinion."""

    name: str = "clip-resnet50"
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Bottlenecks of the four stages."""
    width: int = 64
    """Channels after the stem; the backbone's widths follow from it."""
    pool_heads: int = 32
    """Of the attention that pools a region."""
    pool_bins: int = 7
    """Bins a side of what is pooled so: of CLIP's last map at its own resolution."""
    embedding: int = 1024
    """Width of the text embeddings."""
    channels: int = 256
    """Of the pyramid and of the heads' convolutions."""
    hidden: int = 1024
    """Width of the fully connected layer."""
    pre_nms_top: int = 2000
    """Anchors kept a level before suppression."""
    num_proposals: int = 1000
    """Proposals kept a level, and of a picture."""
    proposal_iou: float = 0.7
    delta_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    base_weight: float = 0.35
    """Of the frozen model's probability for a base class (alpha)."""
    novel_weight: float = 0.65
    """Of the same for a novel class (beta)."""

    @property
    def backbone_name(self) -> str:
        """For people."""
        return self.name


R50 = FvlmConfig()
R50X4 = FvlmConfig("clip-resnet50x4", (4, 6, 10, 6), 80, 40, 9, 640)
R50X16 = FvlmConfig("clip-resnet50x16", (6, 8, 18, 8), 96, 48, 12, 768)
