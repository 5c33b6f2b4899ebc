"""Scenes: pictures composed on the fly from named drawings, with boxes, masks and classes of all that is in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.training import backgrounds
from ovdet_cli.training.camera import taken
from ovdet_cli.training.camera_pictures import camera_pictures
from ovdet_cli.training.canvas import Canvas
from ovdet_cli.training.cutouts import Cutout, any_pose, any_tint, cut_out, faded, rimmed, shaded, softened
from ovdet_cli.training.layouts import LAYOUTS, Plan, anywhere, log_uniform
from ovdet_cli.training.restyling import recoloured, restyled
from ovdet_cli.training.samples import Sample
from ovdet_cli.training.screens import Slot
from ovdet_cli.training.textures import any_colour

CLUTTER = -1
"""Category of drawings that are never a target."""


class DrawingStore(Protocol):
    """What a scene needs of artwork; `Artwork` is one.

    drawings have `style`, `name`, `category` (-1: clutter) and perhaps `held_out`.
    training_styles: those that may be trained on, the default of everything.
    """

    @property
    def training_styles(self) -> tuple[str, ...]: ...

    @property
    def drawings(self) -> Sequence[Any]: ...

    def pixels(self, index: int) -> np.ndarray:
        """Drawing `index`, uint8 RGBA (h, w, 4), straight alpha, cropped."""


@dataclass(frozen=True)
class SceneConfig:
    """What scenes are made of, and how."""

    size_hw: tuple[int, int] = (320, 320)
    styles: tuple[str, ...] | None = None
    """Styles that objects come from; None: all that may be trained on."""
    categories: tuple[int, ...] | None = None
    """Categories that objects come from; None: all."""
    clutter_styles: tuple[str, ...] | None = None
    """Styles that unlabelled distractors come from; None: all that may be trained on."""
    held_out: str = "exclude"
    """'exclude' drawings that are held out, show 'only' them, or 'any'."""
    layouts: tuple[tuple[str, float], ...] = (
        ("scatter", 0.4),
        ("sheet", 0.2),
        ("line", 0.15),
        ("screen", 0.15),
        ("single", 0.1),
    )
    """Names from `LAYOUTS` and how often each is taken; weights need not sum to one."""
    objects: tuple[int, int] = (1, 9)
    """Least and most objects of a scattered scene."""
    size_px: tuple[float, float] = (24.0, 200.0)
    """Least and most longer side of a scattered object, log-uniform between."""
    empty: float = 0.1
    """Share of scenes without any object."""
    clutter: float = 0.25
    """Share of scenes with one to four distractors."""
    strength: float = 1.0
    """Of all augmentation, 0 to 1; 0 leaves only layouts, backgrounds and poses."""
    pool_size: int = 400
    """Costly backgrounds in the pool; 0: only those drawn for each scene."""
    pool_seed: int = 20_240
    """Seed of the pool, the same for every scene."""
    photographs: str = ""
    """Folder of real photographs that show none of the drawings: backgrounds to be left alone. Empty: none."""
    photograph_share: float = 0.3
    """Share of scenes on one of them."""
    one_colour_prefix: str = "game"
    """Styles that begin like this are silhouettes, and take a random colour."""

    def __post_init__(self) -> None:
        unknown = [name for name, _ in self.layouts if name not in LAYOUTS]
        if unknown or not self.layouts:
            raise ValueError(f"layouts are of {', '.join(LAYOUTS)}, not {unknown or 'none'}")
        if any(weight < 0 for _, weight in self.layouts) or sum(weight for _, weight in self.layouts) <= 0:
            raise ValueError("the layouts' weights must be 0 or more, and not all 0")
        if self.held_out not in ("exclude", "only", "any"):
            raise ValueError(f"held_out is 'exclude', 'only' or 'any', not {self.held_out!r}")
        if not 0 <= self.strength <= 1 or not 0 <= self.empty <= 1 or not 0 <= self.clutter <= 1:
            raise ValueError("strength, empty and clutter are between 0 and 1")
        if min(self.size_hw) < 32 or not 0 < self.size_px[0] <= self.size_px[1]:
            raise ValueError(f"a scene of {self.size_hw} pixels with objects of {self.size_px} cannot be drawn")
        if not 1 <= self.objects[0] <= self.objects[1]:
            raise ValueError(f"a scene has at least one object and at most more, not {self.objects}")


class SceneGenerator:
    """Makes the scene of any seed.

    Scene `seed` depends on the artwork, the configuration and the seed alone, in whatever order and process it is
    asked for. Objects are drawn uniformly over categories, then over the styles that have the category, then over its
    drawings. Raises InputError if no drawing fits the configuration.
    """

    def __init__(self, artwork: DrawingStore, config: SceneConfig) -> None:
        self.config = config
        self._artwork = artwork
        self._targets = _select(artwork, config)
        self._categories = sorted(self._targets)
        self._clutter = _select_clutter(artwork, config)
        weights = np.array([weight for _, weight in config.layouts], np.float64)
        self._shares = np.cumsum(weights / weights.sum())
        if not self._targets:
            raise InputError(
                f"no drawing fits styles {config.styles}, {_count(config.categories)} categories, held_out "
                f"{config.held_out!r}: check the names, or rebuild the artwork store"
            )

    def scene(self, seed: int) -> Sample:
        """Scene `seed`, 0 or more: a picture of the configured size with boxes, classes and masks bool (N, H, W)."""
        rng = np.random.Generator(np.random.PCG64(seed))
        is_empty = rng.random() < self.config.empty
        plan = self._plan(rng)
        canvas = Canvas(plan.background if plan.background is not None else self._background(rng))
        if self._clutter and rng.random() < self.config.clutter:
            self._strew(rng, canvas)
        if not is_empty:
            self._fill(rng, canvas, plan)
        boxes, class_ids, masks = canvas.found()
        return Sample(taken(rng, canvas.image, self.config.strength), boxes, class_ids, masks)

    def _plan(self, rng: np.random.Generator) -> Plan:
        choice = int(np.searchsorted(self._shares, rng.random(), side="right"))
        name = self.config.layouts[min(choice, len(self._shares) - 1)][0]
        return LAYOUTS[name](rng, self.config.size_hw, self.config.objects, self.config.size_px)

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        size_hw = self.config.size_hw
        if self.config.photographs and rng.random() < self.config.photograph_share:
            return camera_pictures(self.config.photographs).crop(rng, size_hw)
        chance = rng.random()
        if chance < 0.5 and self.config.pool_size:
            return backgrounds.shared_pool(self.config.pool_size, self.config.pool_seed).crop(rng, size_hw)
        if chance > 0.94:
            some = [self._artwork.pixels(self._target(rng)[0]) for _ in range(int(rng.integers(1, 4)))]
            return backgrounds.blurred(rng, some, size_hw)
        return backgrounds.PAINTERS[rng.integers(len(backgrounds.PAINTERS))](rng, size_hw)

    def _target(self, rng: np.random.Generator) -> tuple[int, int]:
        """A drawing's index and its category."""
        category = self._categories[rng.integers(len(self._categories))]
        styles = self._targets[category]
        drawings = styles[rng.integers(len(styles))]
        return drawings[rng.integers(len(drawings))], category

    def _strew(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Puts distractors anywhere; whatever comes later may hide them."""
        height, width = self.config.size_hw
        for _ in range(int(rng.integers(1, 5))):
            size_px = log_uniform(rng, self.config.size_px[0], 0.4 * min(height, width))
            style = self._clutter[rng.integers(len(self._clutter))]
            index = style[rng.integers(len(style))]
            canvas.lay(self._cutout(rng, index, anywhere(rng, (height, width), size_px), canvas), CLUTTER)

    def _fill(self, rng: np.random.Generator, canvas: Canvas, plan: Plan) -> None:
        """Puts objects into the slots, until there are as many as wanted."""
        laid = 0
        for slot in plan.slots:
            index, category = self._target(rng)
            laid += canvas.lay(self._cutout(rng, index, slot, canvas), category)
            if laid == plan.wanted:
                return

    def _cutout(self, rng: np.random.Generator, index: int, slot: Slot, canvas: Canvas) -> Cutout:
        strength = self.config.strength
        drawing = self._artwork.pixels(index)
        if self._artwork.drawings[index].style.startswith(self.config.one_colour_prefix):
            drawing = recoloured(rng, drawing, _standing_out(rng, canvas.image, slot))
        else:
            drawing = restyled(rng, drawing, strength)
        pose = any_pose(rng, slot.centre_xy, slot.size_px, slot.spin)
        return _finished(rng, cut_out(drawing, pose, any_tint(rng, strength)), slot, strength)


def _finished(rng: np.random.Generator, cutout: Cutout, slot: Slot, strength: float) -> Cutout:
    """With what may lie about or over an object: blur, fading, a sticker's rim, a shadow."""
    size = slot.size_px
    if size > 20 and rng.random() < 0.1 * strength:
        cutout = softened(cutout, rng.uniform(0.4, 0.9 + size / 150))
    if rng.random() < 0.04 * strength:
        cutout = faded(cutout, rng.uniform(0.55, 0.9))
    if rng.random() < 0.08 * strength:
        cutout = rimmed(cutout, max(1, round(size * rng.uniform(0.02, 0.07))))
    if size > 20 and rng.random() < 0.3 * strength:
        offset = np.rint(rng.normal(0, 0.04, 2) * size).astype(int).tolist()
        cutout = shaded(cutout, (offset[0], offset[1]), 0.6 + size * rng.uniform(0.01, 0.06), rng.uniform(0.2, 0.7))
    return cutout


def _standing_out(rng: np.random.Generator, image: np.ndarray, slot: Slot) -> tuple[int, int, int]:
    """Of a few colours the one that differs most from the picture around a slot; often black or white."""
    height, width = image.shape[:2]
    x, y = (int(np.clip(v, 0, side - 1)) for v, side in zip(slot.centre_xy, (width, height), strict=True))
    reach = int(slot.size_px / 2) + 1
    behind = np.array(cv2.mean(image[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach])[:3])
    plain = [(0, 0, 0), (255, 255, 255)] if rng.random() < 0.3 else []
    colours = plain or [any_colour(rng) for _ in range(3)]
    return max(colours, key=lambda colour: float(np.abs(behind - colour).sum()))


def _select(artwork: DrawingStore, config: SceneConfig) -> dict[int, list[list[int]]]:
    """Category -> for each style that has it, the indices of its drawings."""
    wanted = None if config.categories is None else set(config.categories)
    allowed = artwork.training_styles if config.styles is None else config.styles
    found: dict[int, dict[str, list[int]]] = {}
    for index, drawing in enumerate(artwork.drawings):
        if drawing.category == CLUTTER or not _fits(drawing, allowed, config.held_out):
            continue
        if wanted is None or drawing.category in wanted:
            found.setdefault(drawing.category, {}).setdefault(drawing.style, []).append(index)
    return {category: [styles[name] for name in sorted(styles)] for category, styles in found.items()}


def _select_clutter(artwork: DrawingStore, config: SceneConfig) -> list[list[int]]:
    """For each style that has distractors, their indices."""
    allowed = artwork.training_styles if config.clutter_styles is None else config.clutter_styles
    found: dict[str, list[int]] = {}
    for index, drawing in enumerate(artwork.drawings):
        if drawing.category == CLUTTER and _fits(drawing, allowed, "any"):
            found.setdefault(drawing.style, []).append(index)
    return [found[style] for style in sorted(found)]


def _fits(drawing: Any, styles: tuple[str, ...], held_out: str) -> bool:
    is_held_out = bool(getattr(drawing, "held_out", False))
    if held_out != "any" and is_held_out != (held_out == "only"):
        return False
    return drawing.style in styles


def _count(categories: tuple[int, ...] | None) -> str:
    return "all" if categories is None else str(len(categories))


def to_image_labels(sample: Sample) -> Sample:
    """The same picture with nothing but the classes that are in it: no boxes, no masks."""
    present = sorted({int(i) for i in sample.class_ids})
    nothing = np.zeros((0, 4), np.float32)
    labels = np.array(present, np.int64)
    return replace(sample, boxes_xyxy=nothing, class_ids=np.zeros(0, np.int64), masks=None, labels=labels)
