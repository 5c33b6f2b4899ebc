"""One iconify package: names and emoji -> SVG text -> RGBA pixels."""

# H, W height and width of a drawing in pixels

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ovdet_cli.errors import InputError

LONGER_SIDE = 144
VISIBLE_ALPHA = 20  # an edge fainter than this is not seen on any background
# streamline-kameleon-color draws every thing on a coloured disc, which is not the thing.
_DISC = re.compile(r'<(?:path|circle)[^>]*?(?:d="M24 4[78]|r="24")[^>]*/>')
_MAX_CHANGES = 24  # a ring of aliases ends here
# A class whose style sheet the package has lost: all black.
_LOST_STYLE = re.compile(r'class="st\d')
_INK = re.compile(r"currentColor", re.IGNORECASE)


def slug(text: str) -> str:
    """A label as icon names are written: `Santa Claus` is `santa-claus`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("’", "").replace("'", "")).strip("-")


def compact(text: str) -> str:
    """A label without anything but letters and digits, as fxemoji names its icons."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


@dataclass(frozen=True)
class IconSet:
    """Icons of one package.

    icons, aliases: as in the package's `icons.json`. size_wh: the size of an icon that does not give its own.
    by_emoji: upper-case code points joined by `-` without variation selectors -> icon name; empty for some packages.
    """

    style: str
    icons: dict[str, dict[str, Any]]
    aliases: dict[str, dict[str, Any]]
    size_wh: tuple[float, float]
    by_emoji: dict[str, str]
    _compact: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in (*self.icons, *self.aliases):
            self._compact.setdefault(compact(name), name)

    @classmethod
    def open(cls, folder: Path) -> "IconSet":
        """Reads `icons.json` and `chars.json`. Raises InputError if they are missing or are no such files."""
        try:
            data = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
            chars = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
            size = float(data.get("width", 16)), float(data.get("height", 16))
            icons, aliases = data["icons"], data.get("aliases", {})
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise InputError(
                f"{folder}: not an icon package ({error}); delete the folder and fetch it again"
            ) from error
        by_emoji = {re.sub(r"-FE0F", "", code.upper()): name for code, name in chars.items()}
        return cls(folder.name, icons, aliases, size, by_emoji)

    def find(self, hexcode: str, labels: tuple[str, ...]) -> str | None:
        """The icon of an emoji, by its code points or else by one of its labels; the name in `icons`, or an alias."""
        name = self._find(hexcode, labels)
        broken = name is not None and _LOST_STYLE.search(self.icons[self.parent(name)]["body"])
        return None if broken else name

    def _find(self, hexcode: str, labels: tuple[str, ...]) -> str | None:
        name = self.by_emoji.get(hexcode.upper().replace("-FE0F", ""))
        if name is not None:
            return name
        for label in labels:
            if slug(label) in self.icons or slug(label) in self.aliases:
                return slug(label)
            if compact(label) in self._compact:
                return self._compact[compact(label)]
        return None

    def parent(self, name: str) -> str:
        """The icon that an alias stands for, or the name itself. Raises InputError for an alias that leads nowhere."""
        return self._resolve(name)[0]

    def svg(self, name: str) -> str:
        """The drawing as an SVG document, with black as the ink of one-colour icons. Raises InputError if unknown."""
        parent, changes = self._resolve(name)
        icon = {**self.icons[parent], **changes}
        left, top = icon.get("left", 0), icon.get("top", 0)
        width, height = icon.get("width", self.size_wh[0]), icon.get("height", self.size_wh[1])
        body = _INK.sub("#000000", icon["body"])
        if self.style == "streamline-kameleon-color":
            body = _DISC.sub("", body, count=1)
        if icon.get("hFlip"):
            body = f'<g transform="translate({2 * left + width:g} 0) scale(-1 1)">{body}</g>'
        if icon.get("vFlip"):
            body = f'<g transform="translate(0 {2 * top + height:g}) scale(1 -1)">{body}</g>'
        namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        box = f"{left:g} {top:g} {width:g} {height:g}"
        return f'<svg {namespaces} viewBox="{box}" width="{width:g}" height="{height:g}">{body}</svg>'

    def _resolve(self, name: str) -> tuple[str, dict[str, Any]]:
        """The icon behind a name, and what its aliases change of it."""
        changes: dict[str, Any] = {}
        at = name
        while at not in self.icons:
            alias = self.aliases.get(at)
            if alias is None or len(changes) > _MAX_CHANGES:
                raise InputError(f"{self.style} has no icon {name!r}, or its alias leads nowhere")
            changes = {**alias, f"via {at}": True, **changes}
            at = alias["parent"]
        return at, changes


def rasterise(svg: str, longer_side: int = LONGER_SIDE) -> np.ndarray | None:
    """Draws an SVG and crops it to what is seen.

    Returns uint8 RGBA (H, W, 4) with straight alpha, the longer side within a few pixels of `longer_side`;
    None if nothing is seen. Raises InputError if the SVG cannot be drawn.
    """
    pixels = _crop(_draw(svg, longer_side))
    if pixels is None:
        return None
    longer = max(pixels.shape[:2])
    if longer < 0.85 * longer_side:  # much margin: draw it larger, do not blow up pixels
        larger = _crop(_draw(svg, min(round(longer_side**2 / longer), 8 * longer_side)))
        pixels = larger if larger is not None else pixels
    return np.ascontiguousarray(pixels)


def _draw(svg: str, side: int) -> np.ndarray:
    import resvg_py  # only whoever builds the store needs it

    match = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    assert match is not None
    scale = side / max(float(match[1]), float(match[2]))
    try:
        png = resvg_py.svg_to_bytes(svg_string=svg, zoom=scale, skip_system_fonts=True)
    except ValueError as error:
        raise InputError(f"cannot draw an icon: {error}") from error
    bgra = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    assert bgra is not None  # resvg writes PNG with alpha
    return cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA)


def _crop(pixels: np.ndarray) -> np.ndarray | None:
    seen = pixels[..., 3] > VISIBLE_ALPHA
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        return None
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
