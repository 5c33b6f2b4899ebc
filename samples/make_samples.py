"""Composes all sample media: `python samples/make_samples.py ARTWORK`.

ARTWORK is a store of drawings, made once by `python -m ovdet_cli.training.artwork_build ARTWORK`. Only drawings of
Noto Emoji, Fluent Emoji, Twemoji and EmojiOne 2 are taken, none that is kept for evaluation; README.md attributes them.
"""

import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.canvas import Canvas
from ovdet_cli.training.cutouts import Pose, cut_out, rimmed, shaded
from ovdet_cli.training.screens import panel

SAMPLES = Path(__file__).parent
PACKAGE = SAMPLES.parent / "ovdet_cli"
FONT = PACKAGE / "render" / "font_data" / "DejaVuSansCondensed-Bold.ttf"

ORIENTATION_TAG, TURN_RIGHT_TO_SHOW = 0x0112, 6  # EXIF
FRAME_RATE, CLIP_SECONDS = 25, 4
SAMPLE_RATE = 48_000
MELODY_HZ = (392.0, 523.25, 587.33, 659.25, 587.33, 523.25, 659.25, 783.99)  # G C D E D C E G: two notes a second


class Desk:
    """A picture, and the drawings that are laid on it by "style/icon"."""

    def __init__(self, artwork: Artwork, image: np.ndarray) -> None:
        self._artwork = artwork
        self._places = {f"{d.style}/{d.name}": i for i, d in enumerate(artwork.drawings) if not d.held_out}
        self._canvas = Canvas(image)
        self.image = self._canvas.image

    def put(
        self, icon: str, x: float, y: float, size: float, turn: float = 0, *, rim: int = 0, mirrored: bool = False
    ) -> None:
        """Lays an icon with its middle at (x, y), `size` pixels on its longer side, turned by degrees.

        rim: width of a sticker's white border; such a one has a shadow too.
        """
        pixels = self._artwork.pixels(self._places[icon])
        cutout = cut_out(pixels, Pose((x, y), size, math.radians(turn), mirrored=mirrored))
        if rim:
            cutout = shaded(rimmed(cutout, rim), (3, 5), 4.0, 0.45)
        if not self._canvas.lay(cutout, 0):
            raise ValueError(f"{icon} at {x}, {y} can hardly be seen, or hides another")


def write(image: np.ndarray, text: str, x: int, y: int, height: int, colour: tuple[int, int, int]) -> None:
    """Puts a line of text on a picture, its upper left corner at (x, y)."""
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text((x, y), text, fill=colour, font=ImageFont.truetype(FONT, height))
    image[:] = np.asarray(picture)


def ramp(height: int, width: int, *colours: tuple[int, int, int]) -> np.ndarray:
    """Colours passing into each other from top to bottom, uint8 (H, W, 3)."""
    column = np.array(colours, np.float32)[:, None]
    return cv2.resize(column, (width, height), interpolation=cv2.INTER_LINEAR).round().astype(np.uint8)


def draw_chat(artwork: Artwork) -> np.ndarray:
    """A conversation on a telephone, 480 x 800."""
    desk = Desk(artwork, np.full((800, 480, 3), (236, 240, 245), np.uint8))
    image = desk.image
    panel(image, (-20, -20, 500, 58), 12, (52, 104, 192))
    write(image, "Sunday picnic", 78, 15, 24, (255, 255, 255))
    panel(image, (18, 10, 62, 52), 20, (255, 255, 255))
    desk.put("fluent-emoji/cat-face", 40, 31, 34)
    bubbles = (
        (14, 78, 330, 122, "Who brings what?", (255, 255, 255)),
        (150, 134, 466, 178, "I bring", (198, 232, 178)),
        (14, 190, 360, 234, "Then I take", (255, 255, 255)),
        (196, 416, 466, 460, "Look who comes!", (198, 232, 178)),
        (14, 660, 466, 704, "Will it stay dry?", (255, 255, 255)),
    )
    for x1, y1, x2, y2, text, colour in bubbles:
        panel(image, (x1, y1, x2, y2), 16, colour)
        write(image, text, x1 + 16, y1 + 11, 21, (40, 44, 52))
    for place, icon in enumerate(("noto/hamburger", "noto/pizza", "noto/strawberry", "noto/doughnut")):
        desk.put(icon, 266 + 44 * place, 156, 34)
    for place, icon in enumerate(("twemoji/watermelon", "twemoji/banana", "twemoji/avocado")):
        desk.put(icon, 178 + 46 * place, 212, 34)
    desk.put("fluent-emoji/guitar", 84, 322, 150, -8, rim=5)
    desk.put("fluent-emoji/soccer-ball", 212, 336, 110, rim=5)
    desk.put("noto/dog-face", 372, 556, 170, 6, rim=6)
    desk.put("noto/butterfly", 272, 494, 52, 20, mirrored=True)
    desk.put("emojione/umbrella-with-rain-drops", 226, 682, 34)
    desk.put("fluent-emoji/sun", 270, 682, 34)
    desk.put("noto/cloud", 314, 682, 34)
    panel(image, (14, 738, 466, 786), 22, (255, 255, 255))
    write(image, "Message", 34, 751, 20, (150, 155, 165))
    return image


