"""Video frame <-> RGB array: matrix, range, display rotation."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# ITU-T H.273 matrix coefficients (libav's AVCOL_SPC_*), which swscale's own numbers agree with where both exist.
BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020, BT2020_CL = 1, 4, 5, 6, 7, 9, 10
LIMITED, FULL = 1, 2
_SWSCALE_MATRIX = {
    BT709: 1, FCC: 4, BT470BG: 5, SMPTE170M: 5, SMPTE240M: 7, BT2020: 9, BT2020_CL: 9,
}  # fmt: skip
# From this height up a stream that names no matrix is taken as HD: the rule of mpv, VLC and browsers.
HD_HEIGHT = 720


def upright_rgb(frame: "VideoFrame") -> np.ndarray:
    """The decoded frame as players show it: RGB uint8 (H, W, 3), turned and mirrored by its display matrix.

    Pixels that are not square stay as stored. HDR is not tone-mapped.
    """
    if frame.format.is_rgb:
        rgb = frame.to_ndarray(format="rgb24")
    else:
        is_full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        matrix = _SWSCALE_MATRIX.get(frame.colorspace, 1 if frame.height >= HD_HEIGHT else 5)
        rgb = frame.to_ndarray(
            format="rgb24",
            src_colorspace=matrix,
            dst_colorspace=1 if matrix == 5 else 5,  # means nothing for RGB, but PyAV 14 ignores `src` where both agree
            src_color_range=FULL if is_full else LIMITED,
            dst_color_range=FULL,
        )
    return np.ascontiguousarray(_turned(rgb, _display_matrix(frame)))


def limited_matrix(height: int) -> int:
    """The matrix that `limited_yuv` uses for pictures of this height: BT.709 for HD, BT.601 below."""
    return BT709 if height >= HD_HEIGHT else SMPTE170M


def limited_yuv(rgb: np.ndarray) -> "VideoFrame":
    """RGB uint8 (H, W, 3) with even sides as a yuv420p frame of limited range, tagged with its matrix."""
    from av import VideoFrame

    matrix = limited_matrix(rgb.shape[0])
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
        format="yuv420p", src_color_range=FULL, dst_colorspace=_SWSCALE_MATRIX[matrix], dst_color_range=LIMITED
    )
    frame.colorspace = matrix
    frame.color_range = LIMITED
    return frame


def _display_matrix(frame: "VideoFrame") -> tuple[int, int, int, int] | None:
    """a, b, c, d of (x, y) -> (a x + c y, b x + d y), from stored to shown pixels; None when there is nothing to do."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), dtype=np.int32, count=9).tolist()
    return a, b, c, d


def _turned(rgb: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """The array under the nearest of the eight turns and mirrorings."""
    if matrix is None or not any(matrix):
        return rgb
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        shown, flips_x, flips_y = rgb, a < 0, d < 0
    else:  # x' follows y and y' follows x: a quarter turn
        shown, flips_x, flips_y = rgb.transpose(1, 0, 2), c < 0, b < 0
    return shown[:: -1 if flips_y else 1, :: -1 if flips_x else 1]
