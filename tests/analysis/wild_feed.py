"""A random feed, and what is true of it by plain Python: what the report's SQL is compared with."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from tests.analysis.store_of import record, video

LABELS = ["cat", "it's", '<b>"dog"</b>', "قطة", "👩‍👩‍👧‍👦", "nul\0", "l" * 300, "rare"]
ACCOUNTS = ["ann", "bob's", "<i>", None]
DAY_US = 86_400_000_000
CUT = 0.3


@dataclass(frozen=True)
class Feed:
    """records: in the order of the run. posts: source -> what is known of its post."""

    records: list[dict]
    posts: dict[str, dict]

    @property
    def ok(self) -> list[dict]:
        return [r for r in self.records if r["status"] == "ok"]

    def unit_of(self, source: str) -> str:
        return self.posts[source].get("id", source)

    @property
    def units(self) -> dict[str, list[str]]:
        """Unit -> the sources of it, of which at least one was looked at."""
        looked_at = {self.unit_of(r["source"]) for r in self.ok}
        found: dict[str, list[str]] = {}
        for source in dict.fromkeys(r["source"] for r in self.records):
            if self.unit_of(source) in looked_at:
                found.setdefault(self.unit_of(source), []).append(source)
        return found

    def time_of(self, unit: str) -> int | None:
        times = [self.posts[source].get("time_us") for source in self.units[unit]]
        return min((time for time in times if time is not None), default=None)

    def account_of(self, unit: str) -> str | None:
        return next((a for s in self.units[unit] if (a := self.posts[s].get("account")) is not None), None)

    @property
    def found(self) -> list[tuple[dict, str, np.float32, list[float]]]:
        """Detections that count: record, label, score, box in pixels."""
        return [
            (r, d["label"], np.float32(d["score"]), d["box_xyxy"])
            for r in self.ok
            for d in r["detections"]
            if np.float32(d["score"]) > np.float32(CUT)
        ]

    @property
    def held(self) -> dict[str, set[str]]:
        """Label -> units."""
        held = defaultdict(set)
        for r, label, *_ in self.found:
            held[label].add(self.unit_of(r["source"]))
        return dict(held)

    @property
    def ordered(self) -> list[str]:
        """Labels as the label table has them."""
        return sorted(self.held, key=lambda label: (-len(self.held[label]), label.encode()))

    def counts_by_label(self) -> Counter:
        return Counter(label for _, label, *_ in self.found)

    def weights(self) -> dict[tuple[str, int], float]:
        """(Source, index) -> seconds that a video's frame stands for."""
        times = defaultdict(list)
        for r in self.ok:
            if r["time_s"] is not None:
                times[r["source"]].append((r["time_s"], r["index"]))
        weights = {}
        for source, own in times.items():
            own.sort()
            gaps = [b[0] - a[0] for a, b in pairwise(own)]
            gaps.append(median(gaps) if gaps else 0.0)
            weights |= {(source, index): gap for (_, index), gap in zip(own, gaps, strict=True)}
        return weights


def make_feed(seed: int) -> Feed:
    """About 40 files: pictures, videos of uneven frame rates, failures, carousels, posts without time or account."""
    rng = np.random.default_rng(seed)

    def finds() -> list[tuple]:
        labels = rng.choice(len(LABELS), rng.integers(0, 5), p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.05, 0.02])
        boxes = [sorted(rng.uniform(0, 1, 2).tolist()) + sorted(rng.uniform(0, 1, 2).tolist()) for _ in labels]
        # Scores on a grid too, so that some are the very threshold.
        scores = rng.choice([round(v, 1) for v in np.arange(0.1, 1, 0.1)] + list(rng.uniform(0.1, 1, 9)), len(labels))
        return [
            (LABELS[i], float(score), (b[0], b[2], b[1], b[3]))
            for i, score, b in zip(labels, scores, boxes, strict=True)
        ]

    records: list[dict] = []
    posts: dict[str, dict] = {}
    for i in range(40):
        source = f"{rng.choice(['a', 'b/c', chr(39)])}/{i}"
        kind = rng.choice(["picture", "picture", "picture", "video", "failed"])
        if kind == "video":
            times = np.cumsum(rng.choice([0.1, 0.5, 1.0, 3.0], rng.integers(1, 12))).round(3)
            frames = video(source, *((float(time), *finds()) for time in times))
            for place in np.flatnonzero(rng.random(len(frames)) < 0.15):
                frames[place] = record(source, index=int(place), time_s=frames[place]["time_s"], error=f"frame {place}")
            records += frames
        else:
            records.append(record(source, *finds()) if kind == "picture" else record(source, error=f"'{source}' is 7"))
        post = {"account": ACCOUNTS[rng.choice(4, p=[0.5, 0.2, 0.1, 0.2])]}
        if rng.random() < 0.4:
            post["id"] = f"P{rng.integers(8)}"
        if rng.random() < 0.8:
            post["time_us"] = int(rng.integers(0, 30 * DAY_US))
        if rng.random() < 0.5:
            post["likes"] = int(rng.integers(0, 1000))
        post["tags"] = [str(tag) for tag in rng.choice(["x", "y's", "ž"], rng.integers(0, 3), replace=False)]
        posts[source] = post
    return Feed(records, posts)
