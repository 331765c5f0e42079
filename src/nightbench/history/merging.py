"""A night that is over becomes one Parquet file per table: a thousand nights stay a thousand files.

The merged folder is written beside the folders it replaces, holds their manifests, and takes
their place in `fact_files` in one transaction. What it replaces is removed a grace period later: a
reader may have opened the history before. Killed anywhere, either both are there (`rebuild` and the
next merge see which one counts) or only the merged one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import manifest as manifests
from nightbench.history import tables
from nightbench.history.database import Database, StorageError
from nightbench.history.ledger import fact_row, record_fact_files
from nightbench.history.manifest import FileEntry, Manifest
from nightbench.history.places import PRIVATE_DIR, HistoryPlaces
from nightbench.history.sql_files import schema_version, statement

MERGED_NAME = "merged.json"


@dataclass(frozen=True, slots=True)
class LandedFolder:
    """What the ledger says of one folder, with its manifest."""

    manifest: Manifest
    digest: str
    landed_at: datetime


@dataclass(frozen=True, slots=True)
class MergedNight:
    """What a merged folder says of itself. `replaces`: names of folders beside it."""

    schema_version: int
    folders: tuple[LandedFolder, ...]
    files: tuple[FileEntry, ...]
    replaces: tuple[str, ...]


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


def read_merged(folder: Path) -> MergedNight:
    """What a merged folder says of itself.

    Raises:
        HistoryError: it cannot be read.
    """
    try:
        raw = json.loads((folder / MERGED_NAME).read_text(encoding="utf-8"))
        return MergedNight(
            schema_version=raw["schema_version"],
            folders=tuple(
                LandedFolder(
                    manifests.parse(json.dumps(one["manifest"])),
                    one["digest"],
                    datetime.fromisoformat(one["landed_at"]),
                )
                for one in raw["folders"]
            ),
            files=tuple(FileEntry(**entry) for entry in raw["files"]),
            replaces=tuple(raw["replaces"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"{folder / MERGED_NAME} cannot be read: {error!r}") from error


def sources_of(places: HistoryPlaces, night: date) -> list[Path]:
    """The folders that together hold a night: the newest merged one, those it does not replace."""
    root = places.night(night)
    merged = places.merged(night)
    newest = merged[-1:]
    replaced = {root / name for name in read_merged(newest[0]).replaces} if newest else set()
    loose = {path.parent for path in root.glob(f"*/*/{manifests.FILE_NAME}")}
    return [*newest, *sorted(loose - replaced)]


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
    if merged:
        for marker in (root / merged[-1]).glob("*.retired"):
            removed += _remove_retired(marker, older_than)
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


def entries_of(source: Path) -> tuple[int, tuple[FileEntry, ...]]:
    """Schema version and files of a kept folder, merged or not; without what was retired."""
    if (source / MERGED_NAME).exists():
        merged = read_merged(source)
        version, files = merged.schema_version, merged.files
    else:
        manifest, _ = manifests.read(source)
        version, files = manifest.schema_version, manifest.files
    return version, tuple(e for e in files if not marker_of(source / e.path).exists())


def marker_of(path: Path) -> Path:
    """The file that says that a fact file was retired on purpose."""
    return path.with_suffix(".retired")


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
    import pyarrow.parquet as pq

    schema = tables.sealed_schema(table)
    path = aside / f"{table.name}.parquet"
    row_count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for source, entry in parts:
            if manifests.sha256_of(source) != entry.sha256:
                raise HistoryError(f"{source} is not what its manifest says")
            rows = tables.fit(pq.read_table(source, partitioning=None), schema)
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


def write_merged(aside: Path, merged: MergedNight) -> None:
    """Say what a merged folder holds; written last."""
    members = {
        "schema_version": merged.schema_version,
        "folders": [
            {
                "manifest": json.loads(one.manifest.to_json()),
                "digest": one.digest,
                "landed_at": one.landed_at.isoformat(),
            }
            for one in merged.folders
        ],
        "files": [asdict(entry) for entry in merged.files],
        "replaces": list(merged.replaces),
    }
    path = aside / MERGED_NAME
    with path.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(members, file)
        file.flush()
        os.fsync(file.fileno())
