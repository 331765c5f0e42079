"""What a writer left in an open spool folder, read as far as it can be read.

Rows lie in lines of JSON, many at once in Parquet parts. A row that its table cannot hold is
rejected, a file that cannot be read is named, and what is whole goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.regular_files import is_folder, names_in, open_regular
from nightbench.history.spool.rejected_rows import Rejections
from nightbench.history.spool.row_values import DoesNotFit, Members, fitted, members_of
from nightbench.history.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS, _MOST_BYTES = 50_000, 64 << 20  # of one batch: a reply may be megabytes
_LONGEST_LINE_BYTES = 256 << 20
_MOST_REJECTED = 1000  # of one group of rows: more are left in their file


def lines_name(table: Table) -> str:
    """The file that takes a table's rows one by one; a request's has its chunks too."""
    return f"{_spooled(table)}.jsonl"


def part_names(folder: Path, table: Table) -> list[str]:
    """The Parquet files that rows of a table were moved in as."""
    start = f"{_spooled(table)}.part"
    return [name for name in names_in(folder) if name.startswith(start) and _is_part(name)]


def _is_part(name: str) -> bool:
    return name.endswith(".parquet")


def _spooled(table: Table) -> str:
    return "load_requests" if table.name == "load_chunks" else table.name


def line_rows(folder: Path, table: Table, rejections: Rejections) -> Iterator[list[Members]]:
    """The rows of a table's lines, some at a time."""
    path = folder / lines_name(table)
    if not path.is_symlink() and not path.exists():
        return
    rows: list[Members] = []
    size = 0
    for line in _lines(path, table, rejections):
        row = _row_of(line, table, rejections)
        if row is not None:
            rows.append(row)
            size += len(line)
        if len(rows) >= _MOST_ROWS or size >= _MOST_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _lines(path: Path, table: Table, rejections: Rejections) -> Iterator[bytes]:
    try:
        with open_regular(path) as file:
            while line := file.readline(_LONGEST_LINE_BYTES):
                if len(line) == _LONGEST_LINE_BYTES and not line.endswith(b"\n"):
                    _skip_line(file)
                    rejections.part(path.name)
                    rejections.rows(table.name, 1, "a line without an end")
                else:
                    yield line
    except (OSError, HistoryError):
        rejections.part(path.name)


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass


def _row_of(line: bytes, table: Table, rejections: Rejections) -> Members | None:
    """The row of a line, as far as it is one; what is not is told, once for all its tables."""
    tells = table.name == _spooled(table)  # chunks lie in the same line as their request
    text = line.lstrip(b"\0")
    if text != line and tells:  # a power cut leaves blocks of zeros; a whole row may follow
        rejections.row(table.name, b"", f"{len(line) - len(text)} zeros where a row should be")
    if not text.strip():
        return None
    try:
        members = members_of(text)
    except DoesNotFit as error:
        if tells:
            rejections.row(table.name, text, str(error))
            rejections.torn_lines += not text.endswith(b"\n")
        return None
    try:
        row, left_out = fitted(table, members)
    except DoesNotFit as error:
        rejections.row(table.name, line, str(error))
        return None
    if left_out:
        rejections.values(table.name, line, left_out)
    return row


def part_tables(
    folder: Path, name: str, table: Table, rejections: Rejections
) -> Iterator[pa.Table]:
    """The rows of a Parquet part, with the columns of the table; a missing column is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with (
            open_regular(folder / name) as file,
            pq.ParquetFile(file, page_checksum_verification=True) as parquet,
        ):
            named, known = set(parquet.schema_arrow.names), set(tables.spooled_fields(table))
            if named - known:
                rejections.part(name)  # it says more than this nightbench knows
            if named - known and known - named:  # a column has lost its name, or is another's
                count = parquet.metadata.num_rows
                rejections.rows(
                    table.name, count, f"{name}: {min(named - known)!r} is not a column"
                )
                return
            for number in range(parquet.num_row_groups):
                yield from _group(parquet, number, name, table, rejections)
    except (OSError, HistoryError, pa.ArrowException, ValueError, TypeError, KeyError):
        rejections.part(name)


def _group(
    parquet: pa.parquet.ParquetFile, number: int, name: str, table: Table, rejections: Rejections
) -> Iterator[pa.Table]:
    import pyarrow as pa

    schema = tables.field_schema(table, table.fields)
    present = [field for field in schema.names if field in parquet.schema_arrow.names]
    try:
        rows = parquet.read_row_group(number, columns=present)
    except (OSError, pa.ArrowException, ValueError) as error:
        count = parquet.metadata.row_group(number).num_rows
        rejections.part(name)
        rejections.rows(table.name, count, f"{name} cannot be read: {error}")
        return
    bad = _unfit_rows(rows, schema)
    if len(bad) > _MOST_REJECTED:
        rejections.part(name)
        rejections.rows(table.name, len(bad), f"of {name}: {next(iter(bad.values()))}")
    else:
        for row, problem in bad.items():
            rejections.row(table.name, rows.slice(row, 1).to_pylist()[0], problem)
    if bad:
        rows = rows.filter(pa.array([row not in bad for row in range(rows.num_rows)]))
    yield tables.fit(rows, schema)


def _unfit_rows(rows: pa.Table, schema: pa.Schema) -> dict[int, str]:
    """Which rows a schema cannot take, and why."""
    import pyarrow as pa

    bad: dict[int, str] = {}
    for field in schema:
        there = field.name in rows.schema.names
        column = rows[field.name] if there else pa.nulls(rows.num_rows, field.type)
        for row in _unfit_values(column, field.type):
            bad.setdefault(row, f"{field.name} does not fit its column")
        if not field.nullable and column.null_count:
            for row, missing in enumerate(column.is_null().to_pylist()):
                if missing:
                    bad.setdefault(row, f"{field.name} is missing")
    return bad


def _unfit_values(column: pa.ChunkedArray, kind: pa.DataType, start: int = 0) -> list[int]:
    """Where a column holds what cannot become the kind: by halves, for nearly always all fit."""
    import pyarrow as pa

    try:
        tables.cast(column, kind)
    except (pa.ArrowException, ValueError):
        if len(column) == 1:
            return [start]
        half = len(column) // 2
        found = _unfit_values(column[:half], kind, start)
        if len(found) <= _MOST_REJECTED:
            found += _unfit_values(column[half:], kind, start + half)
        return found
    return []


def remaining_names(folder: Path, unreadable: tuple[str, ...]) -> list[str]:
    """The working files that what was sealed has replaced; unreadable ones stay for a person."""
    names = [lines_name(table) for table in tables.TABLES]
    names += [part for table in tables.TABLES for part in part_names(folder, table)]
    names += [name for name in names_in(folder) if name.endswith(".new")]
    return [n for n in dict.fromkeys(names) if n not in unreadable and not is_folder(folder / n)]
