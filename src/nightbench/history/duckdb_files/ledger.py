"""Rows into tables, and the two ledgers: landed folders, and the Parquet files that hold facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.duckdb_files.database import Database
from nightbench.history.spool.manifest import FileEntry, Manifest
from nightbench.history.sql_files import statement

LedgerRow = dict[str, object]


def insert_rows(database: Database, folders: Sequence[tuple[Path, Manifest]]) -> None:
    """The summarised rows of folders, each table held against its row count.

    Raises:
        HistoryError: a table is unknown, or files have another number of rows than they should.
    """
    files: dict[tuple[str, int], list[tuple[Path, int]]] = {}  # those of a version are alike
    for folder, manifest in folders:
        for entry in manifest.files:
            table = tables.BY_NAME.get(entry.table)
            if table is None:
                raise HistoryError(f"{folder}: there is no table {entry.table!r}")
            if not table.bulky:
                alike = files.setdefault((table.name, manifest.schema_version), [])
                alike.append((folder / entry.path, entry.row_count))
    for (name, _), parts in files.items():
        paths = [path for path, _ in parts]
        insert_files(database, name, paths, sum(count for _, count in parts))


def insert_files(database: Database, table: str, paths: Sequence[Path], row_count: int) -> None:
    """Parquet files of one schema version into a table.

    Raises:
        HistoryError: they have another number of rows than `row_count`.
    """
    sql = statement("insert_rows").replace("{table}", table)
    inserted = database.run(sql, {"paths": [str(path) for path in paths]}).rows[0][0]
    if inserted != row_count:
        raise HistoryError(
            f"{paths[0]}: {inserted} rows of {table}, the manifest says {row_count}",
            hint="None of it was ingested.",
        )


def ledger_row(manifest: Manifest, digest: str, moment: datetime) -> LedgerRow:
    """The row of `landings` for a folder."""
    identity = manifest.identity
    return {
        "run_id": identity.run_id,
        "target": identity.target,
        "night": identity.night,
        "folder_digest": digest,
        "schema_version": manifest.schema_version,
        "status": manifest.status,
        "row_count": manifest.row_count,
        "sealed_at": manifest.sealed_at,
        "landed_at": moment,
    }


def fact_rows(manifest: Manifest, kept: Path) -> list[LedgerRow]:
    """The rows of `fact_files` for a folder's bulky tables; `kept` is relative to the history."""
    night, version = manifest.identity.night, manifest.schema_version
    return [
        fact_row(entry, night, version, kept)
        for entry in manifest.files
        if tables.BY_NAME[entry.table].bulky
    ]


def fact_row(entry: FileEntry, night: date, schema_version: int, kept: Path) -> LedgerRow:
    """The row of `fact_files` for one file."""
    return {
        "table_name": entry.table,
        "night": night,
        "path": str(kept / entry.path),
        "schema_version": schema_version,
        "row_count": entry.row_count,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
    }


def record_landings(database: Database, rows: Sequence[LedgerRow]) -> None:
    """Note folders as landed."""
    if rows:
        database.run(statement("record_landings"), {"rows": list(rows)})


def record_fact_files(database: Database, rows: Sequence[LedgerRow]) -> None:
    """Note the Parquet files that the views are to read."""
    if rows:
        database.run(statement("record_fact_files"), {"rows": list(rows)})
