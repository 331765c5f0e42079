"""Levels as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nightbench.metrics import Column, in_a_table
from nightbench.records import LoadLevel
from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_FIGURES = in_a_table("table")
_SHORT = {"tokens/s": "tok/s", "requests/s": "req/s"}
_RATES = {"output_throughput": "output", "request_throughput": "done"}


def _heading(column: Column) -> tuple[str, str]:
    """In two lines: what it is, and of it which statistic in which unit."""
    unit = _SHORT.get(column.metric.unit, column.metric.unit)
    statistic = "" if column.statistic == "value" else column.statistic
    what = _RATES.get(column.name, column.metric.label)
    return what, f"{statistic} {unit}".strip()


_COLUMNS = (("level", ""), ("reqs", ""), *map(_heading, _FIGURES), ("valid", ""))


def levels_table(levels: Iterable[LoadLevel], title: str = "Load") -> Table:
    """One line per level: what the catalogue shows here. A level that is not valid says why."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.padding = (0, 1, 0, 0)
    for name, unit in _COLUMNS:
        text = name in ("level", "valid")
        head = f"{name}\n{unit}" if unit else name
        table.add_column(head, justify="left" if text else "right", no_wrap=name != "valid")
    for level in levels:
        cells = map(Text, _cells(level))
        table.add_row(*cells, _marked(level), style=None if level.valid else "dim")
    return table


def levels_text(levels: Iterable[LoadLevel], title: str, *, colours: bool) -> str:
    """The same table as plain text: rich takes longer to import than this to do."""
    rows = list(levels)
    heads = [tuple(part) for part in zip(*_COLUMNS[:-1], strict=True)]
    cells = [*heads, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    ]
    ends = [*_COLUMNS[-1], *(_reasons(row) or "yes" for row in rows)]
    codes = ["1", "1", *("32" if row.valid else "31" for row in rows)]
    if colours:
        ends = [f"\x1b[{code}m{end}\x1b[0m" for code, end in zip(codes, ends, strict=True)]
    whole = [line.rstrip() for line in map("  ".join, zip(lines, ends, strict=True))]
    return "\n".join([safe_line(title), *whole])


def verdict_of(level: LoadLevel) -> str:
    """`valid`, or the reasons why not."""
    return "valid" if level.valid else f"INVALID: {_reasons(level)}"


def _reasons(level: LoadLevel) -> str:
    return safe_line(", ".join(level.invalid_reasons))


def _cells(level: LoadLevel) -> tuple[str, ...]:
    return (
        safe_line(level.level),
        f"{level.completed}" if not level.failed else f"{level.completed}/{level.num_prompts}",
        *(column.figure(level) for column in _FIGURES),
    )


def _marked(level: LoadLevel) -> Text:
    from rich.text import Text

    if level.valid:
        return Text("yes", style="green")
    return Text(_reasons(level), style="red")
