"""Made-up payloads of a page: a likely one of any size, a hostile one, and ones in which nearly nothing is known."""

import base64
import io
import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ovdet_cli.render.colours import class_colour

WORDS = [
    "person",
    "car",
    "dog",
    "bicycle",
    "umbrella",
    "phone",
    "banner",
    "cat",
    "bottle",
    "flag",
    "tree",
    "backpack",
    "scooter",
    "helmet",
    "megaphone",
    "barrier",
    "drone",
    "stroller",
    "bench",
    "kite",
    "laptop",
    "guitar",
    "horse",
    "boat",
    "tent",
    "camera",
    "mask",
    "glove",
    "candle",
    "balloon",
]
HOSTILE = [
    "<script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "</script><!-- ' ` ${7*7} {{7*7}} -->",
    "قطة سوداء على السطح",
    "\u202egnp.exe\u202c and \u2066isolate",
    "family 👩‍👩‍👧‍👦 flag 🏳️‍🌈",
    "bell\x07 null\x00 new\nline\ttab \x1b[31mred \u2028 \u2029",
    "a" * 300,
    "word " * 60,
    "__proto__",
    "constructor",
    "",
    "   ",
    "l=cat&a=x#at=labels%00%ZZ",
    "half \ud800 pair",
    "Ünïcödé ﷽ ﷽ ﷽ Z̷̡͓̦̋̕ä̶́l̸g̵o̷",
]
ZONE = "+01:00"


