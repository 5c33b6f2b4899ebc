"""What each thing in the sample pictures looks like.

Every function draws one thing that stands on (0, 0), about 100 units tall or wide, facing right.
"""

import math

from pen import ROUND, Pen, arc, mix

INK = "#2b3350"
STEEL = "#aeb9c9"
WOOD = "#b9794a"
GLASS = "#cfeaf7"


def draw_apple(pen: Pen, colour: str = "#e5484d") -> None:
    """An apple with a leaf."""
    pen.shadow(2, -3, 46, 8)
    body = [(0, -70), (-24, -88), (-56, -66), (-47, -14), (-24, 5), (0, 0), (24, 5), (47, -14), (56, -66), (24, -88)]
    outline = pen.fill(body, mix(colour, "#ffb060", 0.18), mix(colour, "#6a1030", 0.22), radius=ROUND)
    pen.ellipse(58, -26, 34, 56, "#5a0a28", opacity=0.22, blur=15, inside=outline)
    pen.ellipse(0, -72, 15, 5, "#7a1830", opacity=0.55, blur=2, inside=outline)
    pen.line([(0, -71), (2, -84), (8, -94)], 5, "#7a4a2b", radius=ROUND)
    pen.fill([(5, -82), (14, -104), (44, -102), (34, -80)], "#7cc05a", "#4d9a48", radius=ROUND)
    pen.at(-24, -55, turn=18).ellipse(0, 0, 6, 13, "#ffffff", opacity=0.45, blur=1)


def draw_orange(pen: Pen) -> None:
    """An orange, its peel dimpled."""
    pen.shadow(2, -2, 42, 8)
    outline = pen.ellipse(0, -42, 43, 42, "#ffa938", "#f07d18")
    pen.ellipse(46, -18, 32, 46, "#b84a00", opacity=0.25, blur=13, inside=outline)
    for x, y in ((-20, -22), (-4, -14), (12, -26), (24, -44), (-30, -44), (-10, -36), (4, -50), (28, -24), (14, -8)):
        pen.ellipse(x, y, 1.3, 1.1, "#c85c06", opacity=0.6)
    pen.ellipse(3, -78, 6, 3.2, "#55823a")
    pen.fill([(4, -79), (14, -98), (38, -92), (26, -76)], "#77b857", "#4c9346", radius=ROUND)
    pen.ellipse(-17, -61, 10, 6, "#ffffff", opacity=0.45, blur=2)


def draw_banana(pen: Pen) -> None:
    """Two bananas of one bunch."""
    pen.shadow(0, 0, 70, 8)
    for turn, colour, edge in ((-13, "#f6c62f", "#dc9c1c"), (0, "#ffdc4d", "#f0b52a")):
        one = pen.at(74, -66, turn=turn).at(-74, 66)
        body = [(-84, -56), (-72, -10), (-20, 8), (34, -2), (70, -34), (78, -70), (66, -72), (40, -40), (0, -30)]
        outline = one.fill([*body, (-40, -38), (-72, -62)], colour, edge, radius=ROUND)
        one.line([(-70, -44), (-40, -16), (10, -14), (50, -34), (70, -62)], 2.5, "#c98a12", radius=ROUND, opacity=0.5)
        one.line([(-58, -46), (-30, -27), (4, -24), (36, -37)], 5, "#fff3b0", radius=ROUND, opacity=0.5, inside=outline)
        one.ellipse(-76, -54, 6, 6, "#6b4a22", inside=outline)
    pen.line([(69, -60), (75, -80)], 10, "#b98a24", "#8a6a20")
    pen.line([(75, -80), (76, -82)], 11, "#6b4a22")


