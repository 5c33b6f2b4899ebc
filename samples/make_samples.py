"""Draws all sample media: `python samples/make_samples.py`. Needs numpy, Pillow and PyAV."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import indoors
import numpy as np
import outdoors
from pen import ROUND, SUPERSAMPLING, Pen, mix
from PIL import Image

SAMPLES = Path(__file__).parent
SELFTEST = SAMPLES.parent / "ovdet_cli" / "pipeline" / "selftest.png"

ORIENTATION_TAG, TURN_RIGHT_TO_SHOW = 0x0112, 6  # EXIF

FRAME_RATE, CLIP_SECONDS = 25, 4
SAMPLE_RATE = 48_000
MELODY_HZ = (392.0, 523.25, 587.33, 659.25, 587.33, 523.25, 659.25, 783.99)  # G C D E D C E G: two notes a second


def draw_picture(width: int, height: int, draw_scene: Callable[[Pen], None]) -> Image.Image:
    """The scene as an RGB picture of this size."""
    canvas = Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    draw_scene(Pen(canvas))
    return canvas.reduce(SUPERSAMPLING)


def draw_street(pen: Pen) -> None:
    """960x640: a street with a bus, a car and a clock tower."""
    pen.box(0, 0, 960, 440, "#8fd0f5", "#fdf0dc")
    pen.ellipse(700, 110, 90, 90, "#fff6d8", "#fff6d8", opacity=0.7, blur=22)
    for x, y, scale in ((330, 96, 0.9), (640, 150, 0.7), (905, 78, 0.9)):
        outdoors.draw_cloud(pen.at(x, y, scale))
    for x, width, height in ((380, 70, 190), (520, 60, 240), (570, 90, 170), (930, 50, 260)):
        pen.box(x, 440 - height, x + width, 440, "#b9d3ea", "#d9e2ea")
    outdoors.draw_building(pen.at(-30, 440), 190, 300, "#e8927c", 3, 3)
    outdoors.draw_building(pen.at(172, 440), 214, 350, "#7fa8d6", 4, 4)
    outdoors.draw_clock_tower(pen.at(468, 440))
    outdoors.draw_building(pen.at(566, 440), 180, 250, "#f0bd6e", 3, 2)
    outdoors.draw_building(pen.at(756, 440), 214, 310, "#8cbfa3", 4, 3)
    pen.box(0, 438, 960, 486, "#e6e3df", "#cfcdd0")
    for x in range(-20, 980, 64):
        pen.line([(x + 14, 440), (x, 478)], 1, "#b5b4bb", opacity=0.7)
    pen.box(0, 478, 960, 488, "#b3b4be", "#96989f")
    pen.box(0, 488, 960, 606, "#646b7d", "#565d70")
    for x in range(-30, 960, 110):
        pen.box(x, 541, x + 60, 546, "#f6f2e4", "#e6e0cf", radius=2)
    pen.box(0, 600, 960, 608, "#b3b4be", "#8f919a")
    pen.box(0, 606, 960, 640, "#e2dfdb", "#c9c7ca")
    outdoors.draw_tree(pen.at(44, 466, 1.15))
    outdoors.draw_tree(pen.at(786, 464, 1.05), "#6bbf63")
    outdoors.draw_street_sign(pen.at(536, 466, 0.95))
    outdoors.draw_person(pen.at(600, 474, 0.84), "#ef5d60", "#3f4f7f", "#f2c09a", "#5b3a29")
    outdoors.draw_person(pen.at(692, 473, 0.8).mirrored(), "#ffffff", "#2f7f86", "#a9714b", "#2b2430")
    outdoors.draw_bus(pen.at(340, 536, 1.02))
    outdoors.draw_car(pen.at(690, 592, 1.12))
    outdoors.draw_bicycle(pen.at(100, 630, 1.08))
    outdoors.draw_traffic_light(pen.at(886, 632, 1.25))


def draw_room(pen: Pen, width: int, height: int, table_y: int, wall: str, table: str) -> None:
    """An empty wall and a wooden table that begins at `table_y`."""
    pen.box(0, 0, width, table_y, mix(wall, "#ffffff", 0.2), mix(wall, "#604060", 0.06))
    for x in range(0, width, 48):
        pen.box(x, 0, x + 24, table_y, "#ffffff", "#ffffff", opacity=0.13)
    pen.box(0, table_y, width, height, mix(table, "#ffffff", 0.22), table)
    depth = height - table_y
    for plank in range(-6, 7):
        x = width / 2 + plank * width / 6
        pen.line([(x, table_y), (x + plank * depth * 0.22, height)], 1.4, mix(table, "#402010", 0.35), opacity=0.6)
    pen.box(0, table_y - 7, width, table_y + 7, "#3a2040", opacity=0.14, blur=6)
    pen.box(0, table_y, width, table_y + 5, mix(table, "#ffffff", 0.45))


def draw_window(pen: Pen) -> None:
    """A window with a view, 200x190 from (0, 0)."""
    pen.box(4, 8, 206, 200, "#3a2040", opacity=0.2, blur=6)
    pen.box(-8, -8, 208, 198, "#ffffff", "#eef0f4", radius=6)
    view = pen.box(4, 4, 196, 186, "#a6dbf7", "#e9f6fb", radius=3)
    pen.ellipse(150, 52, 22, 22, "#fff2b8", "#ffe08a", inside=view)
    pen.ellipse(40, 200, 110, 66, "#9fd489", "#7fc07a", inside=view)
    pen.ellipse(170, 210, 100, 60, "#84c77f", "#68b070", inside=view)
    pen.box(96, 0, 104, 190, "#ffffff")
    pen.box(0, 90, 200, 98, "#ffffff")
    pen.box(-18, 194, 218, 208, "#ffffff", "#dfe3ea", radius=4)


def draw_breakfast(pen: Pen) -> None:
    """800x600: a breakfast table."""
    draw_room(pen, 800, 600, 316, "#ffd9b8", "#cf935f")
    draw_window(pen.at(90, 44))
    indoors.draw_clock(pen.at(560, 138, 1.6), hour=8.2)
    indoors.draw_bowl(pen.at(158, 404, 1.15))
    indoors.draw_mug(pen.at(372, 384, 1.12))
    indoors.draw_orange(pen.at(718, 400, 1.15))
    indoors.draw_apple(pen.at(598, 408, 1.12))
    pen.fill([(160, 436), (610, 436), (660, 592), (110, 592)], "#3a2040", radius=14, opacity=0.2, blur=5)
    pen.fill([(160, 430), (610, 430), (660, 586), (110, 586)], "#a8d8cf", "#84c3ba", radius=14)
    pen.fill([(172, 437), (598, 437), (645, 579), (125, 579)], "#ffffff", width=2, opacity=0.6)
    indoors.draw_plate(pen.at(386, 500, 1.42))
    indoors.draw_fork(pen.at(192, 508, 0.98, turn=9, squash=0.8))
    indoors.draw_knife(pen.at(582, 508, 0.98, turn=-9, squash=0.8))
    indoors.draw_banana(pen.at(706, 522, 0.92, turn=-8))


def draw_desk(pen: Pen) -> None:
    """800x600: a desk for work in the evening."""
    draw_room(pen, 800, 600, 396, "#9cc9cf", "#c98d5c")
    pen.box(508, 66, 692, 206, "#20304a", opacity=0.22, blur=6)
    pen.box(500, 56, 684, 196, "#fff8ea", "#efe3cc", radius=4)
    view = pen.box(514, 70, 670, 182, "#ffb38a", "#ffe3b8")
    pen.ellipse(592, 140, 26, 26, "#fff0c2", "#ffd27f", inside=view)
    pen.fill([(500, 184), (560, 110), (606, 160), (640, 128), (690, 184)], "#7c6fb0", "#51598f", inside=view)
    indoors.draw_potted_plant(pen.at(700, 452, 1.2))
    indoors.draw_books(pen.at(574, 452, 0.98))
    indoors.draw_lamp(pen.at(108, 462, 1.5))
    indoors.draw_laptop(pen.at(352, 488, 1.36))
    indoors.draw_mug(pen.at(622, 556, 0.98), "#e2604f", is_hot=False)
    pen.fill([(170, 522), (424, 522), (440, 586), (154, 586)], "#3a2040", radius=6, opacity=0.25, blur=4)
    pen.fill([(170, 517), (424, 517), (440, 580), (154, 580)], "#ffffff", "#f1ede2", radius=4)
    for row in range(5):
        y = 528 + 10 * row
        pen.line([(180 - row * 2, y), (412 + row * 2, y)], 1.2, "#a9c4dd", opacity=0.8)
    indoors.draw_pencil(pen.at(330, 550, 1.12, turn=-11))


def draw_meadow(pen: Pen, width: int, height: int, horizon_y: int) -> None:
    """Sky, hills and grass; the grass begins at `horizon_y`."""
    pen.box(0, 0, width, horizon_y + 20, "#7cc8f6", "#f6f3df")
    pen.ellipse(width * 0.8, height * 0.13, 70, 70, "#fff3bf", "#fff3bf", opacity=0.7, blur=18)
    pen.ellipse(width * 0.8, height * 0.13, 40, 40, "#fff6cf", "#ffe08c")
    for x, rx, rise, colour in ((0.14, 0.5, 92, "#a9d8b8"), (0.86, 0.55, 104, "#98d0ab"), (0.48, 0.6, 54, "#86c795")):
        pen.ellipse(width * x, horizon_y + 120, width * rx, 120 + rise, colour, mix(colour, "#5ba868", 0.5))
    pen.box(0, horizon_y, width, height, "#9bd576", "#5fb35c")


def draw_park(pen: Pen) -> None:
    """600x800: a windy day in a park."""
    draw_meadow(pen, 600, 800, 470)
    for x, y, scale in ((96, 92, 0.8), (330, 66, 0.95), (520, 250, 0.8)):
        outdoors.draw_cloud(pen.at(x, y, scale))
    for x, y, scale, leaf in ((40, 492, 0.9, "#5fb877"), (118, 484, 0.66, "#79c46d"), (548, 500, 1.2, "#57b06a")):
        outdoors.draw_tree(pen.at(x, y, scale), leaf)
    path = [(330, 470), (300, 540), (470, 620), (330, 720), (300, 800), (520, 800), (560, 720), (620, 610), (390, 530)]
    pen.fill([*path, (352, 470)], "#f5e3bd", "#e6c894", radius=ROUND)
    pen.line([(186, 214), (196, 330), (238, 438)], 1.2, "#4a5470", radius=ROUND)
    outdoors.draw_kite(pen.at(184, 192, 1.15, turn=16))
    outdoors.draw_bird(pen.at(420, 170, 0.62))
    outdoors.draw_bird(pen.at(324, 262, 0.4, turn=-8), "#ef7f5a", flap=-0.6)
    outdoors.draw_person(pen.at(206, 530, 0.86), "#ffb347", "#3f5f9f", "#e8b48c", "#3a2a2a")
    outdoors.draw_bench(pen.at(452, 590, 1.0))
    for x, y, turn, colour in ((534, 500, 16, "#4f9fe0"), (534, 500, -18, "#ff6b6b"), (534, 500, 0, "#ffc93c")):
        outdoors.draw_balloon(pen.at(x, y, 0.9, turn), colour)
    outdoors.draw_umbrella(pen.at(120, 690, 1.12, turn=-7))
    outdoors.draw_dog(pen.at(272, 726, 1.1))
    pen.shadow(440, 750, 36, 7)
    outdoors.draw_ball(pen.at(438, 752, 0.86), turn=20)
    for x, y in ((40, 742), (70, 772), (210, 770), (560, 768), (24, 640), (350, 560), (236, 596), (500, 650)):
        for petal in range(5):
            pen.at(x, y, turn=72 * petal).ellipse(0, -4, 2.6, 3.4, "#ffffff")
        pen.ellipse(x, y, 2.4, 2.4, "#ffc93c")


def draw_selftest(pen: Pen) -> None:
    """640x480: a table with an apple, a banana, an orange and a mug, and a clock on the wall."""
    draw_room(pen, 640, 480, 268, "#bfe0e6", "#cf935f")
    indoors.draw_clock(pen.at(322, 122, 1.5))
    indoors.draw_mug(pen.at(122, 366, 1.5))
    indoors.draw_apple(pen.at(300, 360, 1.3))
    indoors.draw_orange(pen.at(456, 350, 1.3))
    indoors.draw_banana(pen.at(470, 440, 1.15))


def draw_clip() -> Iterator[Image.Image]:
    """The frames of the clip, 640x360: a ball bounces, a car drives by, a balloon rises, a bird flies."""
    still = Image.new("RGB", (640 * SUPERSAMPLING, 360 * SUPERSAMPLING))
    pen = Pen(still)
    draw_meadow(pen, 640, 360, 205)
    for x, y, scale, leaf in ((70, 232, 0.8, "#5fb877"), (566, 236, 0.95, "#57b06a"), (470, 226, 0.55, "#79c46d")):
        outdoors.draw_tree(pen.at(x, y, scale), leaf)
    pen.box(0, 238, 640, 294, "#6d7487", "#5a6175")
    for x in range(-20, 640, 90):
        pen.box(x, 264, x + 48, 268, "#f6f2e4", radius=1.5)
    for index in range(FRAME_RATE * CLIP_SECONDS):
        frame = still.copy()
        draw_moment(Pen(frame), index / FRAME_RATE)
        yield frame.reduce(SUPERSAMPLING)


def draw_moment(pen: Pen, time_s: float) -> None:
    """What moves in the clip, as it is at one time."""
    outdoors.draw_cloud(pen.at(180 + 9 * time_s, 62, 0.7))
    outdoors.draw_cloud(pen.at(400 + 6 * time_s, 100, 0.5))
    flap = math.sin(2 * math.pi * 2.2 * time_s)
    outdoors.draw_bird(pen.at(-40 + 150 * time_s, 80 - 5 * flap - 6 * time_s, 0.5), flap=0.15 + 0.85 * flap)
    sway = math.sin(1.9 * time_s)
    outdoors.draw_balloon(pen.at(176 + 12 * sway, 318 - 62 * time_s, 0.62, turn=4 * sway), "#ff6b6b")
    car_x = -110 + 225 * time_s
    outdoors.draw_car(pen.at(car_x, 284, 0.86), "#3f7fe0", turn=math.degrees((car_x + 110) / (19 * 0.86)))
    hop = time_s % 1
    ball_x = 560 - 118 * time_s
    ground = pen.at(ball_x, 348, 0.62)
    height = 4 * 62 * hop * (1 - hop) * 0.82 ** int(time_s)
    ground.shadow(2, -2, 42, 7, 0.36 * (1 - height / 100))
    outdoors.draw_ball(pen.at(ball_x, 348 - height, 0.62), turn=-118 * time_s * 1.85)


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


def write_clip(path: Path) -> None:
    """Encodes the clip: H.264 and AAC, its index first, so that a browser can begin at once."""
    with av.open(path, "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": "23", "preset": "slow"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate = 64_000
        for index, picture in enumerate(draw_clip()):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = melody()
        for start in range(0, len(samples), 1024):
            sound = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(sound))
        container.mux(audio.encode())


def main() -> None:
    """Draws and writes every sample, beside this file and into the package."""
    posts = SAMPLES / "posts"
    (posts / "kitchen").mkdir(parents=True, exist_ok=True)
    draw_picture(960, 640, draw_street).save(posts / "street.jpg", quality=88)
    draw_picture(800, 600, draw_breakfast).save(posts / "kitchen" / "breakfast.png", optimize=True)
    draw_picture(800, 600, draw_desk).save(posts / "kitchen" / "desk.webp", quality=88, method=6)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = TURN_RIGHT_TO_SHOW
    lying = draw_picture(600, 800, draw_park).transpose(Image.Transpose.ROTATE_90)
    lying.save(posts / "park.jpg", quality=88, exif=exif)
    draw_picture(640, 480, draw_selftest).save(SELFTEST, optimize=True)
    write_clip(posts / "clip.mp4")


if __name__ == "__main__":
    main()
