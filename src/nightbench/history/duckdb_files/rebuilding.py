"""The whole history again, from the Parquet files that are kept: `nightbench land --rebuild`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.clock import Now, utc_now
from nightbench.history.damage import reason_of
from nightbench.history.duckdb_files import publishing
from nightbench.history.duckdb_files.database import (
    Database,
    HeldFile,
    log_of,
    open_reader,
    open_writer,
    remove_database,
)
from nightbench.history.duckdb_files.gathering import Gathered, gather
from nightbench.history.duckdb_files.ledger import insert_files, record_fact_files, record_landings
from nightbench.history.duckdb_files.migrations import migrate, refuse_the_future
from nightbench.history.locks import held
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import is_regular
from nightbench.history.sharing import share
from nightbench.history.sql_files import statement
from nightbench.history.store import RebuildReport, StorageError
from nightbench.home.paths import Home

_FILES_AT_ONCE = 500


def rebuild(
    home: Home,
    *,
    without_damaged: bool = False,
    deadline_s: float = 60.0,
    now: Now = utc_now,
) -> RebuildReport:
    """Make the DuckDB file anew from `nights/`, then publish it. The old one serves until then.

    Every kept file is held against its digest first.

    Raises:
        HistoryError: nothing is kept, the history is held by somebody, the disk is full, or a kept
            folder is damaged (unless the rest is wanted `without_damaged`).
    """
    places = HistoryPlaces.of(home)
    if not places.nights.is_dir():
        raise HistoryError(
            f"{places.nights} has nothing to rebuild from",
            hint="`nightbench land` ingests what waits in the spool.",
        )
    try:
        with held(places.lock, deadline_s=deadline_s):
            report = make_again(
                places, without_damaged=without_damaged, deadline_s=deadline_s, now=now
            )
            share(places)
            publishing.publish(places)
    except OSError as error:
        raise StorageError(
            f"{home.history}: {error}",
            hint="Nothing is lost: fix that, then run `nightbench land --rebuild`.",
        ) from error
    return report


def make_again(
    places: HistoryPlaces, *, without_damaged: bool, deadline_s: float, now: Now
) -> RebuildReport:
    """The landing file anew, not published yet. The landing lock must be held.

    Raises:
        HistoryError: as `rebuild`.
    """
    applied_at = _applied_before(places)
    kept = gather(places)
    _refuse_damaged(kept, without_damaged)
    aside = places.root / "rebuilding.duckdb"
    remove_database(aside)
    database = open_writer(aside, deadline_s=deadline_s)
    try:
        migrate(database, now=lambda: tables.naive_utc(now()), applied_at=applied_at)
        _fill(database, kept)
        _refuse_damaged(kept, without_damaged)
        publishing.make_views(database, places)
    finally:
        database.close()
    _replace(places.landing, aside)
    rows = sum(int(str(row["row_count"])) for row in kept.landings)
    return RebuildReport(len(kept.landings), rows, tuple(kept.damaged), tuple(kept.notes))


def _refuse_damaged(kept: Gathered, without_damaged: bool) -> None:
    if kept.damaged and not without_damaged:
        raise HistoryError(
            "not rebuilt, the history is unchanged: " + "; ".join(kept.damaged),
            hint="Restore the files; or: nightbench land --rebuild --without-damaged",
        )


def _applied_before(places: HistoryPlaces) -> dict[int, datetime]:
    """When the steps of the schema were applied to the file there is; nothing of one that does not
    say: whatever is wrong with it, it is about to be replaced.

    Raises:
        HistoryError: somebody holds it, or a newer nightbench wrote it.
    """
    if not is_regular(places.landing):
        return {}
    try:
        database = open_reader(places.landing, facts=places.nights)
    except HeldFile:
        raise
    except HistoryError:
        return {}
    try:
        rows = database.run(statement("migration_times")).rows
    except HistoryError:  # no history: it is made one
        return {}
    finally:
        with suppress(HistoryError):
            database.close()
    applied = {int(str(v)): moment for v, moment in rows if isinstance(moment, datetime)}
    refuse_the_future(places.landing, max(applied, default=0))
    return applied


def _replace(landing: Path, aside: Path) -> None:
    """Put the new file in the old one's place. Never beside the old one's log: DuckDB would play
    that into it. Killed in between, there is no landing file, and the next landing makes it again.
    """
    before = landing.with_name("replaced.duckdb")
    remove_database(before)
    if landing.exists():
        landing.rename(before)
    if log_of(landing).exists():
        log_of(landing).rename(log_of(before))
    aside.rename(landing)
    remove_database(before)


def _fill(database: Database, kept: Gathered) -> None:
    """Every file into its table, many at once; where that fails one by one, to name the one."""
    for (table, _), files in sorted(kept.files.items()):
        for batch in _batches(files):
            try:
                _insert(database, table, batch)
            except StorageError:
                raise
            except HistoryError:
                for one in batch:
                    try:
                        _insert(database, table, [one])
                    except StorageError:
                        raise
                    except HistoryError as error:
                        kept.damaged.append(reason_of(one[0], error))
    with database.transaction():
        record_landings(database, kept.landings)
        record_fact_files(database, kept.facts)


def _insert(database: Database, table: str, files: Sequence[tuple[Path, int]]) -> None:
    with database.transaction():
        paths = [path for path, _ in files]
        insert_files(database, table, paths, sum(count for _, count in files))


def _batches(files: Sequence[tuple[Path, int]]) -> list[Sequence[tuple[Path, int]]]:
    return [files[i : i + _FILES_AT_ONCE] for i in range(0, len(files), _FILES_AT_ONCE)]
