"""What a person gives a named query: a run by its beginning, names that there are, numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from nightbench.errors import BadInput
from nightbench.history.sql_files import NamedQuery, Parameter, statement
from nightbench.history.store import Result
from nightbench.terminal_text import safe_line

_NAMES = ("target", "benchmark", "level", "name")
_MOST = 1_000_000  # rows or nights: dates end not far beyond
_MOST_TOLD = 10


class Asked(Protocol):
    """A history that answers SQL."""

    def sql(self, text: str, /, **params: object) -> Result:
        """One reading statement, with `$name` parameters bound."""


def find_run(history: Asked, given: str) -> str:
    """The run that is meant: an id, the beginning of one, or `latest`.

    Raises:
        BadInput: none begins like this, or several do.
    """
    if given == "latest":
        newest = history.sql(statement("newest_run")).rows[0][0]
        if newest is None:
            raise BadInput("the history has no runs yet")
        return str(newest)
    if not given:
        raise BadInput("a run's id is empty", hint="`nightbench history` lists them.")
    found = [str(r[0]) for r in history.sql(statement("run_ids_like"), prefix=given).rows]
    if given in found:
        return given
    if not found:
        raise BadInput(f"no run begins with {given!r}", hint="`nightbench history` lists them.")
    if len(found) > 1:
        some = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        raise BadInput(f"{len(found)} runs begin with {given!r}: {some}")
    return found[0]


def resolved(
    history: Asked, question: NamedQuery, given: Mapping[str, object]
) -> dict[str, object]:
    """The parameters given, each as what its kind says; a parameter that is None stays so.

    Raises:
        BadInput: a value that is none of its kind, or a name that the history does not have.
    """
    known = {parameter.name: parameter for parameter in question.parameters}
    values: dict[str, object] = {}
    # Runs first: whether a target is one depends on the run.
    for name, value in sorted(given.items(), key=lambda one: _kind(known, one[0]) != "run"):
        parameter = known.get(name)
        values[name] = (
            value
            if parameter is None or value is None
            else _value(history, parameter, value, values.get("run_id"))
        )
    return values


def _kind(known: Mapping[str, Parameter], name: str) -> str:
    return known[name].kind if name in known else ""


def _value(history: Asked, parameter: Parameter, value: object, run_id: object) -> object:
    if parameter.kind == "run":
        return find_run(history, str(value))
    if parameter.kind in _NAMES:
        return _known(history, parameter, str(value), run_id)
    if parameter.kind == "count":
        return _count(parameter, value)
    if parameter.kind == "number":
        return _number(parameter, value)
    if parameter.choices and value not in parameter.choices:
        raise _not(parameter, value, f"one of {', '.join(parameter.choices)}")
    return value


def _known(history: Asked, parameter: Parameter, given: str, run_id: object) -> str:
    asked = {"kind": parameter.kind, "run_id": run_id}
    names = [str(row[0]) for row in history.sql(statement("known_names"), **asked).rows]
    if given in names:
        return given
    of = f"{run_id} has" if run_id else "the history has"
    told = ", ".join(safe_line(name) for name in names[:_MOST_TOLD])
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    raise BadInput(
        f"{of} no {parameter.name} {given!r}",
        hint=f"It has {told}{more}." if names else "It has none.",
    )


def _count(parameter: Parameter, value: object) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if not 0 <= number <= _MOST:
        raise _not(parameter, value, f"a whole number from 0 to {_MOST}")
    return number


def _number(parameter: Parameter, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise _not(parameter, value, "a number that is not negative")
    return number


def _not(parameter: Parameter, value: object, expected: str) -> BadInput:
    return BadInput(
        f"{parameter.name} is {safe_line(repr(value), max_chars=60)}: expected {expected}",
        hint=f"{parameter.name}: {parameter.what}",
    )
