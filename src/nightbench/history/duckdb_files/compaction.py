"""A night that is over becomes one Parquet file per table: a thousand nights stay a thousand files.

The merged folder is written beside the folders it replaces, holds their manifests, and takes
their place in `fact_files` in one transaction. What it replaces is removed a grace period later: a
reader may have opened the history before. Killed anywhere, either both are there (`rebuild` and the
next merge see which one counts) or only the merged one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.damage import is_no_room, words_of
from nightbench.history.duckdb_files.compacted_night import (
    LandedFolder,
    MergedNight,
    entries_of,
    is_merged,
    read_merged,
    sources_of,
    write_merged,
)
from nightbench.history.duckdb_files.database import Database
from nightbench.history.duckdb_files.kept_nights import MERGING_SUFFIX, kept_night, next_merged_name
from nightbench.history.duckdb_files.ledger import fact_row, record_fact_files
from nightbench.history.duckdb_files.passes import read_pass
from nightbench.history.duckdb_files.retired import copy_mark, is_retired
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import (
    create_anew,
    is_regular,
    names_in,
    read_regular,
    remove_files,
)
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.manifest import FileEntry, Manifest
from nightbench.history.sql_files import schema_version, statement
from nightbench.history.store import StorageError
from nightbench.home.private_files import PRIVATE_DIR

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 100_000
_MOST_PROBLEMS = 20  # nights that cannot be merged are tried at every landing


def merge_nights(
    database: Database, places: HistoryPlaces, *, limit: int, today: date
) -> tuple[list[date], list[str]]:
    """Merge up to `limit` nights that are over; one dated ahead of `today` ends no other. The
    landing lock must be held.

    Returns the nights merged, and what stood in the way of others: those stay as they were.

    Raises:
        StorageError: the history itself cannot be written.
    """
    rows = database.run(statement("nights_to_merge"), {"today": today}).rows
    merged: list[date] = []
    problems: list[str] = []
    for night in (row[0] for row in rows if isinstance(row[0], date)):
        if len(merged) == limit or len(problems) == _MOST_PROBLEMS:
            break
        try:
            _merge_night(database, places, night)
            merged.append(night)
        except StorageError:
            raise
        except Exception as error:  # whatever is wrong with one night
            if isinstance(error, OSError) and is_no_room(error):
                raise
            problems.append(f"night {night} could not be compacted: {words_of(error)}")
    return merged, problems


def _merge_night(database: Database, places: HistoryPlaces, night: date) -> None:
    there = kept_night(places, night)
    sources = sources_of(there)
    folders = _folders(database, night, sources)
    replaced = _replaced_by(sources, there.root)
    name = next_merged_name(there, (*replaced, *_known_of(database, places, night)))
    aside = there.root / f"{name}{MERGING_SUFFIX}"
    remove_files(aside, names_in(aside))
    aside.mkdir(mode=PRIVATE_DIR)
    files, retired = _merge_tables(aside, sources)
    merged = MergedNight(
        schema_version=schema_version(),
        folders=tuple(folders),
        files=tuple(files),
        replaces=replaced,
    )
    write_merged(aside, merged)
    final = there.root / name
    aside.rename(final)
    kept = final.relative_to(places.root)
    with database.transaction():
        database.run(statement("forget_fact_files"), {"night": night})
        record_fact_files(
            database,
            [
                fact_row(entry, night, merged.schema_version, kept)
                for entry in files
                if tables.BY_NAME[entry.table].bulky and entry.table not in retired
            ],
        )


def _known_of(database: Database, places: HistoryPlaces, night: date) -> list[str]:
    """Paths of the night that the ledger lists, or that the last landing wrote down as to be
    removed: of what may be gone by now."""
    root = str(places.night(night).relative_to(places.root))
    listed = [str(row[0]) for row in database.run(statement("fact_paths")).rows]
    try:
        waiting = read_pass(places.passes)
    except HistoryError:
        waiting = None
    paths = (*listed, *(waiting.due if waiting else ()))
    return [path for path in paths if path.startswith(f"{root}/")]


def _replaced_by(sources: Sequence[Path], root: Path) -> tuple[str, ...]:
    """The sources, and what a merged one among them had replaced: it may still be there."""
    replaced = []
    for source in sources:
        replaced.append(str(source.relative_to(root)))
        if is_merged(source):
            replaced += read_merged(source).replaces
    return tuple(replaced)


def _folders(database: Database, night: date, sources: Sequence[Path]) -> list[LandedFolder]:
    """Every landed folder of the night with its manifest, as the ledger knows them."""
    known: dict[str, Manifest] = {}
    for source in sources:
        if is_merged(source):
            known |= {one.digest: one.manifest for one in read_merged(source).folders}
        else:
            manifest, digest = manifests.read(source)
            known[digest] = manifest
    rows = database.run(statement("landings_of_night"), {"night": night}).rows
    missing = [f"{row[0]}/{row[1]}" for row in rows if row[2] not in known]
    if missing:
        raise HistoryError(f"night {night}: the kept folders of {', '.join(missing)} are missing")
    unknown = set(known) - {str(row[2]) for row in rows}
    if unknown:
        raise HistoryError(f"night {night} holds {len(unknown)} folders that never landed")
    return [
        LandedFolder(known[str(digest)], str(digest), landed_at)
        for _, _, digest, landed_at in rows
        if isinstance(landed_at, datetime)
    ]


def _merge_tables(aside: Path, sources: Sequence[Path]) -> tuple[list[FileEntry], set[str]]:
    """The merged files, and the tables whose facts were all retired: they stay so, and are there
    until they are swept."""
    by_table: dict[str, list[tuple[Path, FileEntry]]] = {}
    for source in sources:
        for entry in entries_of(source)[1]:
            path = source / entry.path
            if not is_retired(path) or is_regular(path):
                by_table.setdefault(entry.table, []).append((path, entry))
    merged, retired = [], set()
    for table in tables.TABLES:
        parts = by_table.get(table.name)
        if parts:
            merged.append(_concatenate(aside, table, parts))
            if all(is_retired(path) for path, _ in parts):
                retired.add(table.name)
                copy_mark(parts[0][0], aside / merged[-1].path)
    return merged, retired


def _concatenate(
    aside: Path, table: tables.Table, parts: Sequence[tuple[Path, FileEntry]]
) -> FileEntry:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = tables.sealed_schema(table)
    path = aside / f"{table.name}.parquet"
    row_count = 0
    with (
        create_anew(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for some in _row_groups(parts):
            rows = pa.concat_tables([_read_whole(source, entry, schema) for source, entry in some])
            writer.write_table(rows)
            row_count += rows.num_rows
    manifests.sync(path)
    return FileEntry.of(path, table.name, row_count)


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

    content = read_regular(source, most_bytes=entry.size_bytes)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise HistoryError(f"{source} does not match its manifest")
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        rows = file.read(use_threads=False)
    if rows.num_rows != entry.row_count:
        raise HistoryError(f"{source} has another number of rows than its manifest")
    return tables.fit(rows, schema)
