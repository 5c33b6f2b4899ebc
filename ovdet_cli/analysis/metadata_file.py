"""MetadataFile: a table of posts that the user has (CSV, TSV, JSON lines, JSON), and which files its rows speak of."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ovdet_cli.analysis import metadata_columns as cells
from ovdet_cli.analysis.fields import NAMES, facts_of, snake, value_at, word
from ovdet_cli.analysis.findings import MOST_EXAMPLES, Findings
from ovdet_cli.analysis.joining import Keys
from ovdet_cli.analysis.metadata_rows import BATCH, JSON_SUFFIXES, Batch, CsvRows, json_rows
from ovdet_cli.analysis.post import hashtags
from ovdet_cli.errors import UsageError

# What a column that holds files is called, surest first.
FILE_NAMES = (
    *("file", "filename", "file_name", "filepath", "file_path", "source", "path", "local_path", "image", "image_path"),
    *("image_file", "image_name", "media_path", "media_file", "media", "picture", "photo", "video", "video_path"),
    *("local_file", "saved_as", "name", "_filename"),
)
_KEY = "key"


class MetadataFile:
    """What a metadata file says. Use `read_metadata`.

    path: the file. key: its column that names files or posts. columns: field of a post -> its column.
    rows: one row a key: id, account, time (UTC), likes, text, url, tags. findings: what was odd about it.
    """

    def __init__(
        self, path: Path, key: str, columns: Mapping[str, str], table: pa.Table, lines: np.ndarray, findings: Findings
    ) -> None:
        self.path = path
        self.key = key
        self.columns = dict(columns)
        self.findings = findings
        self.rows = table.drop_columns([_KEY])
        self._lines = lines
        names: list[str] = table[_KEY].to_pylist()
        self._names = names
        self._keys = Keys(names)
        self._used = np.zeros(len(names), bool)
        self._used[self._keys.duplicates] = True  # told of as duplicates
        duplicates = self._keys.duplicates
        findings.replace("duplicate row", len(duplicates), [self._told(row) for row in duplicates[:MOST_EXAMPLES]])

    def __len__(self) -> int:
        return len(self._names)

    def join(self, sources: Sequence[str]) -> np.ndarray:
        """The row of every source, -1 for none: int64. Rows that fit nothing, or too much, go into `findings`."""
        rows = self._keys.join(sources)
        self._used[rows[rows >= 0]] = True
        ambiguous = self._keys.ambiguous
        unused = np.flatnonzero(~self._used)
        unused = unused[~np.isin(unused, ambiguous)]
        for kind, found in (("ambiguous row", ambiguous), ("unused row", unused.tolist())):
            self.findings.replace(kind, len(found), [self._told(row) for row in found[:MOST_EXAMPLES]])
        return rows

    def _told(self, row: int) -> str:
        return f"{self.path.name}, line {self._lines[row]}: {self._names[row]}"


def read_metadata(
    path: Path, zone: tzinfo, key: str | None = None, columns: Mapping[str, str] | None = None
) -> MetadataFile:
    """Reads a metadata file.

    zone: of times that name none. key: the column that names files or posts; None: the first that is called so.
    columns: field (id, account, time, likes, text, url, tags) -> column, instead of the usual names; in JSON a column
    may lie in an object, as `user.name`.

    Raises:
        UsageError: there is no such column, or none that can be the key.
        InputError: the file cannot be read, or is no table.
    """
    given = dict(columns or {})
    if wrong := given.keys() - NAMES.keys():
        raise UsageError(f"a post has no field {sorted(wrong)[0]!r}; its fields are {', '.join(NAMES)}")
    findings = Findings()
    read = _read_json if path.suffix.lower() in JSON_SUFFIXES else _read_csv
    return read(path, zone, key, given, findings)


def _read_csv(path: Path, zone: tzinfo, key: str | None, given: dict[str, str], findings: Findings) -> MetadataFile:
    rows = CsvRows(path, findings)
    key_name = _exact(key, rows.names, path) if key else _guess((*FILE_NAMES, *NAMES["id"]), rows.names)
    if key_name is None:
        raise UsageError(f"{path}: no column names the files; say which with --metadata-key: {_listed(rows.names)}")
    chosen = {field: _exact(name, rows.names, path) for field, name in given.items()}
    for field, names in NAMES.items():
        guessed = _guess(names, [name for name in rows.names if name not in chosen.values() and name != key_name])
        if field not in chosen and guessed is not None:
            chosen[field] = guessed
    if "id" not in chosen and snake(key_name) in NAMES["id"]:
        chosen["id"] = key_name
    tables, lines = [], []
    for batch in rows.batches({key_name, *chosen.values()}):
        table, own = _typed(batch, key_name, chosen, zone, path, findings)
        tables.append(table)
        lines.append(own)
    return _assembled(path, key_name, chosen, tables, lines, findings)


def _typed(
    batch: Batch, key: str, chosen: Mapping[str, str], zone: tzinfo, path: Path, findings: Findings
) -> tuple[pa.Table, np.ndarray]:
    keys = [cell.strip() for cell in batch.columns[key]]

    def report(place: int, kind: str, message: str) -> None:
        findings.add(kind, f"{path.name}, line {batch.lines[place]}: {message}")

    def cells_of(field: str) -> list[str] | None:
        return batch.columns[chosen[field]] if field in chosen else None

    readers: dict[str, Any] = {
        "id": cells.words,
        "account": cells.accounts,
        "time": lambda own: cells.times(own, zone, report),
        "likes": lambda own: cells.counts(own, report),
        "text": cells.texts,
        "url": cells.addresses,
    }
    made: dict[str, pa.Array] = {_KEY: pa.array(keys, pa.string())}
    for field, reader in readers.items():
        own = cells_of(field)
        made[field] = pa.nulls(len(keys), cells.SCHEMA.field(field).type) if own is None else reader(own)
    tag_cells, text_cells = cells_of("tags"), cells_of("text")
    is_bare = tag_cells is None and text_cells is None
    made["tags"] = pa.array([()] * len(keys), cells.TAGS) if is_bare else cells.tag_lists(tag_cells, text_cells)
    table, lines = pa.table(made), np.array(batch.lines, np.int64)
    if all(keys):
        return table, lines
    is_named = np.array([bool(name) for name in keys])
    findings.add("row without key", f"{path.name}, line {lines[~is_named][0]}", int((~is_named).sum()))
    return table.filter(pa.array(is_named)), lines[is_named]


def _read_json(path: Path, zone: tzinfo, key: str | None, given: dict[str, str], findings: Findings) -> MetadataFile:
    tables: list[pa.Table] = []
    lines: list[np.ndarray] = []
    rows: list[tuple[Any, ...]] = []
    own_lines: list[int] = []
    chosen_key = key
    for line, values, name in json_rows(path, findings):
        if chosen_key is None and name is None:
            chosen_key = _guess(
                (*FILE_NAMES, *NAMES["id"]), [own for own in values if isinstance(values[own], str | int)]
            )
            if chosen_key is None:
                raise UsageError(f"{path}: no field names the files; say which with --metadata-key: {_listed(values)}")
        own_key = (
            name if chosen_key is None or (key is None and name is not None) else word(value_at(values, chosen_key))
        )
        if not own_key:
            findings.add("row without key", f"{path.name}, line {line}")
            continue

        def report(kind: str, message: str, line: int = line) -> None:
            findings.add(kind, f"{path.name}, line {line}: {message}")

        facts = facts_of(values, zone, report, given)
        tags = tuple(dict.fromkeys((*facts.tags, *hashtags(facts.text))))
        rows.append((own_key, facts.id, facts.account, facts.time, facts.likes, facts.text, facts.url, tags))
        own_lines.append(line)
        if len(rows) == BATCH:
            tables.append(_table(rows))
            lines.append(np.array(own_lines, np.int64))
            rows, own_lines = [], []
    tables.append(_table(rows))
    lines.append(np.array(own_lines, np.int64))
    if key is not None and not any(len(table) for table in tables):
        raise UsageError(f"{path}: no entry has a field {key!r}; give another --metadata-key")
    return _assembled(path, chosen_key or "(its name)", given, tables, lines, findings)


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    schema = pa.schema([pa.field(_KEY, pa.string()), *cells.SCHEMA])
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table([pa.array(own, field.type) for own, field in zip(columns, schema, strict=True)], schema=schema)


def _assembled(
    path: Path,
    key: str,
    columns: Mapping[str, str],
    tables: list[pa.Table],
    lines: list[np.ndarray],
    findings: Findings,
) -> MetadataFile:
    table = pa.concat_tables([_table([]), *tables]).combine_chunks()
    return MetadataFile(path, key, columns, table, np.concatenate([np.zeros(0, np.int64), *lines]), findings)


def _guess(names: Sequence[str], columns: Sequence[str]) -> str | None:
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(snake(column), column)
    return next((by_name[name] for name in names if name in by_name), None)


def _exact(name: str, columns: Sequence[str], path: Path) -> str:
    if name in columns:
        return name
    same = [column for column in columns if snake(column) == snake(name)]
    if len(same) != 1:
        raise UsageError(f"{path}: has no column {name!r}; its columns are {_listed(columns)}")
    return same[0]


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown: Iterator[str] = (str(name)[:40] for name in list(names)[:20])
    return ", ".join(shown) + (", ..." if len(names) > 20 else "")
