"""Configuration of a Detic detector with CenterNet2 heads: what differs between models, and nothing else."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BackboneConfig:
    """Which backbone, and the channels of the three maps (strides 8, 16, 32) that the FPN takes."""

    kind: str
    """"swin", "timm-resnet" or "timm-convnext"."""
    variant: str
    """timm's name, or a Swin size ("base")."""
    channels: tuple[int, int, int]
    """Channels at strides 8, 16, 32."""


@dataclass(frozen=True)
class CenterNetConfig:
    """The CenterNet proposal head and how its output becomes proposals (inference values of Detic's configs)."""

    num_convs: int = 4
    """Convolutions of the shared tower."""
    heat_threshold: float = 1e-4
    """Cells at or under this heat are never proposals."""
    pre_nms_top: int = 1000
    """Cells kept a level before suppression."""
    nms_iou: float = 0.9
    """IoU of the class-agnostic suppression."""
    post_nms_top: int = 256
    """Proposals kept a picture (a tie at the last place keeps all of them)."""


@dataclass(frozen=True)
class DeticConfig:
    """A Detic detector: backbone, FPN P3-P7, CenterNet proposals, cascade, class-agnostic masks."""

    backbone: BackboneConfig
    proposals: CenterNetConfig = field(default_factory=CenterNetConfig)
    pyramid_channels: int = 256
    """Channels of P3 to P7."""
    roi_levels: int = 3
    """Levels that regions are pooled from, finest first: P3, P4, P5."""
    box_pool: int = 7
    """Bins a side of the pooled box feature."""
    mask_pool: int = 14
    """Bins a side of the pooled mask feature; the mask has twice as many."""
    hidden: int = 1024
    """Width of the two fully connected layers of a stage."""
    embedding: int = 512
    """Width of the text embeddings."""
    mask_convs: int = 4
    """3x3 convolutions of the mask head."""
    temperature: float = 50.0
    """Factor on the cosine between region and text."""
    delta_weights: tuple[tuple[float, float, float, float], ...] = (
        (10.0, 10.0, 5.0, 5.0),
        (20.0, 20.0, 10.0, 10.0),
        (30.0, 30.0, 15.0, 15.0),
    )
    """Box delta weights, one row a cascade stage."""

    def __post_init__(self) -> None:
        if not self.delta_weights:
            raise ValueError("a cascade needs at least one stage")
        if not 1 <= self.roi_levels <= 5:
            raise ValueError(f"regions are pooled from 1 to 5 levels, not {self.roi_levels}")

    @property
    def num_stages(self) -> int:
        """Cascade stages."""
        return len(self.delta_weights)


SWIN_B = DeticConfig(BackboneConfig("swin", "base", (256, 512, 1024)))
R50 = DeticConfig(BackboneConfig("timm-resnet", "resnet50", (512, 1024, 2048)))
R18 = DeticConfig(BackboneConfig("timm-resnet", "resnet18", (128, 256, 512)))
CONVNEXT_T = DeticConfig(BackboneConfig("timm-convnext", "convnext_tiny", (192, 384, 768)))
