"""Asking the history: named questions and a person's own SQL, read-only, on the published copy."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from nightbench.errors import BadInput, HistoryError
from nightbench.history import sql_files
from nightbench.history.database import Database, Result, open_reader
from nightbench.history.places import HistoryPlaces
from nightbench.home import Home

if TYPE_CHECKING:
    import pandas as pd


class History:
    """The published history. It shows the moment it was opened at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sql(self, text: str, **params: object) -> Result:
        """One reading statement, with `$name` parameters bound.

        Raises:
            BadInput: it writes, is several, or does not parse.
            HistoryError: it failed.
        """
        return self._database.read(text, params or None)

    def frame(self, text: str, **params: object) -> pd.DataFrame:
        """`sql` as a DataFrame."""
        return self._database.frame(text, params or None)

    def query(self, name: str, **params: object) -> pd.DataFrame:
        """A named question of sql/queries, as a DataFrame.

        Raises:
            BadInput: no such query, an unknown parameter, or one missing.
        """
        question = sql_files.query(name)
        return self._database.frame(question.text, complete(question, params) or None)

    def rows(self, name: str, **params: object) -> Result:
        """`query` without pandas."""
        question = sql_files.query(name)
        return self._database.read(question.text, complete(question, params) or None)

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
    """The published history of a home.

    Raises:
        HistoryError: nothing has landed yet, or the file cannot be read.
    """
    places = HistoryPlaces.of(home)
    if not os.access(places.published, os.R_OK):
        raise _missing_or_closed(home, places.published)
    return History(open_reader(places.published, facts=places.nights))


def _missing_or_closed(home: Home, published: Path) -> HistoryError:
    try:
        published.stat()
    except PermissionError:
        pass
    except OSError:
        return HistoryError(
            f"there is no history in {home.root} yet",
            hint="Run a night first: `nightbench run`. (NIGHTBENCH_HOME says where it is kept.)",
        )
    return HistoryError(
        f"you may not read the history in {home.root}",
        hint="Its owner opens it to a group that you are in: NIGHTBENCH_GROUP=… nightbench land",
    )


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
