"""Landing: from sealed spool folders into the history, each whole or not at all, none twice.

A folder's rows and its ledger row commit together; then the folder moves to `nights/`, where the
views read its bulky files in place. A lander killed anywhere leaves either a folder that is not in
the ledger (it lands next time) or one that is (it only moves next time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from nightbench.history import tables
from nightbench.history.clock import AskUptime, Now, no_uptime, system_uptime, utc_now
from nightbench.history.damage import Damaged, is_no_room
from nightbench.history.duckdb_files import publishing
from nightbench.history.duckdb_files.database import Database, StorageError
from nightbench.history.duckdb_files.housekeeping import (
    Finding,
    Sweeper,
    find_lost,
    keep_house,
    nights_ahead,
)
from nightbench.history.duckdb_files.ingest_folders import Sealed, take
from nightbench.history.duckdb_files.kept_nights import kept_nights
from nightbench.history.duckdb_files.landing_file import open_landing
from nightbench.history.duckdb_files.read_copy import is_current
from nightbench.history.duckdb_files.retention import Retention
from nightbench.history.locks import held
from nightbench.history.places import HistoryPlaces
from nightbench.history.sharing import share
from nightbench.history.spool.folders import list_spool, sealed_folders, why_broken
from nightbench.history.spool.manifest import REJECTED_NAME
from nightbench.history.sql_files import checks
from nightbench.home.paths import Home
from nightbench.progress import OnProgress, Progress, ignore

__all__ = ["Damaged", "Finding", "LandingReport", "Now", "land", "utc_now"]

FOLDERS_AT_ONCE = 50  # in one transaction: a night of a large suite
READER_GRACE_S = 24 * 3600.0


@dataclass(slots=True)
class LandingReport:
    """What one landing did. Folders are named run/target."""

    landed: list[str] = field(default_factory=list)
    row_count: int = 0
    already: list[str] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    merged: list[date] = field(default_factory=list)
    retired: int = 0
    published: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """How a landing goes about it."""

    deadline_s: float
    retention: Retention
    reader_grace_s: float
    now: Now
    uptime: AskUptime
    check_copy: bool
    on_progress: OnProgress


def land(
    home: Home,
    *,
    deadline_s: float = 60.0,
    retention: Retention = Retention(),  # noqa: B008  (frozen)
    reader_grace_s: float = READER_GRACE_S,
    now: Now = utc_now,
    uptime: AskUptime | None = None,
    check_copy: bool = False,
    on_progress: OnProgress = ignore,
) -> LandingReport:
    """Land every sealed folder, check what landed, publish the read copy.

    A damaged folder is reported and left alone; the others land. Nights that are over are merged
    (a few per landing), facts past their retention retired; the files of both are removed after
    `reader_grace_s`, when no reader that opened the history before can want them.

    That time is measured by `uptime`, so that a clock that is set does not shorten it: the
    machine's, unless another clock is passed in, which brings its own or has none. `check_copy`:
    whether to hold the read copy against the landing file although nothing has changed.

    Raises:
        HistoryError: somebody holds the history past the deadline (named), or it cannot be written.
    """
    if uptime is None:
        uptime = system_uptime if now is utc_now else no_uptime
    terms = _Terms(
        deadline_s=deadline_s,
        retention=retention,
        reader_grace_s=reader_grace_s,
        now=now,
        uptime=uptime,
        check_copy=check_copy,
        on_progress=on_progress,
    )
    try:
        return _land(home, LandingReport(), terms)
    except OSError as error:
        see_to_it = "make room" if is_no_room(error) else "see to that"
        raise StorageError(
            f"{home.history}: {error}",
            hint=f"Nothing is lost: {see_to_it}, then type `nightbench land`.",
        ) from error


def _land(home: Home, report: LandingReport, terms: _Terms) -> LandingReport:
    places = HistoryPlaces.of(home)
    spool = list_spool(home.spool)
    report.damaged += spool.strange
    report.damaged += [Damaged(folder, why_broken(folder)) for folder in spool.broken]
    if not spool.sealed and not places.landing.exists() and not kept_nights(places)[0]:
        return report
    places.make()
    with held(places.lock, deadline_s=terms.deadline_s):
        folders = sealed_folders(home.spool)
        publishing.remove_leftovers(places)
        if not folders and _is_up_to_date(places, check_copy=terms.check_copy):
            return report
        clock = terms.now()
        sweeper = Sweeper(places, clock, terms.uptime(), terms.reader_grace_s)
        sweeper.begin()
        database = open_landing(places, deadline_s=terms.deadline_s, now=terms.now)
        try:
            _land_all(database, [*folders, *find_lost(database, places)], places, report, terms)
            house = keep_house(database, places, terms.retention, clock=clock)
            runs = {name.split("/")[0] for name in report.landed}
            report.findings += check(database, runs)
            house.say("dated ahead", nights_ahead(database, clock, runs))
        finally:
            database.close()
        share(places)  # before anybody can read of it in the copy
        publishing.publish(places)
        report.published = True
        sweeper.end(house)
    report.merged, report.retired = house.merged, house.retired
    report.findings += [*house.findings, *sweeper.findings]
    return report


def _is_up_to_date(places: HistoryPlaces, *, check_copy: bool) -> bool:
    """Whether there is nothing to do for the read copy either."""
    if not publishing.is_published(places) or not is_current(places):
        return False
    return not check_copy or publishing.is_same(places)


def _land_all(
    database: Database,
    folders: Sequence[Path],
    places: HistoryPlaces,
    report: LandingReport,
    terms: _Terms,
) -> None:
    waiting = list(folders)
    while waiting:
        batch, waiting = waiting[:FOLDERS_AT_ONCE], waiting[FOLDERS_AT_ONCE:]
        done = len(folders) - len(waiting) - len(batch)
        terms.on_progress(Progress("land", batch[0].parent.name, done=done, total=len(folders)))
        taken = take(database, places, batch, moment=tables.naive_utc(terms.now()))
        waiting += taken.again
        report.landed += [one.name for one in taken.landed]
        report.row_count += sum(one.manifest.row_count for one in taken.landed)
        report.already += [one.name for one in taken.already]
        report.damaged += taken.damaged
        report.findings += [finding for one in taken.landed for finding in _losses(one)]


def _losses(one: Sealed) -> list[Finding]:
    """What of a folder that has landed could not be sealed: it lies beside what was."""
    manifest = one.manifest
    details = [f"{rejected}; see {one.kept / REJECTED_NAME}" for rejected in manifest.rejected]
    details += [f"{name} could not be read whole" for name in manifest.unreadable]
    return [Finding("rejected rows", f"{one.name}: {detail}") for detail in details]


def check(database: Database, run_ids: set[str]) -> list[Finding]:
    """Run sql/checks over these runs: a finding per row they return."""
    if not run_ids:
        return []
    findings = []
    for file in checks():
        result = database.run(file.text, {"run_ids": sorted(run_ids)})
        for row in result.rows:
            told = zip(result.columns, row, strict=True)
            detail = ", ".join(f"{name} {value}" for name, value in told if value is not None)
            findings.append(Finding(file.name, detail))
    return findings
