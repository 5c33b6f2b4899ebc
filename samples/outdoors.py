"""What each thing outdoors looks like: drawn as in indoors.py."""

import itertools
import math

from indoors import GLASS, INK, STEEL, WOOD, draw_clock
from pen import ROUND, Pen, arc, mix


def draw_wheel(pen: Pen, radius: float, turn: float = 0.0) -> None:
    """A tyre with a five-spoked rim, its middle at (0, 0)."""
    pen.ellipse(0, 0, radius, radius, "#3a4156", "#232838")
    pen.ellipse(0, 0, radius * 0.62, radius * 0.62, "#e6ebf2", "#b4bfce")
    for spoke in range(5):
        pen.at(0, 0, turn=turn + 72 * spoke).line([(0, -radius * 0.2), (0, -radius * 0.48)], radius * 0.16, "#7d889d")
    pen.ellipse(0, 0, radius * 0.17, radius * 0.17, "#5d677c")


def draw_car(pen: Pen, colour: str = "#e5484d", turn: float = 0.0) -> None:
    """A car from the side; `turn` is how far its wheels have rolled, in degrees."""
    pen.shadow(0, -2, 112, 11, 0.4)
    cabin = [(-74, -46), (-48, -84), (30, -84), (66, -46)]
    pen.fill(cabin, mix(colour, "#ffffff", 0.1), mix(colour, INK, 0.1), radius=14)
    body = [(-104, -14), (-104, -44), (-90, -52), (60, -52), (98, -44), (106, -30), (106, -14)]
    outline = pen.fill(body, mix(colour, "#ffffff", 0.05), mix(colour, INK, 0.25), radius=11)
    for window in (
        [(-60, -50), (-42, -76), (-10, -76), (-10, -50)],
        [(-3, -50), (-3, -76), (26, -76), (51, -50)],
    ):
        glass = pen.fill(window, GLASS, "#8fc4e3", radius=5)
        x = window[2][0]
        pen.fill([(x - 22, -48), (x - 6, -80), (x + 2, -80), (x - 14, -48)], "#ffffff", opacity=0.4, inside=glass)
    pen.box(-104, -26, 106, -21, "#ffffff", opacity=0.22, inside=outline)
    pen.line([(-6.5, -49), (-6.5, -18)], 1.6, INK, opacity=0.35)
    pen.line([(-26, -42), (-16, -42)], 3.2, INK, opacity=0.5)
    pen.line([(36, -42), (46, -42)], 3.2, INK, opacity=0.5)
    pen.ellipse(96, -38, 8, 6, "#fff6c9", "#ffd860")
    pen.box(-105, -44, -96, -33, "#ff8d7a", "#c8283c", radius=3)
    pen.box(-110, -20, 110, -12, "#4b556e", INK, radius=4)
    for x in (-62, 62):
        pen.ellipse(x, -20, 25, 25, INK, inside=outline)
        draw_wheel(pen.at(x, -18), 19, turn)


