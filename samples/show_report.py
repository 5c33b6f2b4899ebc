"""Makes samples/report.png: a made-up feed out of the samples' own pictures, detected, reported, photographed.

    python samples/show_report.py [FOLDER]

Needs Chromium for the last step; the feed and its report stay in FOLDER (default: a temporary one).
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from ovdet_cli.media.images import read_image, write_image

HERE = Path(__file__).parent
POSTS, DAYS, SIZE = 260, 42, (1280, 2050)
ACCOUNTS = ("mara.draws", "emoji_daily", "park_life", "kitchen.notes", "stickerbox", "weekend", "pixelpets")


def make_feed(folder: Path) -> None:
    """Pictures cut out of the samples, and posts.csv that tells of them; kitchens become more frequent."""
    rng = np.random.default_rng(5)
    images = [
        read_image(HERE / "posts" / name) for name in ("park.jpg", "stickers.jpg", "kitchen/breakfast.webp", "chat.png")
    ]
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(POSTS):
        moment = float(rng.random())
        kind = int(rng.choice(4, p=[0.5 - 0.3 * moment, 0.25, 0.1 + 0.3 * moment, 0.15]))
        image = images[kind]
        height, width = image.shape[:2]
        share = rng.uniform(0.45, 0.8)
        h, w = int(height * share), int(width * share)
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        cut = np.ascontiguousarray(image[y : y + h, x : x + w][:, :: rng.choice([1, -1])])
        name = f"{number:03d}.jpg"
        write_image(folder / name, cv2.resize(cut, (w * 480 // max(w, h), h * 480 // max(w, h))))
        posted = datetime(2026, 9, 28, tzinfo=UTC) + timedelta(days=DAYS * moment)
        account = ACCOUNTS[int(min(rng.exponential(1.8), len(ACCOUNTS) - 1))]
        rows.append([name, account, posted.isoformat(timespec="seconds"), int(rng.lognormal(4, 1.3))])
    with (folder / "posts.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file", "account", "created_at", "likes"], *rows])


def main() -> None:
    """Feed, run, report, picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="ovdet-report-"))
    feed, run = folder / "feed", folder / "run"
    make_feed(feed)
    ovdet = [sys.executable, "-m", "ovdet_cli"]
    detect = ["detect", str(feed), "--vocab", str(HERE / "words.txt"), "--render", "none", "--overwrite", "-q"]
    subprocess.run([*ovdet, *detect, "-o", str(run)], check=True)
    report = [
        "report",
        str(run),
        "--metadata",
        str(feed / "posts.csv"),
        "--title",
        "A feed of drawings",
        "-q",
        "--top",
        "5",
    ]
    subprocess.run([*ovdet, *report], check=True)
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit(f"no Chromium here; the page is {run / 'report' / 'report.html'}")
    picture = HERE / "report.png"
    options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=4000"]
    size = f"--window-size={SIZE[0]},{SIZE[1]}"
    page = (run / "report" / "report.html").resolve().as_uri()
    subprocess.run([browser, *options, size, f"--screenshot={picture}", page], check=True, capture_output=True)
    image = cv2.imread(str(picture))
    cv2.imwrite(str(picture), cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main()
