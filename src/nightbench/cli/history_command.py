"""`nightbench history`: the runs there are, newest first."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nightbench.cli.sql_command import cell
from nightbench.home import Home

if TYPE_CHECKING:
    from rich.table import Table

    from nightbench.history.database import Result

STATUS_STYLES = {"completed": "green", "failed": "red", "crashed": "red", "cancelled": "yellow"}


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench history`."""
    parser = subparsers.add_parser("history", help="the runs there are", description=__doc__)
    parser.add_argument("--limit", type=int, default=20, help="how many runs (20)")


def run(args: argparse.Namespace) -> int:
    """Print a table of runs."""
    from rich.console import Console

    from nightbench.history.reading import open_history

    with open_history(Home.from_env()) as history:
        result = history.rows("runs", limit=args.limit)
    console = Console(highlight=False)
    console.print(runs_table(result))
    console.print("One of them: nightbench show RUN (the first letters will do)", style="dim")
    return 0


def runs_table(result: Result) -> Table:
    """The runs as a person enjoys them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("accuracy")
    table.add_column("levels", justify="right")
    table.add_column("best tok/s", justify="right")
    for row in result.rows:
        of = dict(zip(result.columns, row, strict=True))
        status = str(of["status"])
        invalid = of["invalid_levels"]
        table.add_row(
            Text(cell(of["run_id"], 80), style="cyan"),
            Text(status, style=STATUS_STYLES.get(status, "yellow")),
            took(of["duration_s"]),
            Text(cell(of["accuracies"], 200)),
            Text.assemble(
                cell(of["levels"]), (f" ({invalid} invalid)" if invalid else "", "yellow")
            ),
            cell(of["best_output_throughput"]),
        )
    return table


def took(seconds: object) -> str:
    """A duration in few letters: 3m12s."""
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