def draw_bus(pen: Pen, colour: str = "#f6b73c") -> None:
    """A city bus from the side."""
    pen.shadow(0, -2, 176, 12, 0.4)
    body = pen.box(-168, -138, 168, -14, mix(colour, "#ffffff", 0.12), mix(colour, "#c04a10", 0.22), radius=16)
    pen.box(-168, -50, 168, -42, "#ffffff", opacity=0.7, inside=body)
    pen.box(-150, -144, -60, -136, mix(colour, INK, 0.3), radius=4)
    pen.box(-158, -122, 160, -68, "#3c4763", "#2d3650", radius=8)
    for x in range(-154, 100, 42):
        glass = pen.box(x, -118, x + 37, -72, GLASS, "#8fc4e3", radius=5)
        pen.fill([(x + 4, -70), (x + 18, -120), (x + 27, -120), (x + 13, -70)], "#ffffff", opacity=0.4, inside=glass)
    for x in (-118, -34, 50):
        pen.ellipse(x - 10, -88, 8, 9, "#7c5a4a", opacity=0.6)
        pen.box(x - 22, -80, x + 2, -72, "#5a78b8", radius=4, opacity=0.6)
    pen.box(100, -122, 140, -20, "#3c4763", radius=5)
    for x in (104, 122):
        pen.box(x, -116, x + 14, -26, GLASS, "#9fcde6", radius=3)
    pen.fill([(146, -122), (162, -122), (168, -104), (168, -66), (146, -66)], GLASS, "#9fcde6", radius=4)
    pen.box(-158, -134, -96, -124, "#2b3350", radius=3)
    for x in range(-152, -102, 10):
        pen.line([(x, -129), (x + 5, -129)], 3, "#ffd860")
    pen.ellipse(161, -34, 7, 7, "#fffbe0", "#ffe48a")
    pen.box(-170, -40, -163, -26, "#ff8d7a", "#c8283c", radius=2)
    pen.box(-172, -22, 172, -12, "#4b556e", INK, radius=4)
    for x in (-104, 70):
        pen.ellipse(x, -22, 29, 29, INK, inside=body)
        draw_wheel(pen.at(x, -21), 22)


def draw_bicycle(pen: Pen, colour: str = "#1f9e8f") -> None:
    """A bicycle from the side."""
    pen.shadow(0, 0, 86, 5)
    for x in (-50, 50):
        for spoke in range(9):
            pen.at(x, -33, turn=20 * spoke).line([(0, -31), (0, 31)], 0.8, "#8a94a8")
        pen.fill(arc(x, -33, 31, 31), "#2c3348", width=5)
        pen.fill(arc(x, -33, 27.5, 27.5), "#d5dce6", width=1.6)
        pen.ellipse(x, -33, 4, 4, INK)
    crank, saddle, head = (-6, -34), (-20, -76), (34, -80)
    for path in ([(-50, -33), crank, saddle, (-50, -33)], [crank, (36, -72), (-18, -70)], [head, (40, -60), (50, -33)]):
        pen.line(path, 5, colour)
    pen.line([saddle, (-23, -84)], 4, INK)
    pen.fill([(-42, -90), (-8, -88), (-6, -84), (-24, -80), (-40, -82)], "#7a4a2b", radius=5)
    pen.line([head, (31, -94), (46, -98), (52, -90)], 4.5, INK, radius=6)
    pen.fill(arc(-6, -34, 9, 9), INK, width=3)
    pen.line([(-6, -34), (2, -18)], 3.4, INK)
    pen.line([(-3, -17), (8, -17)], 4, INK)


def draw_traffic_light(pen: Pen, lit: int = 2) -> None:
    """A traffic light on its post; `lit` counts the lamps from the top."""
    pen.shadow(2, 0, 22, 5)
    pen.box(-5, -150, 5, 0, "#6a748a", "#48526a")
    pen.box(-10, -8, 10, 0, "#48526a", radius=3)
    pen.box(-25, -258, 25, -140, "#39425a", "#262d42", radius=13)
    for row, (on, off) in enumerate((("#ff5a52", "#6e3038"), ("#ffd23e", "#6b5a2c"), ("#45e08a", "#235a45"))):
        y = 37 * row - 236
        if row == lit:
            pen.ellipse(0, y, 24, 24, on, on, opacity=0.45, blur=7)
        pen.ellipse(0, y, 14, 14, on if row == lit else off)
        pen.ellipse(-4, y - 5, 4, 3, "#ffffff", opacity=0.6 if row == lit else 0.15)
        pen.fill(arc(0, y - 1, 16.5, 16.5, 195, 345), "#161b2b", width=5)


