"""DetectJob: everything a run needs, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from ovdet_cli.detector.choosing import RegionPolicy
from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.words import Words
from ovdet_cli.errors import UsageError
from ovdet_cli.media.encoders import Encoding
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import InputList
from ovdet_cli.pipeline.folder import RunFolder
from ovdet_cli.pipeline.looking import Looking
from ovdet_cli.pipeline.similar import SkipSimilar
from ovdet_cli.pipeline.track_stage import Tracking
from ovdet_cli.render.draw import DrawStyle
from ovdet_cli.results.sinks import check_formats

Render = Literal["all", "hits", "none"]


@dataclass(frozen=True)
class IndexSettings:
    """policy: which regions an index keeps. precision: fp16 or int8."""

    policy: RegionPolicy
    precision: Literal["fp16", "int8"] = "int8"


@dataclass(frozen=True)
class DetectJob:
    """A run of a detector with a vocabulary over inputs."""

    inputs: InputList
    detector: Detector
    """Its threshold is that of the records, or lower where the run tracks."""
    words: Words
    folder: RunFolder | None
    """None: records go to `stream` as JSON lines, and nothing is written to disk."""
    threshold: float
    """Detections above this are drawn and counted; the records may hold weaker ones."""
    formats: Sequence[str] = ("jsonl", "csv")
    render: Render = "all"
    style: DrawStyle = field(default_factory=DrawStyle)
    sampling: Sampling = field(default_factory=Sampling)
    encoding: Encoding = field(default_factory=Encoding)
    """Codec and quality of annotated video, and whether a graphics card helps."""
    workers: int = 2
    """Threads that decode pictures."""
    max_failures: int | None = None
    """Stop when more frames than this failed."""
    command: Sequence[str] = ()
    """What the person typed, for run.json."""
    stream: BinaryIO | None = None
    """Where records go without a folder."""
    embeddings: Path | None = None
    """The file of ready embeddings, for run.json."""
    index: IndexSettings | None = None
    """What an index keeps; None: there is none."""
    tracking: Tracking | None = None
    """How objects are followed through videos; None: they are not."""
    skip_similar: SkipSimilar | None = None
    """When a frame takes over the detections before it; None: every sampled frame is analysed."""

    looking: Looking = field(default_factory=Looking)
    """Crops, stills and clips, and what is hidden in them."""

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.stream is None):
            raise ValueError("a run writes either into a folder or to a stream")
        if self.workers < 1:
            raise UsageError(f"workers must be at least 1, not {self.workers}")
        if self.max_failures is not None and self.max_failures < 0:
            raise UsageError(f"max failures must not be negative, not {self.max_failures}")
        if self.threshold < self.record_threshold:
            raise UsageError(
                f"the record threshold of {self.record_threshold:g} is above the threshold of "
                f"{self.threshold:g}; records hold at least what is drawn"
            )
        if self.index is not None and self.folder is None:
            raise UsageError("an index needs a run folder: leave out -o -")
        if self.skip_similar is not None and self.sampling.scenes:
            raise UsageError("a frame per shot is never like the one before: it goes with no --skip-similar")
        if self.looking.needs_folder and self.folder is None:
            raise UsageError("crops, stills, clips and blurring need a run folder: leave out -o -")
        self.looking.blurring(self.words.names)
        check_formats(self.formats)

    @property
    def record_threshold(self) -> float:
        """Detections above this are recorded, but for classes with a threshold of their own."""
        return self.detector.rules.threshold if self.tracking is None else self.tracking.record_threshold
