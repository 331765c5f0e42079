"""Before any hardware is leased, the engine itself looks at its arguments.

Names of parsers and many options are checked by an engine only when its server starts: after the
lease and, for large models, after minutes. Here the engine's own code does that in the environment
it will be started from, without weights and without a GPU (`check_arguments.py` runs there).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightbench.engines import renames, target_engine
from nightbench.engines.adapter import AnyAdapter
from nightbench.errors import ArgumentsRefused
from nightbench.progress import OnProgress, Progress
from nightbench.secrets.child_env import engine_environment
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.suite.models import Target

SCRIPT = Path(__file__).with_name("check_arguments.py")
MOST_NAMES = 12
WITHIN_S = 180.0  # an engine's first import compiles its Python


@dataclass(frozen=True, slots=True)
class Checked:
    """What an engine says of its arguments: what it refuses, and what could not be looked at.

    `engine` is its name and version, "" where it could not be asked at all.
    """

    engine: str = ""
    refused: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


Ask = Callable[[Target, EngineEnvironment, str | None], Checked]


def is_checkable(target: Target) -> bool:
    """Whether the target's engine has arguments of its own that can be looked at here."""
    engine = target_engine.adapter_of(target)
    return engine.argument_words is not None and target_engine.image_of(target) is None


def check(
    target: Target,
    environment: EngineEnvironment,
    model: str | None,
    *,
    script: Path | None = None,
    within_s: float = WITHIN_S,
) -> Checked:
    """Ask the engine. `model` is the model's folder, None where it is not here; `script` is the
    engine's own unless given."""
    if environment.python is None:
        return Checked(unchecked=(f"there is no python beside {environment.executable}",))
    words, env = _command(target, environment, model)
    asked = json.dumps({"kind": target.engine.kind, "words": words, "model": model})
    argv = [str(environment.python), "-I", "-W", "ignore", str(script or _script(target))]
    try:
        code, answered, said = _run(argv, asked, env, within_s)
    except subprocess.TimeoutExpired:
        return Checked(unchecked=(f"the check did not finish within {within_s:.0f} s",))
    try:
        answer = json.loads(answered)
    except ValueError:
        last = (said.strip().splitlines() or [f"exit code {code}"])[-1]
        return Checked(unchecked=(f"the engine's check failed: {last[:300]}",))
    engine, version = target_engine.adapter_of(target), answer["version"]
    return Checked(
        engine=f"{engine.kind} {version}" if version else "",
        refused=tuple(_sentence(problem, engine, version) for problem in answer["problems"]),
        unchecked=tuple(answer["unchecked"]),
    )


def require_accepted(
    target: Target,
    environment: EngineEnvironment,
    model: str | None,
    on_progress: OnProgress,
    *,
    ask: Ask = check,
) -> None:
    """Raise ArgumentsRefused where the engine refuses its arguments.

    What was accepted once is not asked again of the same environment. A check that cannot be made
    stands in nobody's way: the boot will tell.
    """
    if not is_checkable(target):
        return
    accepted = _mark(target, environment, model)
    if accepted is not None and accepted.exists():
        return
    on_progress(Progress("environment", target.name, "the engine checks its arguments"))
    checked = ask(target, environment, model)
    if checked.refused:
        raise refusal(target, checked.refused)
    if accepted is not None and checked.engine:
        with suppress(OSError):
            accepted.parent.mkdir(parents=True, exist_ok=True)
            accepted.touch()


def refusal(target: Target, refused: Sequence[str]) -> ArgumentsRefused:
    """The error that says all of it."""
    listed = "\n".join(f"  {line}" for line in refused)
    return ArgumentsRefused(
        f"{target.name}: {target.engine.kind} refuses its arguments:\n{listed}",
        hint="Change engine.args; `nightbench plan --check SUITE` repeats this check.",
    )


def _command(
    target: Target, environment: EngineEnvironment, model: str | None
) -> tuple[list[str], dict[str, str]]:
    """The engine's arguments and environment, as they will be but for port, key and cores."""
    launch = target_engine.plan_launch(
        target,
        model_path=model or target.model,
        host="127.0.0.1",
        port=8000,
        api_key="",
        flavour=environment.flavour,
        cores=tuple(range(max(1, target_engine.num_ranks(target)))),
    )
    passed = [name for name in target_engine.pass_env(target) if name in os.environ]
    env = engine_environment(os.environ, passed) | launch.env
    env["PATH"] = f"{environment.executable.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return list(launch.argv[target_engine.adapter_of(target).argument_words :]), env


def _script(target: Target) -> Path:
    """What is run in the engine's environment to look at its arguments."""
    return target_engine.adapter_of(target).check_script or SCRIPT


def _run(
    argv: list[str], asked: str, env: Mapping[str, str], within_s: float
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; whatever it started is gone afterwards."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(env),
        start_new_session=True,
    ) as process:
        try:
            answered, said = process.communicate(asked, timeout=within_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, answered, said


def _sentence(problem: Mapping[str, Any], engine: AnyAdapter, version: str) -> str:
    """`engine.args.dtype: there is no such choice: float33 (vllm 0.32.0); nearest: float32`."""
    option, value = problem["option"].lstrip("-"), problem["value"]
    where = f"engine.args.{option}: " if option else ""
    what = f": {value}" if value else ""
    names = [name.lstrip("-") for name in problem["choices"]]
    known = renames.find(engine.renamed, option, value, renames.parse_version(version))
    right = f"; it {known.said()}" if known else _nearest(value or option, names)
    return f"{where}{problem['message']}{what} ({engine.kind} {version}){right}"


def _nearest(given: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    close = difflib.get_close_matches(given, names, n=2, cutoff=0.5)
    if close:
        return f"; nearest: {', '.join(close)}"
    return f"; there are {', '.join(names)}" if len(names) <= MOST_NAMES else ""


def _mark(target: Target, environment: EngineEnvironment, model: str | None) -> Path | None:
    """The file that says that these arguments were accepted here; None for an environment that may
    change without our knowing."""
    if environment.cache is None or environment.python is None:
        return None
    words, _ = _command(target, environment, model)
    chosen = sorted(getattr(target.engine, "env", {}).items())
    content = json.dumps([words, chosen, _script(target).read_text()])
    return environment.cache / "accepted" / hashlib.sha256(content.encode()).hexdigest()[:16]
