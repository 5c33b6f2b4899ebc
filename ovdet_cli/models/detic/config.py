"""Configuration of a Detic detector with CenterNet2 heads: what differs between models, and nothing else."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BackboneConfig:
    """Which backbone, and the channels of the three maps (strides 8, 16, 32) that the FPN takes."""

    kind: str
    """"swin", "timm-resnet", "timm-convnext" or "basic-resnet"."""
    variant: str
    """timm's name, a Swin size ("base"), or of a basic ResNet its blocks a stage ("1-1-1-1")."""
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
    """A Detic detector: backbone, FPN from P3, CenterNet proposals, cascade, class-agnostic masks."""

    backbone: BackboneConfig
    proposals: CenterNetConfig = field(default_factory=CenterNetConfig)
    pyramid_channels: int = 256
    """Channels of every level."""
    num_levels: int = 5
    """Levels of the pyramid: 3 for P3 to P5, 4 with P6, 5 with P7."""
    roi_levels: int = 3
    """Levels that regions are pooled from, finest first: P3, P4, P5."""
    roi_canonical: float = 224.0
    """Side in pixels of the region that belongs to P4."""
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
    mask_channels: int = 256
    """Their channels."""
    temperature: float = 50.0
    """Factor on the cosine between region and text."""
    learned_scale: bool = False
    """Whether that factor, and an offset of the class logit, are weights of each stage; else the offset is 0.

    Such a model has a calibration among its weights too: slope and offset that a score's logit goes through at the
    end, so that 0.5 means one in two.
    """
    delta_weights: tuple[tuple[float, float, float, float], ...] = (
        (10.0, 10.0, 5.0, 5.0),
        (20.0, 20.0, 10.0, 10.0),
        (30.0, 30.0, 15.0, 15.0),
    )
    """Box delta weights, one row a cascade stage."""

    def __post_init__(self) -> None:
        if not self.delta_weights:
            raise ValueError("a cascade needs at least one stage")
        if not 3 <= self.num_levels <= 5:
            raise ValueError(f"the pyramid has 3 to 5 levels, not {self.num_levels}")
        if not 1 <= self.roi_levels <= self.num_levels:
            raise ValueError(f"regions are pooled from 1 to {self.num_levels} levels, not {self.roi_levels}")

    @property
    def backbone_name(self) -> str:
        """For people."""
        kind, variant = self.backbone.kind, self.backbone.variant
        return variant if kind.startswith("timm-") else f"{kind}-{variant}"

    @property
    def num_stages(self) -> int:
        """Cascade stages."""
        return len(self.delta_weights)


@dataclass(frozen=True)
class C4Config:
    """Detic's detector of the open-vocabulary COCO benchmark: ResNet to res4, RPN, res5 on every region, no masks."""

    blocks: tuple[int, ...] = (3, 4, 6)
    """Bottlenecks of res2, res3, res4."""
    region_blocks: int = 3
    """Bottlenecks of res5."""
    stem: int = 64
    """Channels after the first convolution; all widths follow from it."""
    anchor_sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height / width."""
    pre_nms_top: int = 6000
    """Anchors kept before suppression."""
    nms_iou: float = 0.7
    """IoU of the class-agnostic suppression."""
    post_nms_top: int = 1000
    """Proposals kept a picture."""
    box_pool: int = 14
    """Bins a side of the pooled feature, before res5 halves it."""
    embedding: int = 512
    """Width of the text embeddings."""
    temperature: float = 50.0
    """Factor on the cosine between region and text."""
    delta_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)

    @property
    def backbone_name(self) -> str:
        """For people."""
        return "resnet50-c4"


@dataclass(frozen=True)
class DeformableDetrConfig:
    """Detic with Deformable DETR: two stages, boxes refined in every layer, a linear classifier."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Bottlenecks of res2 .. res5."""
    stem: int = 64
    """Channels after the first convolution; the backbone's widths follow from it."""
    width: int = 256
    """Of cells and queries."""
    num_groups: int = 32
    """Of the norm on each projected level."""
    num_levels: int = 4
    num_heads: int = 8
    num_points: int = 4
    """Places a head looks at, in each level."""
    num_layers: int = 6
    """Of the encoder, and of the decoder."""
    hidden: int = 1024
    """Width inside a feed-forward layer."""
    num_queries: int = 300
    num_classes: int = 1203

    @property
    def embedding(self) -> int:
        """Numbers of a class: its weights and its offset."""
        return self.width + 1

    @property
    def backbone_name(self) -> str:
        """For people."""
        return "resnet50"


OVCOCO_R50 = C4Config()
DEFORMABLE_DETR_R50 = DeformableDetrConfig()

SWIN_B = DeticConfig(BackboneConfig("swin", "base", (256, 512, 1024)))
R50 = DeticConfig(BackboneConfig("timm-resnet", "resnet50", (512, 1024, 2048)))
R18 = DeticConfig(BackboneConfig("timm-resnet", "resnet18", (128, 256, 512)))
CONVNEXT_T = DeticConfig(BackboneConfig("timm-convnext", "convnext_tiny", (192, 384, 768)))

# The small one that we train ourselves: see ../../training. A P4 region of 64 px has 4 cells a side, as many as
# stages 3 and 4 of so shallow a network can tell apart.
BUILTIN = DeticConfig(
    BackboneConfig("basic-resnet", "1-1-1-1", (96, 192, 384)),
    CenterNetConfig(num_convs=2, pre_nms_top=500, nms_iou=0.8, post_nms_top=128),
    pyramid_channels=96,
    num_levels=3,
    roi_canonical=64.0,
    hidden=256,
    embedding=192,
    mask_convs=2,
    mask_channels=48,
    temperature=18.0,
    learned_scale=True,
    delta_weights=((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0)),
)