def draw_street_sign(pen: Pen) -> None:
    """A post with two street names, ELM and OAK, lettered by hand."""
    pen.shadow(2, 0, 20, 4)
    pen.box(-4, -196, 4, 0, "#9aa5b8", "#76829a")
    pen.ellipse(0, -198, 6, 6, STEEL)
    letters = {
        "E": [(9, 0), (0, 0), (0, 8), (7, 8), (0, 8), (0, 16), (9, 16)],
        "L": [(0, 0), (0, 16), (9, 16)],
        "M": [(0, 16), (0, 0), (6, 9), (12, 0), (12, 16)],
        "O": arc(6, 8, 6, 8),
        "A": [(0, 16), (6, 0), (12, 16), (9.8, 10), (2.2, 10)],
        "K": [(0, 0), (0, 16), (0, 9), (9, 0), (3, 6), (10, 16)],
    }
    for name, x, y, colour in (("ELM", -30, -190, "#1f8a5b"), ("OAK", -40, -158, "#2f6fc0")):
        pen.box(x, y, x + 70, y + 27, "#ffffff", radius=5)
        pen.box(x + 2, y + 2, x + 68, y + 25, colour, radius=4)
        for place, letter in enumerate(name):
            strokes = [(x + 11 + 19 * place + u, y + 5.5 + v) for u, v in letters[letter]]
            pen.line(strokes, 3.2, "#ffffff", "#ffffff")


def draw_tree(pen: Pen, leaf: str = "#57b06a") -> None:
    """A round tree, 190 tall."""
    pen.shadow(4, 0, 56, 8)
    pen.fill([(-9, 0), (-7, -90), (7, -90), (10, 0)], "#a06a42", "#7d4f30", radius=3)
    pen.line([(0, -66), (22, -92)], 7, "#8f5c38")
    for shift, tone, size in (((4, 5), mix(leaf, "#14504a", 0.35), 1.0), ((0, 0), leaf, 0.97)):
        for x, y, r in ((-38, -98, 32), (38, -98, 32), (0, -90, 34), (-26, -136, 34), (28, -136, 33), (0, -158, 32)):
            top = mix(tone, "#ffffff", 0.1 - (y + 160) / 600)
            pen.ellipse(x + shift[0], y + shift[1], r * size, r * size, top, mix(top, tone, 0.9))
    for x, y, r in ((-30, -142, 13), (4, -166, 11), (-44, -104, 10), (16, -116, 9)):
        pen.ellipse(x, y, r, r * 0.8, "#e8f7a8", opacity=0.25)


def draw_person(pen: Pen, shirt: str, trousers: str, skin: str, hair: str) -> None:
    """A walking person, 168 tall."""
    pen.shadow(0, 0, 38, 6)
    for hip, foot, shade in (((-3, -82), (-24, -6), 0.25), ((4, -82), (20, -5), 0.0)):
        knee = ((hip[0] + foot[0]) / 2 + 5, -44)
        pen.line([hip, knee, foot], 15, mix(trousers, INK, shade), radius=20)
        pen.fill([(foot[0] - 8, -11), (foot[0] + 6, -11), (foot[0] + 17, -2), (foot[0] - 8, -1)], "#ffffff", radius=4)
        pen.line([(foot[0] - 7, 0), (foot[0] + 15, 0)], 3, INK)
    pen.line([(-10, -126), (-24, -104), (-20, -84)], 11, mix(shirt, INK, 0.25), radius=10)
    pen.ellipse(-20, -80, 6, 6, mix(skin, INK, 0.15))
    pen.box(-5, -144, 6, -128, mix(skin, INK, 0.12))
    pen.fill([(-17, -134), (16, -134), (19, -78), (-17, -78)], mix(shirt, "#ffffff", 0.1), shirt, radius=11)
    pen.ellipse(1, -153, 15, 16.5, skin)
    pen.ellipse(9, -154, 1.6, 2.2, INK)
    pen.line([(5, -146), (9, -144), (12, -147)], 1.8, "#b5564c", radius=4)
    pen.fill([(-15, -142), (-18, -164), (-4, -175), (14, -171), (17, -160), (2, -162), (-5, -150)], hair, radius=8)
    pen.line([(8, -126), (22, -106), (34, -94)], 11, mix(shirt, INK, 0.1), radius=10)
    pen.ellipse(36, -92, 6, 6, skin)


