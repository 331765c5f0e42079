"""Anybody's series as CSV: reading them strictly, writing verdicts.

One row is one target's night of one metric. Required columns: night, node, target, metric, better,
valid, value, se, provenance, accepted. Optional ones hold measurements that may be drawn on: rep,
fresh1 …, ref1 …. A file is refused whole, with the lines that are wrong.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from nightbench.errors import DataError
from nightbench.metrics import Direction

REQUIRED = (
    "night",
    "node",
    "target",
    "metric",
    "better",
    "valid",
    "value",
    "se",
    "provenance",
    "accepted",
)
OUT_COLUMNS = ("night", "target", "verdict", "size_pct", "lo_pct", "hi_pct", "since")
_FURTHER = re.compile(r"(rep|fresh[1-9]\d*|ref[1-9]\d*)")
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")
_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """One line of the file. `value` and `se` are None where the night was not valid."""

    night: int
    node: str
    target: str
    metric: str
    better: Direction
    value: float | None
    se: float | None
    provenance: str
    accepted: str
    rep: float | None
    fresh: tuple[float, ...]
    ref: tuple[float, ...]


class _Wrong(Exception):
    """What is wrong with a line."""


def read_series(path: Path) -> list[SeriesRow]:
    """The rows of the file, in its order. Raises DataError with the lines that are wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            _check_header(path, header)
            return _read_rows(path, header, reader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"{path} cannot be read: {reason}") from None
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}") from None


def write_verdicts(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows of OUT_COLUMNS."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(OUT_COLUMNS)
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in REQUIRED and not _FURTHER.fullmatch(name)]
    twice = sorted({name for name in header if header.count(name) > 1})
    for problem, names in (("lacks", missing), ("has unknown", unknown), ("repeats", twice)):
        if names:
            raise DataError(
                f"{path} {problem} columns: {', '.join(repr(name) for name in names)}",
                hint=f"Needed are {', '.join(REQUIRED)}; rep, fresh1 …, ref1 … may follow.",
            )


def _read_rows(path: Path, header: list[str], reader: Iterable[list[str]]) -> list[SeriesRow]:
    rows: list[SeriesRow] = []
    problems: list[str] = []
    seen: dict[tuple[int, str, str], SeriesRow] = {}
    line = 1
    for cells in reader:
        line = getattr(reader, "line_num", line + 1)
        if not cells:
            continue
        try:
            if len(cells) != len(header):
                raise _Wrong(f"{len(cells)} cells for {len(header)} columns")
            row = _read_row(dict(zip(header, cells, strict=True)))
            _check_against(seen, row)
        except _Wrong as wrong:
            problems.append(f"line {line}: {wrong}")
            continue
        rows.append(row)
    if problems:
        shown = problems[:_MOST_PROBLEMS]
        more = len(problems) - len(shown)
        raise DataError(
            f"{path} is not a valid file of series:\n"
            + "\n".join(f"  {problem}" for problem in shown)
            + (f"\n  and {more} more" if more else "")
        )
    if not rows:
        raise DataError(f"{path} holds no nights")
    return rows


def _check_against(seen: dict[tuple[int, str, str], SeriesRow], row: SeriesRow) -> None:
    key = (row.night, row.target, row.metric)
    if key in seen:
        raise _Wrong(f"a second row of {row.target} {row.metric} on night {row.night}")
    seen[key] = row
    whole = seen.setdefault((row.night, row.target, ""), row)
    for name in ("node", "provenance", "accepted"):
        if getattr(whole, name) != getattr(row, name):
            raise _Wrong(f"{row.target} has two values of {name} on night {row.night}")
    first = seen.setdefault((-1, row.target, row.metric), row)
    if first.better != row.better:
        raise _Wrong(f"{row.target} {row.metric} was {first.better}-is-better before")


def _read_row(cells: dict[str, str]) -> SeriesRow:
    valid = _flag(cells["valid"])
    names = ("node", "target", "metric", "provenance", "accepted")
    empty = [name for name in names if not cells[name].strip()]
    if empty:
        raise _Wrong(f"{empty[0]} is empty")
    if cells["better"] not in get_args(Direction):
        raise _Wrong(f"better is {cells['better']!r}, and lower or higher is expected")
    if not re.fullmatch(r"\d{1,9}", cells["night"]):
        raise _Wrong(f"night is {cells['night']!r}, and a whole number from 0 is expected")
    value = _positive(cells, "value")
    if valid and value is None:
        raise _Wrong("the night is valid and has no value")
    return SeriesRow(
        night=int(cells["night"]),
        node=cells["node"],
        target=cells["target"],
        metric=cells["metric"],
        better="lower" if cells["better"] == "lower" else "higher",
        value=value if valid else None,
        se=_positive(cells, "se", zero=True) if valid else None,
        provenance=cells["provenance"],
        accepted=cells["accepted"],
        rep=_positive(cells, "rep") if "rep" in cells else None,
        fresh=_numbered(cells, "fresh"),
        ref=_numbered(cells, "ref"),
    )


def _numbered(cells: dict[str, str], name: str) -> tuple[float, ...]:
    """fresh1, fresh2 … in the order of their numbers, empty ones left out."""
    found = sorted((key for key in cells if key.startswith(name)), key=lambda key: (len(key), key))
    values = [_positive(cells, key) for key in found]
    return tuple(value for value in values if value is not None)


def _flag(cell: str) -> bool:
    if cell.lower() not in _TRUE + _FALSE:
        raise _Wrong(f"valid is {cell!r}, and 1 or 0 is expected")
    return cell.lower() in _TRUE


def _positive(cells: dict[str, str], name: str, *, zero: bool = False) -> float | None:
    """A positive number, or None for an empty cell."""
    cell = cells[name].strip()
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        raise _Wrong(f"{name} is {cell!r}, and a number is expected") from None
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise _Wrong(f"{name} is {cell}, and a number above 0 is expected")
    return value
