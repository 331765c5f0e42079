"""How long each kind of bulky fact is kept. Everything that is summarised or judged stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from nightbench.history.database import Database
from nightbench.history.merged import marker_of
from nightbench.history.places import HistoryPlaces
from nightbench.history.sql_files import statement

CHUNK_NIGHTS = 90


def _default() -> Mapping[str, int]:
    return {"load_chunks": CHUNK_NIGHTS}


@dataclass(frozen=True, slots=True)
class Retention:
    """Days back from the newest night, by bulky table; tables not named are kept for good."""

    nights: Mapping[str, int] = field(default_factory=_default)


def retire(database: Database, places: HistoryPlaces, retention: Retention) -> int:
    """Take facts older than their retention out of the views; their files go when swept.

    Returns the number of files. The landing lock must be held.
    """
    newest = database.run(statement("newest_night")).rows[0][0]
    if not isinstance(newest, date):
        return 0
    count = 0
    for table, nights in retention.nights.items():
        before = newest - timedelta(days=nights - 1)
        params = {"table_name": table, "before": before}
        with database.transaction():
            retired = database.run(statement("retire_fact_files"), params).rows
        # Only now: a marked file will be removed, and no view may list it then.
        for (path,) in retired:
            marker_of(places.root / str(path)).touch(mode=0o600)
        count += len(retired)
    return count