def draw_building(pen: Pen, width: float, height: float, colour: str, columns: int, rows: int) -> None:
    """A house front, `width` to the right of (0, 0), with a striped awning over its shop window."""
    pen.box(0, -height, width, 0, mix(colour, "#ffffff", 0.12), mix(colour, "#7a4a70", 0.16))
    pen.box(-5, -height - 10, width + 5, -height + 4, mix(colour, "#ffffff", 0.4), radius=3)
    pitch, floor = width / columns, (height - 100) / rows
    for column in range(columns):
        for row in range(rows):
            x, y = pitch * (column + 0.5), -height + 18 + floor * row
            pen.box(x - 14, y, x + 14, y + floor * 0.66, "#ffffff", "#eaf0f6", radius=3)
            glass = pen.box(x - 11, y + 3, x + 11, y + floor * 0.66 - 3, "#bfe3f5", "#7fb3d8", radius=2)
            pen.fill([(x - 12, y + 40), (x + 4, y), (x + 12, y), (x - 4, y + 40)], "#ffffff", opacity=0.3, inside=glass)
            pen.box(x - 16, y + floor * 0.66, x + 16, y + floor * 0.66 + 5, mix(colour, "#ffffff", 0.55), radius=2)
    pen.box(14, -66, width - 46, -8, "#ffe9b8", "#f2c98a", radius=4)
    pen.box(width - 38, -68, width - 14, 0, mix(colour, INK, 0.6), radius=3)
    pen.box(8, -72, width - 8, -46, INK, opacity=0.25, blur=4)
    stripes = round((width - 16) / 16)
    step = (width - 16) / stripes
    for stripe in range(stripes):
        x, tone = 8 + step * stripe, ("#ffffff", "#e2604f")[stripe % 2]
        pen.fill([(x, -82), (x + step, -82), (x + step, -56), (x, -56)], tone)
        pen.ellipse(x + step / 2, -56, step / 2, 5, mix(tone, INK, 0.1))


def draw_clock_tower(pen: Pen) -> None:
    """A town-hall tower with a clock, 330 tall."""
    pen.box(-50, -264, 50, 0, "#f6dcc0", "#d9b290")
    pen.fill([(-62, -262), (0, -344), (62, -262)], "#5c7fb0", "#456493", radius=4)
    pen.line([(0, -342), (0, -362)], 3, INK)
    pen.fill([(0, -362), (22, -356), (0, -348)], "#e2604f")
    for y in (-264, -146):
        pen.box(-58, y - 6, 58, y + 6, "#fff3e2", "#e6cbaa", radius=3)
    draw_clock(pen.at(0, -205, 0.84), "#b9794a", 10.15)
    for x in (-24, 24):
        pen.box(x - 12, -128, x + 12, -70, "#7fb3d8", "#5f8fc0", radius=12)
        pen.line([(x, -126), (x, -72)], 2, "#fff3e2")


def draw_kite(pen: Pen) -> None:
    """A four-coloured kite with a tail, its middle at (0, 0)."""
    tail = [(0, 62), (14, 84), (-10, 104), (12, 128), (-2, 150)]
    pen.line(tail, 2.2, INK, radius=ROUND)
    for x, y, colour in ((8, 82, "#ffd166"), (-2, 106, "#43c59e"), (6, 128, "#ff6b6b")):
        pen.fill([(x - 13, y - 8), (x, y), (x - 13, y + 8)], colour, radius=2)
        pen.fill([(x + 13, y - 8), (x, y), (x + 13, y + 8)], colour, radius=2)
    corners = [(0, -66), (46, -14), (0, 64), (-46, -14)]
    for side, colour in enumerate(("#ff6b6b", "#ffb347", "#4f7fd9", "#43c59e")):
        pen.fill([corners[side], corners[(side + 1) % 4], (0, -14)], colour)
    pen.line([(0, -64), (0, 62)], 2.4, "#fff7e8")
    pen.line([(-44, -14), (44, -14)], 2.4, "#fff7e8")


