"""From what a writer left in an open spool folder to one Parquet file per table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightbench.history import tables
from nightbench.history.regular_files import create_anew
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.manifest import FileEntry, Manifest, SpoolIdentity
from nightbench.history.spool.open_folder import line_rows, part_names, part_tables, remaining_names
from nightbench.history.spool.rejected_rows import Rejections
from nightbench.history.spool.row_values import Members
from nightbench.history.sql_files import schema_version
from nightbench.history.tables import TABLES, Table

if TYPE_CHECKING:
    import pyarrow as pa

CRASH_ERROR = "the process that measured this died"


def compact(folder: Path, identity: SpoolIdentity, *, status: str, sealed_at: datetime) -> Manifest:
    """Write one Parquet file per table, then the manifest. Working files stay (see below).

    Rows that their table cannot hold are kept aside and counted; the others are sealed.

    Raises:
        OSError: the disk did not take it.
    """
    with Rejections(folder) as rejections:
        entries = [_write_table(folder, table, identity, status, rejections) for table in TABLES]
    manifest = Manifest(
        schema_version=schema_version(),
        identity=identity,
        status=status,
        sealed_at=tables.naive_utc(sealed_at),
        files=tuple(entry for entry in entries if entry is not None),
        torn_lines=rejections.torn_lines,
        unreadable=tuple(rejections.unreadable),
        rejected=rejections.all,
    )
    manifests.write(folder, manifest)
    return manifest


def remove_working_files(folder: Path) -> None:
    """What the Parquet files replaced. Unreadable parts stay, for a person to look at."""
    for name in remaining_names(folder, manifests.read(folder)[0].unreadable):
        (folder / name).unlink(missing_ok=True)


def _write_table(
    folder: Path, table: Table, identity: SpoolIdentity, status: str, rejections: Rejections
) -> FileEntry | None:
    import pyarrow.parquet as pq

    path = folder / manifests.file_name(table.name)
    aside = path.with_suffix(".parquet.new")
    schema = tables.sealed_schema(table)
    row_count = 0
    with (
        create_anew(aside) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for batch in _batches(folder, table, status, rejections):
            writer.write_table(_with_identity(batch, table, identity, schema))
            row_count += batch.num_rows
    if row_count == 0:
        aside.unlink()
        return None
    manifests.sync(aside)
    aside.rename(path)
    return FileEntry.of(path, table.name, row_count)


def _batches(folder: Path, table: Table, status: str, rejections: Rejections) -> Iterator[pa.Table]:
    import pyarrow as pa

    schema = tables.field_schema(table, table.fields)
    for rows in _latest(line_rows(folder, table, rejections), table):
        kept = [_mark_crashed(row) for row in rows] if status == "crashed" else rows
        yield pa.Table.from_pylist(kept, schema=schema)
    for name in part_names(folder, table):
        yield from part_tables(folder, name, table, rejections)


def _latest(batches: Iterator[list[Members]], table: Table) -> Iterator[list[Members]]:
    """Of the rows that say the same thing again, the last."""
    if table.latest_by is None:
        yield from batches
        return
    keep = {tuple(row[n] for n in table.latest_by): row for rows in batches for row in rows}
    if keep:
        yield list(keep.values())


def _mark_crashed(row: Members) -> Members:
    if row.get("status") != "running":
        return row
    return row | {"status": "crashed", "error": row.get("error") or CRASH_ERROR}


def _with_identity(
    batch: pa.Table, table: Table, identity: SpoolIdentity, schema: pa.Schema
) -> pa.Table:
    import pyarrow as pa

    values: dict[str, str | date | None] = {
        "run_id": identity.run_id,
        "target": identity.target,
        "night": identity.night,
        "hardware_class": identity.hardware_class,
    }
    columns = [
        pa.repeat(pa.scalar(values[name], schema.field(name).type), batch.num_rows)
        for name in table.identity
    ]
    return pa.table([*columns, *(batch[name] for name in table.fields)], schema=schema)
