"""Motion: where boxes are, how fast they move, and how sure that is; a Kalman filter in seconds.

Centre x, centre y, width and height move on their own, each with a velocity that is pushed at random and dies down
(an integrated Ornstein-Uhlenbeck process: dp = v dt, dv = -v / tau dt + sigma dW). Its steps are exact for any length:
two steps of 0.1 s are one of 0.2 s, so that uneven times and `--every` change nothing but what was seen. ByteTrack
(arXiv:2110.06864) and SORT have a constant velocity and count frames. Noise is in shares of the object's size.
"""

# T tracks, N measured boxes; 4 are centre x, centre y, width, height

from dataclasses import dataclass, replace

import numpy as np

_MEASURED = 0.05
"""Deviation of a detected box, in sizes; ByteTrack's 1/20 of the height."""
_FIRST_SPEED = 2.0
"""Deviation of an unknown velocity, in sizes a second; ByteTrack: 10/160 of the height a frame, 30 frames a second."""
_PUSH = np.array([2.0, 2.0, 0.8, 0.8])
"""sigma in sizes / s^1.5. ByteTrack's 1/160 of the height a frame comes to 1; 2 is better in benchmarks/tracking, above
all before a moving camera. Sizes change more slowly."""
_TAU_S = np.array([2.0, 2.0, 0.5, 0.5])
"""Seconds in which a velocity dies down: long unseen objects stop, and do not grow or shrink for long."""
_CUT = 0.15
"""A box smaller by more than this share is not jitter: its edges would be 3.5 deviations off."""
_ONE_SIDED = 0.3
"""Share of the loss that the nearer edge may have moved; where both sides shrink alike it is 0.5."""
_VAGUE_SIZE = 10.0
"""Deviation of a partly hidden object's size: it still adapts, in a second or so, where nothing hides it after all."""
_LARGEST = 1e9  # pixels; beyond, squares of squares overflow
_SMALLEST = 1.0  # pixels of a size


@dataclass(frozen=True, eq=False)
class Motion:
    """The state of some tracks; every operation gives a new one.

    means: centre, width, height, float64 (T, 4). velocities: a second. pp, pv, vv: variances of both, and between
    them. sizes: (T, 1), pixels, the unit of the noise. hidden: how far each edge of the box last seen was inside the
    object's own, float64 (T, 4), x1 y1 x2 y2.
    """

    means: np.ndarray
    velocities: np.ndarray
    pp: np.ndarray
    pv: np.ndarray
    vv: np.ndarray
    sizes: np.ndarray
    hidden: np.ndarray

    @classmethod
    def of(cls, boxes_xyxy: np.ndarray) -> "Motion":
        """Boxes that were just seen for the first time."""
        means = _centred(boxes_xyxy)
        sizes = _size(means)
        still = np.zeros_like(means)
        slow = np.array([1, 1, 0.5, 0.5])
        spread, speed = still + (_MEASURED * sizes) ** 2, (_FIRST_SPEED * slow * sizes) ** 2
        return cls(means, still, spread, still, speed, sizes, still)

    def __len__(self) -> int:
        return len(self.means)

    def select(self, rows: np.ndarray) -> "Motion":
        """Some of the tracks, in that order."""
        return Motion(*(part[rows] for part in self._parts()))

    def with_more(self, other: "Motion") -> "Motion":
        """These tracks and then the others."""
        return Motion(*(np.concatenate(pair) for pair in zip(self._parts(), other._parts(), strict=True)))

    def after(self, seconds: float) -> "Motion":
        """The same, later."""
        if seconds <= 0 or not len(self):
            return self
        # v decays by d = exp(-t / tau); p gains g = tau (1 - d) of it. The noise is the integral of what sigma does.
        t = seconds / _TAU_S
        d, g = np.exp(-t), -_TAU_S * np.expm1(-t)
        q = (_PUSH * self.sizes) ** 2
        q_vv = q * _TAU_S / 2 * -np.expm1(-2 * t)
        q_pv = q * g**2 / 2
        cubic = 2 * t - 3 + 4 * np.exp(-t) - np.exp(-2 * t)
        cubic = np.where(t < 1e-3, 2 * t**3 / 3, cubic)  # where the terms cancel to nothing but rounding
        q_pp = q * _TAU_S**3 / 2 * cubic
        means = self.means + g * self.velocities
        means[:, 2:] = np.maximum(means[:, 2:], 0.1 * self.means[:, 2:])  # no box shrinks away
        return replace(
            self,
            means=means,
            velocities=d * self.velocities,
            pp=self.pp + 2 * g * self.pv + g**2 * self.vv + q_pp,
            pv=d * (self.pv + g * self.vv) + q_pv,
            vv=d**2 * self.vv + q_vv,
        )

    def corrected(self, boxes_xyxy: np.ndarray) -> "Motion":
        """After a box was seen of each."""
        seen = _centred(boxes_xyxy)
        whole, vague = _completed(self.means, seen)
        r = (_MEASURED * vague * self.sizes) ** 2
        k_p, k_v = self.pp / (self.pp + r), self.pv / (self.pp + r)
        error = whole - self.means
        means = self.means + k_p * error
        return Motion(
            means,
            self.velocities + k_v * error,
            (1 - k_p) * self.pp,
            (1 - k_p) * self.pv,
            np.maximum(self.vv - k_v * self.pv, 0),
            _size(means),
            np.where(np.tile(vague[:, 2:] > 1, 2), _edges(seen) - _edges(means), 0.0),
        )

    def replaced(self, rows: np.ndarray, other: "Motion") -> "Motion":
        """The same with the others in place of some tracks."""
        parts = [part.copy() for part in self._parts()]
        for part, new in zip(parts, other._parts(), strict=True):
            part[rows] = new
        return Motion(*parts)

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """The boxes, float64 (T, 4)."""
        return _edges(self.means)

    @property
    def visible_xyxy(self) -> np.ndarray:
        """The boxes of what was last seen of each, as far as it is hidden, float64 (T, 4)."""
        return _edges(self.means) + self.hidden

    @property
    def reach(self) -> np.ndarray:
        """Deviation of the centre in pixels, float64 (T, 2)."""
        return np.sqrt(self.pp[:, :2])

    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.means, self.velocities, self.pp, self.pv, self.vv, self.sizes, self.hidden


