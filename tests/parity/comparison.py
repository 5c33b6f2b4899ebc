"""Fair comparison of two sets of detections: pairs by corners within a class, limits from measured rounding.

The limits are the ones that the reference values came with: the official code itself moves by a tenth of them when
only the order of its sums changes (threads, oneDNN, folded batch norm), while real mistakes (another resize filter,
ROIAlign without half-pixel alignment, clipped proposals) go beyond them a hundredfold.
"""

from dataclasses import dataclass

import numpy as np

BOX_PX = 0.03
SCORE = 5e-5
MASK_PIXELS = 30
MASK_SHARE = 0.005
ORDER_GAP = 1e-4
"""Neighbours closer than this may change places."""


@dataclass(frozen=True)
class Expected:
    """Detections of the official code: boxes in picture pixels, falling scores, vocabulary rows, masks or None."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None


def read_expected(golden: np.lib.npyio.NpzFile, case: str) -> Expected:
    """One case of a golden file."""
    masks = None
    if f"{case}.masks" in golden:
        width = golden[f"{case}.masks.shape"][2]
        masks = np.unpackbits(golden[f"{case}.masks"], axis=-1)[..., :width].astype(bool)
    return Expected(golden[f"{case}.boxes"], golden[f"{case}.scores"], golden[f"{case}.classes"], masks)


def assert_equal_detections(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, masks: list[np.ndarray] | None, expected: Expected
) -> None:
    """AssertionError unless every detection has its partner within the limits, and none is left over."""
    assert len(scores) == len(expected.scores)
    partner = _pair(boxes, classes, expected)
    assert np.abs(scores[partner] - expected.scores).max() <= SCORE
    clear = expected.scores[:-1] - expected.scores[1:] > ORDER_GAP
    assert (np.diff(partner)[clear] > 0).all(), "clearly separated scores came in another order"
    if expected.masks is not None:
        assert masks is not None
        for i, mask in enumerate(expected.masks):
            different = np.count_nonzero(masks[partner[i]] != mask)
            assert different <= max(MASK_PIXELS, MASK_SHARE * mask.sum()), f"mask {i} differs in {different} pixels"


def _pair(boxes: np.ndarray, classes: np.ndarray, expected: Expected) -> np.ndarray:
    """For each expected detection the row of its partner: same class, nearest corners, each row once."""
    free = np.ones(len(boxes), dtype=bool)
    partner = np.zeros(len(expected.boxes), dtype=int)
    for i, (box, class_id) in enumerate(zip(expected.boxes, expected.classes, strict=True)):
        distance = np.abs(boxes - box).max(axis=1)
        distance[~free | (classes != class_id)] = np.inf
        row = int(distance.argmin())
        assert distance[row] <= BOX_PX, f"detection {i} (class {class_id}) has no partner within {BOX_PX} px"
        free[row] = False
        partner[i] = row
    return partner
