"""detections.jsonl: one record a line, one line a picture or analysed frame."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from ovdet_cli.detections import Detections
from ovdet_cli.errors import OutputError, RecordError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.results.record import Record, failure_record, frame_record, parse_record
from ovdet_cli.results.sink import OutputFile, Sink


class JsonlSink(Sink):
    """Writes records as lines, each out before the next frame is taken."""

    def __init__(self, target: Path | BinaryIO, labels: Sequence[str]) -> None:
        """Opens a new file at `target`, or writes to a binary stream, which is flushed but not closed.

        A pipe closed by its reader stays a BrokenPipeError.
        """
        self._file = OutputFile(target) if isinstance(target, Path) else None
        self._stream = None if isinstance(target, Path) else target
        self._labels = labels

    def write(self, frame: Frame, detections: Detections) -> None:
        """Writes the frame's line."""
        self.put(frame_record(frame, detections, self._labels))

    def skip(self, failure: Failure) -> None:
        """Writes the failure's line."""
        self.put(failure_record(failure))

    def close(self) -> None:
        """Closes the file; a stream stays open."""
        if self._file is not None:
            self._file.close()

    def put(self, record: dict[str, Any]) -> None:
        """Writes the line of a record."""
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        if self._file is not None:
            self._file.write(line)
        if self._stream is not None:
            try:
                self._stream.write(line)
                self._stream.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OutputError(f"cannot write the records: {error.strerror or error}") from error


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a detections.jsonl in order, as plain dicts; a last line cut short by a kill is left out.

    Raises:
        RecordError: the file cannot be read, or a line inside is no JSON object (the message names path and line).
    """
    for _, record in _read_lines(path):
        yield record


def read_records(path: Path, *, with_masks: bool = True) -> Iterator[Record]:
    """As `read_jsonl`, parsed; a record that breaks the schema is a RecordError that names path and line."""
    for number, record in _read_lines(path):
        try:
            yield parse_record(record, with_masks=with_masks)
        except RecordError as error:
            raise RecordError(f"{path}, line {number}: {error}") from error


def _read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line that is not blank."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    if not line.endswith(b"\n"):  # no proper beginning of an object is itself JSON
                        return
                    raise RecordError(f"{path}, line {number}: no JSON ({error})") from error
                if not isinstance(record, dict):
                    raise RecordError(f"{path}, line {number}: a record is a JSON object, not {record!r:.60}")
                yield number, record
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