def draw_mug(pen: Pen, colour: str = "#4f7fd9", is_hot: bool = True) -> None:
    """A mug of coffee with its handle to the right, steaming while it is hot."""
    pen.shadow(4, -2, 46, 9)
    pen.line(arc(38, -42, 22, 24, -90, 90), 11, colour, mix(colour, INK, 0.25))
    body = [(-38, -84), (38, -84), (35, 0), (-35, 0)]
    outline = pen.fill(body, mix(colour, "#ffffff", 0.1), mix(colour, INK, 0.12), radius=12)
    pen.box(22, -100, 60, 14, INK, opacity=0.22, blur=12, inside=outline)
    pen.box(-29, -70, -22, -16, "#ffffff", radius=4, opacity=0.35)
    pen.ellipse(0, -82, 39, 10, mix(colour, "#ffffff", 0.45))
    pen.ellipse(0, -81, 33, 7.5, "#6b4128", "#4a2a1b")
    for x in (-14, 6) if is_hot else ():
        steam = [(x, -94), (x + 12, -106), (x - 4, -118), (x + 8, -134)]
        pen.line(steam, 5, "#ffffff", "#ffffff", radius=ROUND, opacity=0.5, blur=2.5)


def draw_clock(pen: Pen, rim: str = "#e2604f", hour: float = 10.15) -> None:
    """A round clock, its middle at (0, 0)."""
    pen.ellipse(4, 7, 50, 50, INK, opacity=0.3, blur=5)
    pen.ellipse(0, 0, 50, 50, mix(rim, "#ffffff", 0.12), mix(rim, INK, 0.2))
    face = pen.ellipse(0, 0, 42, 42, "#ffffff", "#eef1f6")
    pen.fill(arc(0, 0, 43, 43), INK, width=4, opacity=0.12, blur=2, inside=face)
    for step in range(12):
        inner = 31 if step % 3 == 0 else 34
        pen.at(0, 0, turn=30 * step).line([(0, -inner), (0, -37)], 3.4 if step % 3 == 0 else 2, INK)
    pen.at(0, 0, turn=30 * hour).line([(0, 5), (0, -19)], 5, INK)
    pen.at(0, 0, turn=360 * (hour % 1)).line([(0, 7), (0, -29)], 3.6, INK)
    pen.ellipse(0, 0, 4, 4, rim)


def draw_plate(pen: Pen) -> None:
    """A plate on the table with toast and a fried egg."""
    pen.shadow(3, 8, 104, 34)
    pen.ellipse(0, 4, 102, 40, "#c5d0de", "#aab7c9")
    pen.ellipse(0, 0, 102, 40, "#ffffff", "#e9eef5")
    pen.ellipse(0, 1, 74, 28, "#d6dfea", "#f6f9fc")
    crust = [(-62, -16), (-24, -27), (10, -12), (-26, 11), (-66, 2)]
    pen.fill([(x + 2, y + 8) for x, y in crust], INK, radius=10, opacity=0.2, blur=3)
    pen.fill([(x, y + 5) for x, y in crust], "#a8672f", radius=10)
    pen.fill(crust, "#c98644", radius=10)
    pen.fill([(-56, -13), (-25, -22), (1, -11), (-27, 6), (-60, 0)], "#f3cf93", "#e8bb78", radius=8)
    pen.fill([(-2, 6), (22, -20), (46, -12), (72, -8), (66, 14), (34, 22)], INK, radius=ROUND, opacity=0.2, blur=3)
    white = [(-6, 2), (2, -16), (26, -18), (40, -24), (72, -12), (66, 6), (74, 12), (40, 18), (16, 22), (-4, 14)]
    pen.fill(white, "#ffffff", "#f4efe4", radius=ROUND)
    pen.ellipse(32, -2, 19, 10, "#ffc93c", "#f59f1e")
    pen.ellipse(26, -6, 6, 2.4, "#ffffff", opacity=0.6)


def draw_fork(pen: Pen) -> None:
    """A fork that lies with its tines up, its middle at (0, 0)."""
    pen.at(4, 5).line([(0, -62), (0, 78)], 12, INK, opacity=0.25, blur=3)
    pen.line([(0, -24), (0, 76)], 8, "#dfe6ee", STEEL)
    pen.fill([(-16, -46), (16, -46), (13, -22), (3, -10), (-3, -10), (-13, -22)], "#e8eef4", STEEL, radius=8)
    for x in (-13.5, -4.5, 4.5, 13.5):
        pen.line([(x, -78), (x, -42)], 5, "#eef3f7", "#dfe6ee")