def draw_ball(pen: Pen, turn: float = 0.0) -> None:
    """A striped beach ball of radius 50; it may fly, so it casts no shadow of its own."""
    outline = arc(0, -50, 50, 50)
    rolled = pen.at(0, -50, turn=turn)
    for stripe, colour in enumerate(("#ff6b6b", "#ffffff", "#ffd166", "#ffffff", "#4f9fe0", "#ffffff")):
        rolled.fill([(9, -9), *arc(0, 0, 50, 50, 60 * stripe, 60 * stripe + 61)], colour)
    rolled.ellipse(9, -9, 8, 8, "#ffffff", "#dfe6f0")
    pen.ellipse(26, -24, 50, 50, INK, opacity=0.08, blur=6, inside=outline)
    pen.fill(arc(0, -50, 50, 50), INK, width=12, opacity=0.14, blur=5, inside=outline)
    pen.ellipse(-19, -74, 12, 7, "#ffffff", opacity=0.55, blur=2)


def draw_dog(pen: Pen, coat: str = "#d99a5b") -> None:
    """A standing dog with a red collar."""
    dark = mix(coat, "#5a3018", 0.4)
    pen.shadow(0, 0, 62, 7)
    pen.line([(-50, -62), (-72, -74), (-76, -100)], 11, dark, radius=ROUND)
    for x, tone in ((-34, dark), (32, dark), (-48, coat), (44, coat)):
        pen.line([(x, -40), (x, -8)], 15, tone, tone)
        pen.box(x - 8, -11, x + 12, 0, mix(tone, "#ffffff", 0.55), radius=5)
    body = [(-62, -78), (0, -74), (58, -84), (64, -40), (10, -28), (-56, -32)]
    outline = pen.fill(body, coat, coat, radius=24)
    pen.ellipse(-22, -72, 26, 17, dark, opacity=0.85, inside=outline)
    pen.ellipse(0, -18, 70, 26, dark, opacity=0.25, blur=7, inside=outline)
    pen.line([(46, -66), (60, -100)], 32, coat, coat)
    pen.ellipse(64, -50, 13, 21, "#fff3e2", inside=outline)
    pen.line([(35, -83), (65, -72)], 7, "#e5484d", "#c23048")
    pen.fill([(40, -134), (74, -138), (90, -116), (110, -108), (110, -92), (76, -86), (46, -92)], coat, coat, radius=16)
    pen.fill([(88, -112), (114, -108), (112, -91), (84, -88)], "#fff3e2", "#f0dcc0", radius=9)
    pen.ellipse(109, -107, 7, 5.5, INK)
    pen.line([(108, -96), (98, -93), (90, -96)], 2, INK, radius=5)
    pen.ellipse(81, -117, 4, 4.6, INK)
    pen.ellipse(82.4, -118.6, 1.3, 1.3, "#ffffff")
    pen.fill([(42, -136), (60, -130), (62, -96), (50, -84), (34, -104)], dark, radius=ROUND)


def draw_umbrella(pen: Pen) -> None:
    """An open umbrella of 180, its pole down to (0, 0)."""
    pen.shadow(12, 2, 74, 9, 0.25)
    pen.line([(0, -150), (0, -8), (9, 1), (18, -8)], 5, "#7a4a2b", radius=9)
    pen.line([(0, -160), (0, -150)], 4, INK)
    hem = [-90, -54, -18, 18, 54, 90]
    for stripe, (left, right) in enumerate(itertools.pairwise(hem)):
        ribs = [
            [(x * math.cos(math.radians(a)), -62 - 90 * math.sin(math.radians(a))) for a in range(0, 91, 5)]
            for x in (left, right)
        ]
        colour = ("#ff6b6b", "#fff3e2")[stripe % 2]
        scallop = arc((left + right) / 2, -62, 18, 8, 180, 360)
        pen.fill([*reversed(ribs[0]), *scallop, *ribs[1]], colour, mix(colour, "#8a2050", 0.18))
    pen.ellipse(70, -60, 60, 80, INK, opacity=0.1, blur=8, inside=arc(0, -62, 90, 90, 180, 360))


