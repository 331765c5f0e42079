"""What a Parquet file says of its rows, held against the manifest, without reading them.

The views read the bulky files in place, by night: rows of another run, or a column of another type,
would be a wrong number or stop every query. A footer has both: each column's type, and of every row
group the least and the greatest value of run, target and night.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.regular_files import open_regular
from nightbench.history.spool.manifest import FileEntry, SpoolIdentity

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def check_contents(folder: Path, files: tuple[FileEntry, ...], identity: SpoolIdentity) -> None:
    """Whether files hold rows of their table and of this run, target and night, as many as said.

    Raises:
        HistoryError: one does not; says which.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for entry in files:
        path = folder / entry.path
        try:
            with open_regular(path) as file, pq.ParquetFile(file) as parquet:
                _check_columns(path, parquet, entry)
                _check_identity(path, parquet, entry, identity)
        except (OSError, pa.ArrowException) as error:
            raise HistoryError(f"{path} cannot be read: {error}") from error


def _check_columns(path: Path, parquet: pq.ParquetFile, entry: FileEntry) -> None:
    if parquet.metadata.num_rows != entry.row_count:
        raise HistoryError(
            f"{path}: {parquet.metadata.num_rows} rows of {entry.table}, the manifest says"
            f" {entry.row_count}",
            hint="None of it was ingested.",
        )
    found = parquet.schema_arrow
    kinds = _kinds(entry.table)
    wrong = [field.name for field in found if kinds.get(field.name) != field.type]
    if wrong or len(set(found.names)) != len(found.names):
        raise HistoryError(f"{path} has columns that {entry.table} lacks: {', '.join(wrong)}")


def _check_identity(
    path: Path, parquet: pq.ParquetFile, entry: FileEntry, identity: SpoolIdentity
) -> None:
    names = parquet.schema_arrow.names
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        for name in tables.BY_NAME[entry.table].identity:
            column = group.column(names.index(name)) if name in names else None
            expected = getattr(identity, name)
            all_are = None if column is None else _all_are(column, name, expected)
            if all_are is None and column is not None:  # the footer does not tell
                values = parquet.read_row_group(number, columns=[name])[name]
                all_are = values.unique().to_pylist() == [expected]
            if not all_are:
                raise HistoryError(f"{path} has rows whose {name} is not that of its manifest")


def _all_are(column: pq.ColumnChunkMetaData, name: str, expected: object) -> bool | None:
    """Whether a column has the one value in all rows of a group; None where nothing tells."""
    found = column.statistics if column.path_in_schema == name else None
    if found is None or found.null_count is None or not (found.has_min_max or expected is None):
        return None
    if expected is None:
        return bool(found.null_count == column.num_values)
    return bool(found.null_count == 0 and found.min == expected == found.max)


@cache
def _kinds(table: str) -> dict[str, pa.DataType]:
    """The type of each column of a table's file."""
    return {field.name: field.type for field in tables.sealed_schema(tables.BY_NAME[table])}
