"""What a landing does besides: folders that the ledger has lost, nights that are over, retention,
and what may be removed by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.clock import Uptime
from nightbench.history.damage import Damaged
from nightbench.history.duckdb_files import passes, publishing
from nightbench.history.duckdb_files.compacted_night import is_merged, sources_of
from nightbench.history.duckdb_files.compaction import merge_nights
from nightbench.history.duckdb_files.database import Database
from nightbench.history.duckdb_files.kept_nights import KeptNight, kept_nights
from nightbench.history.duckdb_files.passes import Pass, Passage
from nightbench.history.duckdb_files.retention import last_night_by, retire
from nightbench.history.duckdb_files.sweeping import removals, sweep
from nightbench.history.places import HistoryPlaces
from nightbench.history.spool import manifest as manifests
from nightbench.history.sql_files import checks, statement
from nightbench.history.store import Finding, Retention

MERGES_PER_LANDING = 2  # one night ends when the next begins; two catch up after an outage
_MOST_NAMED = 5


@dataclass(slots=True)
class House:
    """How what is kept lies, and what of it a person should know."""

    places: HistoryPlaces
    findings: list[Finding] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)  # paths that the views read
    past: set[str] = field(default_factory=set)  # paths that are past their retention
    _kept: tuple[list[KeptNight], list[Damaged]] | None = None

    def kept(self) -> tuple[list[KeptNight], list[Damaged]]:
        """The nights as they lie now, and what lies among them: listed once, for there may be
        thousands."""
        if self._kept is None:
            self._kept = kept_nights(self.places)
        return self._kept

    def has_moved(self) -> None:
        """The nights lie otherwise now."""
        self._kept = None

    def say(self, check: str, details: Sequence[str]) -> None:
        """Add findings."""
        self.findings += [Finding(check, detail) for detail in details]


def find_lost(database: Database, places: HistoryPlaces) -> list[Path]:
    """Folders in `nights/` that the ledger does not know: its last transactions were lost, with the
    end of a log or by an older copy of the file. They are taken again, where they lie."""
    loose = [path for night in kept_nights(places)[0] for path in _loose(night)]
    run_ids = sorted({path.parent.name for path in loose})
    rows = database.run(statement("landed_digests"), {"run_ids": run_ids}).rows if run_ids else ()
    known = {str(digest) for _, _, digest in rows}
    return [path for path in loose if manifests.digest_of(path) not in known]


def _loose(night: KeptNight) -> list[Path]:
    if night.is_one_merged:
        return []
    try:
        return [source for source in sources_of(night) if not is_merged(source)]
    except (HistoryError, OSError):
        return []  # merging and sweeping say so


def merge_what_is_over(house: House, database: Database, *, clock: datetime) -> list[date]:
    """Merge nights that are over, a few at a time. The landing lock must be held.

    Raises:
        StorageError: the history itself cannot be written.
    """
    today = last_night_by(clock)
    merged, problems = merge_nights(database, house.places, limit=MERGES_PER_LANDING, today=today)
    house.has_moved()
    house.say("merging", problems)
    return merged


def retire_what_is_past(
    house: House, database: Database, retention: Retention, *, clock: datetime
) -> int:
    """Retire facts past their retention. The landing lock must be held."""
    nights, _ = house.kept()
    retired = retire(database, house.places, retention, nights=nights, clock=clock)
    house.past = retired.past
    house.say("retention", retired.problems)
    return retired.count


def renew_views(house: House, database: Database) -> None:
    """Make the views anew, over what lies in `nights/` now. The landing lock must be held."""
    nights, strange = house.kept()
    missing = publishing.make_views(database, house.places)
    house.say("kept files", _named("these are missing, and left out of the views", missing))
    house.say("kept nights", _lost_nights(database, nights))
    house.say("kept nights", [one.reason for one in strange])
    house.listed = {str(row[0]) for row in database.run(statement("fact_paths")).rows}


def _lost_nights(database: Database, nights: Sequence[KeptNight]) -> list[str]:
    """Merged nights that the ledger does not know."""
    landed = {row[0] for row in database.run(statement("landed_nights")).rows}
    lost = [str(night.night) for night in nights if night.merged and night.night not in landed]
    said = "these nights are kept and not in the history (`nightbench land --rebuild` takes them)"
    return _named(said, lost)


def nights_ahead(database: Database, clock: datetime, run_ids: set[str]) -> list[str]:
    """Nights dated ahead of the clock, but those of these runs."""
    params = {"today": last_night_by(clock), "run_ids": sorted(run_ids)}
    rows = database.run(statement("nights_ahead"), params).rows
    said = (
        f"dated ahead of the clock, which says {clock:%Y-%m-%d %H:%M}; they count for no retention"
    )
    return _named(said, [str(row[0]) for row in rows])


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


def _named(said: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return [f"{said}: {', '.join(names[:_MOST_NAMED])}{more}"]


@dataclass(slots=True)
class Sweeper:
    """Removes what has waited for its grace period, by the time that has really passed."""

    places: HistoryPlaces
    clock: datetime
    uptime: Uptime | None
    grace_s: float
    findings: list[Finding] = field(default_factory=list)
    _last: Pass | None = None
    _passage: Passage = field(default_factory=lambda: Passage(0.0, None))

    def begin(self) -> None:
        """See how much time has passed since the last landing."""
        try:
            self._last = passes.read_pass(self.places.passes)
        except HistoryError as error:
            self._say(f"{error}; what waits to be removed waits anew")
        self._passage = passes.passage(self._last, self.clock, self.uptime, most_s=self.grace_s)
        if self._passage.jump is not None:
            self._say(f"{self._passage.jump}: nothing is removed this time")

    def end(self, house: House) -> None:
        """Remove what is due, and write this landing down. The landing lock must be held.

        Raises:
            OSError: the disk does not take it.
        """
        nights, _ = house.kept()
        found, problems = removals(self.places, nights, listed=house.listed, past=house.past)
        elapsed_s = self._passage.elapsed_s + (self._last.elapsed_s if self._last else 0.0)
        due = self._last.due if self._last else {}
        if self._passage.jump is None:
            _, waiting, more = sweep(found, due, elapsed_s=elapsed_s, grace_s=self.grace_s)
            problems += more
        else:
            waiting = {one.path: due.get(one.path, elapsed_s) for one in found}
        self.findings += [Finding("removing", problem) for problem in problems]
        done = Pass(
            clock=self.clock,
            boot_id=self.uptime.boot_id if self.uptime else None,
            uptime_s=self.uptime.seconds if self.uptime else None,
            elapsed_s=elapsed_s,
            due=waiting,
        )
        passes.write_pass(self.places.passes, done)

    def _say(self, detail: str) -> None:
        self.findings.append(Finding("clock", detail))
