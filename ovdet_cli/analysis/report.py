"""Report: everything that is asked of some runs, in a store; and what of it goes into which table."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from ovdet_cli.analysis import groups, over_time, sides, summary
from ovdet_cli.analysis.correcting import CorrectedShare
from ovdet_cli.analysis.cuts import RunCuts, apply_cuts
from ovdet_cli.analysis.findings import Findings
from ovdet_cli.analysis.folding import fold_sources
from ovdet_cli.analysis.judged import correct_shares, from_histograms, from_truth
from ovdet_cli.analysis.labels import LabelTable, label_table
from ovdet_cli.analysis.loading import load_runs
from ovdet_cli.analysis.metadata_file import read_metadata
from ovdet_cli.analysis.over_time import Bins, to_microseconds
from ovdet_cli.analysis.places import Places
from ovdet_cli.analysis.posts import PostFinder
from ovdet_cli.analysis.reviewed import Review
from ovdet_cli.analysis.store import Store
from ovdet_cli.analysis.summary import RunFacts
from ovdet_cli.analysis.time_bins import BinSize
from ovdet_cli.analysis.units import LeftOut, Part, Unit, make_units
from ovdet_cli.errors import UsageError
from ovdet_cli.results.runs import Run, load_run

log = logging.getLogger(__name__)

_BUSY = 0.25
_MANY = {"post": "posts", "file": "files", "account": "accounts"}


@dataclass(frozen=True)
class ReportRequest:
    """What is asked."""

    runs: Sequence[Path]
    unit: Unit = "post"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    since: datetime | None = None
    until: datetime | None = None
    """The end excluded; both aware."""
    accounts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Patterns of which one must fit; labels are names."""
    root: Path | None = None
    metadata: Path | None = None
    metadata_key: str | None = None
    date_pattern: str | None = None
    bins: BinSize | None = None
    threshold: float | None = None
    compare: bool = False
    """The first of two runs with the second."""
    split: datetime | None = None
    """Before with after; None: the first half of the time with the second, if posts have times."""
    fold_duplicates: bool = False
    cache: Path | None = None
    """A file that keeps what was read of pictures to compare them."""
    reviewed: Path | None = None
    """A checked sample, to correct shares by."""
    suggest_thresholds: bool = False
    truth: Path | None = None
    """Labelled pictures (COCO), for thresholds."""


