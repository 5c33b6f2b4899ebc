"""Configuration of a DITO detector: what differs between models, and what a test may shrink."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DitoConfig:
    """Two ViTs, one trained and one frozen, a simple feature pyramid, Faster R-CNN with text for a classifier."""

    name: str = "vit-large"
    width: int = 1024
    """Of the ViT's tokens, and of the text embeddings."""
    layers: int = 24
    heads: int = 16
    global_layers: tuple[int, ...] = (5, 11, 17, 23)
    """Layers of the trained ViT whose attention spans the picture, not a window; of the frozen one, the last alone."""
    patch: int = 16
    positions: int = 14
    """Side of the stored grid of positional embeddings."""
    windows: int = 4
    """Windows a side."""
    shift: int = 8
    """Tokens that the second pass is shifted by: half a window."""
    channels: int = 256
    """Of the pyramid and of the heads' convolutions."""
    hidden: int = 1024
    """Width of the fully connected layer."""
    pre_nms_top: int = 2000
    """Anchors kept a level."""
    num_proposals: int = 1000
    """Proposals kept a level, and of a picture."""
    delta_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    region_shrink: float = 0.7
    """What the frozen ViT is asked about: each proposal, shrunk by this around its middle."""
    objectness_power: float = 3.0
    """Of the proposal's score in the final one."""
    base_weight: float = 0.35
    """Of the frozen ViT's probability for a base class (alpha)."""
    novel_weight: float = 0.65
    """Of the same for a novel class (beta)."""

    @property
    def embedding(self) -> int:
        """Width of the text embeddings."""
        return self.width

    @property
    def backbone_name(self) -> str:
        """For people."""
        return f"{self.name}-{self.patch}"


VIT_S = DitoConfig("vit-small", 384, 12, 6, (2, 5, 8, 11))
VIT_B = DitoConfig("vit-base", 768, 12, 12, (2, 5, 8, 11))
VIT_L = DitoConfig()
