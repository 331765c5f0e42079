"""Levels as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nightbench.records import LoadLevel
from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# In two lines: what it is, and of it which statistic in which unit.
_COLUMNS = (
    ("level", ""),
    ("requests", ""),
    ("TTFT", "mean ms"),
    ("TTFT", "p95 ms"),
    ("TPOT", "mean ms"),
    ("TPOT", "p95 ms"),
    ("ITL", "p95 ms"),
    ("output", "tok/s"),
    ("done", "req/s"),
    ("valid", ""),
)


def levels_table(levels: Iterable[LoadLevel], title: str = "Load") -> Table:
    """One line per level: means and p95 in ms. A level that is not valid says why."""
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
        _ms(level.mean_ttft_ms),
        _ms(level.p95_ttft_ms),
        _ms(level.mean_tpot_ms),
        _ms(level.p95_tpot_ms),
        _ms(level.p95_itl_ms),
        f"{level.output_throughput:,.1f}",
        f"{level.request_throughput:,.2f}",
    )


def _marked(level: LoadLevel) -> Text:
    from rich.text import Text

    if level.valid:
        return Text("yes", style="green")
    return Text(_reasons(level), style="red")


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.1f}"
