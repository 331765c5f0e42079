"""What keeps the history: the protocol that a store follows, and what it says of its work.

Rows are made in the spool (`history.spool`), which is the same for every store. A pass of ingestion
(`history.ingest`) stages sealed folders and commits them, has the store compact and expire what is
old, and publishes. Readers ask what was published (`history.reading`). Which store a home has is
said in one place (`history.open_store`), and nothing above this package knows another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nightbench.errors import HistoryError
from nightbench.history.clock import AskUptime, Now, utc_now
from nightbench.history.damage import Damaged

if TYPE_CHECKING:
    import pandas as pd

CHUNK_NIGHTS = 90


class StorageError(HistoryError):
    """The disk, the memory or the file itself failed: nothing more can be written now."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement returned."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with what has just landed, or with what is kept."""

    check: str
    detail: str


def _default() -> Mapping[str, int]:
    return {"load_chunks": CHUNK_NIGHTS}


@dataclass(frozen=True, slots=True)
class Retention:
    """The newest nights to keep, by bulky table; tables not named are kept for good."""

    nights: Mapping[str, int] = field(default_factory=_default)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterTerms:
    """How a writer holds a history: `deadline_s` to wait for another writer, `reader_grace_s` until
    what was compacted or expired is removed, and the clocks it goes by."""

    deadline_s: float
    reader_grace_s: float
    now: Now
    uptime: AskUptime


@dataclass(frozen=True, slots=True)
class Staged:
    """What was found of folders that were to be staged; the rest is staged. Folders are named
    run/target. Those `again` wait for the next commit: another of their name was before them."""

    already: tuple[str, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    again: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of the folders that were staged. Folders are named run/target."""

    landed: tuple[str, ...] = ()
    row_count: int = 0
    damaged: tuple[Damaged, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What was put together again. `damaged` folders are left out, and said; `notes` tell of what
    is of no use to it, because other folders hold the same."""

    folders: int
    row_count: int
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()


class HistoryReader(Protocol):
    """What was published last, when it was opened; it answers the SQL of sql/."""

    def read(self, sql: str, params: Mapping[str, object] | None = None) -> Result:
        """One reading statement, with `$name` parameters bound.

        Raises:
            BadInput: it writes, is several, or does not parse.
            HistoryError: it failed.
        """

    def frame(self, sql: str, params: Mapping[str, object] | None = None) -> pd.DataFrame:
        """`read` as a DataFrame."""

    def close(self) -> None:
        """Let go of it."""


class HistoryWriter(Protocol):
    """The one writer of a history, for as long as it holds it."""

    def is_current(self, *, thorough: bool) -> bool:
        """Whether readers see all that was committed. `thorough`: to the last byte."""

    def lost(self) -> list[Path]:
        """Folders that it keeps and no longer knows, with the end of a log say: to be staged."""

    def stage(self, folders: Sequence[Path]) -> Staged:
        """Look through sealed folders; those that are whole and new come in with `commit`. One that
        is in already leaves the spool, one that is damaged stays where it is.

        Raises:
            StorageError: the history itself cannot be written.
        """

    def commit(self) -> Committed:
        """Take what is staged in, each folder whole or not at all, none twice.

        Raises:
            StorageError: the history itself cannot be written.
        """

    def compact(self) -> list[date]:
        """Put together what nights that are over consist of; the nights."""

    def expire(self, retention: Retention) -> int:
        """Take rows past their retention out of what readers see; how many pieces were."""

    def publish(self, run_ids: set[str]) -> list[Finding]:
        """Have readers see all that was committed, the last act of a writer. What looks wrong with
        these runs, by sql/checks, and with what is kept."""


class HistoryStore(Protocol):
    """Keeps a history."""

    def is_empty(self) -> bool:
        """Whether it keeps nothing: there is no work for a writer without sealed folders."""

    def write(self, terms: WriterTerms) -> AbstractContextManager[HistoryWriter]:
        """Hold the history for writing.

        Raises:
            HistoryError: somebody else holds it past the deadline (named).
        """

    def rebuild(
        self, *, without_damaged: bool = False, deadline_s: float = 60.0, now: Now = utc_now
    ) -> RebuildReport:
        """Make all that can be derived anew from what is kept, and publish it.

        Raises:
            HistoryError: nothing is kept, it is held by somebody, or what is kept is damaged
                (unless the rest is wanted `without_damaged`).
        """

    def read(self) -> HistoryReader:
        """What was published.

        Raises:
            HistoryError: nothing was yet, or it cannot be read.
        """

    def holds(self, night: date, run_id: str) -> bool:
        """Whether anything of a run is in."""

    def share(self) -> bool:
        """Have it readable for whom it is to be readable; whether that changed anything."""

    def condition(self, clock: datetime) -> list[tuple[str, str]]:
        """What a person should know of its state: what it is about, and what there is to say."""
