"""The tables of a report, and their files: CSV, JSON, Parquet."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ovdet_cli.analysis import footage, groups, over_time, summary
from ovdet_cli.analysis.cooccurrence import associate
from ovdet_cli.analysis.report import Report
from ovdet_cli.errors import OutputError

TableFormat = Literal["csv", "json", "parquet"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)


def _totals(report: Report) -> pa.Table:
    """One row; first and last are local times."""
    totals = {name: value for name, value in report.totals.items() if not name.endswith("_us")}
    for name in ("first", "last"):
        time_us = report.totals[f"{name}_us"]
        totals[name] = None if time_us is None else report.local(time_us)
    kinds = {"unit": pa.string(), "video_minutes": pa.float64(), "coverage": pa.float64()}
    kinds |= {"first": pa.string(), "last": pa.string()}
    columns = {"unit": report.request.unit, **totals}
    return pa.table({name: pa.array([value], kinds.get(name, pa.int64())) for name, value in columns.items()})


def _labels(report: Report) -> pa.Table:
    """As `label_table`; first_time and last_time are local."""
    columns = {name: values for name, values in report.labels.columns.items() if values is not None}
    for name in ("first", "last"):
        times = columns.pop(f"{name}_us")
        columns[f"{name}_time"] = [None if t is np.ma.masked else report.local(int(t)) for t in times]
    if report.corrected is not None:
        for name in ("share", "low", "high"):
            columns[f"corrected_{name}"] = getattr(report.corrected, name)
    texts = ("label", "first_source", "first_time", "last_time")
    return pa.table({name: _texts(values) if name in texts else _array(values) for name, values in columns.items()})


def _array(values: Any) -> pa.Array:
    """Numbers; what is masked or nan is null."""
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, mask=np.ma.getmaskarray(values))
    return pa.array(values, from_pandas=True)


def _pairs(report: Report) -> pa.Table:
    """label, other, units (with both), lift, association, q, verdict: pairs of frequent labels; see `associate`."""
    names, counts = report.labels.columns["label"], groups.pair_counts(report.store, report.labels)
    row, column = np.triu_indices(len(counts), 1)
    found = associate(counts, report.totals["units"])
    return pa.table(
        {
            "label": _texts([names[i] for i in row]),
            "other": _texts([names[i] for i in column]),
            "units": pa.array(counts[row, column], pa.int64()),
            **{name: _array(getattr(found, name)[row, column]) for name in ("lift", "association", "q")},
            "verdict": _texts(found.verdict[row, column].tolist()),
        }
    )


def _texts(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.string())


def _times(report: Report) -> pa.Table:
    if report.bins is None:
        names = {"start": pa.string(), "units": pa.int64(), "label": pa.string(), "with_label": pa.int64()}
        return pa.schema(names).empty_table()
    return over_time.bin_table(report.store, report.bins, report.request.zone)


def _compare(report: Report) -> pa.Table:
    names = ("a", "b", "difference", "low", "high", "p", "q", "verdict")
    found = report.comparison
    if found is None:
        return pa.schema(
            {"label": pa.string(), **dict.fromkeys(names[:-1], pa.float64()), "verdict": pa.string()}
        ).empty_table()
    columns = {name: _array(getattr(found[0].comparison, name)) for name in names}
    return pa.table({"label": _texts(report.labels.columns["label"]), **columns})


def _suggested(report: Report) -> pa.Table:
    schema = pa.schema({"label": pa.string(), "now": pa.float64(), "suggested": pa.float64(), "why": pa.string()})
    names = report.labels.columns["label"]
    rows = [{**row, "label": names[row["label"]]} for row in report.suggested or ()]
    return pa.Table.from_pylist(rows, schema)


def _duplicates(report: Report) -> pa.Table:
    """source, like: files that are not counted, and the counted one whose post shows the same."""
    if report.duplicates is None:
        return pa.schema({"source": pa.string(), "like": pa.string()}).empty_table()
    return report.store.table(
        """SELECT s.name AS source, k.name AS "like" FROM duplicate d JOIN source s ON s.source_id = d.source_id
        JOIN source k ON k.source_id = d.kept_id ORDER BY d.source_id"""
    )


TABLES: dict[str, Callable[[Report], pa.Table]] = {
    "totals": _totals,
    "labels": _labels,
    "parents": lambda report: report.parents,
    "sources": lambda report: summary.source_table(report.store),
    "failures": lambda report: summary.failure_table(report.store),
    "accounts": lambda report: groups.account_table(report.store),
    "tags": lambda report: groups.tag_table(report.store),
    "folders": lambda report: groups.folder_table(report.store),
    "times": _times,
    "pairs": _pairs,
    "bands": lambda report: footage.band_table(report.store).drop_columns(["source_id", "frame_id", "label_id"]),
    "compare": _compare,
    "suggested": _suggested,
    "duplicates": _duplicates,
}
"""Name -> what makes it. Their columns: the functions' docstrings."""


def plain_table(table: pa.Table) -> list[dict[str, Any]]:
    """The rows as plain values; float32 as short as it allows."""
    short = [
        pa.array([None if v is None else float(str(np.float32(v))) for v in column.to_pylist()], pa.float64())
        if column.type == pa.float32()
        else column
        for column in table.columns
    ]
    rows: list[dict[str, Any]] = pa.table(short, names=table.column_names).to_pylist()
    return rows


def write_tables(report: Report, folder: Path, formats: Sequence[TableFormat]) -> list[Path]:
    """Writes every table in every format into the folder; gives the paths.

    Raises:
        OutputError: a file cannot be written.
    """
    import orjson

    paths = []
    for name, make in TABLES.items() if formats else ():
        table = make(report)
        for kind in formats:
            path = folder / f"{name}.{kind}"
            try:
                if kind == "csv":
                    pyarrow.csv.write_csv(table, path)
                elif kind == "parquet":
                    pyarrow.parquet.write_table(table, path, compression="zstd")
                else:
                    path.write_bytes(orjson.dumps(plain_table(table), option=orjson.OPT_APPEND_NEWLINE))
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
            paths.append(path)
    return paths
