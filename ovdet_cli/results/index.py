"""A run's index: regions and features of every frame, as Arrow IPC streams that other tools read too.

    RUN/index/index.json               what made it, and which shards are whole
    RUN/index/classifier.safetensors   the few weights that score regions (written by the detector's side)
    RUN/index/part-00000.arrows ...    a record batch a frame

Arrow's stream format, not Parquet: it needs no footer, so that every frame is safe as soon as it is written and a kill
costs the unfinished one alone; it is memory-mapped without a copy; and features do not compress. Shards end at 256 MiB,
so that a reader never maps more. Polars, DuckDB (by Arrow), pandas and R read them.
"""

# R regions, S sets of features a region has, D embedding width, M cells of a mask a side

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from ovdet_cli.errors import OutputError, RecordError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.regions import StoredRegions, num_parts
from ovdet_cli.results.index_rows import HEAD, Lists, heads, together
from ovdet_cli.results.read_ahead import ReadAhead
from ovdet_cli.results.record import readable

SCHEMA = "ovdet-index/1"
FOLDER = "index"
_FACTS = "index.json"
_SHARD_BYTES = 1 << 28
_TYPES = {"fp16": pa.float16(), "int8": pa.int8()}

Row = TypeVar("Row")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class IndexedFrame:
    """A frame of an index.

    source, index, time_s: as in the records. size_hw, regions: None of a failure, whose message is `error`. is_reused:
    it was not analysed, as it is like the frame before, and what is found there holds here too; regions are None.
    """

    source: SourceInfo
    index: int
    time_s: float | None
    size_hw: tuple[int, int] | None
    error: str | None
    regions: StoredRegions | None
    is_reused: bool = False


def _schema(num_sets: int, width: int, precision: str, cells: int | None) -> pa.Schema:
    """Columns of a shard; a row is a frame."""
    fields = [
        ("source", pa.string()),
        ("path", pa.string()),
        ("kind", pa.string()),
        ("index", pa.int64()),
        ("time_s", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("error", pa.string()),
        ("boxes", pa.list_(pa.list_(pa.float32(), 4))),
        ("objectness", pa.list_(pa.float32())),
        ("features", pa.list_(pa.list_(_TYPES[precision], num_sets * width))),
    ]
    if precision == "int8":
        fields.append(("scales", pa.list_(pa.list_(pa.float32(), num_sets * num_parts(width)))))
    if cells is not None:
        fields.append(("masks", pa.list_(pa.list_(pa.uint8(), cells * cells))))
    return pa.schema(fields)


class IndexWriter:
    """Appends frames to a new index, each on disk before the next is taken; a context manager.

    facts: what made it, for index.json. precision: fp16 or int8.
    """

    def __init__(self, run_folder: Path, facts: Mapping[str, Any], precision: str) -> None:
        self.folder = run_folder / FOLDER
        self._facts = dict(facts)
        self._precision = precision
        self._shards: list[dict[str, Any]] = []
        self._schema: pa.Schema | None = None
        self._file: Any = None
        self._stream: Any = None
        self._frames = 0
        self._source: SourceInfo | None = None
        self._late: list[dict[str, Any]] = []
        try:
            self.folder.mkdir()
            self._describe("running")
        except OSError as error:
            raise self._error(error) from error

    def begin(self, source: SourceInfo) -> None:
        """Takes note of what is coming."""
        self._source = source

    def write(self, frame: Frame, regions: StoredRegions) -> None:
        """Appends a frame; its features are float32 and are stored as the index has them."""
        if self._schema is None:
            _, num_sets, width = regions.features.shape
            cells = None if regions.masks is None else regions.masks.shape[1]
            self._schema = _schema(num_sets, width, self._precision, cells)
            self._facts |= {"num_sets": num_sets, "width": width, "mask_cells": cells}
            self._describe("running")
            for row in self._late:
                self._append(row, None)
            self._late = []
        height, width = frame.size_hw
        row = {
            **self._head(frame.source, frame.index, frame.time_s),
            "width": width,
            "height": height,
            "error": None,
        }
        self._append(row, regions.stored_as(self._precision))

    def reuse(self, frame: Frame) -> None:
        """Appends a frame that is like the one before."""
        height, width = frame.size_hw
        head = self._head(frame.source, frame.index, frame.time_s)
        self._note({**head, "width": width, "height": height, "error": None})

    def skip(self, failure: Failure) -> None:
        """Appends a frame that could not be analysed."""
        head = self._head(failure.source, failure.index, failure.time_s)
        self._note({**head, "width": None, "height": None, "error": readable(failure.error)})

    def _note(self, row: dict[str, Any]) -> None:
        """Appends a row without regions."""
        if self._schema is None:  # how wide features are is known with the first frame that has some
            self._late.append(row)
        else:
            self._append(row, None)

    def close(self, status: str = "done") -> None:
        """Ends the last shard. status: done, or how the run ended otherwise."""
        if self._schema is None and self._late:
            self._schema = _schema(1, 1, self._precision, None)
            self._facts |= {"num_sets": 1, "width": 1, "mask_cells": None}
            for row in self._late:
                self._append(row, None)
        self._end_shard()
        self._describe(status)

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an error too: what was found stands, and the last frame is whole.
        self.close("done" if kind is None else "cut short")

    def _head(self, source: str, index: int, time_s: Any) -> dict[str, Any]:
        info = self._source if self._source is not None and self._source.name == source else None
        return {
            "source": readable(source),
            "path": None if info is None else readable(str(info.path.absolute())),
            "kind": None if info is None else info.kind,
            "index": index,
            "time_s": None if time_s is None else float(time_s),
        }

    def _append(self, row: dict[str, Any], regions: StoredRegions | None) -> None:
        assert self._schema is not None
        arrays = []
        for field in self._schema:
            if field.name in row:
                arrays.append(pa.array([row[field.name]], field.type))
            else:
                arrays.append(_list_of(field.type, _column(regions, field.name)))
        try:
            if self._stream is None:
                self._begin_shard()
            self._stream.write_batch(pa.record_batch(arrays, schema=self._schema))
            self._file.flush()
            self._frames += 1
            if self._file.tell() >= _SHARD_BYTES:
                self._end_shard()
        except (OSError, pa.ArrowException) as error:
            raise self._error(error) from error

    def _begin_shard(self) -> None:
        path = self.folder / f"part-{len(self._shards):05d}.arrows"
        self._file = path.open("xb")
        self._stream = pa.ipc.new_stream(self._file, self._schema)
        self._frames = 0

    def _end_shard(self) -> None:
        if self._stream is None:
            return
        try:
            self._stream.close()
            size = self._file.tell()
            self._file.close()
        except (OSError, pa.ArrowException) as error:
            raise self._error(error) from error
        self._shards.append({"file": Path(self._file.name).name, "bytes": size, "frames": self._frames})
        self._stream = None
        self._describe("running")

    def _describe(self, status: str) -> None:
        facts = {
            "schema": SCHEMA,
            "status": status,
            **self._facts,
            "precision": self._precision,
            "shards": self._shards,
        }
        part = self.folder / f".{_FACTS}.part"
        try:
            part.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            part.replace(self.folder / _FACTS)
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: BaseException) -> OutputError:
        return OutputError(f"cannot write the index {self.folder}: {getattr(error, 'strerror', None) or error}")


