"""What a suite would do, before anything starts: decisions over a suite and what is on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightbench.accuracy import benchmarks, questions
from nightbench.data import hub_files
from nightbench.engines import renames, target_engine
from nightbench.errors import BadInput, DataError
from nightbench.night import plan_details
from nightbench.night.plan_details import Place
from nightbench.night.plan_times import (
    PlannedBenchmark,
    PlannedLoad,
    boot_s,
    plan_benchmark,
    plan_load,
)
from nightbench.secrets.child_env import left_out
from nightbench.serving.provision import recipes
from nightbench.suite.models import Suite, Target, Workload

# The shell's own, those of its tools and ours: no engine would miss them.
_OF_NO_ENGINE = re.compile(r"_|SHLVL|(OLD)?PWD|(PIP|GIT|GRPC|NIGHTBENCH)(_.*)?")
Exists = Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """One target: what is started, on what, and what it is asked."""

    name: str
    command: str  # "" where nothing is started
    hardware: str
    benchmarks: tuple[PlannedBenchmark, ...]
    loads: tuple[PlannedLoad, ...]
    estimate_s: float  # of what is known: a benchmark of unknown size is not in it
    model: str = ""
    served: str = ""
    environment: str = ""
    pace: str = ""
    wrong: tuple[str, ...] = ()  # what no machine could run
    warnings: tuple[str, ...] = ()
    env_left_out: tuple[str, ...] = ()  # names of variables that its engine does not get


def plan_suite(
    suite: Suite, *, environ: Mapping[str, str] = os.environ, place: Place | None = None
) -> list[PlannedTarget]:
    """What each target of the suite would do; with a `place`, what it would do there."""
    return [plan_target(suite, target, environ=environ, place=place) for target in suite.targets]


def plan_target(
    suite: Suite,
    target: Target,
    *,
    environ: Mapping[str, str] = os.environ,
    place: Place | None = None,
) -> PlannedTarget:
    """What one target would do."""
    took_s = place.took_s.get(target.name, {}) if place else {}
    base_dir = place.base_dir if place else None
    loads = tuple(plan_load(spec, took_s) for spec in suite.load_of(target))
    asked = tuple(
        plan_benchmark(spec, target, base_dir, took_s) for spec in suite.accuracy_of(target)
    )
    passed = target_engine.pass_env(target)
    parts_s = [load.estimate_s for load in loads] + [one.estimate_s or 0.0 for one in asked]
    return PlannedTarget(
        name=target.name,
        command=_or_empty(plan_details.command_of, target, place),
        hardware=_hardware(target),
        benchmarks=asked,
        loads=loads,
        estimate_s=boot_s(target, took_s) + sum(parts_s),
        model=plan_details.model_of(target, place),
        served=plan_details.served_of(target),
        environment=_or_empty(plan_details.environment_of, target, place),
        pace=plan_details.pace_of(target),
        wrong=wrong_anywhere(suite, target),
        warnings=tuple(
            f"engine.pass_env: {name} is not set" for name in passed if name not in environ
        ),
        env_left_out=() if target.is_attached else _left_out(environ, passed),
    )


def _left_out(environ: Mapping[str, str], passed: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in left_out(environ, passed) if not _OF_NO_ENGINE.fullmatch(name))


def _or_empty(
    tell: Callable[[Target, Place | None], str], target: Target, place: Place | None
) -> str:
    try:
        return tell(target, place)
    except BadInput:  # said as wrong, or as missing here
        return ""


def wrong_anywhere(suite: Suite, target: Target) -> tuple[str, ...]:
    """What of a target cannot run on any machine: benchmarks that do not exist or cannot be asked
    like that, names that no model has, arguments that are nightbench's own or that the engine's
    version is known not to have."""
    return (
        *_impossible_benchmarks(suite, target),
        *filter(None, (plan_details.wrong_model(target), _impossible_command(target))),
        *known_refusals(target),
    )


def _impossible_command(target: Target) -> str | None:
    try:
        target_engine.display_command(target)
    except BadInput as error:
        return f"{error.message}. {error.hint}" if error.hint else error.message
    return None


def known_refusals(target: Target) -> tuple[str, ...]:
    """Arguments that every version of the engine that the suite may mean is known not to have."""
    engine = target_engine.adapter_of(target)
    if not engine.renamed:
        return ()
    args = getattr(target.engine, "args", {})
    versions = recipes.versions(target_engine.environment_of(target) or "auto", engine.kind)
    said = [
        tuple(renames.problems(engine.renamed, args, title=engine.title, version=version))
        for version in versions
    ]
    return min(said, key=len, default=())


def _impossible_benchmarks(suite: Suite, target: Target) -> tuple[str, ...]:
    wrong = []
    for spec in suite.accuracy_of(target):
        try:
            questions.as_asked(benchmarks.find(spec.benchmark), spec)
        except BadInput as error:
            wrong.append(f"{error.message}. {error.hint}")
    return tuple(wrong)


def refuse_what_is_wrong(planned: Sequence[PlannedTarget]) -> None:
    """Raise BadInput with everything that no machine could run."""
    wrong = [f"  {target.name}: {line}" for target in planned for line in target.wrong]
    if wrong:
        raise BadInput(
            "this suite cannot run anywhere:\n" + "\n".join(wrong), hint="Change the suite."
        )


def missing_files(
    suite: Suite, target: Target, base_dir: Path, *, exists: Exists = Path.exists
) -> list[str]:
    """What a target needs on disk and does not find there: its model, its prompts, its records."""
    needed = [("model", target.model if _names_a_path(target) else None)]
    needed += [(f"workload {spec.name}", _path(spec.workload)) for spec in suite.load_of(target)]
    needed += [(f"benchmark {spec.benchmark}", spec.data) for spec in suite.accuracy_of(target)]
    found = ((what, base_dir / path) for what, path in needed if path is not None)
    return [f"{what}: {path} is not there" for what, path in found if not exists(path)]


def _path(workload: Workload) -> str | None:
    """The workload's file, where it is one of this disk."""
    source = workload.source
    return None if source is None or hub_files.parse(source) else source


def refuse_what_cannot_run(suite: Suite, target: Target, base_dir: Path) -> None:
    """Raise BadInput for what is wrong on any machine, DataError where files are not there."""
    wrong = wrong_anywhere(suite, target)
    if wrong:
        raise BadInput(
            f"target {target.name} cannot run anywhere:\n" + "\n".join(f"  {x}" for x in wrong),
            hint="Change the suite.",
        )
    missing = missing_files(suite, target, base_dir)
    if missing:
        raise DataError(
            f"target {target.name} cannot run:\n" + "\n".join(f"  {line}" for line in missing),
            hint="Put the files there, or change the suite: paths are relative to its folder.",
        )


def _names_a_path(target: Target) -> bool:
    """Whether the model is a path here: Ollama and commands know models by names of their own."""
    model = target.model
    if model is None or target.is_attached or model.startswith(("builtin:", "hf:", "modelscope:")):
        return False
    return not target_engine.adapter_of(target).is_own_name(model)


def _hardware(target: Target) -> str:
    engine = target_engine.adapter_of(target)
    if target.is_attached:
        return f"nothing here: {engine.hardware(target.engine) or f'{target.name} runs already'}"
    gpus = target_engine.num_gpus(target)
    if engine.recipe_on_cores and target_engine.environment_of(target) is None:
        return f"{gpus} GPU{'s' * (gpus > 1)} where there are any, else this machine's cores"
    return f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else "this machine's cores"
