"""`nightbench plan SUITE`: what would happen, exactly, and nothing happens.

What no machine could run is refused (exit code 2); what only this machine lacks is listed.
"""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from nightbench.cli.missing_view import print_missing
from nightbench.cli.suite_argument import add_suite_argument, suite_from
from nightbench.planning import PlannedTarget, plan_suite, refuse_what_is_wrong
from nightbench.suite import Suite
from nightbench.terminal_text import safe_line, safe_text

if TYPE_CHECKING:
    from rich.console import Console

    from nightbench.suite_file import SuiteFile


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench plan`."""
    parser = subparsers.add_parser("plan", help="what a suite would do", description=__doc__)
    add_suite_argument(parser)
    parser.add_argument(
        "--check",
        action="store_true",
        help="let each engine that is built here look at its arguments (seconds each)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the plan of every target."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    suite_file = suite_from(args.suite)
    suite = suite_file.suite
    console.print(Text.assemble((suite.name, "bold"), f"  {safe_line(suite.description)}"))
    planned = plan_suite(suite)
    for target in planned:
        _print_target(console, target)
    total_s = sum(target.estimate_s for target in planned)
    console.print(
        f"\nAbout {_minutes(total_s)} of load and boots, if a server boots in 2 minutes and "
        "streams 33 tokens/s;\naccuracy takes as long as the answers are.",
        style="dim",
    )
    _print_frame(console, suite)
    print_missing(console, suite_file)
    refuse_what_is_wrong(planned)
    if args.check:
        _check(console, suite_file)
    return 0


def _print_frame(console: Console, suite: Suite) -> None:
    """What the night as a whole is bound to."""
    if suite.time_budget is not None:
        console.print(f"Time budget: {_minutes(suite.time_budget)}.", style="dim")
    if suite.must_end_by is not None:
        console.print(f"Must end by {suite.must_end_by}, in the schedule's zone.", style="dim")
    for when, commands in (("Before", suite.before), ("After", suite.after)):
        for command in commands:
            console.print(
                f"{when}: {shlex.join(command.argv)} (at most {_minutes(command.timeout)})",
                markup=False,
                style="dim",
            )


def _check(console: Console, suite_file: SuiteFile) -> None:
    """Ask every target's engine. Raises ArgumentsRefused with what all of them refuse."""
    from nightbench.cli.checking import check_arguments

    console.print()
    check_arguments(suite_file, say=lambda line: console.print(line, markup=False))


def _print_target(console: Console, target: PlannedTarget) -> None:
    from rich.text import Text

    needs = f"  needs {safe_line(target.hardware)}"
    console.print(Text.assemble("\n", (target.name, "bold cyan"), needs))
    if target.command:
        console.print(f"  {safe_text(target.command)}", markup=False)
    for benchmark in target.benchmarks:
        console.print(f"  accuracy  {safe_line(benchmark)}", markup=False)
    for load in target.loads:
        steps = ", ".join(load.levels)
        console.print(
            f"  load      {load.name}: {steps}; {load.requests} requests, "
            f"about {_minutes(load.estimate_s)}",
            markup=False,
        )
    for line in target.wrong:
        console.print(Text.assemble("  ", ("wrong", "red"), f"     {safe_line(line)}"))
    if target.env_left_out:
        names = ", ".join(map(safe_line, target.env_left_out))
        console.print(Text(f"  not in its environment: {names}", style="dim"))
    for warning in target.warnings:
        console.print(Text.assemble("  ", ("warning", "yellow"), f"   {safe_line(warning)}"))


def _minutes(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{max(minutes, 1)} min"
