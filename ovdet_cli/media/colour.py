"""Video frame <-> RGB array: matrix, range, display rotation."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

# ITU-T H.273 matrix coefficients (libav's AVCOL_SPC_*), which swscale's own numbers agree with where both exist.
BT709, UNSAID, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020, BT2020_CL = 1, 2, 4, 5, 6, 7, 9, 10
LIMITED, FULL = 1, 2
_SWSCALE_MATRIX = {
    BT709: 1, FCC: 4, BT470BG: 5, SMPTE170M: 5, SMPTE240M: 7, BT2020: 9, BT2020_CL: 9,
}  # fmt: skip
# H.273 transfer characteristics of HDR.
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
# From this height up a stream that names no matrix is taken as HD: the rule of mpv, VLC and browsers.
HD_HEIGHT = 720


@dataclass(frozen=True)
class ColourTags:
    """What a stream says of its colours: H.273's numbers, and libav's range (0: unsaid)."""

    matrix: int = UNSAID
    primaries: int = UNSAID
    transfer: int = UNSAID
    range: int = 0


def tags_of(frame: "VideoFrame") -> ColourTags:
    """The tags of a decoded frame."""
    is_full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    return ColourTags(
        int(frame.colorspace),
        int(frame.color_primaries),
        int(frame.color_trc),
        FULL if is_full else int(frame.color_range),
    )


def written_tags(source: ColourTags, *, is_rgb: bool, stored_height: int, written_height: int) -> ColourTags:
    """The tags for a picture that was decoded from `source` and is encoded again: the same wherever it can be.

    What is unsaid stays unsaid: written with the matrix it was read with, it looks in every player as the source does
    there. Where a turn takes the height across what players take as HD, the matrix is said. RGB, and a matrix that
    swscale does not know, become the one of the height.
    """
    if is_rgb or source.matrix not in (*_SWSCALE_MATRIX, UNSAID):
        tags = replace(source, matrix=_matrix_of(written_height))
        return replace(tags, range=LIMITED) if is_rgb else tags
    if source.matrix == BT2020_CL:  # read as if its luminance were not constant, so written so
        return replace(source, matrix=BT2020)
    if source.matrix == UNSAID and _matrix_of(stored_height) != _matrix_of(written_height):
        return replace(source, matrix=_matrix_of(stored_height))
    return source


def upright_rgb(frame: "VideoFrame", scaler: "VideoReformatter | None" = None) -> np.ndarray:
    """The decoded frame as players show it: RGB uint8 (H, W, 3), turned and mirrored by its display matrix.

    Pixels that are not square stay as stored. HDR is not tone-mapped. Transparency of RGB (GIF, PNG) is laid over
    white, as in pictures, and dropped in other formats. scaler: kept from frame to frame, saves setting swscale up.
    """
    scaler = scaler or _new_scaler()
    if frame.format.is_rgb and has_alpha(frame):
        layer = scaler.reformat(frame, format="rgba").to_ndarray()
        return np.ascontiguousarray(_turned(_over_white(layer), display_matrix(frame)))
    if frame.format.is_rgb:
        shown = scaler.reformat(frame, format="rgb24")
    else:
        is_full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        matrix = _SWSCALE_MATRIX.get(frame.colorspace, _matrix_of(frame.height))
        shown = scaler.reformat(
            frame,
            format="rgb24",
            src_colorspace=matrix,
            dst_colorspace=1 if matrix == 5 else 5,  # means nothing for RGB, but PyAV may ignore `src` where both agree
            src_color_range=FULL if is_full else LIMITED,
            dst_color_range=FULL,
        )
    return np.ascontiguousarray(_turned(shown.to_ndarray(), display_matrix(frame)))


def encodable(rgb: np.ndarray, tags: ColourTags, scaler: "VideoReformatter | None" = None) -> "VideoFrame":
    """RGB uint8 (H, W, 3) with even sides as a yuv420p frame in the matrix and range of `tags`, and tagged so."""
    from av import VideoFrame

    rgb = np.ascontiguousarray(rgb)
    frame = (scaler or _new_scaler()).reformat(
        VideoFrame.from_numpy_buffer(rgb, format="rgb24"),  # wraps and does not copy
        format="yuv420p",
        src_color_range=FULL,
        dst_colorspace=_SWSCALE_MATRIX.get(tags.matrix, _matrix_of(rgb.shape[0])),
        dst_color_range=FULL if tags.range == FULL else LIMITED,
    )
    frame.colorspace, frame.color_range = tags.matrix, tags.range
    return frame


def has_alpha(frame: "VideoFrame") -> bool:
    """Whether its format has a place for transparency."""
    return any(component.is_alpha for component in frame.format.components)


def is_quarter_turned(frame: "VideoFrame") -> bool:
    """Whether the frame is shown with its sides exchanged."""
    matrix = display_matrix(frame)
    return matrix is not None and any(matrix) and _is_quarter_turn(matrix)


def display_matrix(frame: "VideoFrame") -> tuple[int, int, int, int] | None:
    """a, b, c, d of (x, y) -> (a x + c y, b x + d y), from stored to shown pixels; None when there is nothing to do."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), dtype=np.int32, count=9).tolist()
    return a, b, c, d


def _matrix_of(height: int) -> int:
    """The matrix of pictures of this height that name none: BT.709 for HD, BT.601 below."""
    return BT709 if height >= HD_HEIGHT else SMPTE170M


def _is_quarter_turn(matrix: tuple[int, int, int, int]) -> bool:
    a, b, c, d = matrix
    return abs(a) + abs(d) < abs(b) + abs(c)


def _turned(rgb: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """The array under the nearest of the eight turns and mirrorings."""
    if matrix is None or not any(matrix):
        return rgb
    a, b, c, d = matrix
    if _is_quarter_turn(matrix):  # x' follows y and y' follows x
        shown, flips_x, flips_y = rgb.transpose(1, 0, 2), c < 0, b < 0
    else:
        shown, flips_x, flips_y = rgb, a < 0, d < 0
    return shown[:: -1 if flips_y else 1, :: -1 if flips_x else 1]


def _over_white(rgba: np.ndarray) -> np.ndarray:
    """RGBA uint8 (H, W, 4) on white paper: RGB uint8 (H, W, 3)."""
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255:
        return rgb
    darkness = (255 - rgb).astype(np.uint16) * alpha
    return 255 - ((darkness + 127) // 255).astype(np.uint8)


def _new_scaler() -> "VideoReformatter":
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()