def draw_knife(pen: Pen) -> None:
    """A table knife that lies with its blade up, its middle at (0, 0)."""
    pen.at(4, 5).line([(0, -70), (0, 78)], 13, INK, opacity=0.25, blur=3)
    pen.fill([(-7, 12), (-8, -60), (-2, -82), (8, -68), (9, 12)], "#f4f7fa", "#c2cddb", radius=8)
    pen.line([(-3, -58), (-3, 4)], 2, "#ffffff", opacity=0.8)
    pen.line([(0, 16), (0, 74)], 13, "#48526e", INK)


def draw_bowl(pen: Pen, colour: str = "#3fa796") -> None:
    """A bowl of cereal with berries."""
    pen.shadow(3, -2, 62, 10)
    pen.box(-30, -10, 30, 0, mix(colour, INK, 0.3), radius=4)
    body = [(-84, -62), (84, -62), (76, -24), (44, -4), (-44, -4), (-76, -24)]
    outline = pen.fill(body, mix(colour, "#ffffff", 0.12), mix(colour, INK, 0.2), radius=36)
    pen.ellipse(70, -24, 50, 60, INK, opacity=0.15, blur=8, inside=outline)
    pen.line([(-76, -34), (-40, -24), (40, -24), (76, -34)], 4, "#ffffff", radius=30, opacity=0.55, inside=outline)
    pen.ellipse(0, -62, 84, 20, mix(colour, "#ffffff", 0.4))
    milk = pen.ellipse(0, -61, 76, 16, "#fffaf0", "#f0e6d6")
    for step in range(34):
        x, y = 66 * math.cos(step * 2.4) * math.sqrt(step / 34), 12 * math.sin(step * 2.4) * math.sqrt(step / 34)
        pen.fill(arc(x, y - 62, 5, 3), ("#d9963f", "#e6ad58")[step % 2], width=3.6, inside=milk)
    for x, y, berry in ((-34, -62, "#4b5bb5"), (8, -66, "#d8405a"), (36, -60, "#4b5bb5"), (-8, -56, "#d8405a")):
        pen.ellipse(x, y, 9, 7.5, mix(berry, "#ffffff", 0.15), berry)
        pen.ellipse(x - 3, y - 3, 2.2, 1.5, "#ffffff", opacity=0.6)


def draw_laptop(pen: Pen) -> None:
    """An open laptop with windows on its screen."""
    pen.shadow(0, 2, 128, 12)
    pen.box(-104, -146, 104, -8, "#3a4360", "#2a3149", radius=9)
    screen = pen.box(-97, -139, 97, -16, "#5b8def", "#8a6ff0", radius=4)
    pen.ellipse(-60, -10, 110, 60, "#ffffff", opacity=0.14, inside=screen)
    pen.ellipse(70, -20, 90, 50, "#2ec4b6", opacity=0.35, inside=screen)
    pen.box(-76, -118, 26, -38, INK, radius=5, opacity=0.25, blur=4)
    pen.box(-78, -122, 24, -42, "#ffffff", "#f3f5fa", radius=5)
    for x, colour in ((-71, "#ff6b6b"), (-63, "#ffd166"), (-55, "#43c59e")):
        pen.ellipse(x, -116, 2.4, 2.4, colour)
    for row, (indent, length) in enumerate(((0, 46), (10, 60), (10, 38), (20, 52), (10, 30), (0, 20))):
        colour = ("#8a6ff0", "#c3cbe0", "#43a5d6")[row % 3]
        pen.line([(indent - 69, row * 10 - 104), (indent + length - 69, row * 10 - 104)], 4, colour)
    pen.box(34, -104, 84, -58, "#ffffff", "#f3f5fa", radius=5)
    for x, height in ((42, 14), (52, 26), (62, 20), (72, 34)):
        pen.box(x, -62 - height, x + 6, -62, "#ff9f5a", "#f4735e", radius=2)
    pen.fill([(-106, -9), (106, -9), (126, 2), (-126, 2)], "#e3e8f0", "#c7d0de", radius=3)
    pen.fill([(-90, -7.5), (90, -7.5), (97, -3), (-97, -3)], "#6d7891", radius=1)
    pen.box(-126, 1, 126, 6, "#aeb8c9", "#8f9bb0", radius=3)


