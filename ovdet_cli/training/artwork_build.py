"""Makes the artwork store: packages -> which icon shows which category -> pixels on disk.

`python -m ovdet_cli.training.artwork_build FOLDER` fetches what is missing into FOLDER-packages, and needs npm and
`resvg_py`. It takes about 80 CPU-seconds and 0.7 GB (2 cores of a 2.6 GHz Zen 4 server, 2 processes).
"""

import hashlib
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ovdet_cli.errors import InputError, OvdetError
from ovdet_cli.training.artwork import STORE_VERSION, Artwork, Drawing
from ovdet_cli.training.artwork_fetch import fetch
from ovdet_cli.training.artwork_sets import SAME_DRAWINGS, SETS, find_set
from ovdet_cli.training.categories import Category, load_categories
from ovdet_cli.training.icon_match import MISNAMED, EmojiNames, match_clutter, match_set
from ovdet_cli.training.icon_set import IconSet, rasterise

PROCESSES = 2
HELD_OUT_SEED = 5
HELD_OUT_SHARE = 0.05
MIN_LEFT = 3  # a category keeps at least so many other drawings to train on


def build(folder: Path, progress: Callable[[str], None]) -> Artwork:
    """Fetches, draws and writes everything to `folder`, which appears only when it is complete.

    Packages are kept in `folder` with `-packages` behind its name, so that a broken download goes on where it ended.
    Raises InputError if `folder` holds something already or resvg_py is not installed, DownloadError if npm fails.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists already; delete it to build the artwork anew")
    if find_spec("resvg_py") is None:
        raise InputError("drawing the artwork needs resvg_py; install it with `pip install resvg_py`")
    packages = folder.with_name(f"{folder.name}-packages")
    fetch(packages, progress)
    categories = load_categories()
    chosen = hold_out(list(choose(packages, categories, progress)))
    drawings = [d for d in chosen if (d.style, d.name) not in MISNAMED]
    write_store(folder, packages, drawings, [c.name for c in categories], progress)
    return Artwork.open(folder)


def choose(packages: Path, categories: tuple[Category, ...], progress: Callable[[str], None]) -> Iterator[Drawing]:
    """Which icon of which package shows which category, package by package, clutter after categories."""
    names = EmojiNames.open(packages / "emojibase-data")
    for item in (item for item in SETS if item.role != "words"):
        icons = IconSet.open(packages / item.style)
        found = [] if item.role == "clutter" else match_set(icons, item.role, categories, names)
        clutter = [] if item.role == "unseen" else match_clutter(icons, item.role, categories, names)
        progress(f"{item.style}: {len(found)} drawings of {len({d.category for d in found})} categories, "
                 f"{len(clutter)} of clutter")  # fmt: skip
        yield from found
        yield from clutter


def hold_out(drawings: list[Drawing]) -> list[Drawing]:
    """The same drawings, about 5 % of the (category, style) pairs of the main styles marked as held out.

    Never of the two styles that show each other's drawings, and only where the category keeps enough others.
    """
    main = {item.style for item in SETS if item.role == "train"}
    left = Counter(d.category for d in drawings if d.style in main)
    pairs = Counter((d.category, d.style) for d in drawings if d.style in main and d.category >= 0)
    order = sorted(pair for pair in pairs if pair[1] not in SAME_DRAWINGS)
    random.Random(HELD_OUT_SEED).shuffle(order)
    held: set[tuple[int, str]] = set()
    for category, style in order:
        if len(held) < round(len(pairs) * HELD_OUT_SHARE) and left[category] - pairs[category, style] >= MIN_LEFT:
            held.add((category, style))
            left[category] -= pairs[category, style]
    return [replace(d, held_out=(d.category, d.style) in held) for d in drawings]


def write_store(
    folder: Path, packages: Path, drawings: list[Drawing], categories: list[str], progress: Callable[[str], None]
) -> None:
    """Rasterises the drawings in two processes and writes the store; `folder` appears by one rename."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        rows: list[list[Any]] = []
        digest, start = hashlib.sha256(), 0
        with (scratch / "pixels.bin").open("wb") as file:
            for count, (d, pixels) in enumerate(_rasterise_all(packages, drawings)):
                if count % 1000 == 0:
                    progress(f"drawn {count} of {len(drawings)}")
                if pixels is None:
                    progress(f"nothing to see in {d.style} {d.name}")
                    continue
                data = pixels.tobytes()
                file.write(data)
                digest.update(data)
                rows.append([d.style, d.name, d.category, int(d.held_out), start, *pixels.shape[:2]])
                start += len(data)
        digest.update(json.dumps([rows, categories]).encode())
        index = {
            "version": STORE_VERSION,
            "sha256": digest.hexdigest(),
            "bytes": start,
            "sources": [_source(style) for style in dict.fromkeys(d.style for d in drawings)],
            "categories": categories,
            "drawings": rows,
        }
        (scratch / "index.json").write_text(json.dumps(index), encoding="utf-8")
        scratch.chmod(0o755)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _source(style: str) -> dict[str, Any]:
    facts = asdict(find_set(style))
    return {key: facts[key] for key in ("style", "package", "version", "licence", "author", "role")}


def _rasterise_all(packages: Path, drawings: list[Drawing]) -> Iterator[tuple[Drawing, np.ndarray | None]]:
    """Pixels of every drawing, in order."""
    by_style = defaultdict(list)
    for d in drawings:
        by_style[d.style].append(d)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        for style, members in by_style.items():
            icons = IconSet.open(packages / style)
            svgs = [icons.svg(d.name) for d in members]
            yield from zip(members, pool.map(rasterise, svgs, chunksize=16), strict=True)


def main() -> None:
    """The command: one argument, the folder to make."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ovdet_cli.training.artwork_build FOLDER")
    try:
        build(Path(sys.argv[1]), lambda line: print(line, file=sys.stderr))
    except OvdetError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
