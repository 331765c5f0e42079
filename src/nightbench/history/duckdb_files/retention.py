"""How long each kind of bulky fact is kept. Everything that is summarised or judged stays.

Nights are counted, not days: the newest N that there are. One that is dated ahead of the clock
neither counts nor goes; and what was retired while a clock was wrong comes back as long as its
file is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.duckdb_files.compacted_night import entries_of, sources_of
from nightbench.history.duckdb_files.database import Database
from nightbench.history.duckdb_files.kept_nights import KeptNight
from nightbench.history.duckdb_files.ledger import LedgerRow, fact_row, record_fact_files
from nightbench.history.duckdb_files.retired import MARK, mark_retired, marker_of, nights_kept_of
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import is_regular, names_in
from nightbench.history.sql_files import statement
from nightbench.history.store import Retention

AHEAD = timedelta(days=1)  # nights are dated in UTC by other clocks: so far ahead is none


@dataclass(frozen=True, slots=True)
class _Hidden:
    """A fact file that was retired and is still there."""

    night: date
    path: Path
    row: LedgerRow


def last_night_by(clock: datetime) -> date:
    """The newest night that is not dated ahead of a clock."""
    return clock.date() + AHEAD


@dataclass(slots=True)
class Retired:
    """What retention came to. `count`: facts that are retired now; `past`: paths of all that are
    retired, still there and would be retired now; `problems`: what stood in the way."""

    count: int = 0
    past: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def retire(
    database: Database,
    places: HistoryPlaces,
    retention: Retention,
    *,
    nights: Sequence[KeptNight],
    clock: datetime,
) -> Retired:
    """Take facts older than their retention out of the views; their files go when swept.

    The landing lock must be held.
    """
    hidden, problems = _hidden(places, nights)
    retired = Retired(problems=problems)
    for table in (table.name for table in tables.TABLES if table.bulky):
        rows = database.run(statement("facts_of_table"), {"table_name": table}).rows
        visible = {str(path): night for night, path in rows if isinstance(night, date)}
        marked = hidden.get(table, [])
        for one in marked:  # a lander was killed between the mark and its transaction
            if one.row["path"] in visible:
                marker_of(one.path).unlink(missing_ok=True)
        gone = [one for one in marked if one.row["path"] not in visible]
        dated = {*visible.values(), *(one.night for one in gone)}
        keep = retention.nights.get(table)
        back = [one for one in gone if not _stays(one, dated, keep, clock, retired)]
        _restore(database, back)
        if keep is not None:
            due = [p for p, night in visible.items() if _is_past(night, dated, keep, clock)]
            _retire(database, places, due, keep, clock)
            retired.count += len(due)
            retired.past.update(due)
    return retired


def _is_past(night: date, nights: set[date], keep: int, clock: datetime) -> bool:
    """Whether a night is not among the newest of those there are, as far as the clock knows."""
    last = last_night_by(clock)
    newest = sorted((n for n in nights if n <= last), reverse=True)[:keep]
    return night <= last and night not in newest


def _retire(
    database: Database, places: HistoryPlaces, paths: list[str], keep: int, clock: datetime
) -> None:
    for path in paths:  # first: what is marked and still listed is retired again the next time
        mark_retired(places.root / path, keep_nights=keep, clock=clock)
    if paths:
        database.run(statement("retire_fact_files"), {"paths": paths})


def _stays(
    one: _Hidden, nights: set[date], keep: int | None, clock: datetime, retired: Retired
) -> bool:
    """Whether it would be retired now, under the very retention that retired it. Where its mark
    cannot tell, it stays as it is: neither shown nor removed."""
    try:
        kept = nights_kept_of(one.path) or keep
    except HistoryError as error:
        retired.problems.append(f"{error.message}; its facts stay hidden, and are not removed")
        return True
    if kept is None or not _is_past(one.night, nights, kept, clock):
        return False
    retired.past.add(str(one.row["path"]))
    return True


def _restore(database: Database, back: list[_Hidden]) -> None:
    record_fact_files(database, [one.row for one in back])
    for one in back:
        marker_of(one.path).unlink(missing_ok=True)


def _hidden(
    places: HistoryPlaces, nights: Sequence[KeptNight]
) -> tuple[dict[str, list[_Hidden]], list[str]]:
    """Retired files that are still there, by table; and what stood in the way of finding more."""
    found: dict[str, list[_Hidden]] = {}
    problems = []
    for night in nights:
        try:
            for table, one in _hidden_of(places, night):
                found.setdefault(table, []).append(one)
        except (HistoryError, OSError) as error:
            problems.append(f"facts of night {night.night} may be retired for good: {error}")
    return found, problems


def _hidden_of(places: HistoryPlaces, night: KeptNight) -> Iterator[tuple[str, _Hidden]]:
    if not any(map(_has_marked, _folders(night))):
        return  # most nights: what was retired long ago is gone
    for source in sources_of(night):
        version, files = entries_of(source)
        for entry in files:
            path = source / entry.path
            if marker_of(path).exists() and is_regular(path):
                row = fact_row(entry, night.night, version, source.relative_to(places.root))
                yield entry.table, _Hidden(night.night, path, row)


def _has_marked(folder: Path) -> bool:
    """Whether a retired file is still there, by the names alone."""
    names = set(names_in(folder))
    return any(f"{n.removesuffix(MARK)}.parquet" in names for n in names if n.endswith(MARK))


def _folders(night: KeptNight) -> Iterator[Path]:
    yield from (night.root / name for name in night.merged[-1:])
    yield from night.loose()
