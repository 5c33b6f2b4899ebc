"""Rows of an index's record batches: what they say of a frame, and their lists of numbers as arrays."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from ovdet_cli.frame import SourceInfo

_AT_ONCE = 64
"""Batches that are read together."""

HEAD = ("source", "path", "kind", "index", "time_s", "width", "height", "error")
"""Columns beside the numbers."""


def together(stream: pa.RecordBatchReader) -> Iterator[list[pa.RecordBatch]]:
    """The batches of a stream, some at a time: one by one their few words would cost more than all their numbers.

    What stands before the damage of a file comes before its error does.
    """
    group: list[pa.RecordBatch] = []
    try:
        while True:
            batch = stream.read_next_batch()
            batch.validate(full=True)  # offsets of a damaged file lead anywhere
            group.append(batch)
            if len(group) == _AT_ONCE:
                yield group
                group = []
    except StopIteration:
        if group:
            yield group
    except (pa.ArrowException, OSError, ValueError):
        if group:
            yield group
        raise


class Head(NamedTuple):
    """What a row says beside its regions."""

    name: str
    path: str | None
    kind: Literal["image", "video"] | None
    number: int
    time_s: float | None
    width: int | None
    height: int | None
    error: str | None
    source: SourceInfo

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of a row that is no failure."""
        assert self.height is not None
        assert self.width is not None
        return self.height, self.width


def heads(batches: Sequence[pa.RecordBatch]) -> Iterator[Head]:
    """Every row's head; ValueError for one that no writer writes."""
    places = [batches[0].schema.get_field_index(name) for name in HEAD]
    columns = pa.Table.from_batches([batch.select(places) for batch in batches]).to_pydict()
    source = SourceInfo("", Path(), "image")
    known: tuple[Any, ...] = ()
    for row in zip(*columns.values(), strict=True):
        if not _is_frame(*row):
            raise ValueError(f"{dict(zip(HEAD, row, strict=True))} is no frame")
        if row[:3] != known:
            known = row[:3]
            source = SourceInfo(row[0], Path(row[1] or ""), row[2] or "image")
        yield Head._make((*row, source))


def _is_frame(
    name: str | None,
    path: str | None,
    kind: str | None,
    index: int | None,
    time_s: float | None,
    width: int | None,
    height: int | None,
    error: str | None,
) -> bool:
    """Whether a row is one that a writer writes; what comes after trusts it."""
    return (
        name is not None
        and kind in (None, "image", "video")
        and index is not None
        and index >= 0
        and (time_s is None or math.isfinite(time_s))
        and (error is not None or (width is not None and width > 0 and height is not None and height > 0))
    )


class Lists:
    """A column whose every row is a list of numbers, or of equally long vectors of numbers."""

    def __init__(self, place: int, field: pa.Field) -> None:
        self.name: str = field.name
        self._place = place
        item = field.type.value_type
        is_vector = pa.types.is_fixed_size_list(item)
        self._width = item.list_size if is_vector else 1
        self._dtype = np.dtype((item.value_type if is_vector else item).to_pandas_dtype())

    def is_missing(self, batch: pa.RecordBatch, row: int) -> bool:
        """Whether the row has no list."""
        column = batch.column(self._place)
        return column.null_count > 0 and not column[row].is_valid

    def of_row(self, batch: pa.RecordBatch, row: int) -> np.ndarray:
        """The numbers of a row's list, flat: a read-only view. ValueError where some are missing.

        Straight from the buffers of a batch out of a file, whose children begin where their buffers do: Arrow's own
        ways down to the numbers took ten times longer, and had pandas imported.
        """
        column = batch.column(self._place)
        validity, offsets, *below, numbers = column.buffers()
        if (validity is not None and not column[row].is_valid) or any(bits is not None for bits in below):
            self._check_nothing_missing(column[row].values)
        begin, end = np.frombuffer(offsets, np.int32, 2, 4 * (column.offset + row)).tolist()
        count = (end - begin) * self._width
        if not count or numbers is None:
            return np.zeros(0, self._dtype)
        return np.frombuffer(numbers, self._dtype, count, begin * self._width * self._dtype.itemsize)

    def _check_nothing_missing(self, items: pa.Array | None) -> None:
        if items is not None and pa.types.is_fixed_size_list(items.type) and not items.null_count:
            items = items.flatten()
        if items is None or items.null_count:
            raise ValueError(f"the column {self.name} lacks numbers")
