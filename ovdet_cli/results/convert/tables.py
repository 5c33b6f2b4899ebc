"""Parquet as a format among others: the same tables that `--format parquet` writes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ovdet_cli.errors import UsageError
from ovdet_cli.results.convert.contract import Options, Reading, Writer
from ovdet_cli.results.parquet import DETECTIONS, FRAMES, PARTS, ParquetSink, find_parquet, read_parquet_records
from ovdet_cli.results.record import Record, plain_record

ENTRIES = (DETECTIONS, FRAMES, PARTS)


class ParquetWriter(Writer):
    """Hands records to the sink of runs."""

    def __init__(self, folder: Path, labels: Sequence[str], options: Options) -> None:
        super().__init__(folder, labels, options)
        self._sink = ParquetSink(folder, labels)

    def write(self, record: Record) -> None:
        self._sink.put(plain_record(record))

    def close(self) -> None:
        self._sink.close()


def is_parquet(path: Path) -> bool:
    """Whether a path is a detections.parquet, or a folder with one."""
    return (path.is_dir() or path.suffix == ".parquet") and find_parquet(path) is not None


def read_parquet(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a detections.parquet with its frames.parquet beside."""
    found = find_parquet(path)
    if found is None:
        raise UsageError(f"{path} holds no {DETECTIONS}")
    for record in read_parquet_records(found):
        for label, class_id in zip(record.labels, record.detections.class_ids.tolist(), strict=True):
            reading.classes.put(label, class_id)
        yield record
