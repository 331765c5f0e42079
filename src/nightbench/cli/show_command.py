"""`nightbench show RUN`: one run with its targets, servers, accuracies and load levels."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nightbench.cli.history_command import STATUS_STYLES, took
from nightbench.cli.numbers_argument import count
from nightbench.cli.sql_command import cell
from nightbench.errors import BadInput
from nightbench.home.paths import Home

if TYPE_CHECKING:
    from rich.console import Console

    from nightbench.history.run_results import RunResults

# The kinds of nightbench.accuracy.sample_text, which is too slow to import for a parser.
SAMPLES = ("wrong", "flipped", "unparsed", "right", "truncated", "failed", "disputed", "all")


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench show`."""
    parser = subparsers.add_parser("show", help="one run", description=__doc__)
    parser.add_argument(
        "run_id", metavar="RUN", help="a run id or a prefix of one; `latest` for the newest"
    )
    group = parser.add_argument_group("show its samples instead of its results")
    group.add_argument("--samples", choices=SAMPLES, help="which (flipped: since the previous run)")
    group.add_argument("--benchmark", metavar="NAME", help="only of this benchmark")
    group.add_argument("--target", metavar="NAME", help="only of this target")
    group.add_argument("--against", metavar="RUN", help="flipped since this run")
    group.add_argument(
        "--limit", type=count, default=20, metavar="N", help="at most this many (20)"
    )


def run(args: argparse.Namespace) -> int:
    """Print one run, or samples of it."""
    from rich.console import Console

    from nightbench.cli.results_view import print_results
    from nightbench.cli.samples_view import Chosen, print_flipped, print_samples
    from nightbench.history.query_parameters import find_run
    from nightbench.history.reading import open_history
    from nightbench.history.run_results import read_run

    _refuse_what_needs_samples(args)
    console = Console(highlight=False)
    with open_history(Home.from_env()) as history:
        run_id = find_run(history, args.run_id)
        if args.samples is None:
            results = read_run(history, run_id)
            _print_head(console, results)
            print_results(results, console)
            return 0
        chosen = Chosen(
            run_id=run_id, target=args.target, benchmark=args.benchmark, limit=args.limit
        )
        if args.samples == "flipped":
            against = find_run(history, args.against) if args.against else None
            print_flipped(console, history, chosen, against)
        else:
            print_samples(console, history, chosen, args.samples)
    return 0


def _refuse_what_needs_samples(args: argparse.Namespace) -> None:
    if args.against and args.samples != "flipped":
        raise BadInput("--against is only for flipped samples", hint="Add --samples flipped.")
    if args.samples is None and (args.target or args.benchmark):
        raise BadInput("--target and --benchmark only select samples", hint="Add --samples wrong.")


def _print_head(console: Console, results: RunResults) -> None:
    from rich.text import Text

    row = results.row
    if row is None:
        console.print(Text(f"run {cell(results.run_id, 80)} (not ingested yet)"))
        return
    lasted = None if row.ended_at is None else (row.ended_at - row.started_at).total_seconds()
    console.print(
        Text.assemble(
            ("run ", ""), (cell(results.run_id, 80), "bold cyan"),
            f"  {cell(row.suite)}, {row.started_at:%Y-%m-%d %H:%M} UTC  ",
            (cell(row.status), STATUS_STYLES.get(row.status, "yellow")), f"  {took(lasted)}",
        )
    )  # fmt: skip
    if row.error:
        console.print(Text(f"  {cell(row.error, 2000)}", style="red"))
    facts = {
        "host": row.host,
        "git_commit": row.git_commit,
        "flow_run_id": row.flow_run_id,
        "nightbench_version": row.nightbench_version,
        "resumed_from": results.resumed_from,
    }
    shown = ", ".join(f"{name} {cell(value)}" for name, value in facts.items() if value)
    console.print(Text(f"  {shown}", style="dim"))
