"""The read copy as readers have it: one that is missing, damaged or of before is made again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nightbench.errors import HistoryError, NoHistory
from nightbench.history.duckdb_files.database import CLOSED, DamagedFile, Database
from nightbench.history.duckdb_files.read_copy import StaleCopy, open_copy
from nightbench.history.places import HistoryPlaces
from nightbench.history.store import Result
from nightbench.home.paths import Home

if TYPE_CHECKING:
    import pandas as pd

Answer = TypeVar("Answer")


class PublishedReader:
    """The read copy of the moment it was opened at.

    Where its file turns out to be damaged it is made again, once, and asked again.
    """

    def __init__(self, database: Database, places: HistoryPlaces) -> None:
        self._database = database
        self._places = places

    def read(self, sql: str, params: Mapping[str, object] | None = None) -> Result:
        """One reading statement of a person."""
        return self._ask(lambda database: database.read(sql, params))

    def frame(self, sql: str, params: Mapping[str, object] | None = None) -> pd.DataFrame:
        """`read` as a DataFrame."""
        return self._ask(lambda database: database.frame(sql, params))

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _ask(self, ask: Callable[[Database], Answer]) -> Answer:
        try:
            return ask(self._database)
        except DamagedFile as error:
            self._database.close()
            self._database = _renewed(self._places, error)
        return ask(self._database)


def open_published(home: Home) -> PublishedReader:
    """The read copy of a home.

    Raises:
        HistoryError: nothing has landed yet, or the history cannot be read.
    """
    places = HistoryPlaces.of(home)
    _refuse_missing_or_closed(home, places)
    try:
        database = open_copy(places)
    except (DamagedFile, StaleCopy) as error:
        database = _renewed(places, error)
    return PublishedReader(database, places)


def _refuse_missing_or_closed(home: Home, places: HistoryPlaces) -> None:
    if os.access(places.published, os.R_OK):
        return
    if not (_is_there(places.landing) or _is_there(places.published)):
        raise NoHistory(
            f"there is no history in {home.root} yet",
            hint="Run a night first: `nightbench run`. (NIGHTBENCH_HOME says where it is kept.)",
        )
    if not os.access(places.landing, os.R_OK):
        raise HistoryError(
            f"you may not read the history in {home.root}",
            hint=CLOSED,
        )


def _is_there(path: Path) -> bool:
    """Whether something has that name; what may not be looked at is there."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _renewed(places: HistoryPlaces, why: HistoryError) -> Database:
    """The read copy, made again.

    Raises:
        HistoryError: it could not be; says which command helps.
    """
    from nightbench.history.duckdb_files.renewing import (
        renew,  # half a second that reading can do without
    )

    try:
        renew(places)
    except DamagedFile:
        raise  # the landing file itself: its own error says what helps
    except (HistoryError, OSError) as error:
        said = error.message if isinstance(error, HistoryError) else str(error)
        raise HistoryError(
            f"{why.message}; it could not be made again: {said}",
            hint="`nightbench land`, typed by whom the history belongs to, makes it again.",
        ) from error
    return open_copy(places)
