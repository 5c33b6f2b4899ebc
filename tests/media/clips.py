"""Small video files for tests, made with PyAV: frames that can be told apart, in containers with known oddities."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICKS_25 = range(0, 50 * 3600, 3600)  # 2 s at 25 frames a second, in 1/90000 s
VFR_MS = (0, 33, 40, 250, 251, 400, 900, 901, 1500, 1733, 2000, 2100, 2101, 2500, 2700)
CORNERS = {
    "top left": (200, 40, 40),
    "top right": (40, 200, 40),
    "bottom left": (40, 40, 200),
    "bottom right": (200, 200, 40),
}


def level(index: int) -> int:
    """The grey of frame `index`: neighbours differ by far more than a codec's error."""
    return 40 + index * 53 % 170


def grey_picture(index: int, size_wh: tuple[int, int]) -> np.ndarray:
    return np.full((size_wh[1], size_wh[0], 3), level(index), np.uint8)


def corner_picture(size_wh: tuple[int, int]) -> np.ndarray:
    """A quarter each of red, green, blue and yellow, so that any turn or mirroring shows."""
    width, height = size_wh
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = CORNERS["top left"]
    picture[: height // 2, width // 2 :] = CORNERS["top right"]
    picture[height // 2 :, : width // 2] = CORNERS["bottom left"]
    picture[height // 2 :, width // 2 :] = CORNERS["bottom right"]
    return picture


def make_clip(
    path: Path,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    time_base: Fraction = Fraction(1, 90000),
    ticks: Sequence[int] = TICKS_25,
    size_wh: tuple[int, int] = (64, 48),
    pictures: Sequence[np.ndarray] | None = None,
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    audio: str | None = None,
    audio_rate: int = 48000,
    num_sounds: int = 1,
    aspect: Fraction | None = None,
    title: str = "",
) -> Path:
    """A clip whose frame i is shown at ticks[i] x time_base, grey of level(i) or pictures[i]; audio: a codec's name."""
    with av.open(str(path), "w", container_options=muxing or {}) as container:
        container.metadata["title"] = title
        video = container.add_stream(codec, rate=25, options=options or {})
        video.width, video.height = size_wh
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = time_base
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        sounds = [
            container.add_stream(audio, rate=audio_rate, layout="mono") for _ in range(num_sounds if audio else 0)
        ]
        for sound in sounds:
            sound.bit_rate = 64_000
        heard = ticks[0] * time_base
        for index, pts in enumerate(ticks):
            rgb = pictures[index] if pictures is not None else grey_picture(index, size_wh)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = pts, time_base
            container.mux(video.encode(frame))
            while sounds and heard <= pts * time_base:
                for sound in sounds:
                    _hear(container, sound, heard, audio_rate)
                heard += Fraction(1024, audio_rate)
        for stream in (video, *sounds):
            container.mux(stream.encode(None))
    return path


def _hear(container, sound, heard: Fraction, rate: int) -> None:
    """Encodes 1024 samples of a tone."""
    noise = np.random.default_rng(round(heard * rate)).integers(-8000, 8000, 1024)  # no two packets are the same
    tone = (np.sin(np.arange(1024) * 0.06) * 8000 + noise).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, round(heard * rate), Fraction(1, rate)
    container.mux(sound.encode(frame))


def make_planes(
    path: Path,
    planes: Sequence[np.ndarray],
    pix_fmt: str,
    colorspace: int,
    color_range: int,
    size_wh: tuple[int, int] | None = None,
) -> Path:
    """One lossless frame of these planes, tagged with H.273's matrix and libav's range; 2 and 0 leave them unsaid."""
    width, height = size_wh or planes[0].shape[::-1]
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.colorspace, video.codec_context.color_range = colorspace, color_range
        frame = av.VideoFrame(width, height, pix_fmt)
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size), np.uint8)
            raw = np.ascontiguousarray(values).view(np.uint8)
            rows[:, : raw.shape[1]] = raw
            plane.update(rows.tobytes())
        frame.pts = 0
        frame.colorspace, frame.color_range = colorspace, color_range
        container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Writes a turn or mirroring into an MP4's track header (ISO/IEC 14496-12, 8.3.2): x' = ax + cy, y' = bx + dy."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 52 if data[at] == 1 else 40
    one = 1 << 16
    matrix = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    return path


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Time and payload of every packet of one kind of stream, as stored."""
    with av.open(str(path)) as container:
        streams = getattr(container.streams, kind)
        return [(p.pts * Fraction(p.time_base), bytes(p)) for p in container.demux(*streams) if p.size]


def make_heic(path: Path, rgb: np.ndarray, quarter_turns: int) -> Path:
    """A HEIC of one picture (ISO/IEC 23008-12), to be shown turned counter-clockwise; no library here writes one."""
    height, width = rgb.shape[:2]
    # Without bframes=0 the one packet's dts is now and then left unset, and the muxer refuses it.
    options = {"x265-params": "log-level=none:crf=12:info=0:pools=none:frame-threads=1:bframes=0"}
    movie = path.with_suffix(".mkv")
    make_clip(movie, codec="libx265", size_wh=(width, height), ticks=[0], pictures=[rgb], options=options)
    with av.open(str(movie)) as container:
        config = bytes(container.streams.video[0].codec_context.extradata)
        picture = next(bytes(packet) for packet in container.demux(video=0) if packet.size)
    movie.unlink()

    def box(kind: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return (8 + len(body)).to_bytes(4, "big") + kind + body

    def meta(offset: int) -> bytes:
        place = bytes.fromhex("44 00 0001 0001 0000 0001") + offset.to_bytes(4, "big") + len(picture).to_bytes(4, "big")
        size = box(b"ispe", bytes(4), width.to_bytes(4, "big"), height.to_bytes(4, "big"))
        properties = box(b"ipco", box(b"hvcC", config), size, box(b"irot", bytes([quarter_turns])))
        return box(
            b"meta", bytes(4), box(b"hdlr", bytes(8), b"pict", bytes(13)), box(b"pitm", bytes(4), b"\0\1"),
            box(b"iloc", bytes(4), place),
            box(b"iinf", bytes(4), b"\0\1", box(b"infe", b"\2\0\0\0", b"\0\1\0\0", b"hvc1", b"\0")),
            box(b"iprp", properties, box(b"ipma", bytes(4), bytes.fromhex("00000001 0001 03 81 02 83"))),
        )  # fmt: skip

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    offset = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(offset) + box(b"mdat", picture))
    return path
