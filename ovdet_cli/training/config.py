"""The configuration of a training run: every field has one place, and a TOML file fills them."""

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ovdet_cli.errors import UsageError
from ovdet_cli.training.detic import DeticRecipe
from ovdet_cli.training.scenes import SceneConfig
from ovdet_cli.training.schedule import OptimizerConfig, ScheduleConfig
from ovdet_cli.training.tables import build, put_setting

_SHIPPED = Path(__file__).with_name("configs")


@dataclass(frozen=True)
class ModelConfig:
    """What is trained, and from where it starts."""

    name: str = "builtin"
    """A model of the zoo: its architecture and preprocessing."""
    weights: str = ""
    """File to start from, .safetensors or .pth, in official names or ours; "published": the zoo's; empty: nothing."""


@dataclass(frozen=True)
class ClassesConfig:
    """Where the classifier's columns come from."""

    vectors: Literal["text", "learned"] = "text"
    """"text": embeddings of the names, fixed, as published. "learned": unit vectors that train with the pictures."""
    file: str = ""
    """Embeddings to use, or to start learned vectors from (.npy or .safetensors), a row for each of `names` or, where
    these are empty, for each name of the data; empty: the text tower's, or random ones."""
    names: tuple[str, ...] = ()
    """The classes in order; empty: all names that the data has."""


@dataclass(frozen=True)
class PhaseConfig:
    """One stretch of a run on drawn scenes."""

    share: float
    """Part of the run's iterations, relative to the other phases'."""
    batch: int = 8
    """Pictures a step."""
    names_only: bool = False
    """Train on naming the true boxes and on nothing else: a quick start for classes that have no text to begin from."""
    scenes: SceneConfig = field(default_factory=SceneConfig)

    def __post_init__(self) -> None:
        if not self.share > 0 or self.batch < 1:
            raise ValueError(f"share {self.share:g} must be above 0, and batch {self.batch} at least 1")


@dataclass(frozen=True)
class DataConfig:
    """Pictures to learn from: scenes, or data sets on disk."""

    kind: Literal["scenes", "coco", "folders"]
    path: str = ""
    """Scenes: the artwork store. COCO: the annotation file. Folders: the root, with one folder a class."""
    images: str = ""
    """COCO: folder of the pictures (empty: the annotation file's)."""
    batch: int = 8
    """Pictures a step (data sets on disk)."""
    ratio: float = 1.0
    """How often pictures of this set are drawn, relative to the other sets' (published: boxes 1, image labels 4)."""
    size: int = 640
    """Side that pictures are resized and cropped to (published: 640; 320 for image-labelled ones)."""
    scale: tuple[float, float] = (0.1, 2.0)
    """Range of the random factor on that size (published: 0.5 to 1.5 for image-labelled pictures)."""
    repeat_threshold: float = 0.001
    """COCO: LVIS's repeat-factor sampling; 0: none."""
    labels_only: bool = False
    """Scenes: image labels instead of boxes."""
    photographs: str = ""
    """Scenes: folder of real photographs that show none of the drawings, as backgrounds; empty: none."""
    phases: tuple[PhaseConfig, ...] = ()
    """Scenes: what is drawn when; empty: one phase of the default scenes."""

    def __post_init__(self) -> None:
        if self.batch < 1 or not self.ratio > 0 or self.size < 32:
            raise ValueError(f"batch {self.batch}, ratio {self.ratio:g} and size {self.size} must be 1, above 0 and 32")
        if not 0 < self.scale[0] <= self.scale[1] or self.repeat_threshold < 0:
            raise ValueError(f"scale {self.scale} and repeat_threshold {self.repeat_threshold:g} cannot be used")


@dataclass(frozen=True)
class RunConfig:
    """How the run is carried out."""

    seed: int = 0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the backbone and its pyramid (float16 with loss scaling, for GPUs); the rest is float32."""
    half_heads: bool = False
    """The heads' layers too (not the losses): for CPUs, where bfloat16 halves the time."""
    workers: int = 1
    """Processes that prepare pictures; what they give does not depend on their number."""
    ema: float = 0.999
    """Decay of the averaged weights that are evaluated and exported; 0: none."""
    log_every: int = 20
    checkpoint_every: int = 500
    evaluate_every: int = 0
    """Iterations between evaluations during training; 0: only at the end."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31 or not 0 <= self.ema < 1:
            raise ValueError(f"seed {self.seed} must be from 0 to 2147483647, and ema {self.ema:g} from 0 to below 1")
        if min(self.log_every, self.checkpoint_every) < 1 or min(self.workers, self.evaluate_every) < 0:
            raise ValueError("log_every and checkpoint_every must be at least 1, workers and evaluate_every at least 0")


@dataclass(frozen=True)
class EvaluationConfig:
    """What the run is measured on."""

    scenes: int = 96
    """Scenes drawn for an evaluation (runs on scenes)."""
    seed: int = 0
    """Other scenes for another number; never those that training draws."""
    path: str = ""
    """COCO annotations to evaluate on (runs on data sets); empty: no evaluation."""
    images: str = ""
    """Folder of their pictures (empty: the annotation file's)."""
    size: int = 640
    """Side that these pictures are fitted into."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    data: tuple[DataConfig, ...]
    schedule: ScheduleConfig
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    classes: ClassesConfig = field(default_factory=ClassesConfig)
    recipe: DeticRecipe = field(default_factory=DeticRecipe)
    run: RunConfig = field(default_factory=RunConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        if not self.data:
            raise UsageError("the configuration names no data: add a [[data]] table")


def shipped_configs() -> tuple[str, ...]:
    """Names of the configurations that come with the package."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def find_config(name: str) -> tuple[Path, Path]:
    """A configuration by its path or its shipped name, and the folder that paths within it start from.

    That is the file's own folder, and the current one for a shipped file. UsageError where there is none.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path, path.parent
    if name in shipped_configs():
        return _SHIPPED / f"{name}.toml", Path()
    raise UsageError(
        f"no configuration at {name}; name a TOML file, or one that comes with ovdet: {', '.join(shipped_configs())}"
    )


def read_config(path: Path, settings: Sequence[str] = (), base: Path | None = None) -> TrainConfig:
    """Reads and checks a configuration; UsageError names the file and the place.

    settings: `run.seed=2`, put over the file's values. base: where relative paths start; default: the file's folder.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"no configuration at {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no valid TOML: {error}") from error
    for setting in settings:
        put_setting(table, setting)
    try:
        config: TrainConfig = build(TrainConfig, table, "")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return _with_paths_from(config, path.parent if base is None else base)


def _with_paths_from(config: TrainConfig, base: Path) -> TrainConfig:
    def placed(text: str) -> str:
        return str(base.absolute() / Path(text).expanduser()) if text else ""

    weights = config.model.weights
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, weights=weights if weights == "published" else placed(weights)),
        classes=dataclasses.replace(config.classes, file=placed(config.classes.file)),
        data=tuple(
            dataclasses.replace(d, path=placed(d.path), images=placed(d.images), photographs=placed(d.photographs))
            for d in config.data
        ),
        evaluation=dataclasses.replace(
            config.evaluation, path=placed(config.evaluation.path), images=placed(config.evaluation.images)
        ),
    )
