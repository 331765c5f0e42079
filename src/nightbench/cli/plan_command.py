"""`nightbench plan SUITE`: what would happen, exactly, and nothing happens.

What no machine could run is refused (exit code 2); what only this machine lacks is listed.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nightbench.cli.suite_argument import add_suite_argument, suite_from
from nightbench.night.planning import PlannedTarget, plan_suite, refuse_what_is_wrong
from nightbench.suite.models import Suite
from nightbench.terminal_text import safe_line, safe_text

if TYPE_CHECKING:
    from rich.console import Console

    from nightbench.home.paths import Home
    from nightbench.night.plan_details import Place
    from nightbench.night.plan_times import PlannedBenchmark
    from nightbench.suite.file import SuiteFile


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
    planned = plan_suite(suite, place=_place(suite_file))
    for target in planned:
        _print_target(console, target)
    console.print(f"\n{_time_of(planned)}", style="dim", markup=False)
    _print_frame(console, suite)
    _print_missing(console, suite_file)
    refuse_what_is_wrong(planned)
    if args.check:
        _check(console, suite_file)
    return 0


def _place(suite_file: SuiteFile) -> Place:
    """This machine, as the plan is made on it."""
    from nightbench.home.paths import Home
    from nightbench.night.plan_details import Place
    from nightbench.serving.hardware.machine import this_machine
    from nightbench.serving.probing import free_port

    home = Home.from_env()
    return Place(
        home=home,
        base_dir=suite_file.base_dir,
        has_gpu=this_machine().has_gpu,
        port=free_port(),
        took_s=_times(home, [target.name for target in suite_file.suite.targets]),
    )


def _times(home: Home, targets: Sequence[str]) -> dict[str, dict[str, float]]:
    """What the stages of each target took in the last nights; nothing where there is no history."""
    from nightbench.errors import HistoryError
    from nightbench.history.reading import open_history
    from nightbench.history.run_results import stage_times

    try:
        with open_history(home) as history:
            return {target: stage_times(history, target) for target in targets}
    except HistoryError:
        return {}


def _time_of(planned: Sequence[PlannedTarget]) -> str:
    """How long it all takes, and what that rests on."""
    asked = [benchmark for target in planned for benchmark in target.benchmarks]
    loads = [load for target in planned for load in target.loads]
    total_s = sum(target.estimate_s for target in planned)
    more = any(benchmark.estimate_s is None for benchmark in asked)
    said = f"{'At least' if more else 'About'} {_minutes(total_s)} in all"
    if more:
        said += ", and what the benchmarks of unknown size take"
    if any(one.is_assumed for one in asked) or any(load.is_assumed for load in loads):
        said += (
            ".\nAssumed, where no night has measured it: a boot in 2 minutes, 0.5 s to the first "
            "token, 33 tokens/s,\nanswers of max_tokens or 512 tokens, whichever is less"
        )
    return f"{said}."


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


def _print_missing(console: Console, suite_file: SuiteFile) -> None:
    """What this machine lacks, once each, and what brings it."""
    from nightbench.home.paths import Home
    from nightbench.night.needs import missing
    from nightbench.serving.hardware.machine import this_machine

    found = missing(suite_file, Home.from_env(), has_gpu=this_machine().has_gpu)
    if not found:
        return
    console.print("\n[yellow]Missing on this machine[/yellow]")
    for need in found:
        console.print(f"  {need.what:<10} {need.name}: {need.how}", markup=False)
    if any(need.is_fetchable for need in found):
        console.print(f"`nightbench fetch {suite_file.path}` brings what can be fetched.")


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
    facts = (
        ("from", target.environment),
        ("model", target.model),
        ("asked as", target.served),
        ("pace", target.pace),
    )
    for name, fact in facts:
        if fact:
            console.print(f"  {name:<9} {safe_line(fact)}", markup=False)
    for benchmark in target.benchmarks:
        console.print(f"  accuracy  {safe_line(_benchmark(benchmark))}", markup=False)
    for load in target.loads:
        steps = ", ".join(load.levels)
        console.print(
            f"  load      {load.name}: {steps}; {load.requests} requests, "
            f"{_about(load.estimate_s, load.is_assumed)}",
            markup=False,
        )
    for line in target.wrong:
        console.print(Text.assemble("  ", ("wrong", "red"), f"     {safe_line(line)}"))
    if target.env_left_out:
        names = ", ".join(map(safe_line, target.env_left_out))
        console.print(Text(f"  not in its environment: {names}", style="dim"))
    for warning in target.warnings:
        console.print(Text.assemble("  ", ("warning", "yellow"), f"   {safe_line(warning)}"))


def _benchmark(benchmark: PlannedBenchmark) -> str:
    """How it is asked, how often, how long that takes."""
    count, times = benchmark.count, f" × {benchmark.repeats}" * (benchmark.repeats > 1)
    if count.number is None:
        asked = f"all questions{times}: how many is known once they are here"
    else:
        asked = f"{'at most ' * count.is_most}{count.number} questions{times}"
    return f"{benchmark.text}: {asked}, {_about(benchmark.estimate_s, benchmark.is_assumed)}"


def _about(seconds: float | None, is_assumed: bool) -> str:
    if seconds is None:
        return "time unknown"
    return f"about {_minutes(seconds)} ({'assumed' if is_assumed else 'as in the last nights'})"


def _minutes(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{max(minutes, 1)} min"
