"""The landing file at the newest schema, whatever became of the last one."""

from __future__ import annotations

from nightbench.history import tables
from nightbench.history.clock import Now
from nightbench.history.duckdb_files.database import Database, log_of, open_writer, remove_database
from nightbench.history.duckdb_files.kept_nights import kept_nights
from nightbench.history.duckdb_files.migrations import migrate
from nightbench.history.duckdb_files.rebuilding import make_again
from nightbench.history.places import HistoryPlaces


def open_landing(places: HistoryPlaces, *, deadline_s: float, now: Now) -> Database:
    """The landing file, for its one writer. The landing lock must be held.

    A new one is made aside: half a file is none. Where one is missing though nights are kept, it is
    made again from them: an empty one would hide them all.

    Raises:
        HistoryError: somebody holds it, a newer nightbench wrote it, or it cannot be made again.
        DamagedFile: it is no database; `nightbench land --rebuild` makes another.
    """
    if not places.landing.exists() and not places.landing.is_symlink():
        if kept_nights(places)[0]:
            make_again(places, without_damaged=False, deadline_s=deadline_s, now=now)
        else:
            _make_empty(places, deadline_s=deadline_s, now=now)
    database = open_writer(places.landing, deadline_s=deadline_s)
    try:
        migrate(database, now=lambda: tables.naive_utc(now()))
    except BaseException:
        database.close()
        raise
    return database


def _make_empty(places: HistoryPlaces, *, deadline_s: float, now: Now) -> None:
    aside = places.root / "creating.duckdb"
    remove_database(aside)
    fresh = open_writer(aside, deadline_s=deadline_s)
    try:
        migrate(fresh, now=lambda: tables.naive_utc(now()))
    finally:
        fresh.close()
    log_of(places.landing).unlink(missing_ok=True)  # of a file that is gone: not to be played here
    aside.rename(places.landing)