class Report:
    """Runs read, cut and counted; a context manager that owns the store. Each table is made when first asked for."""

    def __init__(self, request: ReportRequest) -> None:
        """Reads the runs.

        Raises:
            RecordError: a run cannot be read. UsageError: a threshold is below what was recorded, a run is given twice,
            or two runs are wanted for a comparison. InputError: the metadata cannot be read.
        """
        if request.since is not None and request.until is not None and request.since >= request.until:
            raise UsageError("--since is not before --until, so nothing lies between them")
        if request.compare and len(request.runs) != 2:
            raise UsageError(f"--compare sets two runs side by side; {len(request.runs)} given")
        self.request = request
        loaded = [load_run(path, with_masks=False) for path in request.runs]
        if len({_identity(run) for run in loaded}) < len(loaded):
            raise UsageError("the same run is given twice; its detections would count twice")
        names = _names(loaded)
        self.runs = [
            RunFacts(name, str(path), run.info) for name, path, run in zip(names, request.runs, loaded, strict=True)
        ]
        self.places = [Places.of_run(run.info, request.root) for run in self.runs]
        self.findings = Findings()
        self.notes: list[str] = []
        """What has come up while counting."""
        self.duplicates: dict[str, Any] | None = None
        with ExitStack() as stack:
            self.store = stack.enter_context(Store())
            load_runs(self.store, loaded, names)
            self._place_sources()
            self._find_posts()
            self.left_out = self._make_units()
            if request.fold_duplicates:  # only what is counted stands for others
                self.left_out = self._make_units(self._fold())
            cuts = [RunCuts(run.name, run.threshold, run.of_label, run.recorded) for run in self.runs]
            apply_cuts(self.store, cuts, request.threshold, request.labels)
            self._stack = stack.pop_all()

    def _place_sources(self) -> None:
        """Gives each source a place, which tells whether files of two runs are one, and says the run in names."""
        self.store.run("ALTER TABLE source ADD COLUMN place VARCHAR; ALTER TABLE source ADD COLUMN file VARCHAR")
        self.store.run("UPDATE source SET file = name")
        if len(self.runs) > 1:
            self.store.run("UPDATE source SET name = r.name || '/' || file FROM run r WHERE r.run_id = source.run_id")
        for run_id, run in enumerate(self.runs):
            of_run = Places.of_run(run.info)
            # Runs that are compared saw the same files if these have the same names, wherever they lay.
            root = "" if self.request.compare else str(of_run.root or f"run {run_id}")
            self.store.run("UPDATE source SET place = ? || '/' || file WHERE run_id = ?", root, run_id)
            if of_run.elsewhere and not self.request.compare:
                columns = {"file": list(of_run.elsewhere.keys()), "path": list(of_run.elsewhere.values())}
                self.store.put("elsewhere", pa.table(columns))
                self.store.run(
                    "UPDATE source SET place = path FROM elsewhere e WHERE e.file = source.file AND run_id = ?", run_id
                )

    def _find_posts(self) -> None:
        request = self.request
        metadata = None
        if request.metadata is not None:
            metadata = read_metadata(request.metadata, request.zone, request.metadata_key)
        self.metadata = metadata
        # One finder for all runs, so that what belongs to any of them is not told of as belonging to none.
        here = Places()
        is_known = any(places.root or places.elsewhere for places in self.places)
        find = (lambda source: here.find(source)) if is_known else None
        finder = PostFinder(None, find, metadata, request.date_pattern, request.zone)
        parts = []
        for run_id, here in enumerate(self.places):  # noqa: B007 (read by `find`)
            ids, names = self.store.columns(
                "SELECT source_id, file FROM source WHERE run_id = ? ORDER BY source_id", run_id
            ).values()
            found = finder.find_all(names.tolist())
            time_us = pc.cast(pc.cast(found["time"], pa.timestamp("us", "UTC")), pa.int64())
            table = found.drop_columns(["source", "time"]).rename_columns(
                ["id", *(name for name in found.column_names[2:] if name != "time")]
            )
            parts.append(table.append_column("time_us", time_us).append_column("source_id", pa.array(ids, pa.int32())))
        self.findings.update(finder.findings)
        self.store.put("post", pa.concat_tables(parts))

    def _fold(self) -> Sequence[int]:
        request = self.request
        folded = fold_sources(self.store, self.places, self.findings, request.cache, by_post=request.unit == "post")
        ids = (pa.array(values, pa.int32()) for values in (folded.source_ids, folded.kept))
        self.store.put("duplicate", pa.table(dict(zip(("source_id", "kept_id"), ids, strict=True))))
        self.duplicates = {"folded": folded.posts, "groups": folded.groups, "examples": folded.examples}
        if folded.unread:
            self.notes.append(
                f"{folded.unread:,} files could not be compared with others, as they are gone or cannot be read "
                "(--root DIR says where they are); none of them is folded."
            )
        return folded.source_ids

    def _make_units(self, folded: Sequence[int] = ()) -> LeftOut:
        request = self.request
        since, until = (None if t is None else to_microseconds(t) for t in (request.since, request.until))
        return make_units(self.store, request.unit, Part(since, until, request.accounts, request.sources), folded)

    @property
    def many(self) -> str:
        """What units are called."""
        return _MANY[self.request.unit]

    @cached_property
    def totals(self) -> dict[str, Any]:
        """See `summary.totals`."""
        return summary.totals(self.store)

    @cached_property
    def labels(self) -> LabelTable:
        """See `labels.label_table`."""
        return label_table(self.store)

    @cached_property
    def bins(self) -> Bins | None:
        """Stretches of time, None where no unit has one."""
        return over_time.make_bins(self.store, self.request.zone, self.request.bins)

    @cached_property
    def parents(self) -> pa.Table:
        """See `groups.parent_table`."""
        above: dict[str, list[str]] = {}
        for run in self.runs:
            for entry in run.classes:
                parents = entry.get("parent")
                for parent in parents if isinstance(parents, list) else [parents]:
                    if isinstance(parent, str):
                        above.setdefault(entry["name"], []).append(parent)
        return groups.parent_table(self.store, above)

    @cached_property
    def corrected(self) -> CorrectedShare | None:
        """Shares corrected by the reviewed sample; None without one."""
        if self.request.reviewed is None:
            return None
        corrected, review = correct_shares(self.store, self.labels, self.request.reviewed)
        self.notes += _told_of_review(review)
        return corrected

    @cached_property
    def suggested(self) -> list[dict[str, Any]] | None:
        """label (place in the table), now, suggested (None: no reason for one), why; None where not asked for."""
        if not self.request.suggest_thresholds:
            return None
        lowest = max((run.recorded or 0.0 for run in self.runs), default=0.0)
        if self.request.truth is not None:
            found = from_truth([Path(run.path) for run in self.runs], self.labels, self.request.truth, lowest)
        else:
            found = from_histograms(self.store, self.labels, lowest)
        return [
            {"label": i, "now": now, "suggested": suggestion.threshold, "why": suggestion.why}
            for i, (now, suggestion) in enumerate(zip(self.thresholds_of_labels, found, strict=True))
        ]

    @cached_property
    def thresholds_of_labels(self) -> list[float | None]:
        """What a score of each label of the table must exceed; None where runs differ or nothing says."""
        rows = self.store.rows("SELECT label_id, min(cut), max(cut) FROM cut GROUP BY label_id")
        cuts = {label_id: low if low == high and isfinite(low) else None for label_id, low, high in rows}
        found = (cuts.get(label_id) for label_id in self.labels.label_ids.tolist())
        return [None if cut is None else round(cut, 6) for cut in found]

    @cached_property
    def time_from(self) -> dict[str, int]:
        """How many units have their time from where."""
        rows = self.store.rows("SELECT coalesce(time_from, 'none'), count(*) FROM unit GROUP BY 1 ORDER BY 2 DESC, 1")
        return dict(rows)

    @property
    def how_units(self) -> str:
        """What a unit is, in words."""
        if self.request.unit == "file":
            return "each file is counted by itself"
        if self.request.unit == "account":
            return "the files of an account are counted as one"
        joined = self.store.number("SELECT count(*) FROM unit WHERE num_files > 1")
        if not joined:
            return "no two files are known to be of one post, so each file is a post"
        return "files with one post id in the metadata or side-cars are one post; any other file is a post by itself"

    @property
    def without_account(self) -> int | None:
        """Units of no known account; None where no account is known at all."""
        return self.store.number("SELECT count(*) FROM unit WHERE account IS NULL") if self.totals["accounts"] else None

    @property
    def cuts(self) -> list[str]:
        """What the request left out or chose, in words."""
        request, told = self.request, []
        if request.since is not None:
            told.append(f"since {request.since.astimezone(request.zone).isoformat(sep=' ', timespec='minutes')}")
        if request.until is not None:
            told.append(f"before {request.until.astimezone(request.zone).isoformat(sep=' ', timespec='minutes')}")
        for word, chosen in (("account", request.accounts), ("source", request.sources), ("label", request.labels)):
            told += [f"{word} {name}" for name in chosen]
        if request.threshold is not None:
            told.append(f"scores above {request.threshold:g}")
        return told

    @property
    def warnings(self) -> list[str]:
        """What a reader must know to judge the numbers."""
        told = []
        for run in self.runs:
            status = run.info.get("status", "done")
            if status != "done":
                how = "it was killed or is still going on" if status == "running" else f"its status is {status}"
                told.append(f"The run {run.name} is not complete: {how}.")
        missing = set(self.request.labels) - set(self.labels.columns["label"])
        told += [f"The label {name!r} was not found anywhere." for name in sorted(missing)]
        numbers, left = self.totals, self.left_out
        if numbers["failed_files"]:
            share = numbers["failed_files"] / max(numbers["files"], 1)
            failed, files = numbers["failed_files"], numbers["files"]
            told.append(f"{failed:,} of {files:,} files ({share:.1%}) could not be read, wholly or in part.")
        if left.without_time:
            told.append(f"{left.without_time:,} files of no known time are left out, as a time was asked for.")
        if left.without_account:
            told.append(f"{left.without_account:,} files of no known account are left out.")
        told += self._told_of_one_account()
        by_file_time = self.time_from.get("file time", 0)
        if by_file_time:
            some = "all" if by_file_time == self.totals["units"] else f"{by_file_time:,} of the"
            told.append(
                f"The time of {some} {self.many} is that of the file on disk, which a download or copy may have set."
            )
        if len(self.runs) > 1 and not self.request.compare:
            shared = self.store.number(
                "SELECT count(*) FROM (SELECT place FROM source GROUP BY place HAVING count(DISTINCT run_id) > 1)"
            )
            if shared:
                told.append(
                    f"{shared:,} files are in several of the runs; what any of them found in such a file counts."
                )
        if len({run.threshold for run in self.runs}) > 1 and self.request.threshold is None:
            told.append("The runs have different thresholds; --threshold sets one for all.")
        return [*told, *self.notes, *self.findings.sentences()]

    def _told_of_one_account(self) -> list[str]:
        """Intervals take units as independent of each other, which posts of one account are not."""
        if self.request.unit == "account" or not self.totals["units"]:
            return []
        rows = self.store.rows(
            """SELECT account, count(*) FROM unit WHERE account IS NOT NULL GROUP BY account
            ORDER BY count(*) DESC, account LIMIT 1"""
        )
        share = rows[0][1] / self.totals["units"] if rows else 0
        if share <= _BUSY or self.totals["accounts"] < 2:
            return []
        return [
            f"One account, {rows[0][0]}, posted {share:.0%} of the {self.many}: what it posts decides the shares, and "
            "their intervals, which take posts as independent, are too narrow."
        ]

    @cached_property
    def comparison(self) -> tuple[sides.Sides, str, str] | None:
        """Two sides and their names; None where there is nothing to compare."""
        if self.request.compare:
            return sides.compare_runs(self.store, self.labels, self.many), self.runs[0].name, self.runs[1].name
        split_us: int | None = None
        if self.request.split is not None:
            split_us = to_microseconds(self.request.split)
        elif 2 * self.time_from.get("file time", 0) <= self.totals["units"]:
            # What the disk says is too often the time of a download, and not compared unasked.
            split_us = sides.middle_of_time(self.store)
        if split_us is None:
            return None
        moment = self.local(split_us)
        return sides.compare_spans(self.store, self.labels, split_us), f"before {moment}", f"from {moment} on"

    def local(self, time_us: int) -> str:
        """A moment in the report's time zone, to the minute."""
        return over_time.from_microseconds(time_us).astimezone(self.request.zone).isoformat(timespec="minutes")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


def _identity(run: Run) -> Path:
    """The folder of a run, whichever of its formats is read; a file of another name is by itself."""
    records = run.records.resolve()
    return records.parent if records.stem == "detections" else records


def _names(runs: Sequence[Run]) -> list[str]:
    """What tells the runs apart: the folder's name or the file's, or the whole path where two have one name."""
    names = [_identity(run).name for run in runs]
    return names if len(set(names)) == len(names) else [str(_identity(run)) for run in runs]


def _told_of_review(review: Review) -> list[str]:
    told = [f"Corrected shares rest on {len(review.units):,} reviewed units of {review.path.name}."]
    if review.unsure:
        told.append(f"{review.unsure:,} answers of the review are unsure and left out.")
    if review.partial:
        told.append(f"{review.partial:,} reviewed units are left out where only some of their files were looked at.")
    for what, unknown in (("unit", review.unknown_units), ("label", review.unknown_labels)):
        if unknown:
            some = ", ".join(list(unknown)[:3])
            told.append(f"The review names {len(unknown):,} {what}s that are not in the run, such as {some}.")
    return told