def made_up(
    num_units: int = 3200,
    num_labels: int = 60,
    num_thumbs: int = 120,
    num_videos: int = 4,
    names: list[str] | None = None,
    num_days: int = 80,
) -> dict[str, Any]:
    """A likely payload: a feed of `num_units` posts of 24 accounts over `num_days` days."""
    rng = np.random.default_rng(8)
    names = names or [WORDS[i] if i < len(WORDS) else f"thing {i}" for i in range(num_labels)]
    num_labels = len(names)
    shares = np.maximum(0.42 / (1 + np.arange(num_labels)) ** 0.9, 1.2 / num_units)
    starts = [datetime(2026, 9, 1) + timedelta(days=i) for i in range(num_days)]
    accounts = [f"account_{i:02d}" for i in range(23)] + ["(others)"]
    cube, base = _cube(rng, num_units, shares[:200], len(accounts), num_days)
    units = [int(n) for n in np.bincount(cube["label"], cube["units"], minlength=min(num_labels, 200))]
    units += [max(1, int(s * num_units)) for s in shares[200:]]
    units = [max(1, n) for n in units]
    intervals = [wilson(n, num_units) for n in units]
    pictures, thumbs = _pictures(rng, names, num_thumbs)
    posts = [_post(i, rng, pictures, accounts, starts) for i in range(len(pictures))]
    some = min(num_labels, 200)
    return {
        "title": "Street feed, autumn 2026",
        "generated": f"2026-11-21T18:02{ZONE}",
        "version": "0.1.0",
        "command": "ovdet report runs/street --metadata posts.csv --tz Europe/Berlin -o report.html",
        "unit": {"one": "post", "many": "posts", "how": "files that posts.csv joins by post_id are one post"},
        "tz": "Europe/Berlin",
        "cuts": ["since 2026-09-01"],
        "warnings": [
            "3.1 % of the files could not be read; shares are of those that could.",
            "212 posts have their time from the file's own date, which a download may have set.",
        ],
        "totals": {
            "units": num_units,
            "units_with": int(num_units * 0.81),
            "pictures": num_units - 40,
            "videos": 40,
            "video_frames": 3120,
            "video_minutes": 52.0,
            "detections": int(sum(units) * 1.7),
            "labels": num_labels,
            "accounts": 214,
            "failed_files": 99,
            "files": num_units + 99,
            "first": f"{starts[0]:%Y-%m-%dT%H:%M}{ZONE}",
            "last": f"{starts[-1]:%Y-%m-%dT%H:%M}{ZONE}",
        },
        "runs": [_run()],
        "coverage": {
            "failures": [
                {"reason": "truncated JPEG", "files": 91, "examples": ["feed/0001.jpg", "feed/0207.jpg"]},
                {"reason": "no video stream", "files": 8, "examples": ["feed/clip_9.mp4"]},
            ],
            "skipped": {".txt": 3, ".json": 3120},
            "reused_frames": 12,
            "side_cars_unused": 2,
            "without_account": 12,
            "time_from": {"metadata": num_units - 300, "side-car": 60, "EXIF": 20, "file time": 212, "none": 8},
            "duplicates": {"folded": 31, "groups": 14, "examples": [["feed/3.jpg", "feed/9.jpg"]]},
        },
        "labels": {
            "name": names,
            "colour": ["#{:02x}{:02x}{:02x}".format(*class_colour(n)) for n in names],
            "detections": [int(n * 1.7) for n in units],
            "units": units,
            "share": [n / num_units for n in units],
            "low": [low for low, _ in intervals],
            "high": [high for _, high in intervals],
            "minutes": None,
            "minutes_share": None,
            "minutes_low": None,
            "minutes_high": None,
            "corrected": [s * 0.9 if i < 6 else None for i, s in enumerate(n / num_units for n in units)],
            "corrected_low": [low * 0.85 if i < 6 else None for i, (low, _) in enumerate(intervals)],
            "corrected_high": [high * 0.95 if i < 6 else None for i, (_, high) in enumerate(intervals)],
            "score": rng.uniform(0.35, 0.8, num_labels).tolist(),
            "threshold": [0.3] * num_labels,
            "size": rng.uniform(0.005, 0.2, num_labels).tolist(),
            "first": [f"2026-09-0{1 + i % 9}T10:00{ZONE}" for i in range(num_labels)],
            "last": [f"2026-11-1{i % 9}T10:00{ZONE}" for i in range(num_labels)],
            "is_new": [int(i % 9 == 8) for i in range(num_labels)],
            "is_rare": [int(n < 5) for n in units],
        },
        "details": {str(i): _detail(i, rng, pictures) for i in range(some)},
        "parents": [
            _parent("vehicle", [1, 3, 12], num_units, units),
            _parent("animal", [2, 7], num_units, units),
        ]
        if num_labels > 12
        else [],
        "bins": {
            "size": "day",
            "starts": [f"{start:%Y-%m-%dT%H:%M}{ZONE}" for start in starts],
            "units": [int(n) for n in np.bincount(base["base_bin"], base["base_units"], minlength=num_days)],
        },
        "cube": {"accounts": accounts, **cube, **base},
        "pairs": _pairs(rng, units[: min(14, num_labels)]),
        "compare": _compare(min(num_labels, 30), units, num_units),
        "suggested": [
            {"label": i, "now": 0.3, "suggested": 0.42, "why": "valley between two humps of scores"}
            for i in range(min(3, num_labels))
        ],
        "accounts": _accounts(accounts[:-1], base, num_labels),
        "tags": [{"name": f"#{word}", "units": 90 - 7 * i, "top_label": 0} for i, word in enumerate(WORDS[:8])],
        "folders": [{"name": "feed/2026", "units": num_units, "units_with": int(num_units * 0.81), "top_label": 0}],
        "posts": posts,
        "pictures": pictures,
        "thumbs": thumbs,
        "videos": _videos(rng, num_videos, pictures, num_labels),
        "more": {"labels": 0, "posts": num_units - len(posts), "videos": 36, "accounts": 190, "thumbs": 0},
    }


