"""`nightbench sql`: read-only SQL and named queries over the history."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from nightbench.errors import BadInput
from nightbench.home.paths import Home
from nightbench.terminal_text import escaped_controls, safe_line, safe_text, visible

if TYPE_CHECKING:
    from nightbench.history.store import Result

_WIDEST = 60
# As spreadsheets read them; the wide ones are what an East Asian keyboard writes.
_BEGIN_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench sql`."""
    parser = subparsers.add_parser(
        "sql", help="read-only SQL over the history", description=__doc__
    )
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("statement", nargs="?", help='e.g. "SELECT * FROM latest"')
    asked.add_argument("--query", metavar="NAME", help="a named query; see --list")
    asked.add_argument("--list", action="store_true", help="the named queries, views and tables")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="of a named query"
    )
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    parser.add_argument(
        "--safe",
        action="store_true",
        help="in CSV: prefix text that a spreadsheet would run as a formula with '",
    )


def run(args: argparse.Namespace) -> int:
    """Ask and print."""
    from nightbench.history.reading import open_history

    if args.list:
        _print_list()
        return 0
    params = _params(args.param)
    if args.safe and args.format != "csv":
        raise BadInput("--safe applies to CSV only", hint="Add --format csv.")
    if args.statement is not None and params:
        raise BadInput("--param needs --query", hint="Write the value into the statement.")
    with open_history(Home.from_env()) as history:
        result = (
            history.sql(args.statement)
            if args.query is None
            else history.answer(args.query, **params)
        )
    write_result(result, args.format, sys.stdout, safe=args.safe)
    return 0


def write_result(result: Result, form: str, out: TextIO, *, safe: bool = False) -> None:
    """Rows as a table for people, or as CSV or JSON for programs (numbers in full).

    Control characters drive no terminal: JSON has them escaped, CSV a mark in their place. `safe`
    keeps spreadsheets from taking a text of a CSV for a formula.
    """
    if form == "json":
        keys = _keys(result.columns)
        rows = [dict(zip(keys, map(_json_value, row), strict=True)) for row in result.rows]
        out.write(escaped_controls(json.dumps(rows, indent=1, ensure_ascii=False)) + "\n")
    elif form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        for row in (result.columns, *result.rows):
            writer.writerow([_csv_value(value, safe=safe) for value in row])
    else:
        _write_table(result, out, _columns_of(out))


def _keys(columns: Sequence[str]) -> list[str]:
    """A key for every column: a name that is there already is numbered, as DataFrames have it."""
    keys: list[str] = []
    for name in columns:
        key, number = name, 0
        while key in keys or (number and key in columns):
            number += 1
            key = f"{name}_{number}"
        keys.append(key)
    return keys


def _columns_of(out: TextIO) -> int | None:
    """How wide a person's terminal is (or is said to be); None where a program reads."""
    if os.environ.get("COLUMNS", "").isdecimal() or out.isatty():
        return shutil.get_terminal_size().columns
    return None


def _write_table(result: Result, out: TextIO, most: int | None) -> None:
    """Plain columns, quick to print and safe to pipe; a row at a time where they are wider than
    `most`, for wrapped lines cannot be read."""
    names = [cell(name) for name in result.columns]
    shown = [[cell(value) for value in row] for row in result.rows]
    numeric = [
        all(value is None or isinstance(value, int | float | Decimal) for value in column)
        for column in zip(*result.rows, strict=True)
    ] or [False] * len(result.columns)
    widths = [
        max(display_width(text) for text in (name, *column))
        for name, *column in zip(names, *shown, strict=True)
    ]
    if most is not None and sum(widths) + 2 * (len(widths) - 1) > most:
        _write_rows(names, shown, out, most)
    else:
        _write_lines(names, shown, widths, numeric, out)
    out.write(f"({len(result.rows)} row{'' if len(result.rows) == 1 else 's'})\n")


def _write_rows(names: list[str], shown: list[list[str]], out: TextIO, most: int) -> None:
    """Each row as a list of its columns."""
    width = max(map(display_width, names))
    for number, row in enumerate(shown, start=1):
        head = f"── {number} of {len(shown)} "
        out.write(head + "─" * max(0, min(most, width + 2 + _WIDEST) - len(head)) + "\n")
        for name, text in zip(names, row, strict=True):
            out.write(f"{_pad(name, width, right=False)}  {text}".rstrip() + "\n")


def _write_lines(
    names: list[str], shown: list[list[str]], widths: list[int], numeric: list[bool], out: TextIO
) -> None:
    lines = [names, ["─" * width for width in widths], *shown]
    for line in lines:
        padded = [_pad(t, w, right=r) for t, w, r in zip(line, widths, numeric, strict=True)]
        out.write("  ".join(padded).rstrip() + "\n")


def cell(value: object, widest: int = _WIDEST) -> str:
    """One value as a person reads it. Text is stripped of control characters and cut."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list):
        text = ", ".join(cell(part, widest) for part in value)
    else:
        text = safe_line(str(value), max_chars=widest)
    return text if len(text) <= widest else text[: widest - 1] + "…"


def display_width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two."""
    from unicodedata import east_asian_width

    return len(text) + sum(east_asian_width(character) in "WF" for character in text)


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - display_width(text))
    return space + text if right else text + space


def _json_value(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no infinity; the level's name says it
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _json_value(part) for key, part in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _csv_value(value: object, *, safe: bool) -> object:
    if isinstance(value, list | tuple | dict):
        return escaped_controls(json.dumps(_json_value(value), ensure_ascii=False))
    if not isinstance(value, str):
        return value.isoformat() if isinstance(value, date) else value
    text = safe_text(value)
    return f"'{text}" if safe and _may_be_a_formula(value) else text


def _may_be_a_formula(value: str) -> bool:
    """Whether a spreadsheet may take it for one: some skip what cannot be seen before it, and a tab
    or an end of line begins a cell anew."""
    seen = visible(value).lstrip()
    return value.startswith(("\t", "\r", "\n")) or seen.startswith(_BEGIN_A_FORMULA)


def _params(given: Sequence[str]) -> dict[str, object]:
    params: dict[str, object] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadInput(f"--param {pair}: expected NAME=VALUE")
        if name in params:
            raise BadInput(f"--param {name} is given twice")
        params[name] = value
    return params


def _print_list() -> None:
    from nightbench.history import sql_files, tables

    print("Named queries (nightbench sql --query NAME --param k=v):")
    for query in sql_files.queries():
        print(f"\n  {query.name}\n    {query.about}")
        for parameter in query.parameters:
            default = "" if parameter.default in (None, "NULL") else f" (= {parameter.default})"
            needed = " (needed)" if parameter.default is None else default
            choices = f": {', '.join(parameter.choices)}" if parameter.choices else ""
            print(f"      {parameter.name}{needed}: {parameter.what}{choices}")
    print("\nA run is given as its id, a prefix of one, or latest.")
    print(f"\nViews:  {', '.join(view.name for view in sql_files.views())}")
    print(f"Tables: {', '.join(table.name for table in tables.TABLES)}")
    print("Every column is explained in sql/README.md.")
