"""`nightbench history`: the runs in the history, newest first."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nightbench.cli.numbers_argument import count
from nightbench.cli.sql_command import cell
from nightbench.home.paths import Home

if TYPE_CHECKING:
    from rich.table import Table

    from nightbench.history.store import Result

STATUS_STYLES = {"completed": "green", "failed": "red", "crashed": "red", "cancelled": "yellow"}


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench history`."""
    parser = subparsers.add_parser(
        "history", help="list the runs in the history", description=__doc__
    )
    parser.add_argument("--limit", type=count, default=20, help="how many runs to show (20)")


def run(args: argparse.Namespace) -> int:
    """Print a table of runs."""
    from rich.console import Console

    from nightbench.history.reading import open_history

    with open_history(Home.from_env()) as history:
        result = history.rows("runs", limit=args.limit)
    console = Console(highlight=False)
    console.print(runs_table(result))
    console.print("For one of them: nightbench show RUN (a unique prefix will do)", style="dim")
    return 0


def runs_table(result: Result) -> Table:
    """The runs as a person enjoys them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    for name, right in (("run", False), ("status", False), ("took", True), ("tok/s", True)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    table.add_column("accuracy", overflow="fold")
    for row in result.rows:
        of = dict(zip(result.columns, row, strict=True))
        status = cell(of["status"])
        table.add_row(
            Text(cell(of["run_id"], 80), style="cyan"),
            Text(status, style=STATUS_STYLES.get(status, "yellow")),
            took(of["duration_s"]),
            cell(of["best_output_throughput"]),
            Text.assemble(cell(of["accuracies"], 200), *_remarks(of)),
        )
    return table


def _remarks(run: dict[str, object]) -> list[tuple[str, str]]:
    """What a person must know beside the numbers."""
    remarks = []
    if run["num_targets"] not in (None, 1):
        remarks.append((f" ({run['num_targets']} targets)", "dim"))
    if run["invalid_levels"]:
        remarks.append((f" {run['invalid_levels']} of {run['levels']} levels invalid", "yellow"))
    return remarks


def took(seconds: object) -> str:
    """A duration in few letters: 3m12s."""
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
