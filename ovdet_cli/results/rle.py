"""COCO's compressed run-length text: Mask <-> {"size", "counts"}, byte for byte as pycocotools writes it.

The text (cocoapi `common/maskApi.c`, rleToString and rleFrString): from the fourth run on, each run is written as its
difference to the run two before; each number in groups of five bits, lowest first, bit 0x20 set where more groups
follow, bit 0x10 of the last group being the sign; every group plus 48 is one ASCII character.
"""

# R runs, G groups of a number, B characters

from collections.abc import Mapping
from typing import Any

import numpy as np

from ovdet_cli.detections import Mask
from ovdet_cli.errors import RecordError

_MAX_GROUPS = 12  # 60 bits: what int64 surely holds


def encode_rle(mask: Mask) -> dict[str, Any]:
    """The mask as a COCO dict: {"size": [height, width], "counts": text}."""
    runs_R = mask.runs
    if len(runs_R) > 1 and runs_R[-1] == 0:  # pycocotools ends with the last run that has pixels
        runs_R = runs_R[:-1]
    numbers_R = runs_R.astype(np.int64)
    numbers_R[3:] -= runs_R[1:-2]
    # Groups a number needs: the least g with -2^(5g-1) <= number < 2^(5g-1).
    magnitude_R = np.where(numbers_R < 0, ~numbers_R, numbers_R)
    limits = 2 ** (5 * np.arange(1, _MAX_GROUPS, dtype=np.int64) - 1)
    lengths_R = 1 + np.searchsorted(limits, magnitude_R, side="right")
    groups_G = np.arange(lengths_R.max(initial=1))
    chars_RG = (numbers_R[:, None] >> (5 * groups_G)) & 0x1F
    chars_RG += np.where(groups_G < lengths_R[:, None] - 1, 0x20, 0) + 48
    chars_B = chars_RG[groups_G < lengths_R[:, None]]
    return {"size": list(mask.size_hw), "counts": chars_B.astype(np.uint8).tobytes().decode("ascii")}


def decode_rle(rle: Mapping[str, Any]) -> Mask:
    """The Mask that a COCO dict with compressed counts (text or bytes) holds.

    Raises:
        RecordError: the counts are cut or foreign text, or do not fill the size.
    """
    try:
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
        data = counts if isinstance(counts, bytes) else counts.encode("ascii")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"a mask is not a COCO run-length dict of size and counts: {error!r}") from error
    runs_R = _decode_counts(data)
    if (runs_R < 0).any() or runs_R.sum() != height * width:
        raise RecordError(f"a mask's runs do not fill its size of {height}x{width} pixels")
    return Mask((height, width), runs_R)


def _decode_counts(data: bytes) -> np.ndarray:
    """The run lengths in compressed counts, int64 (R,)."""
    chars_B = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    ends_R = np.flatnonzero((chars_B & 0x20) == 0)
    if not len(ends_R) or ends_R[-1] != len(chars_B) - 1 or chars_B.min() < 0 or chars_B.max() >= 64:
        raise RecordError("a mask's counts are cut or no COCO run-length text")
    starts_R = np.concatenate(([0], ends_R[:-1] + 1))
    lengths_R = ends_R - starts_R + 1
    if lengths_R.max() > _MAX_GROUPS:
        raise RecordError("a mask's counts hold a number too large")
    places_B = np.arange(len(chars_B)) - np.repeat(starts_R, lengths_R)
    runs_R = np.add.reduceat((chars_B & 0x1F) << (5 * places_B), starts_R)
    runs_R -= np.where(chars_B[ends_R] & 0x10, np.int64(1) << (5 * lengths_R), 0)
    runs_R[1::2] = np.cumsum(runs_R[1::2])
    runs_R[2::2] = np.cumsum(runs_R[2::2])
    return runs_R
