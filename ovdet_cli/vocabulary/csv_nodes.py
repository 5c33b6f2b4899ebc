"""A CSV or TSV table -> nodes: a list of mappings from header to cell."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence

from ovdet_cli.vocabulary.nodes import ListNode, MappingNode, Node, Place, Scalar, add_pair, shorten

_LINE_END = re.compile(r"\r\n|\r|\n")


def read_csv(text: str, origin: str, known: Collection[str], *, is_tab: bool) -> tuple[MappingNode, ListNode]:
    """The header's cells, and a mapping a row; empty cells and rows are left out.

    known: headers, by which the delimiter is told.
    """
    rows = _rows(text, origin, _delimiter(text, known, is_tab=is_tab))
    line, header = next(rows, (1, []))
    start = Place(origin, line, 1)
    columns = [cell.strip() for cell in header]
    headers: dict[str, tuple[Place, Node]] = {}
    for i, column in enumerate(columns):
        if column:
            place = Place(origin, line, i + 1, column)
            add_pair(headers, column, place, Scalar("cell", column, place))
    nodes = (_row(line, row, columns, headers, origin) for line, row in rows)
    return MappingNode(headers, start), ListNode(tuple(node for node in nodes if node), start)


def _row(
    line: int, row: Sequence[str], columns: Sequence[str], headers: dict[str, tuple[Place, Node]], origin: str
) -> MappingNode | None:
    pairs: dict[str, tuple[Place, Node]] = {}
    cell_line = line
    for i, cell in enumerate(row):
        column = columns[i] if i < len(columns) else ""
        place = Place(origin, cell_line, i + 1, column)
        if i >= len(columns):
            raise Place(origin, line, i + 1).error(
                f"the row has {len(row)} cells, but the header {len(columns)}; "
                "put a cell that holds the delimiter between double quotes"
            )
        text = cell.strip()
        if text and not column:
            raise place.error(f"{shorten(text)} stands in a column without a header; name the column")
        if text:
            pairs[column] = (headers[column][0], Scalar("cell", text, place))
        cell_line += len(_LINE_END.findall(cell))
    return MappingNode(pairs, Place(origin, line, 1)) if pairs else None


def _rows(text: str, origin: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the line that each begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            place = Place(origin, line, 1)
            raise place.error(f"this is no CSV row: {error}; look for a double quote too many or too few") from error
        if row is None:
            return
        if row:
            yield line, row
        line = reader.line_num + 1


def _delimiter(text: str, known: Collection[str], *, is_tab: bool) -> str:
    """Comma, semicolon or tab: the one that makes most of the header known."""

    def num_known(delimiter: str) -> tuple[int, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            header = next((row for row in reader if row), [])
        except csv.Error:
            return 0, 0
        return sum(cell.strip() in known for cell in header), len(header)

    return max("\t,;" if is_tab else ",;\t", key=num_known)
