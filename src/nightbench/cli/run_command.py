"""`nightbench run SUITE`: run a suite now, as a Prefect flow run, and show its results."""

from __future__ import annotations

import argparse
import json
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.home_argument import home_to_write
from nightbench.cli.output_paths import make_room_for
from nightbench.cli.prefect_api import prefect_api, prefect_settings
from nightbench.cli.suite_argument import DEFAULT_SUITE, add_suite_argument, suite_from
from nightbench.errors import GateNotPassed, NightbenchError
from nightbench.home.paths import Home
from nightbench.home.private_files import PRIVATE_UMASK, write_as_asked
from nightbench.night.planning import refuse_what_cannot_run
from nightbench.night.run import choose_targets
from nightbench.suite.file import SuiteFile
from nightbench.terminal_text import safe_line

MAX_GATE_CHARS = 600

if TYPE_CHECKING:
    from rich.console import Console

    from nightbench.history.run_results import RunResults


RESUME = "\nWhat was measured is kept. To resume:  [cyan]nightbench run --resume latest[/cyan]"


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench run`."""
    parser = subparsers.add_parser("run", help="run a suite now", description=__doc__)
    add_suite_argument(parser)
    parser.add_argument("--target", action="append", metavar="NAME", help="run only this target")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="resume this unfinished run: its replies are reused, its load is measured again",
    )
    parser.add_argument("--gate", action="store_true", help="exit with 3 if a gate fails")
    # A rehearsal's run is nobody's to look up afterwards.
    parser.add_argument("--rehearsal", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the results to this file"
    )


def run(args: argparse.Namespace) -> int:
    """Run, show, and judge by the suite's gates where asked."""
    from rich.console import Console
    from rich.markup import escape

    umask = os.umask(PRIVATE_UMASK)  # --json is the person's, as theirs would have it
    home = home_to_write()
    make_room_for(args.json)
    suite_file, names = _what_to_run(args, home)
    for target in choose_targets(suite_file, names):
        refuse_what_cannot_run(suite_file.suite, target, suite_file.base_dir)
    # Prefect passes a SIGTERM on to whom it found: an orderly end, as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.update(prefect_settings(home) | {"NIGHTBENCH_HOME": str(home.root)})
    console = Console()
    description = safe_line(suite_file.suite.description)
    console.print(f"[bold]nightbench[/bold]  {escape(description)}")
    with prefect_api(home) as access:
        os.environ.update(access.environment() | access.past_proxies(os.environ))
        results, failure = _run_flow(suite_file, names, args.resume, console)
    _show(results, console, is_kept=not args.rehearsal)
    if args.json:
        write_as_asked(args.json, json.dumps(asdict(results), default=str, indent=2), umask)
    if failure:
        raise NightbenchError(
            failure, hint=f"What was measured is kept: nightbench show {results.run_id}"
        )
    if args.gate:
        _judge_gates(suite_file, results)
    return 0


def _what_to_run(args: argparse.Namespace, home: Home) -> tuple[SuiteFile, list[str] | None]:
    """The suite and the names of its targets; of a run to resume, those it did not complete."""
    if args.resume is None:
        return suite_from(args.suite), args.target
    from nightbench.night.resuming import find_unfinished

    unfinished = find_unfinished(home, args.resume)
    args.resume = unfinished.run_id
    named = args.suite if args.suite != DEFAULT_SUITE else unfinished.suite_file
    suite_file = suite_from(named)
    unfinished.refuse_another(suite_file)
    return suite_file, args.target or list(unfinished.targets)


def _run_flow(
    suite_file: SuiteFile, targets: list[str] | None, resume: str | None, console: Console
) -> tuple[RunResults, str]:
    """The flow run's results and, where it failed, why. Prefect is imported here, once its
    settings are in the environment."""
    from flows.nightly import nightly
    from nightbench.cli.terminal_progress import TerminalProgress
    from tasks.finishing import TargetsFailed
    from tasks.reporting import flush_logs, shown_by
    from tasks.starting import as_it_was_read

    shown = TerminalProgress(console)
    with shown as progress, shown_by(progress), as_it_was_read(suite_file):
        try:
            state = nightly(
                str(suite_file.path), tuple(targets or ()), resume or "", return_state=True
            )
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C, or whoever ended us
                console.print(RESUME, highlight=False)
            raise
        finally:
            flush_logs()
    outcome: RunResults | BaseException = state.result(raise_on_failure=False)  # type: ignore[assignment]
    if isinstance(outcome, TargetsFailed):
        return outcome.results, outcome.message
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome, ""


def _show(results: RunResults, console: Console, *, is_kept: bool) -> None:
    from nightbench.cli.results_view import print_results

    print_results(results, console)
    if not is_kept:
        return
    console.print(f"\nRun [bold]{results.run_id}[/bold] is in the history. Next:\n")
    for line, why in (
        (f"nightbench show {results.run_id}", "this run again, in full"),
        ("nightbench sql --query latest_night", "the history answers; --list has more, or any SQL"),
        ("nightbench history", "list the runs"),
        ("nightbench watch", "the curves, on a SwanLab dashboard"),
        ("make up", "the Prefect UI: schedules, runs, a button"),
    ):
        console.print(f"  [cyan]{line:<48}[/cyan] [dim]{why}[/dim]", soft_wrap=True)


def _judge_gates(suite_file: SuiteFile, results: RunResults) -> None:
    from nightbench.night.annotating import quiet_events
    from nightbench.verdicts.gates import failed_gates, failed_regressions, held_against_nothing

    gates = suite_file.suite.gates
    for line in held_against_nothing(gates, results.verdicts):
        print(safe_line(line, max_chars=MAX_GATE_CHARS))
    failed = [
        *failed_gates(gates, results.overall_accuracy()),
        *failed_regressions(gates, results.verdicts, quiet=quiet_events(Home.from_env())),
    ]
    if failed:
        raise GateNotPassed(
            "\n".join(failed), hint="The results above are in the history all the same."
        )