def _column(regions: StoredRegions | None, name: str) -> np.ndarray | None:
    if regions is None:
        return None
    return {
        "boxes": regions.boxes_xyxy,
        "objectness": regions.objectness,
        "features": regions.features,
        "scales": regions.scales,
        "masks": regions.masks,
    }[name]


def _list_of(kind: pa.DataType, values: np.ndarray | None) -> pa.Array:
    """One row with a list of the array's rows, or a row that is null."""
    if values is None:
        return pa.nulls(1, kind)
    inner = kind.value_type
    flat = np.ascontiguousarray(values).reshape(-1)
    if pa.types.is_fixed_size_list(inner):
        items = pa.FixedSizeListArray.from_arrays(pa.array(flat, inner.value_type), type=inner)
    else:
        items = pa.array(flat, inner)
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), items, type=kind)


class Index:
    """The index of a run, read frame by frame; nothing is in memory but a shard's mapped pages.

    RecordError: the run has none, or its facts cannot be read.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / FOLDER
        if not run.is_dir():
            raise RecordError(f"there is no run folder {run}")
        if not self.folder.is_dir():
            raise RecordError(
                f"{run} has no index, so new words cannot be asked of it: run `ovdet detect ... --index` once, with "
                "any vocabulary"
            )
        try:
            facts = json.loads((self.folder / _FACTS).read_text(encoding="utf-8"))
            self.is_whole = facts["status"] == "done"
            self._shards = [(str(s["file"]), int(s["bytes"]), int(s["frames"])) for s in facts["shards"]]
            self.precision = str(facts["precision"])
            # A run that ended before its first frame knows no width.
            self.num_sets, self.width = int(facts.get("num_sets", 1)), int(facts.get("width", 1))
            cells = facts.get("mask_cells")
            self.mask_cells = None if cells is None else int(cells)
            if not str(facts["schema"]).startswith("ovdet-index/") or self.precision not in _TYPES:
                raise ValueError(f"schema {facts['schema']!r}, precision {self.precision!r}")
        except OSError as error:
            raise RecordError(f"cannot read {self.folder / _FACTS}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(
                f"{self.folder / _FACTS} is no description of an index, or is damaged: {error}"
            ) from error
        self.facts: dict[str, Any] = facts

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(path.stat().st_size for path in self._paths())

    @property
    def num_frames(self) -> int | None:
        """Frames, where the index was closed."""
        return sum(frames for _, _, frames in self._shards) if self.is_whole else None

    def _paths(self) -> list[Path]:
        """Shards in order: those that are noted as whole, and the one that was open when the run was killed."""
        noted = [self.folder / name for name, _, _ in self._shards]
        for path, (_, size, _) in zip(noted, self._shards, strict=True):
            if not path.is_file():
                raise RecordError(f"{path} is missing: the index is damaged")
            if path.stat().st_size != size:
                raise RecordError(
                    f"{path} has {path.stat().st_size} bytes, but had {size} when it was written: it is damaged"
                )
        extra = self.folder / f"part-{len(noted):05d}.arrows"
        return [*noted, extra] if not self.is_whole and extra.is_file() else noted

    def frames(self) -> Iterator[IndexedFrame]:
        """Every frame in the order of the run; the arrays are read-only views of the file.

        A frame that a kill left half written is not there. RecordError names a shard that is damaged otherwise.
        """
        yield from self._read(self._frames)

    def sources(self) -> Iterator[SourceInfo]:
        """Every source once; regions and features are not touched."""
        known = None
        seen = set()
        for head in self._read(heads):
            if (head.name, head.path, head.kind) != known:
                known = (head.name, head.path, head.kind)
                if head.name not in seen:
                    seen.add(head.name)
                    yield head.source

    def _read(self, rows: Callable[[Sequence[pa.RecordBatch]], Iterator[Row]]) -> Iterator[Row]:
        """What `rows` makes of the batches of all shards, a row a frame."""
        paths = self._paths()
        with ReadAhead(paths) as ahead:
            for number, path in enumerate(paths):
                ahead.wait_for(number)
                yield from self._shard(path, rows, may_be_cut=number >= len(self._shards))

    def _shard(
        self, path: Path, rows: Callable[[Sequence[pa.RecordBatch]], Iterator[Row]], *, may_be_cut: bool
    ) -> Iterator[Row]:
        expected = None if may_be_cut else self._shards[[s[0] for s in self._shards].index(path.name)][2]
        count = 0
        try:
            if not path.stat().st_size:  # killed before its first frame; nothing cannot be mapped
                return
            with pa.memory_map(str(path)) as memory:
                stream = pa.ipc.open_stream(memory)
                self._check(stream.schema, path)
                for batches in together(stream):
                    for row in rows(batches):
                        count += 1
                        yield row
        except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
            if not may_be_cut:
                raise RecordError(f"{path} is damaged after frame {count}: {error}") from error
            log.warning("the run was killed while it wrote %s: its %d whole frames are used", path, count)
        if expected is not None and count != expected:
            raise RecordError(f"{path} holds {count} frames, but {expected} were written: it is damaged")

    def _check(self, schema: pa.Schema, path: Path) -> None:
        wanted = _schema(self.num_sets, self.width, self.precision, self.mask_cells)
        if schema != wanted:
            raise RecordError(f"{path} has other columns than {self.folder / _FACTS} says: it belongs to another index")

    def _frames(self, batches: Sequence[pa.RecordBatch]) -> Iterator[IndexedFrame]:
        lists = [Lists(place, field) for place, field in enumerate(batches[0].schema) if field.name not in HEAD]
        places = ((batch, row) for batch in batches for row in range(batch.num_rows))
        for head, (batch, row) in zip(heads(batches), places, strict=True):
            if head.error is not None:
                yield IndexedFrame(head.source, head.number, head.time_s, None, head.error, None)
                continue
            if all(own.is_missing(batch, row) for own in lists):
                yield IndexedFrame(head.source, head.number, head.time_s, head.size_hw, None, None, is_reused=True)
                continue
            regions = self._regions({own.name: own.of_row(batch, row) for own in lists})
            yield IndexedFrame(head.source, head.number, head.time_s, head.size_hw, None, regions)

    def _regions(self, arrays: Mapping[str, np.ndarray]) -> StoredRegions:
        shape = (len(arrays["objectness"]), self.num_sets)
        masks = arrays.get("masks")
        cells = self.mask_cells
        return StoredRegions(
            arrays["boxes"].reshape(-1, 4),
            arrays["objectness"],
            arrays["features"].reshape(*shape, self.width),
            arrays["scales"].reshape(*shape, num_parts(self.width)) if "scales" in arrays else None,
            None if masks is None or cells is None else masks.reshape(-1, cells, cells),
        )
