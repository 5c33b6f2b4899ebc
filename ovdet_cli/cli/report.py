"""ovdet report: the tables of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovdet_cli.cli import console
from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ovdet_cli.render.report import RunTables

_LABEL_COLUMNS = ["label", "detections", "frames", "share", "score_min", "score_median", "score_max", "first_source"]


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or their detections.jsonl or detections.csv.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Where the tables go as CSV [default: RUN/report]."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all tables as JSON, whole.")] = False,
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="Labels and sources to print.")] = 30,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the tables and errors.")] = False,
) -> None:
    """Counts what a run found: per label, per source, and what failed.

    Only detections above the run's --threshold are counted.
    Several runs are counted together; their tables are written only where -o says.
    """
    from ovdet_cli.render.report import summarise, write_tables
    from ovdet_cli.results.runs import load_run

    if len({path.resolve() for path in runs}) < len(runs):
        raise UsageError("the same run is given twice; its detections would count twice")
    loaded = [load_run(path, with_masks=False) for path in runs]
    for path, run in zip(runs, loaded, strict=True):
        if (status := run.info.get("status", "done")) != "done":
            how = "it was killed or is still going on" if status == "running" else f"its status is {status}"
            console.warn(f"{path} is not complete: {how}")
    tables = summarise(*loaded)
    if as_json:
        console.print_json({name: _plain_rows(table) for name, table in vars(tables).items()})
    else:
        _print_tables(tables, top)
    folder = output if output is not None or len(loaded) > 1 else loaded[0].folder / "report"
    if folder is not None:
        paths = write_tables(tables, folder)
        if not quiet:
            console.say(f"wrote {', '.join(path.name for path in paths)} to {folder}")


def _print_tables(tables: "RunTables", top: int) -> None:
    totals = {name: value for name, value in _plain_rows(tables.totals)[0].items() if value is not None}
    console.print_table(None, ["total", ""], [[name.replace("_", " "), value] for name, value in totals.items()])
    _print_top("Labels", tables.labels[_LABEL_COLUMNS], top)
    if len(tables.parents):
        _print_top("Parents", tables.parents, top)
    _print_top("Sources", tables.sources, top)
    if len(tables.failures):
        _print_top("Failures", tables.failures, top)


def _print_top(title: str, table: "pd.DataFrame", top: int) -> None:
    """The first `top` rows, the title saying how many there are."""
    count = f"{len(table)}" if len(table) <= top else f"the first {top} of {len(table)}"
    header = [str(name).removeprefix("score_").replace("_", " ") for name in table.columns]
    rows = [[_cell(value) for value in row.values()] for row in _plain_rows(table.head(top))]
    console.print_table(f"\n{title} ({count})", header, rows)


def _cell(value: Any) -> Any:
    """A value as it can stand on a terminal: no control characters."""
    if value is None:
        return ""
    if isinstance(value, str):
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return value


def _plain_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows as plain Python values, missing ones None, float32 printing as short as it allows."""
    from ovdet_cli.results.record import shortest_floats

    columns = {}
    for name, column in table.items():
        if column.dtype.kind == "f":
            columns[str(name)] = shortest_floats(column.to_numpy())
        else:
            columns[str(name)] = [
                None if is_missing else v for v, is_missing in zip(column, column.isna(), strict=True)
            ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
