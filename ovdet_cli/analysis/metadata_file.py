"""MetadataFile: a table of posts that the user has (CSV, TSV, JSON lines, JSON), and which files its rows speak of."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ovdet_cli.analysis import metadata_columns as cells
from ovdet_cli.analysis.fields import NAMES, facts_of, snake, value_at, word
from ovdet_cli.analysis.findings import MOST_EXAMPLES, Findings
from ovdet_cli.analysis.joining import Keys
from ovdet_cli.analysis.metadata_rows import BATCH, JSON_SUFFIXES, CsvRows, json_rows
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
    rows: one row a key: id, account, time (UTC), likes, text, url, tags.
    """

    def __init__(self, path: Path, key: str, columns: Mapping[str, str], table: pa.Table, odd: "_Oddities") -> None:
        self.path = path
        self.key = key
        self.columns = dict(columns)
        self.rows = table.drop_columns([_KEY])
        self._odd = odd
        self._names: list[str] = table[_KEY].to_pylist()
        self._keys = Keys(self._names)
        self._used = np.zeros(len(self._names), bool)
        self._used[self._keys.duplicates] = True  # told of as duplicates

    def __len__(self) -> int:
        return len(self._names)

    def join(self, sources: Sequence[str]) -> np.ndarray:
        """The row of every source, -1 for none: int64."""
        rows = self._keys.join(sources)
        self._used[rows[rows >= 0]] = True
        return rows

    def findings(self) -> Findings:
        """What was odd: broken rows, impossible values, keys that stand twice; and rows that no `join` could use."""
        ambiguous = self._keys.ambiguous
        unused = np.flatnonzero(~self._used)
        unused = unused[~np.isin(unused, ambiguous)]
        kinds = {"duplicate row": self._keys.duplicates, "ambiguous row": ambiguous, "unused row": unused.tolist()}
        return self._odd.findings(
            {kind: (len(rows), rows[:MOST_EXAMPLES]) for kind, rows in kinds.items()}, self._names
        )


class _Oddities:
    """Odd values by row. Their lines are looked up when somebody asks: that means to read the file again.

    lines: rows -> the lines they begin on. places: row of the table -> row of the file, where some were left out.
    """

    def __init__(self, path: Path, findings: Findings, lines: Callable[[Iterable[int]], Mapping[int, int]]) -> None:
        self._path = path
        self._findings = findings
        self._lines = lines
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[tuple[int, str]]] = {}
        self._known: dict[int, int] = {}
        self.places: np.ndarray | None = None

    def add(self, row: int, kind: str, message: str, count: int = 1) -> None:
        """Counts an odd value of a row of the file."""
        self._counts[kind] += count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append((row, message))

    def findings(self, of_rows: Mapping[str, tuple[int, Sequence[int]]], names: Sequence[str]) -> Findings:
        """All of them; of_rows: kind -> how many rows of the table, and the first few."""
        told = {kind: (self._counts[kind], examples) for kind, examples in self._examples.items()}
        for kind, (count, rows) in of_rows.items():
            if count:
                told[kind] = (
                    count,
                    [(row if self.places is None else int(self.places[row]), names[row]) for row in rows],
                )
        asked = {row for _, examples in told.values() for row, _ in examples}
        self._known.update(self._lines(asked - self._known.keys()))
        findings = Findings()
        findings.update(self._findings)
        for kind, (count, examples) in told.items():
            shown = [f"{self._path.name}, line {self._known.get(row, '?')}: {message}" for row, message in examples]
            findings.replace(kind, count, shown)
        return findings


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
    odd = _Oddities(path, findings, rows.lines)
    tables, num_rows = [], 0
    for batch in rows.batches(list(dict.fromkeys((key_name, *chosen.values())))):
        tables.append(_typed(batch, key_name, chosen, zone, partial(_report, odd, num_rows)))
        num_rows += len(batch)
    return _assembled(path, key_name, chosen, tables, odd)


def _report(odd: _Oddities, first: int, place: int, kind: str, message: str) -> None:
    odd.add(first + place, kind, message)


def _typed(batch: pa.RecordBatch, key: str, chosen: Mapping[str, str], zone: tzinfo, report: cells.Report) -> pa.Table:
    readers: dict[str, Callable[[pa.Array], pa.Array]] = {
        "id": cells.words,
        "account": cells.accounts,
        "time": lambda own: cells.times(own, zone, report),
        "likes": lambda own: cells.counts(own, report),
        "text": cells.texts,
        "url": cells.addresses,
    }
    made: dict[str, pa.Array] = {_KEY: pc.utf8_trim_whitespace(batch[key])}
    for field, reader in readers.items():
        is_there = field in chosen
        made[field] = reader(batch[chosen[field]]) if is_there else pa.nulls(len(batch), cells.SCHEMA.field(field).type)
    tags, texts = (batch[chosen[field]] if field in chosen else None for field in ("tags", "text"))
    is_bare = tags is None and texts is None
    made["tags"] = pa.array([()] * len(batch), cells.TAGS) if is_bare else cells.tag_lists(tags, texts)
    return pa.table(made)


def _read_json(path: Path, zone: tzinfo, key: str | None, given: dict[str, str], findings: Findings) -> MetadataFile:
    tables: list[pa.Table] = []
    rows: list[tuple[Any, ...]] = []
    lines: list[int] = []
    odd = _Oddities(path, findings, lambda asked: {row: lines[row] for row in asked})
    chosen_key = key
    for line, values, name in json_rows(path, findings):
        if chosen_key is None and name is None:
            plain = [own for own in values if isinstance(values[own], str | int)]
            chosen_key = _guess((*FILE_NAMES, *NAMES["id"]), plain)
            if chosen_key is None:
                raise UsageError(f"{path}: no field names the files; say which with --metadata-key: {_listed(values)}")
        is_named = chosen_key is None or (key is None and name is not None)
        own_key = name if is_named or chosen_key is None else word(value_at(values, chosen_key))
        facts = facts_of(values, zone, partial(odd.add, len(lines)), given)
        tags = tuple(dict.fromkeys((*facts.tags, *hashtags(facts.text))))
        rows.append((own_key or "", facts.id, facts.account, facts.time, facts.likes, facts.text, facts.url, tags))
        lines.append(line)
        if len(rows) == BATCH:
            tables.append(_table(rows))
            rows = []
    tables.append(_table(rows))
    if key is not None and not any(pc.any(pc.not_equal(table[_KEY], "")).as_py() for table in tables):
        raise UsageError(f"{path}: no entry has a field {key!r}; give another --metadata-key")
    return _assembled(path, chosen_key or "(its name)", given, tables, odd)


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    schema = pa.schema([pa.field(_KEY, pa.string()), *cells.SCHEMA])
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table([pa.array(own, field.type) for own, field in zip(columns, schema, strict=True)], schema=schema)


def _assembled(
    path: Path, key: str, columns: Mapping[str, str], tables: list[pa.Table], odd: _Oddities
) -> MetadataFile:
    table = pa.concat_tables([_table([]), *tables]).combine_chunks()
    is_named = pc.not_equal(table[_KEY], "").to_numpy(zero_copy_only=False)
    if not is_named.all():
        odd.add(int(np.argmin(is_named)), "row without key", "nothing stands there", int((~is_named).sum()))
        odd.places = np.flatnonzero(is_named)
        table = table.filter(pa.array(is_named))
    return MetadataFile(path, key, columns, table, odd)


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
