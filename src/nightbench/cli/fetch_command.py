"""`nightbench fetch SUITE`: download and build what a suite needs, before its night.

The engine's environment, the model (at its revision), the data sets of benchmarks and workloads.
What is already here stays as it is; an interrupted download is resumed. Nothing is
leased.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from nightbench.cli.missing_view import print_missing
from nightbench.cli.suite_argument import add_suite_argument, suite_from
from nightbench.errors import DataError, NightbenchError
from nightbench.night.planning import refuse_what_is_wrong

if TYPE_CHECKING:
    from pathlib import Path

    from nightbench.progress import OnProgress
    from nightbench.serving.provision.environments import EngineEnvironment
    from nightbench.suite.file import SuiteFile
    from nightbench.suite.models import AccuracySpec, LoadSpec

Step = tuple[str, Callable[[], str]]


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench fetch`."""
    parser = subparsers.add_parser(
        "fetch",
        help="download and build what a suite needs and this machine lacks",
        description=__doc__,
    )
    add_suite_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch everything; what cannot be had is said at the end, after all else is here."""
    from rich.console import Console

    from nightbench.cli.terminal_progress import TerminalProgress
    from nightbench.night.planning import plan_suite

    suite_file = suite_from(args.suite)
    refuse_what_is_wrong(plan_suite(suite_file.suite))
    failed: list[str] = []
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    print_missing(console, suite_file, tell_to_fetch=False)
    with TerminalProgress(console) as progress:
        for name, bring in steps(suite_file, progress):
            try:
                print(f"{name}: {bring()}", flush=True)
            except NightbenchError as error:
                failed.append(f"  {name}: {error.message}\n    {error.hint}".rstrip())
    if failed:
        raise DataError("not everything could be fetched:\n" + "\n".join(failed))
    print(f"Nothing is missing. Next: nightbench plan --check {args.suite}")
    return 0


def steps(suite_file: SuiteFile, progress: OnProgress) -> list[Step]:
    """What is to be brought, each thing once: its name, and what brings it and says what it is."""
    from nightbench.home.paths import Home
    from nightbench.serving.hardware.machine import this_machine
    from nightbench.serving.server import prepare

    home, machine, base_dir = Home.from_env(), this_machine(), suite_file.base_dir
    found: dict[str, Callable[[], str]] = {}
    for target in suite_file.suite.targets:
        for spec in suite_file.suite.accuracy_of(target):
            found.setdefault(f"benchmark {spec.label}", partial(_records, spec, base_dir))
        for load in suite_file.suite.load_of(target):
            found.setdefault(f"workload {load.name}", partial(_prompts, load, base_dir))
    for target in suite_file.suite.targets:
        if not target.is_attached:
            bring = partial(prepare, target, home, base_dir, machine, progress)
            found[f"target {target.name}"] = partial(_engine_and_model, bring)
    return list(found.items())


def _engine_and_model(bring: Callable[[], tuple[EngineEnvironment | None, str | None]]) -> str:
    environment, model = bring()
    return ", ".join(filter(None, (environment.key if environment else "", model)))


def _records(spec: AccuracySpec, base_dir: Path) -> str:
    from nightbench.accuracy import benchmarks, questions

    prepared = questions.prepare(benchmarks.find(spec.benchmark), spec, base_dir)
    return f"{len(prepared.questions)} questions, records {prepared.data_digest}"


def _prompts(spec: LoadSpec, base_dir: Path) -> str:
    from nightbench.load.plan.levels import plan_levels
    from nightbench.load.plan.workloads import read_prompts

    count = plan_levels(spec)[-1].prompts_needed
    prompts = read_prompts(spec.workload, count, spec.seed, base_dir)
    return f"{count} prompts, digest {prompts.digest(0, count)[:16]}"
