"""What a suite would do, before anything starts: decisions over a suite and what is on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightbench.accuracy import benchmarks
from nightbench.data import hub_files
from nightbench.engines import renames, target_engine
from nightbench.errors import BadInput, DataError
from nightbench.secrets.child_env import left_out
from nightbench.serving.provision import recipes
from nightbench.suite.models import AccuracySpec, LoadSpec, Suite, Target, Workload

# What an unmeasured server is assumed to do; `plan` says so beside its estimate.
ASSUMED_BOOT_S = 120.0
ASSUMED_TTFT_S = 0.5
ASSUMED_TPOT_S = 0.03
ASSUMED_MAX_TOKENS = 512

Exists = Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """One workload: its levels, the requests they send and how long that would take."""

    name: str
    levels: tuple[str, ...]
    requests: int
    estimate_s: float


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """One target: what is started, on what, and what it is asked."""

    name: str
    command: str  # "" where nothing is started
    hardware: str
    benchmarks: tuple[str, ...]
    loads: tuple[PlannedLoad, ...]
    estimate_s: float
    wrong: tuple[str, ...] = ()  # what no machine could run
    warnings: tuple[str, ...] = ()
    env_left_out: tuple[str, ...] = ()  # names of variables that its engine does not get


def plan_suite(suite: Suite, *, environ: Mapping[str, str] = os.environ) -> list[PlannedTarget]:
    """What each target of the suite would do."""
    return [plan_target(suite, target, environ=environ) for target in suite.targets]


def plan_target(
    suite: Suite, target: Target, *, environ: Mapping[str, str] = os.environ
) -> PlannedTarget:
    """What one target would do."""
    loads = tuple(plan_load(spec) for spec in suite.load_of(target))
    accuracy = suite.accuracy_of(target)
    passed = target_engine.pass_env(target)
    boot_s = 0.0 if target.is_attached else ASSUMED_BOOT_S
    return PlannedTarget(
        name=target.name,
        command=target_engine.display_command(target),
        hardware=_hardware(target),
        benchmarks=tuple(describe_benchmark(spec) for spec in accuracy),
        loads=loads,
        estimate_s=boot_s + sum(load.estimate_s for load in loads),
        wrong=wrong_anywhere(suite, target),
        warnings=tuple(
            f"engine.pass_env: {name} is not set" for name in passed if name not in environ
        ),
        env_left_out=() if target.is_attached else tuple(left_out(environ, passed)),
    )


def wrong_anywhere(suite: Suite, target: Target) -> tuple[str, ...]:
    """What of a target cannot run on any machine: benchmarks that do not exist, arguments that the
    engine's version is known not to have."""
    return (*_unknown_benchmarks(suite, target), *known_refusals(target))


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


def _unknown_benchmarks(suite: Suite, target: Target) -> tuple[str, ...]:
    unknown = []
    for spec in suite.accuracy_of(target):
        try:
            benchmarks.find(spec.benchmark)
        except BadInput as error:
            unknown.append(f"{error.message}. {error.hint}")
    return tuple(unknown)


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
            hint="Put the files there, or change the suite: paths start from its folder.",
        )


def describe_benchmark(spec: AccuracySpec) -> str:
    """`iquiz (16 at a time, temperature 1.0, max_tokens 4096)`."""
    parts = [f"{spec.max_concurrency} at a time"]
    parts += [f"as {spec.api}"] if spec.api != "chat" else []
    parts += [f"first {spec.limit} questions"] if spec.limit else []
    parts += [f"{spec.repeats} times"] if spec.repeats > 1 else []
    parts += [f"{key} {value}" for key, value in spec.generation.body().items()]
    return f"{spec.benchmark} ({', '.join(parts)})"


def plan_load(spec: LoadSpec) -> PlannedLoad:
    """The levels of a load and the requests they send, warm-up included."""
    max_tokens = spec.generation.max_tokens or ASSUMED_MAX_TOKENS
    latency_s = ASSUMED_TTFT_S + max_tokens * ASSUMED_TPOT_S
    if spec.max_concurrency is not None:
        steps = [(f"max_concurrency {n}", latency_s / n) for n in spec.max_concurrency]
    else:
        steps = [(f"request_rate {r:g}", 1 / r) for r in spec.request_rate or ()]
    num_prompts = [_num_prompts(spec, step_s) for _, step_s in steps]
    seconds = [
        spec.duration_s or n * step_s for n, (_, step_s) in zip(num_prompts, steps, strict=True)
    ]
    return PlannedLoad(
        name=spec.name,
        levels=tuple(label for label, _ in steps),
        requests=sum(num_prompts) + spec.warmup_prompts * len(steps),
        estimate_s=sum(seconds),
    )


def _num_prompts(spec: LoadSpec, step_s: float) -> int:
    if spec.num_prompts is not None:
        return spec.num_prompts
    return int((spec.duration_s or 0) / step_s) if step_s else 0


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
