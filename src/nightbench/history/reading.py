"""Asking the history: named questions and a person's own SQL, read-only, on the published copy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from nightbench.errors import BadInput, HistoryError
from nightbench.history import sql_files
from nightbench.history.duckdb_files.database import CLOSED, DamagedFile, Database, Result
from nightbench.history.duckdb_files.read_copy import StaleCopy, open_copy
from nightbench.history.places import HistoryPlaces
from nightbench.history.query_parameters import resolved
from nightbench.home.paths import Home

if TYPE_CHECKING:
    import pandas as pd


Answer = TypeVar("Answer")


class History:
    """The published history. It shows the moment it was opened at.

    Where its file turns out to be damaged it is made again, once, and asked again.
    """

    def __init__(self, database: Database, places: HistoryPlaces) -> None:
        self._database = database
        self._places = places

    def sql(self, text: str, /, **params: object) -> Result:
        """One reading statement, with `$name` parameters bound.

        Raises:
            BadInput: it writes, is several, or does not parse.
            HistoryError: it failed.
        """
        return self._ask(lambda database: database.read(text, params or None))

    def frame(self, text: str, /, **params: object) -> pd.DataFrame:
        """`sql` as a DataFrame."""
        return self._ask(lambda database: database.frame(text, params or None))

    def query(self, name: str, /, **params: object) -> pd.DataFrame:
        """A named question of sql/queries, as a DataFrame.

        Raises:
            BadInput: no such query, an unknown parameter, one missing, or a value it cannot have.
        """
        return self._asked(self.frame, name, params)

    def answer(self, name: str, /, **params: object) -> Result:
        """`query` without pandas."""
        return self._asked(self.sql, name, params)

    def rows(self, name: str, /, **params: object) -> Result:
        """`answer` to whoever has ids and names from the history: they are taken as they are."""
        question = sql_files.query(name)
        return self.sql(question.text, **complete(question, params))

    def _asked(self, ask: Callable[..., Answer], name: str, params: dict[str, object]) -> Answer:
        question = sql_files.query(name)
        completed = complete(question, params)
        return ask(question.text, **completed | resolved(self, question, params))

    def _ask(self, ask: Callable[[Database], Answer]) -> Answer:
        try:
            return ask(self._database)
        except DamagedFile as error:
            self._database.close()
            self._database = _renewed(self._places, error)
        return ask(self._database)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> History:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_history(home: Home) -> History:
    """The published history of a home. A copy that is missing, damaged or of before is made again.

    Raises:
        HistoryError: nothing has landed yet, or the history cannot be read.
    """
    places = HistoryPlaces.of(home)
    _refuse_missing_or_closed(home, places)
    try:
        database = open_copy(places)
    except (DamagedFile, StaleCopy) as error:
        database = _renewed(places, error)
    return History(database, places)


def _refuse_missing_or_closed(home: Home, places: HistoryPlaces) -> None:
    if os.access(places.published, os.R_OK):
        return
    if not (_is_there(places.landing) or _is_there(places.published)):
        raise HistoryError(
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


def complete(question: sql_files.NamedQuery, given: dict[str, object]) -> dict[str, object]:
    """The parameters of a query: those given, defaults for the rest.

    Raises:
        BadInput: one is unknown or missing; says which there are.
    """
    known = {parameter.name: parameter for parameter in question.parameters}
    hint = "; ".join(f"{p.name}: {p.what}" for p in question.parameters) or "It takes none."
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise BadInput(f"query {question.name} has no parameter {', '.join(unknown)}", hint=hint)
    missing = [p.name for p in question.parameters if p.name not in given and p.default is None]
    if missing:
        raise BadInput(f"query {question.name} needs {', '.join(missing)}", hint=hint)
    defaults: dict[str, object] = {
        name: _value(parameter.default) for name, parameter in known.items()
    }
    return defaults | given


def _value(default: str | None) -> str | None:
    return None if default in (None, "NULL") else default
