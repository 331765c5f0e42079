"""Asking the history: named questions and a person's own SQL, read-only, on the published copy."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from nightbench.errors import BadInput
from nightbench.history import sql_files
from nightbench.history.open_store import open_store
from nightbench.history.query_parameters import resolved
from nightbench.history.store import HistoryReader, Result
from nightbench.home.paths import Home

if TYPE_CHECKING:
    import pandas as pd


Answer = TypeVar("Answer")


class History:
    """The published history. It shows the moment it was opened at."""

    def __init__(self, reader: HistoryReader) -> None:
        self._reader = reader

    def sql(self, text: str, /, **params: object) -> Result:
        """One reading statement, with `$name` parameters bound.

        Raises:
            BadInput: it writes, is several, or does not parse.
            HistoryError: it failed.
        """
        return self._reader.read(text, params or None)

    def frame(self, text: str, /, **params: object) -> pd.DataFrame:
        """`sql` as a DataFrame."""
        return self._reader.frame(text, params or None)

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

    def close(self) -> None:
        """Let go of it."""
        self._reader.close()

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
    return History(open_store(home).read())


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
