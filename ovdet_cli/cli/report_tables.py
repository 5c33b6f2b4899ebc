"""A report on the terminal: tables and small bars."""

from typing import TYPE_CHECKING, Any

from ovdet_cli.cli import console

if TYPE_CHECKING:
    import pyarrow as pa

    from ovdet_cli.analysis.report import Report

_BAR = 20
_LONGEST = 60
_JOINERS = "\u200c\u200d"  # of emoji and of Persian words
_WIDE = 100
"""Columns of a terminal; a narrower one has shorter bars, so that no row of labels is folded."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def print_report(made: "Report", top: int) -> None:
    """Totals, labels with their shares, what rose and fell, when, who, and what failed."""
    _print_totals(made)
    _print_labels(made, top)
    _print_parents(made, top)
    _print_changes(made, top)
    _print_times(made)
    _print_accounts(made, top)
    _print_suggested(made, top)
    _print_failures(made, top)


def bar(share: float, width: int | None = None) -> str:
    """A bar of that share of the width, in eighths of a character; a sliver for anything above 0.

    width: None for one that leaves room for the rest of a table, whatever the terminal.
    """
    width = (_BAR if console.out.width >= _WIDE else _BAR // 4) if width is None else width
    eighths = round(min(max(share, 0), 1) * width * 8)
    eighths = max(eighths, 1) if share > 0 else eighths
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def percent(share: float | None) -> str:
    """12.3 %, < 0.1 %, or nothing."""
    if share is None or share != share:
        return ""
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def _print_totals(made: "Report") -> None:
    totals = made.totals
    rows: list[list[Any]] = [[made.many, _count(totals["units"])]]
    rows.append([f"with something found, share of {made.many}", percent(totals["coverage"])])
    counted = ("pictures", "videos", "video_frames", "detections", "labels", "accounts")
    rows += [[name.replace("_", " "), _count(totals[name])] for name in counted if totals[name]]
    if totals["video_minutes"]:
        rows.append(["video minutes", f"{totals['video_minutes']:,.1f}"])
    rows.append(["files that failed", _count(totals["failed_files"])])
    if totals["first_us"] is not None:
        rows.append(["from", made.local(totals["first_us"])])
        rows.append(["to", made.local(totals["last_us"])])
    console.print_table(None, ["total", ""], rows)


def _print_labels(made: "Report", top: int) -> None:
    columns = made.labels.columns
    corrected = made.corrected
    header = ["label", made.many, "share", "", "95 %", "detections", "median score"]
    if columns["minutes"] is not None:
        header.append("minutes")
    if corrected is not None:
        header += ["corrected", "95 %"]
    rows = []
    for i in range(min(len(made.labels), top)):
        row = [
            *(_cell(columns["label"][i]), _count(columns["units"][i]), percent(columns["share"][i])),
            *(bar(columns["share"][i]), _range(columns["low"][i], columns["high"][i])),
            *(_count(columns["detections"][i]), f"{columns['score_median'][i]:.2f}"),
        ]
        if columns["minutes"] is not None:
            row.append(f"{columns['minutes'][i]:,.1f}")
        if corrected is not None:
            row += [percent(corrected.share[i]), _range(corrected.low[i], corrected.high[i])]
        rows.append(row)
    console.print_table(f"\n{_title('Labels', len(made.labels), top)}", header, rows)


def _print_parents(made: "Report", top: int) -> None:
    if made.parents.num_rows:
        header = ["parent", made.many, "share", "", "95 %", "detections", "labels"]
        rows = [
            [
                *(_cell(row["parent"]), _count(row["units"]), percent(row["share"]), bar(row["share"])),
                *(_range(row["low"], row["high"]), _count(row["detections"]), row["labels"]),
            ]
            for row in made.parents.slice(0, top).to_pylist()
        ]
        console.print_table(f"\n{_title('Parents', made.parents.num_rows, top)}", header, rows)


def _print_changes(made: "Report", top: int) -> None:
    if made.comparison is None:
        return
    found, a, b = made.comparison
    comparison = found.comparison
    changed = [i for i, verdict in enumerate(comparison.verdict.tolist()) if verdict in ("rose", "fell")]
    changed.sort(key=lambda i: (comparison.q[i], -abs(comparison.difference[i])))
    names = made.labels.columns["label"]
    title = f"\nWhat changed: {_cell(a)} ({found.units[0]:,} {made.many}), {_cell(b)} ({found.units[1]:,})"
    if not changed:
        console.out.print(f"{title}: nothing clearly", markup=False, soft_wrap=True)
        return
    rows = [
        [
            *(_cell(names[i]), str(comparison.verdict[i]), percent(comparison.a[i]), percent(comparison.b[i])),
            f"{100 * comparison.difference[i]:+.1f} points",
        ]
        for i in changed[:top]
    ]
    console.print_table(
        title, ["label", "", "before" if not made.request.compare else "first", "after", "change"], rows
    )


def _print_times(made: "Report") -> None:
    from ovdet_cli.analysis.over_time import units_by_bin

    if made.bins is None or len(made.bins.starts) < 2:
        return
    units = units_by_bin(made.store, made.bins)
    starts = [start.astimezone(made.request.zone) for start in made.bins.starts]
    shape = "%Y-%m-%d %H:00" if made.bins.size == "hour" else "%Y-%m-%d"
    shown = list(zip(starts, units.tolist(), strict=True))[-_BAR:]
    title = f"\n{made.many.capitalize()} by {made.bins.size}" + (f" (the last {_BAR})" if len(starts) > _BAR else "")
    most = max(count for _, count in shown) or 1
    rows = [[start.strftime(shape), _count(count), bar(count / most)] for start, count in shown]
    console.print_table(title, [made.bins.size, made.many, ""], rows)


def _print_accounts(made: "Report", top: int) -> None:
    from ovdet_cli.analysis.groups import account_table

    if made.totals["accounts"] and made.request.unit != "account":
        table = account_table(made.store)
        _print_groups("Accounts", "account", made, table, min(top, 10))


def _print_groups(title: str, key: str, made: "Report", table: "pa.Table", top: int) -> None:
    rows = [
        [
            _cell(row[key]),
            _count(row["units"]),
            percent(row["units_with"] / row["units"]),
            _cell(row["top_label"]),
        ]
        for row in table.slice(0, top).to_pylist()
    ]
    header = [key, made.many, "with something found", "most of"]
    console.print_table(f"\n{_title(title, table.num_rows, top)}", header, rows)


def _print_suggested(made: "Report", top: int) -> None:
    if made.suggested is None:
        return
    names = made.labels.columns["label"]
    rows = [
        [
            _cell(names[row["label"]]),
            "" if row["now"] is None else f"{row['now']:.2f}",
            "" if row["suggested"] is None else f"{row['suggested']:.2f}",
            row["why"],
        ]
        for row in made.suggested[:top]
    ]
    console.print_table(f"\n{_title('Thresholds', len(names), top)}", ["label", "now", "suggested", "why"], rows)


def _print_failures(made: "Report", top: int) -> None:
    from ovdet_cli.analysis.summary import failure_reasons

    reasons = failure_reasons(made.store, top)
    if reasons:
        rows = [[row["files"], _cell(row["reason"]), _cell(", ".join(row["examples"]))] for row in reasons]
        console.print_table("\nFailures", ["files", "why", "such as"], rows)


def _title(title: str, count: int, top: int) -> str:
    return f"{title} ({count:,})" if count <= top else f"{title} (the first {top} of {count:,})"


def _range(low: float, high: float) -> str:
    return "" if low != low else f"{100 * low:.1f}–{100 * high:.1f}"


def _count(value: Any) -> str:
    return f"{int(value):,}"


def printable(value: Any) -> str:
    """A text as it can stand on a terminal: no control characters, nor any that turn the direction of writing."""
    if value is None:
        return ""
    return "".join(c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode() for c in str(value))


def _cell(value: Any) -> str:
    """The same, short enough for a table; files and page have all of it."""
    text = printable(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
