"""PostFinder: the post of every file, from metadata, side-cars, EXIF, names and file times, in that order."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ovdet_cli.analysis.dates import parse_time
from ovdet_cli.analysis.findings import MOST_EXAMPLES, Findings
from ovdet_cli.analysis.metadata_columns import TAGS, TIME
from ovdet_cli.analysis.metadata_file import MetadataFile
from ovdet_cli.analysis.name_dates import NameDates
from ovdet_cli.analysis.post import Facts, Post, TimeFrom, hashtags
from ovdet_cli.analysis.sidecars import Folder, SideCars, merge
from ovdet_cli.media.taken import time_noted

SCHEMA = pa.schema(
    {"source": pa.string(), "post": pa.string(), "account": pa.string(), "time": TIME, "time_from": pa.string()}
    | {"likes": pa.int64(), "text": pa.string(), "url": pa.string(), "tags": TAGS}
)
_CHUNK = 50_000
_FIELDS = ("id", "account", "time", "likes", "text", "url", "tags")
_NO_FACTS = Facts()


class PostFinder:
    """Tells which post a file belongs to, and what is known of it.

    root: the folder that source names are relative to. places: source -> its file, where it is known better.
    Without both, or where the files are gone, metadata and names alone tell. date_pattern: see `NameDates`.
    zone: of times that name none. use_file_time: take the time of the file's last change where nothing else tells.
    findings: what was odd; whole after `find_all`.
    """

    def __init__(
        self,
        root: Path | None = None,
        places: Mapping[str, Path] | Callable[[str], Path | None] | None = None,
        metadata: MetadataFile | None = None,
        date_pattern: str | None = None,
        zone: ZoneInfo | None = None,
        use_file_time: bool = True,
    ) -> None:
        self.findings = Findings()
        self._root = root
        self._places = places
        self._metadata = metadata
        self._zone = zone or ZoneInfo("UTC")
        self._names = NameDates(self._zone, date_pattern)
        self._use_file_time = use_file_time
        self._folders: dict[str, Folder] = {}
        self._below_root: dict[str, Folder | None] = {}
        self._side_cars = SideCars(self.findings)

    def find(self, source: str) -> Post:
        """The post of one file."""
        row = self._table([source]).to_pylist()[0]
        return Post(
            *(row["post"], row["account"], row["time"], row["time_from"], row["likes"], row["text"], row["url"]),
            tags=tuple(row["tags"]),
        )

    def find_all(self, sources: Sequence[str]) -> pa.Table:
        """The posts of files, one row a source, in their order: columns as `SCHEMA` says.

        Each field is from the first place that has it; hashtags in the text are among the tags. Files of one `post`
        may differ in what is known of them: only the metadata and side-cars speak of the whole post.
        """
        table = self._table(sources)
        self._tell_unused()
        return table

    def _table(self, sources: Sequence[str]) -> pa.Table:
        rows = None if self._metadata is None else self._metadata.join(sources)
        chunks = []
        for start in range(0, len(sources), _CHUNK):
            part = sources[start : start + _CHUNK]
            chunks.append(self._chunk(part, None if rows is None else rows[start : start + _CHUNK]))
        return pa.Table.from_batches(chunks, SCHEMA)

    def _chunk(self, sources: Sequence[str], rows: np.ndarray | None) -> pa.RecordBatch:
        known = self._of_metadata(len(sources), rows)
        has_time = pc.is_valid(known["time"]).to_numpy(zero_copy_only=False)
        asked = ~has_time
        if self._root is not None or self._places is not None:
            asked |= np.array([self._place(source)[0] is not None for source in sources], bool)
        time_from: list[TimeFrom] = ["metadata" if has else "none" for has in has_time.tolist()]
        if asked.any():
            self._ask_files(sources, np.flatnonzero(asked).tolist(), known, time_from)
        posts = pc.coalesce(known["id"], pa.array(sources, pa.string()))
        columns = [pa.array(sources, pa.string()), posts, known["account"], known["time"], pa.array(time_from)]
        columns += [known["likes"], known["text"], known["url"], known["tags"]]
        return pa.record_batch(columns, schema=SCHEMA)

    def _of_metadata(self, length: int, rows: np.ndarray | None) -> dict[str, pa.Array]:
        """What the metadata says, a column a field; no list of tags is null."""
        types = {"id": pa.string(), "tags": TAGS} | {name: SCHEMA.field(name).type for name in _FIELDS[1:6]}
        if rows is None or self._metadata is None or not (rows >= 0).any():
            known = {name: pa.nulls(length, type_) for name, type_ in types.items()}
        else:
            table = self._metadata.rows.take(pa.array(rows, pa.int64(), mask=rows < 0))
            known = {name: table[name].combine_chunks() for name in _FIELDS}
            known = {name: own if isinstance(own, pa.Array) else own.chunk(0) for name, own in known.items()}
        if known["tags"].null_count:
            known["tags"] = pc.coalesce(known["tags"], pa.scalar([], TAGS))
        return known

    def _ask_files(
        self, sources: Sequence[str], asked: list[int], known: dict[str, pa.Array], time_from: list[TimeFrom]
    ) -> None:
        """Adds to `known`, and to `time_from`, what the files themselves and their neighbours tell."""
        said: list[Facts] = []
        times = known["time"].to_pylist()
        for place in asked:
            facts, origin = self._of_file(sources[place], times[place] is not None)
            said.append(facts)
            if origin is not None:
                time_from[place] = origin
        for name in _FIELDS:
            # An id alone must not be lost; an empty tuple says nothing.
            new = [getattr(facts, name) for facts in said]
            if not any(value is not None and value != () for value in new):
                continue
            values = times if name == "time" else known[name].to_pylist()
            for place, value in zip(asked, new, strict=True):
                if values[place] is None or values[place] == []:
                    values[place] = value
            known[name] = pa.array(values, known[name].type)

    def _of_file(self, source: str, has_time: bool) -> tuple[Facts, TimeFrom | None]:
        """What a file, its side-cars and its name tell; and where the time is from, unless there is one already."""
        facts = _NO_FACTS
        folder, name = self._place(source)
        if folder is not None:
            facts = self._side_cars.find(folder, name) or _NO_FACTS
            if inside := hashtags(facts.text):
                facts = replace(facts, tags=tuple(dict.fromkeys((*facts.tags, *inside))))
        if has_time or facts.time is not None:
            return facts, None if has_time else "side-car"
        time: datetime | None = None
        origin: TimeFrom = "EXIF"
        if folder is not None and name in folder.entries:
            time = self._noted(os.path.join(folder.path, name), source)  # noqa: PTH118
        if time is None:
            time, origin = self._names.find(source), "file name"
        if time is None and folder is not None and self._use_file_time:
            time, origin = _from_file_time(folder.modified(name)), "file time"
        return (facts, None) if time is None else (merge(facts, Facts(time=time)), origin)

    def _noted(self, path: str, source: str) -> datetime | None:
        text = time_noted(Path(path))
        try:
            return parse_time(text, self._zone)
        except ValueError as error:
            self.findings.add("impossible time", f"{source}: EXIF {text!r} ({error})")
            return None

    def _place(self, source: str) -> tuple[Folder | None, str]:
        """The folder in which a source's file should be, and its name there; None where there is no such folder."""
        if self._places is not None:
            place = self._places(source) if callable(self._places) else self._places.get(source)
            if place is not None:
                parent, name = os.path.split(place)
                return self._folder(parent), name
        parent, _, name = source.rpartition("/")
        if self._root is None or parent.startswith("/") or ".." in parent.split("/"):  # out of the root
            return None, name
        if parent not in self._below_root:
            self._below_root[parent] = self._folder(os.path.join(self._root, parent))  # noqa: PTH118
        return self._below_root[parent], name

    def _folder(self, path: str) -> Folder | None:
        """The files of a folder, listed once; None where there are none."""
        folder = self._folders.get(path)
        if folder is None:
            folder = self._folders[path] = Folder(path or ".")
            if folder.error:
                self.findings.add("unreadable folder", f"{path}: {folder.error}")
        return folder if folder.entries else None

    def _tell_unused(self) -> None:
        listed = {folder.path: folder for folder in self._folders.values()}
        unused = self._side_cars.unused(listed)
        self.findings.replace("unused side-car", len(unused), [Path(path).name for path in unused[:MOST_EXAMPLES]])
        if self._metadata is not None:
            told = self._metadata.findings()
            for kind, count in told.counts.items():
                self.findings.replace(kind, count, told.examples[kind])


def _from_file_time(modified: float | None) -> datetime | None:
    if modified is None:
        return None
    try:
        return datetime.fromtimestamp(int(modified), UTC)
    except (ValueError, OverflowError, OSError):
        return None