def draw_books(pen: Pen) -> None:
    """A stack of four books."""
    pen.shadow(4, 0, 84, 9)
    stack = ((-78, 76, 22, "#e2604f"), (-68, 80, 18, "#f2b544"), (-74, 62, 24, "#4f7fd9"), (-56, 66, 16, "#3fa796"))
    base = 0
    for left, right, height, colour in stack:
        pen.box(left, base - height, right, base, mix(colour, "#ffffff", 0.08), mix(colour, INK, 0.2), radius=5)
        pen.box(right - 40, base - height + 3.5, right + 1, base - 3.5, "#fffdf5", "#e8e0cd", radius=1)
        for line in (0.35, 0.55, 0.75):
            y = base - height * line
            pen.line([(right - 38, y), (right, y)], 0.8, "#c9bfa8")
        pen.line([(left + 13, base - height + 2), (left + 13, base - 2)], 3, "#fff4d6", opacity=0.85)
        pen.line([(left + 28, base - height / 2), (left + 66, base - height / 2)], 4, "#fff4d6", opacity=0.85)
        base -= height


def draw_lamp(pen: Pen, colour: str = "#f2a33c") -> None:
    """A desk lamp whose light falls to the right."""
    pen.fill([(24, -116), (90, -160), (196, 4), (20, 4)], "#fff0b8", "#fff0b8", radius=8, opacity=0.5, blur=8)
    pen.shadow(2, 0, 44, 7)
    pen.line([(0, -10), (-34, -92), (34, -176)], 6, "#48526e", INK)
    pen.ellipse(-34, -92, 7, 7, STEEL)
    pen.fill([(-38, 0), (-34, -12), (34, -12), (38, 0)], mix(colour, "#ffffff", 0.1), mix(colour, INK, 0.2), radius=7)
    head = pen.at(46, -156, turn=-32)
    head.ellipse(0, 20, 15, 13, "#fffbe0", "#ffe48a")
    shade = [(-12, -26), (12, -26), (40, 20), (-40, 20)]
    head.fill(shade, mix(colour, "#ffffff", 0.15), mix(colour, INK, 0.12), radius=9)
    head.line([(-12, -14), (-26, 10)], 4, "#ffffff", opacity=0.4)


def draw_potted_plant(pen: Pen) -> None:
    """A leafy plant in a clay pot."""
    pen.shadow(3, 0, 42, 8)
    for turn, size, colour in (
        (-74, 0.72, "#3f9a63"), (74, 0.72, "#35895a"), (-46, 0.95, "#4fae6d"), (48, 0.95, "#3f9a63"),
        (-20, 1.1, "#3c9560"), (24, 1.12, "#58b976"), (2, 1.2, "#4aa86a"),
    ):  # fmt: skip
        leaf = pen.at(0, -58, size, turn)
        leaf.line([(0, 4), (0, -40)], 4, "#3b7f52")
        leaf.fill([(0, -18), (-34, -56), (0, -112), (34, -56)], mix(colour, "#d8f0a0", 0.25), colour, radius=ROUND)
        leaf.line([(0, -30), (0, -82)], 2, "#2f7a4e", opacity=0.5)
    pot = pen.fill([(-36, -60), (36, -60), (27, 0), (-27, 0)], "#dd8455", "#b85f39", radius=5)
    pen.box(12, -70, 44, 4, "#5a2010", opacity=0.2, blur=7, inside=pot)
    pen.box(-41, -70, 41, -52, "#eb9868", "#cf7447", radius=5)


def draw_pencil(pen: Pen) -> None:
    """A pencil that lies with its tip to the right, its middle at (0, 0)."""
    pen.box(-70, -3, 78, 10, INK, opacity=0.28, blur=3)
    pen.box(-80, -7, -62, 7, "#f2929a", "#d9737f", radius=5)
    pen.box(-68, -7.5, -54, 7.5, "#dfe6ee", "#93a0b4")
    pen.box(-54, -7, 52, 7, "#ffc93c", "#f0a824")
    pen.box(-54, -2, 52, 2.5, "#ffdf7a", "#ffdf7a")
    pen.fill([(52, -7), (82, 0), (52, 7)], "#f6d8ae", "#e0b988")
    pen.fill([(71, -2.6), (82, 0), (71, 2.6)], INK)
