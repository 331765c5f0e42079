"""The whole history again, from the Parquet files that are kept: `nightbench land --rebuild`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import manifest as manifests
from nightbench.history import publishing, tables
from nightbench.history.database import Database, log_of, open_writer, remove_database
from nightbench.history.landing import Now, utc_now
from nightbench.history.ledger import (
    LedgerRow,
    fact_row,
    insert_files,
    ledger_row,
    record_fact_files,
    record_landings,
)
from nightbench.history.locks import held
from nightbench.history.merged import MERGED_NAME, entries_of, read_merged, sources_of
from nightbench.history.migrations import migrate
from nightbench.history.places import HistoryPlaces
from nightbench.history.sharing import share
from nightbench.home import Home

_FILES_AT_ONCE = 500


@dataclass(slots=True)
class _Kept:
    """What the kept folders hold, gathered before anything is written."""

    landings: list[LedgerRow] = field(default_factory=list)
    facts: list[LedgerRow] = field(default_factory=list)
    files: dict[tuple[str, int], list[tuple[Path, int]]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What was put together again. `damaged` folders are left out, and said."""

    folders: int
    row_count: int
    damaged: tuple[str, ...]


def rebuild(
    home: Home,
    *,
    without_damaged: bool = False,
    deadline_s: float = 60.0,
    now: Now = utc_now,
) -> RebuildReport:
    """Make the DuckDB file anew from `nights/`, then publish it. The old one serves until then.

    Raises:
        HistoryError: nothing is kept, the history is held by somebody, the disk is full, or a kept
            folder is damaged (unless the rest is wanted `without_damaged`).
    """
    places = HistoryPlaces.of(home)
    if not places.nights.is_dir():
        raise HistoryError(f"nothing is kept in {places.nights} to rebuild from")
    aside = places.root / "rebuilding.duckdb"
    with held(places.lock, deadline_s=deadline_s):
        kept = _gather(places)
        if kept.damaged and not without_damaged:
            raise HistoryError(
                "not rebuilt, the history is as it was: " + "; ".join(kept.damaged),
                hint="Restore the files; or: nightbench land --rebuild --without-damaged",
            )
        remove_database(aside)
        database = open_writer(aside, deadline_s=deadline_s)
        try:
            migrate(database, now=lambda: tables.naive_utc(now()))
            _fill(database, kept)
            publishing.make_views(database, places)
        finally:
            database.close()
        log_of(places.landing).unlink(missing_ok=True)
        aside.rename(places.landing)
        share(places)
        publishing.publish(places)
    rows = sum(int(str(row["row_count"])) for row in kept.landings)
    return RebuildReport(len(kept.landings), rows, tuple(kept.damaged))


def _gather(places: HistoryPlaces) -> _Kept:
    kept = _Kept()
    for root in sorted(places.nights.glob("night=*")):
        night = date.fromisoformat(root.name.removeprefix("night="))
        for source in sources_of(places, night):
            try:
                _gather_one(kept, places, source, night)
            except HistoryError as error:
                kept.damaged.append(error.message)
    return kept


def _gather_one(kept: _Kept, places: HistoryPlaces, source: Path, night: date) -> None:
    version, entries = entries_of(source)
    for entry in entries:
        path = source / entry.path
        if not path.is_file() or path.stat().st_size != entry.size_bytes:
            raise HistoryError(f"{path} is missing or cut: its folder is left out")
    if (source / MERGED_NAME).exists():
        kept.landings += [
            ledger_row(one.manifest, one.digest, one.landed_at)
            for one in read_merged(source).folders
        ]
    else:
        manifest, digest = manifests.read(source)
        landed_at = datetime.fromtimestamp(source.stat().st_mtime, UTC)
        kept.landings.append(ledger_row(manifest, digest, tables.naive_utc(landed_at)))
    relative = source.relative_to(places.root)
    for entry in entries:
        if tables.BY_NAME[entry.table].bulky:
            kept.facts.append(fact_row(entry, night, version, relative))
        else:
            files = kept.files.setdefault((entry.table, version), [])
            files.append((source / entry.path, entry.row_count))


def _fill(database: Database, kept: _Kept) -> None:
    with database.transaction():
        for (table, _), files in sorted(kept.files.items()):
            for batch in _batches(files):
                paths = [path for path, _ in batch]
                insert_files(database, table, paths, sum(count for _, count in batch))
        record_landings(database, kept.landings)
        record_fact_files(database, kept.facts)


def _batches(files: Sequence[tuple[Path, int]]) -> list[Sequence[tuple[Path, int]]]:
    return [files[i : i + _FILES_AT_ONCE] for i in range(0, len(files), _FILES_AT_ONCE)]
