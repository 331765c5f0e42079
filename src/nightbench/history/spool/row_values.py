"""Spooled rows as lines of JSON, and whether a line fits its table, value by value.

A column takes what its field in `nightbench.records` says and what a column of 64 bits holds. What
JSON can say besides (2**66, true for a count, a list for a text, a field nobody knows) would stop
the whole table: such a row is kept aside, and the others are sealed.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from nightbench.history import tables
from nightbench.history.tables import Row, Table, naive_utc
from nightbench.records import kinds_of
from nightbench.terminal_text import safe_line, storable_text

CHECKSUM = "crc32"
_TAIL = re.compile(rb',"crc32":"([0-9a-f]{8})"\}\Z')
_SHOWN_CHARS = 60
Members = dict[str, object]


class DoesNotFit(Exception):
    """Why a row cannot be in its table. Never leaves sealing: the row is kept aside with it."""


def line_of(row: Row, redact: Callable[[str], str] = str) -> bytes:
    """A row as a line of JSON, its texts through `redact`, with the checksum of its other members
    as the last one.

    Never fails for a value: what JSON has no word for becomes an object that says what it was, and
    that no column takes.
    """
    text = _json(tables.encode(row, redact)).encode(errors="replace")
    return text[:-1] + f',"{CHECKSUM}":"{zlib.crc32(text):08x}"}}\n'.encode()


def _json(members: Members) -> str:
    try:
        return _dump(members)
    except (ValueError, TypeError, RecursionError):  # endless, too deep, or 4300 digits and more
        return _dump({name: _told(value) for name, value in members.items()})


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_described)


def _told(value: object) -> object:
    try:
        _dump(value)
    except (ValueError, TypeError, RecursionError):
        return {"type": type(value).__name__}
    return value


def _described(value: object) -> dict[str, str]:
    return {"type": type(value).__name__, "value": _words(value)}


def _words(value: object) -> str:
    try:
        return repr(value)[:1000]
    except Exception:  # noqa: BLE001 - somebody else's __repr__
        return "?"


def members_of(line: bytes) -> Members:
    """What a line says, its checksum held against it and taken off. Lines of before have none.

    Raises:
        DoesNotFit: it is no JSON object, or not the line that was written.
    """
    try:
        members = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DoesNotFit(f"it is not JSON: {safe_line(str(error), max_chars=200)}") from error
    if not isinstance(members, dict):
        raise DoesNotFit("it is not a JSON object")
    if members.pop(CHECKSUM, None) is not None and not _is_as_written(line):
        raise DoesNotFit("it was changed after it was written: its checksum does not match")
    return members


def _is_as_written(line: bytes) -> bool:
    line = line.removesuffix(b"\n")
    tail = _TAIL.search(line)
    return tail is not None and zlib.crc32(line[: tail.start()] + b"}") == int(tail[1], 16)


def fitted(table: Table, members: Members) -> tuple[Members, list[str]]:
    """The columns of a table out of a row's members, times as naive UTC; a missing one is None.

    A number that may be missing and is none its column holds is missing: what it was is said in
    the second value, an entry a number.

    Raises:
        DoesNotFit: another value is none of its column's, or there is a field nobody knows.
    """
    unknown = members.keys() - _spooled(table)
    if unknown:
        raise DoesNotFit(f"there is no field {_shown(sorted(unknown)[0])}")
    row, left_out = {}, []
    for column in _columns(table):
        try:
            row[column.name] = column.fit(members.get(column.name))
        except DoesNotFit as error:
            if not column.may_be_left_out:
                raise
            row[column.name] = None
            left_out.append(str(error))
    return row, left_out


@cache
def _spooled(table: Table) -> frozenset[str]:
    return frozenset(tables.spooled_fields(table))


@dataclass(frozen=True, slots=True)
class _Column:
    """What makes a value of a column, of what JSON said."""

    name: str
    make: Callable[[object], object]
    kind: Any
    may_be_none: bool

    @property
    def may_be_left_out(self) -> bool:
        """Null says that a number was not measured; of a text it would say something else."""
        return self.may_be_none and self.kind in (int, float)

    def fit(self, value: object) -> object:
        """The value as the column holds it. Raises DoesNotFit."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if self.may_be_none:
                return None
            raise DoesNotFit(f"{self.name} is {'missing' if value is None else 'not a number'}")
        try:
            return self.make(value)
        except (DoesNotFit, ValueError, OverflowError) as error:
            raise DoesNotFit(f"{self.name} is {_shown(value)}: {error}") from error


@cache
def _columns(table: Table) -> list[_Column]:
    kinds = kinds_of(table.row_type)
    return [_Column(name, _MAKERS[kinds[name][0]], *kinds[name]) for name in table.fields]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DoesNotFit("not a text")
    return storable_text(value)


def _whole(bits: int) -> Callable[[object], int]:
    most: int = 2 ** (bits - 1)

    def make(value: object) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise DoesNotFit("not a whole number")
        if not -most <= value < most:
            raise DoesNotFit(f"more than {bits} bits")
        return value

    return make


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise DoesNotFit("not a number")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise DoesNotFit("neither true nor false")
    return value


def _moment(value: object) -> datetime:
    return naive_utc(datetime.fromisoformat(_text(value)))


def _day(value: object) -> date:
    return date.fromisoformat(_text(value))


def _list_of(make: Callable[[object], Any]) -> Callable[[object], list[Any]]:
    def make_all(value: object) -> list[Any]:
        if not isinstance(value, list):
            raise DoesNotFit("not a list")
        return [make(part) for part in value]

    return make_all


_MAKERS: dict[Any, Callable[[object], Any]] = {
    str: _text,
    int: _whole(64),
    float: _number,
    bool: _flag,
    datetime: _moment,
    date: _day,
    list[str]: _list_of(_text),
    list[int]: _list_of(_whole(32)),
    list[float]: _list_of(_number),
}


def _shown(value: object) -> str:
    """A value in few words: it may be megabytes, and of anybody."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return f"a number of {value.bit_length()} bits"
    return safe_line(_words(value)[: 4 * _SHOWN_CHARS], max_chars=_SHOWN_CHARS)
