"""Configuration of a ViLD detector: what differs between models, and what a test may shrink."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VildConfig:
    """Mask R-CNN of TensorFlow's TPU detection code with region embeddings in CLIP's space."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Bottlenecks of the four stages."""
    has_image_tower: bool = False
    """ViLD-ensemble: a second tower, taught by CLIP's image embeddings alone."""
    stem: int = 64
    """Channels after the first convolution; the backbone's widths follow from it."""
    channels: int = 256
    """Of the pyramid and of the heads' convolutions."""
    hidden: int = 1024
    """Width of the fully connected layers."""
    embedding: int = 512
    """Width of the text embeddings."""
    temperature: float = 100.0
    """Factor on the cosine between region and text, the background's too."""
    pre_nms_top: int = 1000
    """Anchors kept a level before suppression."""
    num_proposals: int = 1000
    """Proposals of a picture, filled up with empty ones."""
    proposal_iou: float = 0.7
    delta_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)

    @property
    def backbone_name(self) -> str:
        """For people."""
        return f"resnet{3 * sum(self.blocks) + 2}"


R50 = VildConfig()
R152 = VildConfig(blocks=(3, 8, 36, 3))
ENSEMBLE_R50 = VildConfig(has_image_tower=True)
ENSEMBLE_R152 = VildConfig(blocks=(3, 8, 36, 3), has_image_tower=True)
