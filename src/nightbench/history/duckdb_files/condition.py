"""What a person should know of the state of a history: for `nightbench doctor`. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.duckdb_files.database import open_reader
from nightbench.history.duckdb_files.kept_nights import KeptNight, kept_nights
from nightbench.history.duckdb_files.read_copy import open_copy
from nightbench.history.duckdb_files.retention import last_night_by
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import is_regular, names_in
from nightbench.history.spool.folders import list_spool, why_broken
from nightbench.history.spool.manifest import REJECTED_NAME
from nightbench.home.paths import Home

_MOST_NAMED = 10


def condition(home: Home, clock: datetime) -> list[tuple[str, str]]:
    """What it is about, and what there is to say; the history as a whole first."""
    places = HistoryPlaces.of(home)
    try:
        return [*_whole(home, places), *_damaged(home, places), *_ahead(places, clock)]
    except OSError as error:
        return [("history", f"cannot be read: {error}")]


def _whole(home: Home, places: HistoryPlaces) -> Iterator[tuple[str, str]]:
    nights, _ = kept_nights(places)
    waiting = len(list_spool(home.spool).sealed)
    newest = f", to {nights[-1].night}" if nights else ""
    yield "history", f"{len(nights)} nights{newest}; {waiting} folders wait for ingest"
    for path, opened in ((places.published, _open_copy), (places.landing, _open_landing)):
        if path.exists():
            try:
                opened(places)
            except HistoryError as error:
                yield path.name, str(error).replace("\n  ", " ")


def _open_copy(places: HistoryPlaces) -> None:
    open_copy(places).close()


def _open_landing(places: HistoryPlaces) -> None:
    open_reader(places.landing, facts=places.nights).close()


def _damaged(home: Home, places: HistoryPlaces) -> Iterator[tuple[str, str]]:
    spool, (nights, strange) = list_spool(home.spool), kept_nights(places)
    reasons = [one.reason for one in (*spool.strange, *strange)]
    reasons += [why_broken(folder) for folder in spool.broken]
    reasons += [f"{path} is unknown" for night in nights for path in night.unknown()]
    reasons += [
        f"{path}: rows rejected by their tables" for night in nights for path in _rejected(night)
    ]
    for reason in reasons[:_MOST_NAMED]:
        yield "not in it", reason
    if len(reasons) > _MOST_NAMED:
        yield "not in it", f"and {len(reasons) - _MOST_NAMED} more"


def _rejected(night: KeptNight) -> Iterator[Path]:
    for run in night.runs:
        for name in names_in(night.root / run):
            path = night.root / run / name / REJECTED_NAME
            if is_regular(path):
                yield path


def _ahead(places: HistoryPlaces, clock: datetime) -> Iterator[tuple[str, str]]:
    last = last_night_by(clock)
    ahead = [str(night.night) for night in kept_nights(places)[0] if night.night > last]
    if ahead:
        yield "dated ahead", f"{', '.join(ahead[:_MOST_NAMED])}: a clock was or is wrong"