def draw_stickers(artwork: Artwork) -> np.ndarray:
    """Stickers on a wooden table, 960 x 640, some over others."""
    table = ramp(640, 960, (206, 160, 112), (176, 128, 84))
    for board, y in enumerate(range(0, 640, 92)):
        cv2.line(table, (0, y), (960, y), (140, 96, 60), 2)
        for x in range(120 + 170 * (board % 2), 960, 340):
            cv2.line(table, (x, y), (x, y + 92), (140, 96, 60), 2)
    desk = Desk(artwork, table)
    for icon, x, y, size, turn in (
        ("noto/rocket", 130, 130, 190, -10),
        ("fluent-emoji/cactus", 330, 150, 180, 6),
        ("noto/robot", 540, 120, 160, -5),
        ("twemoji/octopus", 770, 140, 180, 8),
        ("fluent-emoji/headphone", 880, 290, 150, -14),
        ("noto/bicycle", 170, 340, 210, 4),
        ("twemoji/cat", 420, 340, 190, -6),
        ("fluent-emoji/camera", 640, 330, 190, 9),
        ("emojione/pizza", 110, 530, 170, 14),
        ("fluent-emoji/teapot", 320, 530, 180, -4),
        ("noto/avocado", 500, 510, 130, 12),
        ("noto/soccer-ball", 640, 520, 120, 0),
        ("twemoji/airplane", 810, 500, 200, -8),
        ("noto/glasses", 700, 230, 110, -10),
    ):
        desk.put(icon, x, y, size, turn, rim=7)
    return desk.image


def draw_breakfast(artwork: Artwork) -> np.ndarray:
    """A table seen from above, 800 x 600."""
    image = ramp(600, 800, (244, 222, 190), (232, 200, 160))
    for x in range(0, 800, 50):
        cv2.rectangle(image, (x, 0), (x + 25, 600), (238, 212, 178), -1)
    panel(image, (180, 130, 620, 520), 24, (150, 204, 196))
    panel(image, (196, 146, 604, 504), 18, (172, 216, 208))
    desk = Desk(artwork, image)
    for icon, x, y, size, turn in (
        ("noto/pancakes", 330, 260, 190, 0),
        ("fluent-emoji/cooking", 500, 390, 180, -12),
        ("fluent-emoji/croissant", 300, 430, 140, 10),
        ("noto/hot-beverage", 690, 170, 160, 0),
        ("fluent-emoji/glass-of-milk", 520, 200, 110, 4),
        ("noto/banana", 90, 170, 150, -20),
        ("twemoji/strawberry", 80, 330, 84, 12),
        ("twemoji/strawberry", 130, 390, 70, -30),
        ("noto/tangerine", 690, 340, 120, 0),
        ("emojione/red-apple", 720, 460, 130, 8),
        ("twemoji/cheese-wedge", 110, 510, 140, 0),
        ("noto/honey-pot", 250, 70, 110, 0),
        ("fluent-emoji/bread", 420, 70, 110, -6),
    ):
        desk.put(icon, x, y, size, turn)
    return desk.image


