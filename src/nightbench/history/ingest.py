"""Landing: from sealed spool folders into the history, each whole or not at all, none twice.

What a pass does and in which order; how it is done is the store's. A lander killed anywhere leaves
either a folder that has not been committed (it lands next time) or one that has (the store takes it
out of the spool next time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from nightbench.history.clock import AskUptime, Now, no_uptime, system_uptime, utc_now
from nightbench.history.damage import Damaged, is_no_room
from nightbench.history.open_store import open_store
from nightbench.history.spool.folders import list_spool, sealed_folders, why_broken
from nightbench.history.store import (
    Finding,
    HistoryStore,
    HistoryWriter,
    Retention,
    StorageError,
    WriterTerms,
)
from nightbench.home.paths import Home
from nightbench.progress import OnProgress, Progress, ignore

__all__ = ["LandingReport", "land"]

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
class _Pass:
    """How a landing goes about it."""

    terms: WriterTerms
    retention: Retention
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
    store: HistoryStore | None = None,
) -> LandingReport:
    """Land every sealed folder, check what landed, publish the read copy.

    A damaged folder is reported and left alone; the others land. Nights that are over are merged
    (a few per landing), facts past their retention retired; the files of both are removed after
    `reader_grace_s`, when no reader that opened the history before can want them.

    That time is measured by `uptime`, so that a clock that is set does not shorten it: the
    machine's, unless another clock is passed in, which brings its own or has none. `check_copy`:
    whether to hold the read copy against the landing file although nothing has changed. `store`:
    that of the home, unless said.

    Raises:
        HistoryError: somebody holds the history past the deadline (named), or it cannot be written.
    """
    if uptime is None:
        uptime = system_uptime if now is utc_now else no_uptime
    how = _Pass(
        terms=WriterTerms(
            deadline_s=deadline_s, reader_grace_s=reader_grace_s, now=now, uptime=uptime
        ),
        retention=retention,
        check_copy=check_copy,
        on_progress=on_progress,
    )
    try:
        return _land(home, store or open_store(home), LandingReport(), how)
    except OSError as error:
        see_to_it = "make room" if is_no_room(error) else "see to that"
        raise StorageError(
            f"{home.history}: {error}",
            hint=f"Nothing is lost: {see_to_it}, then type `nightbench land`.",
        ) from error


def _land(home: Home, store: HistoryStore, report: LandingReport, how: _Pass) -> LandingReport:
    spool = list_spool(home.spool)
    report.damaged += spool.strange
    report.damaged += [Damaged(folder, why_broken(folder)) for folder in spool.broken]
    if not spool.sealed and store.is_empty():
        return report
    with store.write(how.terms) as writer:
        folders = sealed_folders(home.spool)
        if not folders and writer.is_current(thorough=how.check_copy):
            return report
        _commit_all(writer, [*folders, *writer.lost()], report, how.on_progress)
        report.merged = writer.compact()
        report.retired = writer.expire(how.retention)
        report.findings += writer.publish({name.split("/")[0] for name in report.landed})
        report.published = True
    return report


def _commit_all(
    writer: HistoryWriter,
    folders: Sequence[Path],
    report: LandingReport,
    on_progress: OnProgress,
) -> None:
    waiting = list(folders)
    while waiting:
        batch, waiting = waiting[:FOLDERS_AT_ONCE], waiting[FOLDERS_AT_ONCE:]
        done = len(folders) - len(waiting) - len(batch)
        on_progress(Progress("land", batch[0].parent.name, done=done, total=len(folders)))
        staged = writer.stage(batch)
        committed = writer.commit()
        waiting += staged.again
        report.landed += committed.landed
        report.row_count += committed.row_count
        report.already += staged.already
        report.damaged += (*staged.damaged, *committed.damaged)
        report.findings += committed.findings
