"""A night that is over becomes one Parquet file per table: a thousand nights stay a thousand files.

The merged folder is written beside the folders it replaces, holds their manifests, and takes
their place in `fact_files` in one transaction. What it replaces is removed a grace period later: a
reader may have opened the history before. Killed anywhere, either both are there (`rebuild` and the
next merge see which one counts) or only the merged one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightbench.errors import HistoryError
from nightbench.history import manifest as manifests
from nightbench.history import tables
from nightbench.history.database import Database, StorageError
from nightbench.history.ledger import fact_row, record_fact_files
from nightbench.history.manifest import FileEntry, Manifest
from nightbench.history.merged import (
    MERGED_NAME,
    LandedFolder,
    MergedNight,
    entries_of,
    read_merged,
    sources_of,
    write_merged,
)
from nightbench.history.places import HistoryPlaces
from nightbench.history.sql_files import schema_version, statement
from nightbench.private_files import PRIVATE_DIR

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 100_000


def merge_nights(
    database: Database, places: HistoryPlaces, *, limit: int
) -> tuple[list[date], list[str]]:
    """Merge up to `limit` nights that are over. The landing lock must be held.

    Returns the nights merged, and what stood in the way of others: those stay as they were.

    Raises:
        StorageError: the history itself cannot be written.
    """
    rows = database.run(statement("nights_to_merge"), {"limit": limit}).rows
    merged, problems = [], []
    for night in (row[0] for row in rows if isinstance(row[0], date)):
        try:
            _merge_night(database, places, night)
            merged.append(night)
        except StorageError:
            raise
        except (HistoryError, OSError) as error:
            problems.append(f"night {night} could not be merged: {error}")
    return merged, problems


def sweep(places: HistoryPlaces, *, older_than: datetime) -> int:
    """Remove what was merged or retired before that time and no new reader sees; how many."""
    return sum(_sweep_night(root, older_than) for root in places.nights.glob("night=*"))


def _sweep_night(root: Path, older_than: datetime) -> int:
    names = sorted(os.listdir(root))  # noqa: PTH208  (a thousand nights: no paths made in vain)
    for name in names:
        if name.startswith("+") and name.endswith(".new"):
            shutil.rmtree(root / name)
    merged = [name for name in names if name.startswith("+") and not name.endswith(".new")]
    removed = 0
    if names != merged[-1:]:  # not only one merged folder
        for marker in root.glob("*/*/*.retired"):
            removed += _remove_retired(marker, older_than)
        if merged and _modified(root / merged[-1] / MERGED_NAME) < older_than:
            removed += _remove_replaced(root, read_merged(root / merged[-1]))
    for name in os.listdir(root / merged[-1]) if merged else ():  # noqa: PTH208
        if name.endswith(".retired"):
            removed += _remove_retired(root / merged[-1] / name, older_than)
    return removed


def _remove_retired(marker: Path, older_than: datetime) -> int:
    data = marker.with_suffix(".parquet")
    if not data.exists() or _modified(marker) >= older_than:
        return 0
    data.unlink()
    return 1


def _modified(path: Path) -> datetime:
    from datetime import UTC

    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _remove_replaced(root: Path, merged: MergedNight) -> int:
    removed = 0
    for name in merged.replaces:
        if (root / name).exists():
            shutil.rmtree(root / name)
            removed += 1
            parent = (root / name).parent
            if parent != root and not any(parent.iterdir()):
                parent.rmdir()
    return removed


def _merge_night(database: Database, places: HistoryPlaces, night: date) -> None:
    sources = sources_of(places, night)
    folders = _folders(database, night, sources)
    number = len(places.merged(night)) + 1
    final = places.night(night) / f"+merged-{number:04d}"
    aside = final.with_name(f"{final.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=PRIVATE_DIR)
    files = tuple(_merge_tables(aside, sources))
    merged = MergedNight(
        schema_version=schema_version(),
        folders=tuple(folders),
        files=files,
        replaces=_replaced_by(sources, places.night(night)),
    )
    write_merged(aside, merged)
    aside.rename(final)
    kept = final.relative_to(places.root)
    with database.transaction():
        database.run(statement("forget_fact_files"), {"night": night})
        record_fact_files(
            database,
            [
                fact_row(entry, night, merged.schema_version, kept)
                for entry in files
                if tables.BY_NAME[entry.table].bulky
            ],
        )


def _replaced_by(sources: Sequence[Path], root: Path) -> tuple[str, ...]:
    """The sources, and what a merged one among them had replaced: it may still be there."""
    replaced = []
    for source in sources:
        replaced.append(str(source.relative_to(root)))
        if (source / MERGED_NAME).exists():
            replaced += read_merged(source).replaces
    return tuple(replaced)


def _folders(database: Database, night: date, sources: Sequence[Path]) -> list[LandedFolder]:
    """Every landed folder of the night with its manifest, as the ledger knows them."""
    known: dict[str, Manifest] = {}
    for source in sources:
        if (source / MERGED_NAME).exists():
            known |= {one.digest: one.manifest for one in read_merged(source).folders}
        else:
            manifest, digest = manifests.read(source)
            known[digest] = manifest
    rows = database.run(statement("landings_of_night"), {"night": night}).rows
    missing = [f"{row[0]}/{row[1]}" for row in rows if row[2] not in known]
    if missing:
        raise HistoryError(f"night {night}: the kept folders of {', '.join(missing)} are missing")
    return [
        LandedFolder(known[str(digest)], str(digest), landed_at)
        for _, _, digest, landed_at in rows
        if isinstance(landed_at, datetime)
    ]


def _merge_tables(aside: Path, sources: Sequence[Path]) -> list[FileEntry]:
    by_table: dict[str, list[tuple[Path, FileEntry]]] = {}
    for source in sources:
        for entry in entries_of(source)[1]:
            by_table.setdefault(entry.table, []).append((source / entry.path, entry))
    return [
        _concatenate(aside, table, by_table[table.name])
        for table in tables.TABLES
        if table.name in by_table
    ]


def _concatenate(
    aside: Path, table: tables.Table, parts: Sequence[tuple[Path, FileEntry]]
) -> FileEntry:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = tables.sealed_schema(table)
    path = aside / f"{table.name}.parquet"
    row_count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in _row_groups(parts):
            rows = pa.concat_tables([_read_whole(source, entry, schema) for source, entry in some])
            writer.write_table(rows)
            row_count += rows.num_rows
    manifests.sync(path)
    return FileEntry(
        table=table.name,
        path=path.name,
        row_count=row_count,
        size_bytes=path.stat().st_size,
        sha256=manifests.sha256_of(path),
    )


def _row_groups(
    parts: Sequence[tuple[Path, FileEntry]],
) -> Iterator[list[tuple[Path, FileEntry]]]:
    """Files that become one row group together: writing and reading cost by the group."""
    group: list[tuple[Path, FileEntry]] = []
    for part in parts:
        group.append(part)
        if sum(entry.row_count for _, entry in group) >= _GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _read_whole(source: Path, entry: FileEntry, schema: pa.Schema) -> pa.Table:
    """A kept file's rows. It is held against its digest by what is read, in one reading."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise HistoryError(f"{source} is not what its manifest says")
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        return tables.fit(file.read(use_threads=False), schema)
