"""RunSummary: what a run did."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RunSummary:
    """What a run did, while it goes and when it has ended."""

    status: str = "running"
    """running, done, failed or interrupted."""
    inputs_total: int = 0
    inputs_done: int = 0
    pictures: int = 0
    """Pictures analysed."""
    video_frames: int = 0
    """Video frames analysed or reused."""
    reused: int = 0
    """Those of them that took over the detections before them, as --skip-similar found them unchanged."""
    frames_with_detections: int = 0
    detections: int = 0
    """Detections above the threshold."""
    recorded: int = 0
    """Detections in the records."""
    failed: int = 0
    """Pictures and frames that could not be analysed."""
    undrawn: int = 0
    """Inputs whose annotated copy could not be made, though their records stand."""
    photographs: int = 0
    """Pictures and frames that are outside the world of a model which knows drawings alone; a video by its first."""
    in_photographs: int = 0
    """Detections above the threshold in those pictures and frames."""
    labels: Counter[str] = field(default_factory=Counter)
    """Detections above the threshold by name."""
    notes: list[str] = field(default_factory=list)
    """What the person should know of the output."""
    current: str = ""
    """The input that is being written."""
    decode_s: float = 0.0
    """Seconds that the decoding thread was at work."""
    detect_s: float = 0.0
    """Seconds that the writer waited for results."""
    write_s: float = 0.0
    """Seconds spent writing and drawing."""
    total_s: float = 0.0

    @property
    def frames(self) -> int:
        """Pictures and video frames analysed."""
        return self.pictures + self.video_frames

    def counts(self) -> dict[str, Any]:
        """The numbers of run.json."""
        return {
            "inputs": self.inputs_total,
            "inputs_done": self.inputs_done,
            "pictures": self.pictures,
            "video_frames": self.video_frames,
            "reused": self.reused,
            "reused_share": round(self.reused / self.video_frames, 4) if self.video_frames else 0.0,
            "frames_with_detections": self.frames_with_detections,
            "detections": self.detections,
            "recorded": self.recorded,
            "failed": self.failed,
            "undrawn": self.undrawn,
            "labels": dict(self.labels.most_common()),
        }
