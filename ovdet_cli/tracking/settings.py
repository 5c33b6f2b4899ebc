"""TrackSettings: what decides which detections are one object."""

import math
from dataclasses import dataclass

from ovdet_cli.errors import UsageError


@dataclass(frozen=True)
class TrackSettings:
    """Times are seconds of the video, never numbers of frames. Overlaps are IoUs."""

    lost_s: float = 1.0
    """How long an object may be out of sight and come back as itself. ByteTrack: 30 frames of 30 a second."""
    high: float = 0.5
    """Scores above this begin tracks; weaker ones only prolong them. A run sets it to its threshold."""
    low: float = 0.1
    """Scores up to this are not looked at. ByteTrack's value."""
    min_overlap: float = 0.1
    """Least affinity of a strong detection and a track. This and the next two are ByteTrack's 0.2, 0.5 and 0.3, lowered
    as names cost affinity here: better on all scenes of benchmarks/tracking."""
    min_overlap_low: float = 0.4
    """The same of a weak detection."""
    min_overlap_new: float = 0.2
    """The same of a track that was seen once."""
    confirm_hits: int = 2
    """Detections that make a track: before, it has no id. The first frame of a shot gives ids at once."""
    class_penalty: float = 0.3
    """What an affinity loses where the track was never called that; less where it was so now and then."""
    sure_votes: float = 2.0
    """Scores of one class, added up, with which a track is sure of it: another class then needs the same box."""
    same_box: float = 0.75
    """From this overlap on two boxes of different classes are one object with two names."""
    smooth_s: float = 0.3
    """Time constant of the score's mean; 0: scores stay as they are."""
    vote_lead: float = 1.1
    """How many times the votes of a track's class another needs to replace it: two equal ones do not flicker."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not math.isfinite(value):
                raise UsageError(f"tracking: {name} must be a number, not {value}")
        if self.lost_s < 0:
            raise UsageError(f"a track cannot be lost for {self.lost_s:g} seconds; give 0 or more")
        if not 0 <= self.low <= self.high <= 1:
            raise UsageError(f"tracking: 0 <= low ({self.low:g}) <= high ({self.high:g}) <= 1 must hold")
        for name in ("min_overlap", "min_overlap_low", "min_overlap_new", "class_penalty", "same_box"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"tracking: {name} must be from 0 to 1, not {getattr(self, name):g}")
        if self.confirm_hits < 1:
            raise UsageError(f"tracking: confirm_hits must be at least 1, not {self.confirm_hits}")
        if self.smooth_s < 0 or self.sure_votes < 0 or self.vote_lead < 1:
            raise UsageError("tracking: smooth_s and sure_votes must not be negative, and vote_lead at least 1")
