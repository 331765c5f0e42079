"""Files: a DuckDB file for its one writer, a read copy of it, and Parquet by night."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import TYPE_CHECKING

from nightbench.history.clock import Now, utc_now
from nightbench.history.places import HistoryPlaces
from nightbench.history.store import RebuildReport, WriterTerms
from nightbench.home.paths import Home

if TYPE_CHECKING:
    from nightbench.history.duckdb_files.files_writer import FilesWriter
    from nightbench.history.duckdb_files.kept_nights import KeptNight
    from nightbench.history.duckdb_files.published_reader import PublishedReader


class DuckdbFiles:
    """See `nightbench.history.store.HistoryStore`. What a method needs is imported when it is
    called: whoever only reads does not wait for what only a writer needs."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._places = HistoryPlaces.of(home)

    def is_empty(self) -> bool:
        """Whether there is neither a landing file nor a night."""
        from nightbench.history.duckdb_files.kept_nights import kept_nights

        return not self._places.landing.exists() and not kept_nights(self._places)[0]

    def write(self, terms: WriterTerms) -> AbstractContextManager[FilesWriter]:
        """Hold the landing lock."""
        from nightbench.history.duckdb_files.files_writer import hold

        return hold(self._places, terms)

    def rebuild(
        self, *, without_damaged: bool = False, deadline_s: float = 60.0, now: Now = utc_now
    ) -> RebuildReport:
        """The DuckDB file anew from `nights/`."""
        from nightbench.history.duckdb_files.rebuilding import rebuild

        return rebuild(self._home, without_damaged=without_damaged, deadline_s=deadline_s, now=now)

    def read(self) -> PublishedReader:
        """The read copy."""
        from nightbench.history.duckdb_files.published_reader import open_published

        return open_published(self._home)

    def holds(self, night: date, run_id: str) -> bool:
        """Whether a run has a folder in `nights/`, or is part of a merged night."""
        from nightbench.history.duckdb_files.kept_nights import kept_night

        kept = kept_night(self._places, night)
        return run_id in kept.runs or _is_merged(kept, run_id)

    def share(self) -> bool:
        """Read copy and Parquet for the group that may read them."""
        from nightbench.history.sharing import share

        return share(self._places)

    def condition(self, clock: datetime) -> list[tuple[str, str]]:
        """Of the files, and of the spool beside them."""
        from nightbench.history.duckdb_files.condition import condition

        return condition(self._home, clock)


def _is_merged(night: KeptNight, run_id: str) -> bool:
    from nightbench.history.duckdb_files.compacted_night import read_merged

    return any(
        one.manifest.identity.run_id == run_id
        for name in night.merged
        for one in read_merged(night.root / name).folders
    )
