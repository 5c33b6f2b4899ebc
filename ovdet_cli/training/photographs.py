"""Pictures with the statistics of photographs and with nothing in them that has a name among our categories.

There are no photographs to train on; these teach the detector to leave photographs alone: texture over all scales
under uneven light, things in front of each other, some of them out of focus.
"""

# H height, W width

import cv2
import numpy as np

from ovdet_cli.training.textures import any_colour, colourise, field, palette, polygon, ramp, textured

_SKIN = np.array([[255, 219, 190], [236, 188, 150], [198, 140, 100], [141, 90, 60], [92, 58, 40]], np.uint8)


def leaves(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Dead leaves, uint8 (H, W, 3): ellipses and polygons of power-law sizes lie over each other, each textured."""
    height, width = size_hw
    colours = palette(rng, int(rng.integers(4, 24)))
    image = ramp(rng, size_hw, colours)
    weave = np.zeros((height, width, 3), np.uint8)
    count = int(rng.integers(100, 400))
    # Radii with density r**-3 between r0 and 0.4 of the side: the scale invariance of natural pictures.
    smallest = np.exp(rng.uniform(np.log(5), np.log(30)))
    radii = np.minimum(smallest / np.sqrt(rng.random(count) + 1e-4), 0.4 * max(size_hw))
    for radius in radii.tolist():
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        colour = np.clip(colours[rng.integers(len(colours))].astype(int) + rng.integers(-25, 26), 0, 255).tolist()
        mark = rng.integers(0, 256, 3).tolist()
        if rng.random() < 0.6:
            axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.25, 1))))
            angle = float(rng.uniform(0, 180))
            cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
            cv2.ellipse(weave, centre, axes, angle, 0, 360, mark, -1)
        else:
            points = polygon(rng, centre, radius, int(rng.integers(3, 9)))
            cv2.fillPoly(image, [points], colour, cv2.LINE_AA)
            cv2.fillPoly(weave, [points], mark)
    grain = sum(
        field(rng, size_hw, rng.uniform(0.5, 0.9), tuple(rng.uniform(2, 40, 2)), 4) * (weave[..., i] / np.float32(255))
        for i in range(3)
    )
    return textured(image, np.asarray(grain, np.float32), rng.uniform(0.02, 0.22))


def cloud(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """A coloured 1/f field, uint8 (H, W, 3)."""
    falloff = rng.uniform(0.35, 0.85)
    image = colourise(rng, field(rng, size_hw, falloff), palette(rng, int(rng.integers(2, 6))))
    if rng.random() < 0.5:
        image = textured(image, field(rng, size_hw, falloff), rng.uniform(0.05, 0.3))
    return image


def material(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Wood, cloth, grass, stone, boards or tiles over the whole picture, uint8 (H, W, 3)."""
    coarse, fine = rng.uniform(1, 4), rng.uniform(8, 60)
    cells = (coarse, fine) if rng.random() < 0.5 else (fine, coarse)
    if rng.random() < 0.3:
        cells = (fine, fine)
    grain = field(rng, size_hw, rng.uniform(0.5, 0.95), cells, 4)
    if rng.random() < 0.4:
        grain = np.sin(grain * rng.uniform(2, 6)).astype(np.float32) + 0.3 * grain
    image = colourise(rng, grain, palette(rng, int(rng.integers(2, 5))), rng.uniform(15, 50))
    if rng.random() < 0.4:
        _joints(rng, image)
    return _turned(rng, image)


def _joints(rng: np.random.Generator, image: np.ndarray) -> None:
    """Dark or light lines between boards, bricks or tiles."""
    height, width = image.shape[:2]
    colour, weight = any_colour(rng), int(rng.integers(1, 4))
    row = int(rng.integers(20, 120))
    column = int(rng.integers(20, 160)) if rng.random() < 0.6 else 10 * width
    shift = rng.random() < 0.5
    for i, y in enumerate(range(0, height, row)):
        cv2.line(image, (0, y), (width, y), colour, weight)
        for x in range(column // 2 if shift and i % 2 else 0, width, column):
            cv2.line(image, (x, y), (x, y + row), colour, weight)


def _turned(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The picture turned a little, as a floor or wall seen askew; mirrored at its edges."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.normal(0, 25)), rng.uniform(1.0, 1.6))
    return cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def bokeh(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Discs of light out of focus before a dim ground, uint8 (H, W, 3)."""
    image = textured(ramp(rng, size_hw, palette(rng, 4) // 2), field(rng, size_hw, 0.4), 0.3)
    radius = rng.uniform(6, 40)
    colours = palette(rng, 6)
    for _ in range(int(rng.integers(8, 60))):
        disc = image.copy()
        centre = (int(rng.integers(size_hw[1])), int(rng.integers(size_hw[0])))
        colour = colours[rng.integers(6)].tolist()
        cv2.circle(disc, centre, int(radius * rng.uniform(0.6, 1.3)), colour, -1, cv2.LINE_AA)
        weight = rng.uniform(0.1, 0.6)
        image = cv2.addWeighted(disc, weight, image, 1 - weight, 0)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 4))


def scenery(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Sky, ridges, ground, and sometimes a wall, bushes or passers-by, uint8 (H, W, 3)."""
    height, width = size_hw
    image = cv2.resize(palette(rng, 2)[:, None], (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        image = textured(image, field(rng, size_hw, 0.55, (4, 2)), rng.uniform(0.03, 0.2))
    colours = palette(rng, 8)
    ridges = int(rng.integers(1, 5))
    level = height * rng.uniform(0.2, 0.6)
    for i in range(ridges):
        line = field(rng, (4, width), rng.uniform(0.3, 0.7))[0] * rng.uniform(2, 40) / (i + 1) + level
        outline = np.stack([np.arange(width), line], 1)
        ground = np.concatenate([outline, [[width, height], [0, height]]]).astype(np.int32)
        cv2.fillPoly(image, [ground], colours[i].tolist(), cv2.LINE_AA)
        level += rng.uniform(0.1, 0.3) * height
    cells = (rng.uniform(2, 30), rng.uniform(2, 30))
    image = textured(image, field(rng, size_hw, rng.uniform(0.6, 0.95), cells, 4), rng.uniform(0.05, 0.3))
    for thing in (_facade, _bush, _body, _pole):
        if rng.random() < 0.3:
            for _ in range(int(rng.integers(1, 6))):
                thing(rng, image, rng.uniform(0.15, 0.6) * height)
    return image


def room(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """A wall, a floor or table, and box-like and round things standing on it, uint8 (H, W, 3)."""
    height, _ = size_hw
    image = ramp(rng, size_hw, palette(rng, 3))
    edge = int(height * rng.uniform(0.4, 0.85))
    image[edge:] = material(rng, size_hw)[edge:]
    image = textured(image, field(rng, size_hw, 0.45), rng.uniform(0.05, 0.25))
    things = (_furniture, _furniture, _body, _bush, _pole)
    for _ in range(int(rng.integers(1, 9))):
        things[rng.integers(len(things))](rng, image, rng.uniform(0.15, 0.7) * height)
    return textured(image, field(rng, size_hw, 0.7), rng.uniform(0.01, 0.08))


def crowd(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """One to a dozen bodies with heads before a soft ground, uint8 (H, W, 3)."""
    image = cv2.GaussianBlur(leaves(rng, size_hw), (0, 0), rng.uniform(2, 12))
    count = int(rng.integers(1, 12))
    size = size_hw[0] * rng.uniform(0.3, 1.3) / np.sqrt(count)
    for _ in range(count):
        _body(rng, image, size * rng.uniform(0.8, 1.2))
    return textured(image, field(rng, size_hw, 0.7, (6, 6)), rng.uniform(0.02, 0.12))


def _foot(rng: np.random.Generator, image: np.ndarray) -> tuple[int, int]:
    """Where something stands: a point in the lower two thirds."""
    height, width = image.shape[:2]
    return int(rng.integers(width)), int(rng.uniform(0.4, 1.2) * height)


def _facade(rng: np.random.Generator, image: np.ndarray, size: float) -> None:
    """A wall with rows of windows that leaves the picture, so that it is no drawing of a house."""
    x = int(rng.integers(image.shape[1]))
    half, top, foot = size * rng.uniform(0.3, 0.9), -int(size), image.shape[0] * rng.uniform(0.5, 1.1)
    lean = size * rng.normal(0, 0.1)
    wall = np.array([[x - half, foot], [x + half, foot + lean], [x + half, top], [x - half, top]], np.int32)
    cv2.fillPoly(image, [wall], any_colour(rng), cv2.LINE_AA)
    step, colour = max(4, int(size * rng.uniform(0.08, 0.25))), any_colour(rng)
    for wy in range(top, int(foot - step), step):
        for wx in range(int(x - half + step / 3), int(x + half - step / 2), step):
            cv2.rectangle(image, (wx, wy), (wx + step // 2, wy + int(step * 0.6)), colour, -1)


def _bush(rng: np.random.Generator, image: np.ndarray, size: float) -> None:
    """Foliage: many small blobs in a heap."""
    x, y = _foot(rng, image)
    base = rng.integers(20, 150, 3)
    spread = rng.uniform(0.15, 0.6, 2)
    for dx, dy in (rng.normal(0, 1, (80, 2)) * spread * size).tolist():
        colour = np.clip(base + rng.integers(-35, 36), 0, 255).tolist()
        radius = max(1, int(size * rng.uniform(0.01, 0.09)))
        cv2.circle(image, (int(x + dx), int(y + dy)), radius, colour, -1, cv2.LINE_AA)


def _body(rng: np.random.Generator, image: np.ndarray, size: float) -> None:
    """Trunk, head, hair and arms of someone without a face."""
    x, y = _foot(rng, image)
    skin = _SKIN[rng.integers(len(_SKIN))].tolist()
    width = size * rng.uniform(0.14, 0.22)
    trunk = np.array([[-1, 0], [1, 0], [1.2, -0.62], [0.6, -0.72], [-0.6, -0.72], [-1.2, -0.62]])
    points = trunk * (width, size) + (x, y)
    cv2.fillPoly(image, [points.astype(np.int32)], any_colour(rng), cv2.LINE_AA)
    for side in (-1, 1):
        elbow = (int(x + side * width * rng.uniform(0.8, 2)), int(y - size * rng.uniform(0.2, 0.8)))
        cv2.line(image, (int(x + side * width), int(y - size * 0.6)), elbow, skin, max(1, int(width * 0.4)))
    head, turn = (int(x + rng.normal(0, 0.03) * size), int(y - size * 0.86)), float(rng.normal(0, 12))
    axes = (max(1, int(size * 0.085)), max(1, int(size * 0.12)))
    cv2.ellipse(image, head, axes, turn, 0, 360, skin, -1, cv2.LINE_AA)
    hair = rng.integers(10, 120, 3).tolist()
    cv2.ellipse(image, (head[0], head[1] - axes[1] // 4), axes, turn, 180, 360, hair, -1, cv2.LINE_AA)


def _pole(rng: np.random.Generator, image: np.ndarray, size: float) -> None:
    """A pole, branch or wire across the picture."""
    x, y = _foot(rng, image)
    end = (int(x + rng.normal(0, 0.6) * size), int(y - 2 * size))
    cv2.line(image, (x, y), end, any_colour(rng), int(rng.integers(1, 9)), cv2.LINE_AA)


def _furniture(rng: np.random.Generator, image: np.ndarray, size: float) -> None:
    """A box with a lit top and a dark side, and the shadow beneath it."""
    x, y = _foot(rng, image)
    half, depth = size * rng.uniform(0.2, 0.6), size * rng.uniform(0.05, 0.3)
    colour = rng.integers(40, 220, 3)
    front = np.array([[x - half, y], [x + half, y], [x + half, y - size], [x - half, y - size]], np.int32)
    side = np.array([front[1], front[1] + [depth, -depth], front[2] + [depth, -depth], front[2]], np.int32)
    top = np.array([front[3], front[2], front[2] + [depth, -depth], front[3] + [depth, -depth]], np.int32)
    cv2.ellipse(image, (int(x), int(y)), (int(half * 1.3), int(depth * 0.5) + 1), 0, 0, 360, (30, 28, 26), -1)
    for face, light in ((front, 1.0), (side, 0.65), (top, 1.15)):
        cv2.fillPoly(image, [face], np.clip(colour * light, 0, 255).tolist(), cv2.LINE_AA)