def tamed(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Boxes to compute with, float64 (N, 4): none upside down, endless or so large that its square overflows."""
    boxes = np.clip(np.nan_to_num(boxes_xyxy.astype(np.float64)), -_LARGEST, _LARGEST).reshape(-1, 4)
    starts, ends = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([starts, ends], axis=1)


def _completed(expected: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is seen of objects as their whole boxes, (T, 4), and how many times vaguer each number is, (T, 4).

    Where a box has become smaller from one side alone, something hides that side: the other edge and the size known
    so far tell the centre. Else an object that goes behind another would seem to slow down, and come back elsewhere.
    """
    size, shrunk = expected[:, 2:], expected[:, 2:] - seen[:, 2:]
    at_start = np.abs((seen[:, :2] - seen[:, 2:] / 2) - (expected[:, :2] - size / 2))
    at_end = np.abs((seen[:, :2] + seen[:, 2:] / 2) - (expected[:, :2] + size / 2))
    is_cut = (shrunk > _CUT * size) & (np.minimum(at_start, at_end) < _ONE_SIDED * shrunk)
    shift = np.where(at_start <= at_end, shrunk, -shrunk) / 2
    whole = np.concatenate([np.where(is_cut, seen[:, :2] + shift, seen[:, :2]), seen[:, 2:]], axis=1)
    vague = np.concatenate([np.where(is_cut, 2.0, 1.0), np.where(is_cut, _VAGUE_SIZE, 1.0)], axis=1)
    return whole, vague


def _edges(means: np.ndarray) -> np.ndarray:
    half = means[:, 2:] / 2
    return np.concatenate([means[:, :2] - half, means[:, :2] + half], axis=1)


def _centred(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Centre, width and height of boxes."""
    boxes = tamed(boxes_xyxy)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def _size(means: np.ndarray) -> np.ndarray:
    """Side of a square as large as each box, (T, 1)."""
    return np.maximum(np.sqrt(np.abs(means[:, 2:].prod(axis=1, keepdims=True))), _SMALLEST)
