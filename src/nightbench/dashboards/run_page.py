"""A run as a page of markdown: what a person opens in the Prefect UI in the morning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from nightbench.dashboards.level_chart import data_url, level_chart
from nightbench.dashboards.markdown import code, escaped, fenced, link, table
from nightbench.history.run_results import RunResults, TargetResults
from nightbench.metrics import headings, in_a_table
from nightbench.records import AccuracyResult, LoadLevel, ServerRow
from nightbench.verdicts.concern import MARKS, in_order_of_concern

MAX_ERROR_CHARS = 4000
MAX_VERDICT_CHARS = 600


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where more is to be found: an address to click, or something to type or open."""

    what: str
    url: str = ""
    typed: str = ""


def run_page(results: RunResults, pointers: Sequence[Pointer]) -> str:
    """The whole run: its targets, their numbers and curves, and where to look further."""
    parts = [f"# {escaped(results.run_id)}", _verdicts(results), _summary(results)]
    for target in results.targets:
        parts += _target(target)
    if results.skipped:
        parts += ["## Skipped", "\n".join(f"* {escaped(str(left))}" for left in results.skipped)]
    parts += ["## Where to look further", "\n".join(_pointer(pointer) for pointer in pointers)]
    return "\n\n".join(part for part in parts if part)


def failure_page(target: str, message: str, log_tail: str, hint: str) -> str:
    """What became of a server, with the last lines that it wrote."""
    return "\n\n".join(
        (
            f"# ✗ {escaped(target)}",
            f"**{escaped(message)}**",
            fenced(log_tail or "(no output)"),
            escaped(hint),
        )
    )


def _summary(results: RunResults) -> str:
    lines = []
    if results.row is not None:
        row = results.row
        took = "" if row.ended_at is None else f" in {duration(row.ended_at - row.started_at)}"
        lines.append(
            f"Suite **{escaped(row.suite)}**: {escaped(row.status)}{took} on {escaped(row.host)}, "
            f"started {row.started_at:%Y-%m-%d %H:%M} UTC"
        )
        if row.error:
            lines.append(f"**{escaped(row.error, max_chars=MAX_ERROR_CHARS)}**")
    if results.resumed_from:
        lines.append(f"It resumed {escaped(results.resumed_from)}")
    return "  \n".join(lines)


def _verdicts(results: RunResults) -> str:
    """What the night means, before its numbers: what is worse stands first."""
    return "\n".join(
        f"* {MARKS[row.verdict]} {escaped(row.detail or row.verdict, max_chars=MAX_VERDICT_CHARS)}"
        for row in in_order_of_concern(results.verdicts)
    )


def _target(target: TargetResults) -> list[str]:
    mark = {"completed": "✓", "skipped": "–"}.get(target.row.status, "✗")
    parts = [f"## {mark} {escaped(target.target)}", _served(target)]
    if target.row.status != "completed":
        parts.append(f"**{escaped(target.row.status)}**")
        parts.append(fenced((target.row.error or "no error message")[:MAX_ERROR_CHARS]))
    if target.accuracy:
        parts.append(_accuracy(target.accuracy))
    for workload, levels in groupby(target.levels, key=lambda level: level.workload):
        parts += [f"### Load {escaped(workload)}", _levels(list(levels))]
    if target.levels:
        chart = data_url(level_chart(target.levels))
        parts.append(f"![level curves of {escaped(target.target)}]({chart})")
    parts += [
        f"Server log: {code(server.log_path)}" for server in target.servers if server.log_path
    ]
    return parts


def _served(target: TargetResults) -> str:
    facts = [escaped(target.row.served_model_name)] if target.row.served_model_name else []
    for server in target.servers:
        facts += _server_facts(server)
    if target.hardware_class:
        facts.append(f"on {escaped(target.hardware_class)}")
    return ", ".join(facts)


def _server_facts(server: ServerRow) -> list[str]:
    facts = [escaped(f"{server.engine_kind} {server.engine_version or ''}".strip())]
    if server.boot_s is not None:
        facts.append(f"booted in {server.boot_s:.0f} s")
    if server.teardown_clean:
        facts.append(f"stopped in {server.teardown_s or 0:.1f} s")
    elif server.teardown_clean is False:
        facts.append(f"**teardown incomplete**: {escaped(server.teardown_detail or '')}")
    return facts


def _accuracy(rows: Sequence[AccuracyResult]) -> str:
    header = ("benchmark", "subset", "accuracy", "95 %", "strict", "n", "unparsed", "truncated")
    return table(
        (*header, "valid"),
        (
            (
                escaped(row.benchmark),
                escaped(row.subset),
                f"**{row.accuracy:.1%}**" if row.subset == "all" else f"{row.accuracy:.1%}",
                f"{row.ci_low * 100:.0f}–{row.ci_high * 100:.0f}",
                f"{row.accuracy_strict:.1%}",
                str(row.num_samples),
                str(row.extraction_failed),
                str(row.truncated),
                _valid(row),
            )
            for row in rows
        ),
    )


def _levels(levels: Sequence[LoadLevel]) -> str:
    figures = in_a_table("page")
    return table(
        ("level", "requests", *headings(figures, units=True), "valid"),
        (
            (
                escaped(row.level),
                f"{row.completed}/{row.num_prompts}" if row.failed else str(row.completed),
                *(column.figure(row) for column in figures),
                _valid(row),
            )
            for row in levels
        ),
    )


def _valid(row: AccuracyResult | LoadLevel) -> str:
    return "yes" if row.valid else f"**{escaped(', '.join(row.invalid_reasons))}**"


def _pointer(pointer: Pointer) -> str:
    if pointer.url:
        return f"* {link(pointer.what, pointer.url)}"
    return f"* {escaped(pointer.what)}: {code(pointer.typed)}"


def duration(span: timedelta) -> str:
    """`42 s`, `12 min` or `3 h 05 min`."""
    seconds = round(span.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
