"""What a run shows besides annotated pictures and video: crops, stills, clips; and what it hides."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ovdet_cli.errors import UsageError
from ovdet_cli.render.annotate import DrawnSink
from ovdet_cli.render.blur import Blur, hidden_classes
from ovdet_cli.render.clips import ClipsSink
from ovdet_cli.render.crops_sink import CropsSink
from ovdet_cli.render.draw import DrawStyle
from ovdet_cli.render.stills import StillsSink


@dataclass(frozen=True)
class Looking:
    """What is wanted of it."""

    crops: bool = False
    """Every detection as a picture; of a tracked object the surest one."""
    all_crops: bool = False
    """Of a tracked object every one."""
    crop_margin: float = 0.1
    """Kept around a box, in shares of its longer side."""
    stills: bool = False
    clips: bool = False
    clip_padding_s: Fraction = Fraction(1)
    blur: Sequence[str] = ()
    """Labels of what cannot be recognised in anything that is drawn."""

    def __post_init__(self) -> None:
        if self.clips and self.blur:
            raise UsageError("--clips copies parts of the video as they are, so --blur cannot hide anything in them")
        if not 0 <= self.crop_margin <= 2:
            raise UsageError(f"--crop-margin must lie between 0 and 2, not {self.crop_margin:g}")
        if self.clip_padding_s < 0:
            raise UsageError(f"--clip-padding must not be negative, not {float(self.clip_padding_s):g}")

    @property
    def needs_folder(self) -> bool:
        """Whether it makes files, or changes what files show."""
        return self.crops or self.all_crops or self.stills or self.clips or bool(self.blur)

    def blurring(self, names: Sequence[str]) -> Blur | None:
        """What hides things in frames, if anything shall; UsageError: a label is not among these names."""
        return Blur(hidden_classes(self.blur, names)) if self.blur else None

    def open(self, folder: Path, names: Sequence[str], style: DrawStyle, stack: ExitStack) -> list[DrawnSink]:
        """The sinks that make its files."""
        sinks: list[DrawnSink] = []
        if self.crops or self.all_crops:
            crops = CropsSink(folder, names, style, self.crop_margin, best_of_track=not self.all_crops)
            sinks.append(stack.enter_context(crops))
        if self.stills:
            sinks.append(stack.enter_context(StillsSink(folder, names, style)))
        if self.clips:
            sinks.append(stack.enter_context(ClipsSink(folder, names, style, self.clip_padding_s)))
        return sinks

    def described(self) -> dict[str, Any]:
        """The settings of run.json."""
        return {
            "save_crops": "all" if self.all_crops else self.crops,
            "crop_margin": self.crop_margin,
            "stills": self.stills,
            "clips": self.clips,
            "clip_padding_s": float(self.clip_padding_s),
            "blur": list(self.blur),
        }