def draw_balloon(pen: Pen, colour: str = "#ff6b6b") -> None:
    """A balloon whose string ends at (0, 0)."""
    pen.line([(0, -100), (8, -66), (-8, -34), (0, 0)], 1.6, INK, radius=ROUND, opacity=0.7)
    pen.fill([(-7, -94), (0, -104), (7, -94)], mix(colour, INK, 0.25), radius=2)
    body = [(0, -100), (-32, -112), (-48, -160), (-28, -206), (28, -206), (48, -160), (32, -112)]
    outline = pen.fill(body, mix(colour, "#ffffff", 0.15), mix(colour, INK, 0.12), radius=ROUND)
    pen.ellipse(44, -132, 26, 54, INK, opacity=0.18, blur=13, inside=outline)
    pen.at(-16, -172, turn=22).ellipse(0, 0, 6, 14, "#ffffff", opacity=0.55, blur=1)


def draw_bench(pen: Pen) -> None:
    """A park bench from the front, 190 wide."""
    pen.shadow(0, 0, 100, 7)
    for x in (-72, 72):
        pen.line([(x, -84), (x, 0)], 7, "#4b556e", INK)
        pen.line([(x + 10, -40), (x + 14, 0)], 7, "#4b556e", INK)
    for y in (-92, -76, -60):
        pen.box(-95, y, 95, y + 12, mix(WOOD, "#ffffff", 0.15), WOOD, radius=4)
    pen.box(-98, -44, 98, -33, mix(WOOD, "#ffffff", 0.3), WOOD, radius=4)
    pen.box(-98, -34, 98, -27, mix(WOOD, INK, 0.25), radius=3)
    for x in (-88, 88):
        pen.line([(x, -66), (x * 1.06, -58), (x * 1.06, -44)], 6, INK, radius=8)


def draw_bird(pen: Pen, colour: str = "#3f8fd6", flap: float = 1.0) -> None:
    """A flying bird, its middle at (0, 0); `flap` is 1 with wings up and -1 with wings down."""
    dark = mix(colour, INK, 0.35)
    pen.fill([(6, -4), (-6, -58 * flap), (14, -66 * flap), (30, -4)], dark, radius=ROUND)
    pen.fill([(-34, -4), (-76, -16), (-66, 0), (-74, 12), (-34, 8)], dark, radius=5)
    pen.fill([(-48, -2), (-10, -18), (36, -22), (50, -8), (40, 12), (0, 22), (-36, 10)], colour, radius=ROUND)
    pen.fill([(-20, 10), (10, 4), (42, 0), (34, 14), (2, 20)], "#fff3e2", radius=ROUND)
    pen.fill([(50, -10), (68, -4), (50, 1)], "#ffb347", "#f08a24", radius=2)
    pen.ellipse(40, -8, 3, 3.4, INK)
    pen.fill([(-24, 0), (-48, -66 * flap), (-22, -84 * flap), (14, -2), (0, 8)], colour, dark, radius=ROUND)


def draw_cloud(pen: Pen) -> None:
    """A cloud, 150 wide."""
    for x, y, r in ((-46, -20, 24), (44, -18, 22), (-16, -36, 32), (20, -32, 28)):
        pen.ellipse(x, y, r, r, "#ffffff", "#f6fafd")
    pen.box(-70, -32, 66, 4, "#f9fcfe", "#e6f1fa", radius=18)
