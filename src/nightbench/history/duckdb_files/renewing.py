"""The read copy made again, when it is damaged or of before."""

from __future__ import annotations

from nightbench.history.clock import Now, utc_now
from nightbench.history.duckdb_files import publishing
from nightbench.history.duckdb_files.landing_file import open_landing
from nightbench.history.locks import held
from nightbench.history.places import HistoryPlaces


def renew(places: HistoryPlaces, *, deadline_s: float = 20.0, now: Now = utc_now) -> None:
    """Make the read copy again from the landing file.

    Raises:
        HistoryError: the history is held, may not be written, or the landing file is damaged too.
    """
    with held(places.lock, deadline_s=deadline_s):
        database = open_landing(places, deadline_s=deadline_s, now=now)
        try:
            publishing.make_views(database, places)
        finally:
            database.close()
        publishing.publish(places)
