"""`ovdet report`: what runs found, as tables on the terminal, as files, and as one page."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ovdet_cli.cli import console, report_tables
from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from ovdet_cli.analysis.report import Report, ReportRequest

_COUNTED, _KNOWN, _JUDGED, _WRITTEN = "What is counted", "What is known of posts", "Judging", "What is written"

Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN...", help="Run folders, or their detections.jsonl, .csv or .parquet."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        rich_help_panel=_WRITTEN,
        help="Where tables and page go [default: RUN/report; of several runs ./ovdet-report].",
    ),
]
Html = Annotated[
    bool, typer.Option("--html/--no-html", rich_help_panel=_WRITTEN, help="Write report.html, one offline file.")
]
Tables = Annotated[
    str, typer.Option("--tables", metavar="FORMATS", rich_help_panel=_WRITTEN, help="csv, json, parquet, or none.")
]
Thumbs = Annotated[
    int,
    typer.Option(
        "--thumbs", min=0, metavar="N", rich_help_panel=_WRITTEN, help="Pictures a label and kind on the page."
    ),
]
Title = Annotated[
    str | None, typer.Option("--title", rich_help_panel=_WRITTEN, help="Of the page.", show_default=False)
]
Unit = Annotated[
    Literal["post", "file", "account"],
    typer.Option("--unit", rich_help_panel=_COUNTED, help="What shares are of. Files of one post id are one post."),
]
Compare = Annotated[
    bool, typer.Option("--compare", rich_help_panel=_COUNTED, help="Set two runs side by side, in place of together.")
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="TIME",
        rich_help_panel=_COUNTED,
        help="Compare what was posted before with what came after [default: the middle of the time].",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", rich_help_panel=_COUNTED, help="Posts from then on: 2026-01-31, 2026-01-31T18:00."
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="TIME", rich_help_panel=_COUNTED, help="Posts up to that day, or before that time."
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY=VALUE",
        rich_help_panel=_COUNTED,
        help="account=PATTERN, source=PATTERN (* and ?) or label=NAME; several of one key: any of them.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", min=0, max=1, rich_help_panel=_COUNTED, help="Count scores above this [default: the runs' own]."
    ),
]
Fold = Annotated[
    bool,
    typer.Option("--fold-duplicates", rich_help_panel=_COUNTED, help="Count near-duplicate pictures once; reads all."),
]
Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", rich_help_panel=_KNOWN, help="Where the pictures are, if they have moved."),
]
Metadata = Annotated[
    Path | None,
    typer.Option(
        "--metadata",
        metavar="FILE",
        rich_help_panel=_KNOWN,
        help="CSV, TSV or JSON lines: time, account, likes ... of files.",
    ),
]
MetadataKey = Annotated[
    str | None,
    typer.Option("--metadata-key", metavar="COLUMN", rich_help_panel=_KNOWN, help="The one that names files or posts."),
]
DatePattern = Annotated[
    str | None,
    typer.Option(
        "--date-pattern",
        metavar="PATTERN",
        rich_help_panel=_KNOWN,
        help="Of dates in file names: %Y-%m-%d, or a regex.",
    ),
]
Tz = Annotated[
    str, typer.Option("--tz", metavar="ZONE", rich_help_panel=_KNOWN, help="Of days and of times without one.")
]
BinSize = Annotated[
    Literal["hour", "day", "week", "month"] | None,
    typer.Option("--bins", rich_help_panel=_COUNTED, help="Of the trend [default: what fits]."),
]
Reviewed = Annotated[
    Path | None,
    typer.Option(
        "--reviewed", metavar="FILE", rich_help_panel=_JUDGED, help="A checked random sample: adds corrected shares."
    ),
]
Suggest = Annotated[
    bool,
    typer.Option("--suggest-thresholds", rich_help_panel=_JUDGED, help="From scores, or with --truth from labels."),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        "--truth", metavar="FILE", rich_help_panel=_JUDGED, help="A few labelled pictures (COCO), for thresholds."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print all tables as JSON, whole.")]
Top = Annotated[int, typer.Option("--top", min=1, metavar="N", help="Rows of each table to print.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the tables and errors.")]


def report(
    runs: Runs,
    output: Output = None,
    unit: Unit = "post",
    since: Since = None,
    until: Until = None,
    where: Where = None,
    threshold: Threshold = None,
    compare: Compare = False,
    split: Split = None,
    bins: BinSize = None,
    fold_duplicates: Fold = False,
    metadata: Metadata = None,
    metadata_key: MetadataKey = None,
    date_pattern: DatePattern = None,
    tz: Tz = "UTC",
    root: Root = None,
    reviewed: Reviewed = None,
    suggest_thresholds: Suggest = False,
    truth: Truth = None,
    html: Html = True,
    tables: Tables = "csv",
    thumbs: Thumbs = 8,
    title: Title = None,
    as_json: AsJson = False,
    top: Top = 30,
    quiet: Quiet = False,
) -> None:
    """What is in a feed, how much of it, whether it rises, and who posts it.

    Shares are of posts (or files, or accounts) in which a label was detected at least once, with 95 % intervals; files
    that could not be read are in no share. Several runs are counted together. Side-cars of yt-dlp, gallery-dl and
    instaloader beside the pictures are read, then EXIF, dates in file names, and file times.
    """
    from ovdet_cli.analysis.dates import zone_named
    from ovdet_cli.analysis.exporting import TABLES, plain_table, write_tables
    from ovdet_cli.analysis.report import Report, ReportRequest
    from ovdet_cli.models.store import home

    if truth is not None:
        suggest_thresholds = True
    zone = zone_named(tz)
    chosen = _where(where or [])
    request = ReportRequest(
        runs=runs,
        unit=unit,
        zone=zone,
        since=_moment(since, zone, "--since"),
        until=_moment(until, zone, "--until", is_end=True),
        accounts=chosen["account"],
        sources=chosen["source"],
        labels=chosen["label"],
        root=root,
        metadata=metadata,
        metadata_key=metadata_key,
        date_pattern=date_pattern,
        bins=bins,
        threshold=threshold,
        compare=compare,
        split=_moment(split, zone, "--split"),
        fold_duplicates=fold_duplicates,
        cache=home() / "prints.sqlite",
        reviewed=reviewed,
        suggest_thresholds=suggest_thresholds,
        truth=truth,
    )
    formats = _formats(tables)
    with Report(request) as made:
        if as_json:
            console.print_json({name: plain_table(make(made)) for name, make in TABLES.items()})
        else:
            report_tables.print_report(made, top)
        if not quiet:
            for warning in made.warnings:
                console.warn(report_tables.printable(warning))
        if not html and not formats:
            return
        folder = _folder(made, request, output)
        written = write_tables(made, folder, formats)
        if not quiet and written:
            console.say(f"wrote {len(written)} tables to {folder}")
        if html:
            size = _write_page(made, folder, thumbs, title)
            if not quiet:
                console.say(f"wrote {folder / 'report.html'} ({size / 1e6:.1f} MB)")


def _write_page(made: "Report", folder: Path, thumbs: int, title: str | None) -> int:
    from importlib.metadata import version

    from ovdet_cli.errors import OutputError
    from ovdet_cli.render.page.contents import page_payload
    from ovdet_cli.render.page.page import write_page
    from ovdet_cli.render.page.shown import PageOptions

    title = title or ", ".join(run.name for run in made.runs)
    options = PageOptions(title, folder, " ".join(["ovdet", *sys.argv[1:]]), version("ovdet"), thumbs)
    payload, path = page_payload(made, options), folder / "report.html"
    try:
        return write_page(payload, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; name another folder with -o") from error


def _folder(made: "Report", request: "ReportRequest", output: Path | None) -> Path:
    from ovdet_cli.errors import OutputError

    run = request.runs[0]
    own = (run if run.is_dir() else run.parent) / "report"
    folder = output or (own if len(made.runs) == 1 else Path("ovdet-report"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror or error}; name another with -o"
        ) from error
    return folder


def _formats(text: str) -> "list[Any]":
    from ovdet_cli.analysis.exporting import TABLE_FORMATS

    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return []
    if unknown := [name for name in names if name not in TABLE_FORMATS]:
        raise UsageError(f"--tables: {unknown[0]!r} is none of {', '.join(TABLE_FORMATS)}, none")
    return names


def _where(conditions: list[str]) -> dict[str, tuple[str, ...]]:
    chosen: dict[str, list[str]] = {"account": [], "source": [], "label": []}
    for condition in conditions:
        key, sign, value = condition.partition("=")
        if not sign or key.strip() not in chosen or not value.strip():
            raise UsageError(f"--where {condition!r}: give account=PATTERN, source=PATTERN or label=NAME")
        chosen[key.strip()].append(value.strip())
    return {key: tuple(values) for key, values in chosen.items()}


def _moment(text: str | None, zone: "ZoneInfo", option: str, *, is_end: bool = False) -> "datetime | None":
    """The moment that a text means in a zone; a day without a time ends, where that is asked for, with the day."""
    from datetime import datetime, timedelta

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        if is_end and re.fullmatch(r"\d{4}-?\d\d-?\d\d", text.strip()):
            moment += timedelta(days=1)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is no time; give one as 2026-01-31 or 2026-01-31T18:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
