"""What is known of a published model: ModelSpec, with its files (Asset), preprocessing and rules."""

from dataclasses import dataclass
from typing import Literal

from ovdet_cli.errors import UsageError
from ovdet_cli.models.detic import config as detic
from ovdet_cli.models.dito import config as dito
from ovdet_cli.models.fvlm import config as fvlm
from ovdet_cli.models.vild import config as vild

OFFICIAL, VILD_DEMO = "official", "vild-demo"
"""Rules that make detections of scored regions: `Rules`, or those of ViLD's demo notebook."""


@dataclass(frozen=True)
class Asset:
    """A published file that `models pull` brings."""

    name: str
    """Its name in ovdet."""
    kind: Literal["weights", "text-encoder", "image-encoder", "embeddings"]
    url: str
    size: int
    """Bytes; of weights about, computed from the number of parameters."""
    licence: str
    sha256: str | None = None
    """Published hash; None where the publisher gives none (then the first one seen is recorded and checked)."""
    bundled: str = ""
    """File in `models/builtin` that comes with the package, in place of a download."""
    member: str = ""
    """File inside the published archive."""
    has_columns: bool = False
    """Embeddings that are published a column a class."""
    saved_as: str = ""
    """The download's name here and on a mirror, where the last part of the address is not its alone."""

    @property
    def is_converted(self) -> bool:
        """Whether a pull makes another file of the published one."""
        return self.kind != "embeddings" or bool(self.member) or self.has_columns

    @property
    def file_name(self) -> str:
        """The last part of the address, or the name in the package."""
        return self.bundled or self.saved_as or self.url.rpartition("/")[2] or self.name

    @property
    def is_published(self) -> bool:
        """Whether it can be had at all."""
        return bool(self.url or self.bundled)


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the network's input."""

    short_side: int = 800
    """Pixels of the shorter side after the resize."""
    max_size: int = 1333
    """Limit of the longer side."""
    mean_rgb: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std_rgb: tuple[float, float, float] = (58.395, 57.12, 57.375)
    divisor: int = 32
    """Height and width are padded with zeros to a multiple of this, after normalising."""
    order: Literal["rgb", "bgr"] = "rgb"
    """Of the network's input channels."""

    def __post_init__(self) -> None:
        if self.short_side < 1 or self.max_size < 1:
            raise UsageError(f"the network's input must have sides of 1 or more, not {self.short_side}/{self.max_size}")


@dataclass(frozen=True)
class Canvas:
    """How a picture becomes the network's input where that is a square of one size: fitted into its upper left."""

    side: int = 1024
    """Pixels."""
    mean_rgb: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the picture in [0, 1]; subtracted before the resize, so that the padding behind it is zero."""
    std_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    resize: Literal["tf1", "half-pixel"] = "half-pixel"
    """Bilinear without antialiasing: TensorFlow 1's, whose first pixels coincide, or by the pixels' centres."""
    rounds_to_bfloat16: bool = False
    """Whether the input is rounded to bfloat16, as it is on its way into a SavedModel."""
    multiple: int = 64
    """What the side must be a multiple of."""

    def __post_init__(self) -> None:
        if self.side < 1 or self.side % self.multiple:
            raise UsageError(
                f"the canvas (--imgsz) of this model must be a multiple of {self.multiple}, not {self.side}"
            )

    @property
    def short_side(self) -> int:
        """For records: the picture's sides after the resize are at most this."""
        return self.side

    max_size = short_side


@dataclass(frozen=True)
class Rules:
    """How scored regions become detections: the model's official demo setting."""

    threshold: float = 0.5
    """A detection's score is above this."""
    nms_iou: float = 0.5
    """IoU of the suppression within a class."""
    max_detections: int = 300
    """At most so many a picture."""
    one_class: bool = True
    """Every region may take its best class only."""

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("IoU of the suppression", self.nms_iou)):
            if not 0 <= value <= 1:
                raise UsageError(f"the {name} must lie between 0 and 1, not {value:g}")
        if self.max_detections < 1:
            raise UsageError(f"at least 1 detection a picture must be allowed, not {self.max_detections}")


Config = (
    detic.DeticConfig
    | detic.C4Config
    | detic.DeformableDetrConfig
    | vild.VildConfig
    | dito.DitoConfig
    | fvlm.FvlmConfig
)


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is known of one published model."""

    name: str
    """Short name, as in `--model detic-swin-b`."""
    stem: str
    """Official file name without ending; always a name too."""
    architecture: Literal["detic", "detic-c4", "detic-detr", "vild", "dito", "fvlm"]
    config: Config
    weights: Asset
    num_columns: int
    """Classes of the checkpoint's own classifier."""
    trained_on: str
    results: tuple[tuple[str, str], ...]
    """(benchmark, published figure)."""
    text_encoder: str = "clip-vit-b-32"
    """Asset whose text tower the classifier was trained with."""
    has_text_tower: bool = False
    """Whether the published weights carry that tower."""
    text_rows: int = 0
    """Height of the table of texts that scores are a softmax over: background, classes, padding. 0: there is none."""
    background: Asset | None = None
    """The published embeddings of that table's first row and of its padding; None: of the words "background" and
    "empty" by the text tower."""
    embeddings: Literal["detic", "vild", "dito", "fvlm", "builtin", "none"] = "detic"
    """Whose published embeddings of built-in vocabularies are its."""
    prompt: str = "a {}"
    """A template with {} in the name's place, or the name of a set of templates."""
    novel: Literal["", "lvis-rare", "all"] = ""
    """Where novel classes are scored otherwise than base ones: which are novel if a person names none. "lvis-rare": of
    LVIS's list, or the checkpoint's own, the rare ones, and of other words none. Empty: it makes no difference."""
    vocabulary: str = "lvis"
    """Built-in vocabulary when no words are given."""
    column_names: str = "lvis"
    """Built-in vocabulary that names the first columns of the checkpoint's own classifier."""
    preprocess: Preprocess | Canvas = Preprocess()
    rules: Rules = Rules()
    words: Literal["free", "embedded", "closed"] = "free"
    """Which words can be asked for: any; those with embeddings, published or a person's, as the text tower was never
    published; or the checkpoint's own classes alone."""
    rules_from: str = "of the official demo"
    """Whose setting the rules are, for people."""
    posts: tuple[str, ...] = ()
    """Other rules than the official ones that regions can be made detections by."""
    has_masks: bool = True
    paste: Literal["detectron2", "detectron"] = "detectron2"
    """How masks get into the picture: at the cells' centres, or from a box of whole pixels grown by a cell."""
    paper: str = "arXiv:2201.02605"
    unverified: str = "the published weights' values: stand-in weights served the comparison with the official code"
    """What of the official system could not be compared with ours."""
    knows: str = ""
    """The little that it knows, where that is not everything; then it is told when pictures of another kind come."""

    @property
    def free_words(self) -> bool:
        """Whether any word can be asked for."""
        return self.words == "free"