def draw_meadow(height: int, width: int, horizon: int) -> np.ndarray:
    """Sky, hills and grass, uint8 (H, W, 3)."""
    image = np.vstack(
        [
            ramp(horizon, width, (120, 190, 240), (226, 240, 246)),
            ramp(height - horizon, width, (150, 205, 120), (96, 168, 84)),
        ]
    )
    for x, rise, colour in ((0.1, 90, (150, 200, 170)), (0.9, 110, (136, 192, 158)), (0.5, 60, (122, 184, 140))):
        centre = (int(x * width), horizon + 40)
        cv2.ellipse(image, centre, (width // 2, rise + 40), 0, 180, 360, colour, -1, cv2.LINE_AA)
    image[horizon:] = ramp(height - horizon, width, (150, 205, 120), (96, 168, 84))
    return image


def draw_park(artwork: Artwork) -> np.ndarray:
    """A windy day in a park, 600 x 800."""
    desk = Desk(artwork, draw_meadow(800, 600, 440))
    for icon, x, y, size, turn in (
        ("fluent-emoji/sun", 510, 90, 130, 0),
        ("noto/cloud", 120, 90, 150, 0),
        ("noto/cloud", 330, 60, 100, 0),
        ("noto/kite", 200, 220, 130, 10),
        ("twemoji/bird", 400, 210, 80, -8),
        ("noto/deciduous-tree", 90, 400, 200, 0),
        ("fluent-emoji/deciduous-tree", 520, 390, 190, 0),
        ("noto/balloon", 330, 330, 100, 8),
        ("twemoji/balloon", 380, 310, 90, -12),
        ("noto/dog", 180, 640, 170, 0),
        ("noto/bicycle", 430, 600, 200, 0),
        ("twemoji/umbrella-on-ground", 300, 500, 120, 0),
        ("fluent-emoji/soccer-ball", 330, 720, 80, 0),
        ("noto/rabbit", 510, 720, 110, 0),
        ("noto/mushroom", 60, 740, 60, 0),
        ("noto/butterfly", 260, 560, 48, 24),
    ):
        desk.put(icon, x, y, size, turn)
    return desk.image


def draw_selftest(artwork: Artwork) -> np.ndarray:
    """A table with an apple, a banana, an orange, a cup and a clock, 640 x 480."""
    image = np.vstack(
        [ramp(270, 640, (214, 234, 238), (190, 218, 226)), ramp(210, 640, (214, 162, 112), (190, 136, 88))]
    )
    desk = Desk(artwork, image)
    for icon, x, y, size in (
        ("noto/mantelpiece-clock", 320, 180, 180),
        ("noto/hot-beverage", 120, 330, 170),
        ("noto/red-apple", 300, 360, 140),
        ("noto/tangerine", 460, 350, 140),
        ("noto/banana", 560, 240, 150),
    ):
        desk.put(icon, x, y, size)
    return desk.image


def draw_clip(artwork: Artwork) -> Iterator[np.ndarray]:
    """The frames of the clip, 640 x 360: a car and a bus drive by, a ball bounces, a balloon rises, a bird flies."""
    still = draw_meadow(360, 640, 200)
    cv2.rectangle(still, (0, 236), (640, 300), (98, 104, 120), -1)
    for x in range(-20, 640, 90):
        cv2.rectangle(still, (x, 265), (x + 48, 269), (238, 234, 220), -1)
    for index in range(FRAME_RATE * CLIP_SECONDS):
        time_s = index / FRAME_RATE
        desk = Desk(artwork, still.copy())
        desk.put("noto/deciduous-tree", 90, 180, 130)
        desk.put("fluent-emoji/house", 540, 170, 130)
        desk.put("noto/cloud", 150 + 9 * time_s, 50, 90)
        desk.put("twemoji/bird", 60 + 130 * time_s, 110 - 10 * math.sin(7 * time_s), 56, mirrored=True)
        desk.put("noto/balloon", 330 + 12 * math.sin(1.9 * time_s), 210 - 40 * time_s, 80, 6 * math.sin(1.9 * time_s))
        desk.put("fluent-emoji/bus", 570 - 110 * time_s, 236, 130)
        desk.put("noto/automobile", 60 + 130 * time_s, 286, 120, mirrored=True)
        hop = time_s % 1
        desk.put("fluent-emoji/soccer-ball", 560 - 118 * time_s, 336 - 200 * hop * (1 - hop), 44, -200 * time_s)
        write(desk.image, "just a walk", 16, 330, 20, (255, 255, 255))
        yield desk.image


def melody() -> np.ndarray:
    """A quiet plucked melody, float32 (samples,), at most 0.2 loud."""
    sound = np.zeros(SAMPLE_RATE * CLIP_SECONDS)
    gap = len(sound) // len(MELODY_HZ)
    for note, pitch_hz in enumerate(MELODY_HZ):
        time_s = np.arange(len(sound) - note * gap) / SAMPLE_RATE
        tone = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k**2 for k in (1, 2, 3))
        sound[note * gap :] += 0.09 * tone * np.exp(-4 * time_s) * np.minimum(1, time_s / 0.01)
    fade = np.minimum(1, np.arange(len(sound))[::-1] / (SAMPLE_RATE * 0.2))
    return (sound * fade).clip(-0.2, 0.2).astype(np.float32)


def write_clip(path: Path, artwork: Artwork) -> None:
    """Encodes the clip: H.264 and AAC, its index first, so that a browser can begin at once."""
    with av.open(path, "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": "23", "preset": "slow"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate = 64_000
        for index, picture in enumerate(draw_clip(artwork)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = melody()
        for start in range(0, len(samples), 1024):
            sound = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(sound))
        container.mux(audio.encode())


def main(artwork: Artwork) -> None:
    """Composes and writes every sample, beside this file and into the package."""
    posts = SAMPLES / "posts"
    (posts / "kitchen").mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_chat(artwork)).save(posts / "chat.png", optimize=True)
    Image.fromarray(draw_stickers(artwork)).save(posts / "stickers.jpg", quality=88)
    Image.fromarray(draw_breakfast(artwork)).save(posts / "kitchen" / "breakfast.webp", quality=88, method=6)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = TURN_RIGHT_TO_SHOW
    lying = Image.fromarray(draw_park(artwork)).transpose(Image.Transpose.ROTATE_90)
    lying.save(posts / "park.jpg", quality=88, exif=exif)
    Image.fromarray(draw_selftest(artwork)).save(PACKAGE / "pipeline" / "selftest.png", optimize=True)
    write_clip(posts / "clip.mp4", artwork)


if __name__ == "__main__":
    main(Artwork.open(Path(sys.argv[1] if len(sys.argv) > 1 else "artwork")))
