"""Accuracy as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from nightbench.accuracy.benchmark_summary import ALL
from nightbench.records import AccuracyResult
from nightbench.terminal_text import safe_line


def accuracy_table(results: Iterable[AccuracyResult], *, title: str | None = None) -> Table:
    """Benchmark, subset, accuracy with its 95 % interval, and what spoils it.

    Below it, avg@k and pass@k where questions were repeated, and what makes a result invalid.
    """
    rows = list(results)
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("benchmark", no_wrap=True)
    table.add_column("subset", no_wrap=True)
    for heading in ("accuracy", "95 %", "strict", "n", "unparsed", "truncated", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row), style="" if row.subset == ALL else "dim")
    whole = [row for row in rows if row.subset == ALL]
    remarks = [Text(told) for row in whole if (told := _repeats(row))]
    remarks += [Text(told, style="red") for row in whole if (told := _remark(row))]
    if remarks:
        table.caption = Text("\n").join(remarks)
        table.caption_justify = "left"
    return table


def _cells(row: AccuracyResult) -> tuple[Text, ...]:
    whole = row.subset == ALL
    return (
        Text(safe_line(row.benchmark, max_chars=24) if whole else ""),
        Text(safe_line(row.subset, max_chars=32)),
        Text(f"{row.accuracy:.1%}", style="bold" if whole else ""),
        Text(f"{row.ci_low * 100:.0f}–{row.ci_high * 100:.0f}"),
        Text(f"{row.accuracy_strict:.1%}"),
        Text(str(row.num_samples)),
        _count(row.extraction_failed),
        _count(row.truncated),
        Text(f"{row.duration_s:.1f}" if whole else ""),
    )


def _repeats(row: AccuracyResult) -> str:
    """`gsm8k: avg@4 61.0%, pass@4 80.2%`: the mean of four answers, and one of four being right."""
    if not row.pass_at_k:
        return ""
    k = len(row.pass_at_k)
    means = f"avg@{k} {row.accuracy:.1%}, pass@{k} {row.pass_at_k[-1]:.1%}"
    return f"{safe_line(row.benchmark)}: {means}"


def _remark(row: AccuracyResult) -> str:
    failed = [f"{row.num_failed} failed"] if row.num_failed else []
    spoilt = [*failed, *(f"invalid: {safe_line(reason)}" for reason in row.invalid_reasons)]
    return f"{safe_line(row.benchmark)}: {', '.join(spoilt)}" if spoilt else ""


def _count(number: int) -> Text:
    return Text(str(number), style="yellow" if number else "")
