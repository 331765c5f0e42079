"""What sql/ and docs/ say of metrics, made from the catalogue: `python -m nightbench.metric_texts`.

In SQL and Markdown a block between `metrics: NAME` and `end of metrics` is made here. In the tables
of sql/README.md the lines of measured columns are, wherever they stand, and a missing one is added.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from nightbench.metrics import (
    QUANTILES,
    SPREAD,
    Column,
    Metric,
    distributions,
    level_columns,
    load_metrics,
    other_metrics,
    request_metrics,
    shown,
)
from nightbench.resources import sql_dir

_BLOCK = re.compile(
    r"^(?P<begin>(?P<indent> *)(?:--|<!--) metrics: (?P<name>\w+)(?: -->)?\n)"
    r"(?:.*\n)*?(?P<end> *(?:--|<!--) end of metrics(?: -->)?\n)",
    re.MULTILINE,
)
_CHOICES = re.compile(
    r"^(-- param metric \()accuracy\|[\w|]+(\) = output_throughput: )", re.MULTILINE
)
_SECTION = re.compile(r"^### `(?P<table>\w+)`\n(?:(?!^##).*\n)*", re.MULTILINE)
_ROW = re.compile(r"^\| `(?P<column>\w+)` \| .*\|\n", re.MULTILINE)
_WIDTH = 100
_OF_ALL = "of completed requests; percentiles by linear interpolation"


def files() -> tuple[Path, ...]:
    """The files of a checkout that hold such blocks or lines."""
    marked = (path for path in sorted(sql_dir().rglob("*.sql")) if _BLOCK.search(path.read_text()))
    documents = (sql_dir() / "README.md", sql_dir().parent / "docs" / "metrics.md")
    return (*marked, *documents)


def renewed(text: str) -> str:
    """A file's text as the catalogue has it now."""
    text = _CHOICES.sub(lambda found: found[1] + _choices() + found[2], text)
    text = _SECTION.sub(lambda found: _section(found["table"], found[0]), text)
    return _BLOCK.sub(lambda found: found["begin"] + _block(found) + found["end"], text)


def _block(found: re.Match[str]) -> str:
    indent = found["indent"]
    lines = _BLOCKS[found["name"]](_WIDTH - len(indent))
    return "".join(f"{indent}{line}\n" for line in lines)


def _choices() -> str:
    return "|".join(["accuracy", *_names(shown("trend"))])


def _names(columns: Iterable[Column]) -> list[str]:
    return [column.name for column in columns]


def _latest(width: int) -> list[str]:
    """The columns of load_levels in its own order, of which a view shows some."""
    from nightbench.records import LoadLevel

    wanted = set(_names(shown("latest")))
    return _list([name for name in LoadLevel.__dataclass_fields__ if name in wanted], width)


def _trend(width: int) -> list[str]:
    return _list(_names(shown("trend")), width)


def _list(names: Sequence[str], width: int) -> list[str]:
    return textwrap.wrap(", ".join(names) + ",", width)


def _trend_cases(_: int) -> list[str]:
    return [f"WHEN '{name}' THEN {name}" for name in _names(shown("trend"))]


def _compare(_: int) -> list[str]:
    return _structs(f"'metric': '{name}', 'value': {name}" for name in _names(shown("compare")))


def _nights(_: int) -> list[str]:
    """Places 1 and 2 are accuracy and capacity."""
    return _structs(
        f"'metric': '{name}', 'value': {name}, 'place': {place}"
        for place, name in enumerate(_names(shown("nights")), start=3)
    )


def _structs(members: Iterable[str]) -> list[str]:
    structs = [f"{{{text}}}" for text in members]
    return [f"{struct}," for struct in structs[:-1]] + structs[-1:]


def _percentiles(width: int) -> list[str]:
    conditions = [
        f"OR {metric.column(low)} > {metric.column(high)}"
        for metric in load_metrics()
        if metric.statistics == SPREAD
        for low, high in pairwise(QUANTILES)
    ]
    return textwrap.wrap(" ".join(conditions), width, break_on_hyphens=False)


def _one_request(_: int) -> list[str]:
    rows = (f"| `{m.name}` | {m.unit} | {_of_request(m)} |" for m in request_metrics())
    return ["| column | unit | definition |", "|---|---|---|", *rows]


def _of_request(metric: Metric) -> str:
    named = f"{metric.meaning}: " if metric.statistics == SPREAD else ""
    return f"{named}{metric.of_request}"


def _one_level(_: int) -> list[str]:
    return ["| key | unit | better | definition |", "|---|---|---|---|", *_level_rows()]


def _level_rows() -> Iterator[str]:
    """A row for all metrics that have a value a request: their definitions are above."""
    latencies = distributions("latency")
    names = ", ".join(f"`{metric.name}`" for metric in latencies)
    yield _level_row(latencies[0], names, _OF_ALL)
    for metric in load_metrics():
        if metric.statistics and metric not in latencies:
            yield _level_row(metric, f"`{metric.name}`", metric.definition)


def _level_row(metric: Metric, names: str, definition: str) -> str:
    of = ", ".join(f"`{statistic}_`" for statistic in metric.statistics)
    keys = f"{of} of {names}" if metric.statistics == SPREAD else names
    return f"| {keys} | {metric.unit} | {metric.better or ''} | {definition} |"


_BLOCKS = {
    "latest": _latest,
    "trend": _trend,
    "trend_cases": _trend_cases,
    "compare": _compare,
    "nights": _nights,
    "percentiles": _percentiles,
    "one_request": _one_request,
    "one_level": _one_level,
}


def _rows_of(table: str) -> tuple[dict[str, str], set[str]]:
    """(the lines of measured columns by their names, those that a table is to have)."""
    if table == "load_requests":
        lines = {m.name: _line(m.name, m.unit, _of_request(m)) for m in request_metrics()}
        return lines, set(lines)
    if table in ("accuracy_results", "servers", "boot_times"):
        return {m.name: _line(m.name, m.unit, m.meaning) for m in other_metrics()}, set()
    columns = {c.name: _line(c.name, c.metric.unit, c.meaning) for c in level_columns()}
    wanted = {
        "load_levels": set(columns),
        "latest": set(_names(shown("latest"))),
        "nightly_trend": set(_names(shown("trend"))),
        "capacity": set(),
    }
    return (columns, wanted[table]) if table in wanted else ({}, set())


def _line(name: str, unit: str, meaning: str) -> str:
    return f"| `{name}` | {unit} | {meaning} |\n"


def _section(table: str, text: str) -> str:
    lines, wanted = _rows_of(table)
    text = _ROW.sub(lambda found: lines.get(found["column"], found[0]), text)
    rows = list(_ROW.finditer(text))
    there = {row["column"] for row in rows}
    missing = "".join(line for name, line in lines.items() if name in wanted - there)
    return text[: rows[-1].end()] + missing + text[rows[-1].end() :] if missing else text


def main() -> int:
    """Write the files again."""
    for path in files():
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
