"""From what a writer left in an open spool folder to one Parquet file per table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightbench.history import manifest as manifests
from nightbench.history import tables
from nightbench.history.manifest import FileEntry, Manifest, SpoolIdentity
from nightbench.history.sql_files import schema_version
from nightbench.history.tables import TABLES, Table

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 50_000
CRASH_ERROR = "the process that measured this died"


@dataclass(slots=True)
class _Losses:
    """What could not be read back: rows cut by a crash, part files without an end."""

    torn_lines: int = 0
    unreadable: tuple[str, ...] = ()


def compact(folder: Path, identity: SpoolIdentity, *, status: str, sealed_at: datetime) -> Manifest:
    """Write one Parquet file per table, then the manifest. Working files stay (see below)."""
    losses = _Losses()
    entries = []
    for table in TABLES:
        entry = _write_table(folder, table, identity, status, losses)
        if entry is not None:
            entries.append(entry)
    manifest = Manifest(
        schema_version=schema_version(),
        identity=identity,
        status=status,
        sealed_at=tables.naive_utc(sealed_at),
        files=tuple(entries),
        torn_lines=losses.torn_lines,
        unreadable=losses.unreadable,
    )
    manifests.write(folder, manifest)
    return manifest


def remove_working_files(folder: Path) -> None:
    """What the Parquet files replaced. Unreadable parts stay, for a person to look at."""
    unreadable = manifests.read(folder)[0].unreadable
    for pattern in ("*.jsonl", "*.part*.parquet", "*.new"):
        for path in folder.glob(pattern):
            if path.name not in unreadable:
                path.unlink()


def _write_table(
    folder: Path, table: Table, identity: SpoolIdentity, status: str, losses: _Losses
) -> FileEntry | None:
    import pyarrow.parquet as pq

    spooled = "load_requests" if table.name == "load_chunks" else table.name
    batches = _batches(folder, table, spooled, status, losses)
    path = folder / f"{table.name}.parquet"
    aside = path.with_suffix(".parquet.new")
    schema = tables.sealed_schema(table)
    row_count = 0
    with pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(_with_identity(batch, table, identity, schema))
            row_count += batch.num_rows
    if row_count == 0:
        aside.unlink()
        return None
    manifests.sync(aside)
    aside.rename(path)
    return FileEntry(
        table=table.name,
        path=path.name,
        row_count=row_count,
        size_bytes=path.stat().st_size,
        sha256=manifests.sha256_of(path),
    )


def _batches(
    folder: Path, table: Table, spooled: str, status: str, losses: _Losses
) -> Iterator[pa.Table]:
    lines = folder / f"{spooled}.jsonl"
    counts_losses = table.name == spooled
    if lines.exists():
        rows, torn = _read_lines(lines, table)
        if counts_losses:
            losses.torn_lines += torn
        rows = _latest(rows, table)
        if status == "crashed":
            rows = [_mark_crashed(row) for row in rows]
        yield from _arrow_batches(rows, table)
    for part in sorted(folder.glob(f"{spooled}.part*.parquet")):
        try:
            yield from _read_part(part, table)
        except (OSError, ValueError):  # pyarrow.ArrowInvalid is a ValueError: no footer, cut short
            if counts_losses:
                losses.unreadable += (part.name,)


def _read_lines(path: Path, table: Table) -> tuple[list[dict[str, object]], int]:
    """The rows of a JSON-lines file, and how many lines were cut."""
    rows, torn = [], 0
    with path.open("rb") as file:
        for line in file:
            try:
                rows.append(tables.decode(table, json.loads(line)))
            except (ValueError, AttributeError):
                torn += 1
    return rows, torn


def _latest(rows: list[dict[str, object]], table: Table) -> list[dict[str, object]]:
    """Of the rows that say the same thing again, the last."""
    if table.latest_by is None:
        return rows
    keep = {tuple(row[name] for name in table.latest_by): row for row in rows}
    return list(keep.values())


def _mark_crashed(row: dict[str, object]) -> dict[str, object]:
    if row.get("status") != "running":
        return row
    return row | {"status": "crashed", "error": row.get("error") or CRASH_ERROR}


def _arrow_batches(rows: list[dict[str, object]], table: Table) -> Iterator[pa.Table]:
    import pyarrow as pa

    schema = tables.field_schema(table, table.fields)
    for start in range(0, len(rows), _BATCH):
        yield pa.Table.from_pylist(rows[start : start + _BATCH], schema=schema)


def _read_part(path: Path, table: Table) -> Iterable[pa.Table]:
    """A part file's row groups, with the columns of the table; a missing column is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = tables.field_schema(table, table.fields)
    with pq.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
        present = [name for name in schema.names if name in there]
        batches = [
            pa.Table.from_batches([batch])
            for batch in file.iter_batches(batch_size=_BATCH, columns=present)
        ]
    yield from (tables.fit(batch, schema) for batch in batches)


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