def hostile() -> dict[str, Any]:
    """Every text that a feed could hold to break, mislead or take over a page, in every place that shows text."""
    payload = made_up(num_units=400, names=[*HOSTILE, "cat"], num_thumbs=24, num_days=12)
    evil = HOSTILE[0] + HOSTILE[1] + HOSTILE[4]
    payload |= {"title": HOSTILE[1], "command": evil, "cuts": [evil], "warnings": [evil, HOSTILE[7]]}
    payload["unit"]["how"] = evil
    payload["runs"][0] |= {"name": evil, "path": HOSTILE[7], "model": evil, "notes": [evil], "command": HOSTILE[7]}
    payload["coverage"] |= {
        "failures": [{"reason": evil, "files": 3, "examples": HOSTILE}],
        "skipped": {evil: 1, "__proto__": 2},
    }
    payload["cube"]["accounts"][:4] = HOSTILE[:3] + HOSTILE[7:8]
    for row, name in zip(payload["accounts"], HOSTILE, strict=False):
        row["name"] = name
    payload["tags"][0]["name"] = payload["folders"][0]["name"] = evil
    links = (
        "javascript:window.pwned=1",
        " java\tscript:alert(1)",
        "data:text/html,<b>",
        "//evil.example/x",
        "x'\"><b>",
    )
    for i, post in enumerate(payload["posts"]):
        post |= {"text": evil * 3 + HOSTILE[3], "url": links[i % 5], "account": HOSTILE[i % 4], "tags": HOSTILE[:5]}
    for i, picture in enumerate(payload["pictures"]):
        picture |= {"source": HOSTILE[i % len(HOSTILE)] + ".jpg", "href": links[(i + 1) % 5]}
    for video in payload["videos"]:
        video |= {"source": evil, "href": links[0]}
    payload["thumbs"][0] = '"><script>window.pwned = 1</script>'
    payload["labels"]["colour"][0] = 'red" onload="window.pwned=1'
    payload["labels"]["first"][0] = "9999-99-99"
    payload["parents"] = [_parent(evil, [0, 1], 400, [9] * 9)]
    return payload


def huge() -> dict[str, Any]:
    """10,000 posts, 21,000 labels and 500 thumbs."""
    return made_up(num_units=10_000, num_labels=21_000, num_thumbs=500, num_videos=50, num_days=120)


def nothing() -> dict[str, Any]:
    """A run that ended before it saw a file."""
    return {"title": "Empty", "unit": {"one": "file", "many": "files", "how": ""}, "totals": {"units": 0, "files": 0}}


def only_failures() -> dict[str, Any]:
    """A run in which no file could be read."""
    failures = [{"reason": "not an image", "files": 12, "examples": ["a.jpg"]}]
    return {
        "title": "All failed",
        "totals": {"units": 0, "units_with": 0, "files": 12, "failed_files": 12, "detections": 0, "labels": 0},
        "runs": [{**_run(), "status": "failed"}],
        "coverage": {"failures": failures},
    }


def nulls() -> dict[str, Any]:
    """A payload that has a label, a picture, a post and a video, and knows nothing about them."""
    payload = dict.fromkeys(made_up(num_units=50, num_labels=3, num_thumbs=2))
    columns = {"name": ["thing"], "units": [3], "detections": [4]}
    post = dict.fromkeys(("account", "time", "time_from", "likes", "text", "url", "picture"))
    picture = dict.fromkeys(("source", "time_s", "width", "height", "href", "post", "thumb"))
    video = {"source": None, "href": None, "duration_s": None, "frames": None, "bands": [], "strip": []}
    return payload | {
        "labels": columns,
        "details": {"0": {"scores": None, "place": None, "sizes": None, "gallery": {"surest": [0]}, "top": [0]}},
        "posts": [{**post, "id": "1", "tags": None, "files": None, "labels": [[0, 1, None]]}],
        "pictures": [{**picture, "index": 0, "boxes": [[0, None, 0.1, 0.1, 0.5, 0.5]]}],
        "videos": [video],
    }


