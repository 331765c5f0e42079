"""Landing: from sealed spool folders into the history, each whole or not at all, none twice.

A folder's rows and its ledger row commit together; then the folder moves to `nights/`, where the
views read its bulky files in place. A lander killed anywhere leaves either a folder that is not in
the ledger (it lands next time) or one that is (it only moves next time).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from nightbench.history import publishing, tables
from nightbench.history.database import Database, StorageError, open_writer, remove_database
from nightbench.history.locks import held
from nightbench.history.merging import merge_nights, sweep
from nightbench.history.migrations import migrate
from nightbench.history.places import HistoryPlaces
from nightbench.history.retention import Retention, retire
from nightbench.history.sharing import share
from nightbench.history.spool import broken_folders, sealed_folders
from nightbench.history.sql_files import checks
from nightbench.history.taking import Damaged, take
from nightbench.home import Home
from nightbench.progress import OnProgress, Progress, ignore

Now = Callable[[], datetime]

FOLDERS_AT_ONCE = 50  # in one transaction: a night of a large suite
MERGES_PER_LANDING = 2  # one night ends when the next begins; two catch up after an outage
READER_GRACE_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a check found wrong in what has just landed."""

    check: str
    detail: str


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


def utc_now() -> datetime:
    """The clock, unless another is passed in."""
    return datetime.now(UTC)


def land(
    home: Home,
    *,
    deadline_s: float = 60.0,
    retention: Retention = Retention(),  # noqa: B008  (frozen)
    reader_grace_s: float = READER_GRACE_S,
    now: Now = utc_now,
    on_progress: OnProgress = ignore,
) -> LandingReport:
    """Land every sealed folder, check what landed, publish the read copy.

    A damaged folder is reported and left alone; the others land. Nights that are over are merged
    (a few per landing), facts past their retention retired; the files of both are removed after
    `reader_grace_s`, when no reader that opened the history before can want them.

    Raises:
        HistoryError: somebody holds the history past the deadline (named), or it cannot be written.
    """
    try:
        return _land(
            home,
            LandingReport(),
            deadline_s=deadline_s,
            retention=retention,
            reader_grace_s=reader_grace_s,
            now=now,
            on_progress=on_progress,
        )
    except OSError as error:
        raise StorageError(
            f"{home.history}: {error}",
            hint="Nothing is lost: make room, then type `nightbench land`.",
        ) from error


def _land(
    home: Home,
    report: LandingReport,
    *,
    deadline_s: float,
    retention: Retention,
    reader_grace_s: float,
    now: Now,
    on_progress: OnProgress,
) -> LandingReport:
    places = HistoryPlaces.of(home)
    report.damaged += [
        Damaged(folder, f"{folder} does not say what it is of: look into it, then move it away")
        for folder in broken_folders(home.spool)
    ]
    if not sealed_folders(home.spool) and not places.landing.exists():
        return report
    places.make()
    with held(places.lock, deadline_s=deadline_s):
        folders = sealed_folders(home.spool)
        publishing.remove_leftovers(places)
        if not folders and publishing.is_published(places):
            return report
        database = _open(places, deadline_s=deadline_s, now=now)
        try:
            _land_all(database, folders, places, report, now=now, on_progress=on_progress)
            report.merged, problems = merge_nights(database, places, limit=MERGES_PER_LANDING)
            report.findings.extend(Finding("merging", problem) for problem in problems)
            report.retired = retire(database, places, retention)
            publishing.make_views(database, places)
        finally:
            database.close()
        share(places)  # before anybody can read of it in the copy
        publishing.publish(places)
        report.published = True
        sweep(places, older_than=now() - timedelta(seconds=reader_grace_s))
    return report


def _open(places: HistoryPlaces, *, deadline_s: float, now: Now) -> Database:
    """The landing file at the newest schema. A new one is made aside: half a file is none."""
    if not places.landing.exists():
        aside = places.root / "creating.duckdb"
        remove_database(aside)
        fresh = open_writer(aside, deadline_s=deadline_s)
        try:
            migrate(fresh, now=lambda: tables.naive_utc(now()))
        finally:
            fresh.close()
        aside.rename(places.landing)
    database = open_writer(places.landing, deadline_s=deadline_s)
    try:
        migrate(database, now=lambda: tables.naive_utc(now()))
    except BaseException:
        database.close()
        raise
    return database


def _land_all(
    database: Database,
    folders: Sequence[Path],
    places: HistoryPlaces,
    report: LandingReport,
    *,
    now: Now,
    on_progress: OnProgress,
) -> None:
    waiting = list(folders)
    while waiting:
        batch, waiting = waiting[:FOLDERS_AT_ONCE], waiting[FOLDERS_AT_ONCE:]
        done = len(folders) - len(waiting) - len(batch)
        on_progress(Progress("land", batch[0].parent.name, done=done, total=len(folders)))
        taken = take(database, places, batch, moment=tables.naive_utc(now()))
        waiting += taken.again
        report.landed += [one.name for one in taken.landed]
        report.row_count += sum(one.manifest.row_count for one in taken.landed)
        report.already += [one.name for one in taken.already]
        report.damaged += taken.damaged
    report.findings.extend(check(database, {name.split("/")[0] for name in report.landed}))


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
