"""The one writer of the files: rows into the landing file, folders into `nights/`, then the copy.

A folder's rows and its ledger row commit together; then the folder moves to `nights/`, where the
views read its bulky files in place. A lander killed anywhere leaves either a folder that is not in
the ledger (it lands next time) or one that is (it only moves next time).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from nightbench.history import tables
from nightbench.history.duckdb_files import housekeeping, ingest_folders, publishing
from nightbench.history.duckdb_files.database import Database
from nightbench.history.duckdb_files.housekeeping import House, Sweeper
from nightbench.history.duckdb_files.ingest_folders import Sealed
from nightbench.history.duckdb_files.landing_file import open_landing
from nightbench.history.duckdb_files.read_copy import is_current
from nightbench.history.locks import held
from nightbench.history.places import HistoryPlaces
from nightbench.history.sharing import share
from nightbench.history.spool.manifest import REJECTED_NAME
from nightbench.history.store import Committed, Finding, Retention, Staged, WriterTerms


@contextmanager
def hold(places: HistoryPlaces, terms: WriterTerms) -> Iterator[FilesWriter]:
    """The landing lock, and its writer. The landing file is opened when there is work for it.

    Raises:
        HistoryError: somebody holds it past the deadline (named).
    """
    places.make()
    with held(places.lock, deadline_s=terms.deadline_s):
        publishing.remove_leftovers(places)
        writer = FilesWriter(places, terms)
        try:
            yield writer
        finally:
            writer.close()


class FilesWriter:
    """See `nightbench.history.store.HistoryWriter`. The landing lock must be held."""

    def __init__(self, places: HistoryPlaces, terms: WriterTerms) -> None:
        self._places = places
        self._terms = terms
        self._house = House(places)
        self._staged: tuple[Sealed, ...] = ()
        self._database: Database | None = None
        self._clock = terms.now()
        self._sweeper = Sweeper(places, self._clock, terms.uptime(), terms.reader_grace_s)

    def is_current(self, *, thorough: bool) -> bool:
        """Whether there is nothing to do for the read copy either."""
        if not publishing.is_published(self._places) or not is_current(self._places):
            return False
        return not thorough or publishing.is_same(self._places)

    def lost(self) -> list[Path]:
        """Folders in `nights/` that the ledger does not know."""
        return housekeeping.find_lost(self._open(), self._places)

    def stage(self, folders: Sequence[Path]) -> Staged:
        """Look through folders; those that landed already are moved out of the spool."""
        found = ingest_folders.stage(self._open(), self._places, folders)
        self._staged += found.fresh
        return Staged(tuple(one.name for one in found.already), found.damaged, found.again)

    def commit(self) -> Committed:
        """The staged folders in one transaction, where that is possible, and into `nights/`."""
        staged, self._staged = self._staged, ()
        landed, damaged = ingest_folders.commit(
            self._open(), self._places, staged, moment=tables.naive_utc(self._terms.now())
        )
        return Committed(
            landed=tuple(one.name for one in landed),
            row_count=sum(one.manifest.row_count for one in landed),
            damaged=damaged,
            findings=tuple(finding for one in landed for finding in _losses(one)),
        )

    def compact(self) -> list[date]:
        """Merge nights that are over, a few at a time."""
        return housekeeping.merge_what_is_over(self._house, self._open(), clock=self._clock)

    def expire(self, retention: Retention) -> int:
        """Take facts past their retention out of the views; their files go when swept."""
        return housekeeping.retire_what_is_past(
            self._house, self._open(), retention, clock=self._clock
        )

    def publish(self, run_ids: set[str]) -> list[Finding]:
        """Views and read copy anew; what may be removed by now is."""
        database, house = self._open(), self._house
        housekeeping.renew_views(house, database)
        findings = housekeeping.check(database, run_ids)
        house.say("dated ahead", housekeeping.nights_ahead(database, self._clock, run_ids))
        self.close()
        share(self._places)  # before anybody can read of it in the copy
        publishing.publish(self._places)
        self._sweeper.end(house)
        return [*findings, *house.findings, *self._sweeper.findings]

    def close(self) -> None:
        """Let go of the landing file."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _open(self) -> Database:
        if self._database is None:
            self._sweeper.begin()
            terms = self._terms
            self._database = open_landing(self._places, deadline_s=terms.deadline_s, now=terms.now)
        return self._database


def _losses(one: Sealed) -> list[Finding]:
    """What of a folder that has landed could not be sealed: it lies beside what was."""
    manifest = one.manifest
    details = [f"{rejected}; see {one.kept / REJECTED_NAME}" for rejected in manifest.rejected]
    details += [f"{name} could not be read whole" for name in manifest.unreadable]
    return [Finding("rejected rows", f"{one.name}: {detail}") for detail in details]