def wilson(x: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval of x out of n."""
    p, scale = x / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / scale, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def _cube(rng: Any, num_units: int, shares: Any, num_accounts: int, num_bins: int) -> tuple[dict, dict]:
    activity = 1 + 0.5 * np.sin(np.arange(num_bins) / 5) + (np.arange(num_bins) % 7 < 5)
    weights = np.outer(1 / (1 + np.arange(num_accounts)), activity)
    base_ab = rng.multinomial(num_units, (weights / weights.sum()).ravel()).reshape(num_accounts, num_bins)
    cube: dict[str, list[int]] = {"label": [], "account": [], "bin": [], "units": []}
    for label, share in enumerate(shares):
        slope = {1: 1.2, 2: -0.9, 4: 0.8}.get(label, 0.0)
        drift = np.clip(share * (1 + slope * (np.arange(num_bins) / num_bins - 0.5)), 0, 1)
        taste = rng.uniform(0.5, 1.5, (num_accounts, 1))
        found_ab = rng.binomial(base_ab, np.clip(drift * taste, 0, 1))
        account, bin_ = np.nonzero(found_ab)
        cube["label"] += [label] * len(account)
        cube["account"] += account.tolist()
        cube["bin"] += bin_.tolist()
        cube["units"] += found_ab[account, bin_].tolist()
    account, bin_ = np.nonzero(base_ab)
    base = {"base_account": account.tolist(), "base_bin": bin_.tolist(), "base_units": base_ab[account, bin_].tolist()}
    return cube, base


def _pictures(rng: Any, names: list[str], num_thumbs: int) -> tuple[list[dict], list[str]]:
    pictures: list[dict[str, Any]] = []
    thumbs = []
    for i in range(num_thumbs):
        width, height = ((1280, 720), (1080, 1350), (1600, 1200))[i % 3]
        boxes = []
        for label in {i % min(len(names), 12), int(rng.integers(min(len(names), 30)))}:
            x, y, w, h = (*rng.uniform(0.02, 0.6, 2), *rng.uniform(0.1, 0.38, 2))
            boxes.append([label, float(rng.uniform(0.3, 0.97)), float(x), float(y), float(x + w), float(y + h)])
        thumbs.append(_thumb(rng, width, height, boxes))
        video = i % 8 == 7
        source = f"feed/clip_{i // 8}.mp4" if video else f"feed/2026/{i:05d}.jpg"
        pictures.append(
            {
                "source": source,
                "index": i * 25 if video else 0,
                "time_s": i * 1.04 if video else None,
                "width": width,
                "height": height,
                "href": source,
                "post": i,
                "thumb": i,
                "boxes": boxes,
            }
        )
    return pictures, thumbs


def _thumb(rng: Any, width: int, height: int, boxes: list[list[float]]) -> str:
    scale = 320 / max(width, height)
    w, h = int(width * scale), int(height * scale)
    top, bottom = rng.integers(60, 230, 3), rng.integers(30, 200, 3)
    rows = np.linspace(0, 1, h)[:, None, None]
    pixels = (top * (1 - rows) + bottom * rows + rng.normal(0, 5, (h, w, 1))).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(pixels, (h, w, 3)).copy())
    draw = ImageDraw.Draw(image)
    for label, _, x1, y1, x2, y2 in boxes:
        fill = tuple(int(v) for v in rng.integers(20, 235, 3))
        shape = draw.ellipse if int(label) % 2 else draw.rectangle
        shape((x1 * w + 3, y1 * h + 3, x2 * w - 3, y2 * h - 3), fill=fill)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=70)
    return base64.b64encode(stream.getvalue()).decode()


def _post(i: int, rng: Any, pictures: list[dict], accounts: list[str], starts: list[datetime]) -> dict[str, Any]:
    time = starts[int(rng.integers(len(starts)))] + timedelta(minutes=int(rng.integers(1440)))
    return {
        "id": f"p{i}",
        "account": accounts[i % 7],
        "time": f"{time:%Y-%m-%dT%H:%M}{ZONE}",
        "time_from": "metadata",
        "likes": int(rng.integers(4000)),
        "url": f"https://example.com/p/{i}",
        "text": "Early on the square, before the crowd came. More pictures tomorrow. " * (1 + i % 3),
        "tags": ["#street", "#autumn"],
        "files": [pictures[i]["source"]],
        "picture": i,
        "labels": [[box[0], 1, box[1]] for box in pictures[i]["boxes"]],
    }


def _detail(i: int, rng: Any, pictures: list[dict]) -> dict[str, Any]:
    having = [p for p, picture in enumerate(pictures) if any(box[0] == i for box in picture["boxes"])]
    scores = rng.integers(0, 60, 20)
    scores[:6] = 0
    return {
        "scores": scores.tolist(),
        "place": rng.integers(5, 80, 9).tolist(),
        "sizes": rng.integers(3, 90, 5).tolist(),
        "gallery": {"surest": having[:6], "unsure": having[-6:], "random": having[2:8]},
        "top": having[:8],
    }


def _parent(name: str, labels: list[int], num_units: int, units: list[int]) -> dict[str, Any]:
    total = min(num_units, sum(units[i] for i in labels))
    low, high = wilson(total, num_units)
    numbers = {"units": total, "share": total / num_units, "low": low, "high": high, "detections": total * 2}
    return {"name": name, "labels": labels, **numbers}


def _pairs(rng: Any, units: list[int]) -> dict[str, Any]:
    counts = [[int(min(a, b) * rng.uniform(0.02, 0.5)) for b in units] for a in units]
    for i, diagonal in enumerate(units):
        counts[i][i] = diagonal
        for j in range(i):
            counts[i][j] = counts[j][i]
    return {"labels": list(range(len(units))), "counts": counts}


def _compare(num: int, units: list[int], num_units: int) -> dict[str, Any]:
    rows = []
    for i in range(num):
        a = units[i] / num_units
        difference = a * (0.3, -0.25, 0.02)[i % 3]
        verdict = ("rose", "fell", "no clear change")[i % 3]
        numbers = {"low": difference - 0.01, "high": difference + 0.01, "p": 0.0004, "q": 0.002 if i % 3 < 2 else 0.7}
        rows.append({"label": i, "a": a, "b": a + difference, "difference": difference, "verdict": verdict, **numbers})
    sides = {"a": {"name": "September", "units": num_units // 2}, "b": {"name": "November", "units": num_units // 2}}
    return {**sides, "how": "two time spans, two-proportion test", "rows": rows}


def _accounts(names: list[str], base: dict[str, list[int]], num_labels: int) -> list[dict[str, Any]]:
    units = np.bincount(base["base_account"], base["base_units"], minlength=len(names))
    return [
        {
            "name": name,
            "units": int(units[i]),
            "units_with": int(units[i] * 0.8),
            "detections": int(units[i] * 2),
            "top_label": i % min(3, num_labels),
            "likes": 1200 * (i + 1) if i % 5 else None,
        }
        for i, name in enumerate(names)
    ]


def _videos(rng: Any, num: int, pictures: list[dict], num_labels: int) -> list[dict[str, Any]]:
    frames = [i for i, picture in enumerate(pictures) if picture["time_s"] is not None]
    videos = []
    for v in range(num):
        bands: list[list[Any]] = []
        for label in range(min(6, num_labels)):
            start = float(rng.uniform(0, 9))
            while start < 88 and frames:
                end = start + float(rng.uniform(1, 12))
                best = [(start + end) / 2, float(rng.uniform(0.4, 0.97)), int(rng.choice(frames))]
                bands.append([label, start, min(end, 90.0), *best])
                start = end + float(rng.uniform(3, 25))
        facts = {"source": f"feed/clip_{v}.mp4", "href": f"feed/clip_{v}.mp4", "duration_s": 90.0, "frames": 90}
        videos.append({**facts, "bands": bands, "strip": frames[:12]})
    return videos


def _run() -> dict[str, Any]:
    return {
        "name": "street",
        "path": "runs/street",
        "model": "detic-swinb",
        "model_title": "Detic, Swin-B, LVIS",
        "weights_sha256": "3f0b7a…",
        "vocabulary": "words.txt",
        "num_words": 60,
        "threshold": 0.3,
        "record_threshold": 0.1,
        "status": "complete",
        "started": f"2026-11-20T09:00{ZONE}",
        "command": "ovdet detect feed --words words.txt -o runs/street",
        "sampling": "1 frame a second",
        "notes": [],
    }
