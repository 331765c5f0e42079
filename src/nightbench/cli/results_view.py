"""A run's results as a person reads them: one block per target."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from nightbench.accuracy.result_table import accuracy_table
from nightbench.history.run_results import RunResults, TargetResults
from nightbench.load.summarize.level_table import levels_table
from nightbench.records import VerdictRow
from nightbench.terminal_text import safe_line, safe_text
from nightbench.verdicts.concern import MARKS, concern, in_order_of_concern

MAX_VERDICT_CHARS = 600
_STYLES = {"bad": "bold red", "doubtful": "yellow", "good": "green", "quiet": "dim"}


def print_results(results: RunResults, console: Console) -> None:
    """Print every target: how it booted, how smart it is, how it holds up."""
    print_verdicts(results.verdicts, console)
    for target in results.targets:
        console.print()
        console.print(_headline(target))
        if target.accuracy:
            console.print()
            console.print(accuracy_table(target.accuracy))
        for workload, levels in groupby(target.levels, key=lambda level: level.workload):
            console.print(levels_table(levels, title=escape(f"Load {safe_line(workload)}")))
    if results.row is not None and results.row.status == "completed" and results.row.error:
        console.print(Text(safe_text(results.row.error), style="yellow"))
    for skipped in results.skipped:
        console.print(Text(safe_line(str(skipped)), style="yellow"))


def print_verdicts(verdicts: Sequence[VerdictRow], console: Console) -> None:
    """A sentence for each target, what is worse first."""
    rows = in_order_of_concern(verdicts)
    if rows:
        console.print()
    for row in rows:
        style = _STYLES[concern(row)]
        said = safe_line(row.detail or row.verdict, max_chars=MAX_VERDICT_CHARS)
        console.print(Text(f"{MARKS[row.verdict]} {said}", style=style), soft_wrap=True)


def _headline(target: TargetResults) -> Text:
    done = target.row.status == "completed"
    text = Text("✓ " if done else "✗ ", style="bold green" if done else "bold red")
    text.append(safe_line(target.target), style="bold")
    text.append(f"  {safe_line(target.row.served_model_name)}", style="dim")
    for server in target.servers:
        engine = safe_line(f"{server.engine_kind} {server.engine_version or ''}")
        text.append(f"\n  {engine}", style="dim")
        if server.boot_s is not None:
            text.append(f", booted in {server.boot_s:.0f} s", style="dim")
        if server.teardown_clean:
            text.append(f", stopped in {server.teardown_s or 0:.1f} s", style="dim")
        if server.teardown_clean is False:
            detail = safe_line(server.teardown_detail or "")
            text.append(f"  teardown incomplete: {detail}", style="red")
    if target.hardware_class:
        text.append(f"\n  on {safe_line(target.hardware_class)}", style="dim")
    if not done:
        text.append(f"\n  {target.row.status}: {safe_text(target.row.error or '')}", style="red")
    return text
