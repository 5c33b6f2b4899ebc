"""What the sections of a page share: posts and pictures that are shown somewhere, each of them once."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ovdet_cli.analysis.report import Report

MOST_BOXES = 60
"""Boxes of a picture, labels of a post."""


@dataclass(frozen=True)
class PageOptions:
    """each: thumbnails a label and kind. thumb_bytes: all of them together. folder: where the page will lie."""

    title: str
    folder: Path
    command: str = ""
    version: str = ""
    each: int = 8
    thumb_bytes: int = 12_000_000


class Shown:
    """Gives frames and units their places in the page's lists of pictures and posts."""

    def __init__(self, report: Report, options: PageOptions) -> None:
        self.report = report
        self.store = report.store
        self.options = options
        self.place_of = {label_id: place for place, label_id in enumerate(report.labels.label_ids.tolist())}
        """label_id -> place in the page's labels."""
        self.frame_ids: dict[int, int] = {}
        self.unit_ids: dict[int, int] = {}

    def pictures(self, frame_ids: Iterable[int]) -> list[int]:
        """Their places in the page's list."""
        return [self.frame_ids.setdefault(frame_id, len(self.frame_ids)) for frame_id in frame_ids]

    def posts(self, unit_ids: Iterable[int]) -> list[int]:
        """Likewise."""
        return [self.unit_ids.setdefault(unit_id, len(self.unit_ids)) for unit_id in unit_ids]

    def files(self, source_ids: Iterable[int]) -> dict[int, Path]:
        """Those of the sources' files that are there."""
        rows = self.store.rows(
            f"SELECT source_id, run_id, file FROM source WHERE source_id IN ({listed(source_ids) or 'NULL'})"
        )
        found = ((source_id, self.report.places[run_id].existing(file)) for source_id, run_id, file in rows)
        return {source_id: path for source_id, path in found if path is not None}

    def link(self, path: Path | None) -> str | None:
        """A link from the page's folder to a file."""
        if path is None:
            return None
        try:
            return quote(Path(os.path.relpath(path.resolve(), self.options.folder.resolve())).as_posix())
        except ValueError:  # another drive
            return path.resolve().as_uri()


def listed(numbers: Iterable[int]) -> str:
    """Numbers as a query's IN wants them."""
    return ", ".join(map(str, numbers))


def moment(report: Report, time_us: Any) -> str | None:
    """A time of the store as the page has it; None where there is none."""
    return None if time_us is None or time_us is np.ma.masked else report.local(int(time_us))
