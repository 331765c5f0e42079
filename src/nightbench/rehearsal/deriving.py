"""From a suite to its rehearsal: the same targets, benchmarks and levels, as small as they go.

What cannot be had is stood in for by the nearest that can, and every such change is noted.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nightbench.accuracy import benchmarks
from nightbench.accuracy.record_sources import RecordReader
from nightbench.data import hub_files, loading
from nightbench.engines import target_engine
from nightbench.engines.vllm import VllmEngine
from nightbench.rehearsal import made_up, miniatures
from nightbench.serving.provision import models, recipes
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.suite.models import AccuracySpec, LoadSpec, Suite, Target

MAX_TOKENS = 32
MAX_MODEL_LEN = 4096
BOOT_TIMEOUT_S = 1200.0  # of a machine that does other things, too
# What a made-up float32 model on cores cannot have, has by itself, or would have of other weights.
_LEFT_OUT = (
    *("quantization", "kv-cache-dtype", "gpu-memory-utilization", "attention-backend"),
    *("speculative-config", "lora-modules", "tokenizer", "revision", "hf-config-path"),
)

Existing = Callable[[Target], EngineEnvironment | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where a rehearsal is put on. `existing` finds the engine that a target names, if it is built;
    `shipped` is the folder of the built-in model."""

    base_dir: Path
    work_dir: Path
    cores: int
    num_gpus: int
    existing: Existing
    at_hand: Callable[[str], Path | None]
    shipped: Path


@dataclass(frozen=True, slots=True)
class Notes:
    """What was stood in for, and what is not rehearsed."""

    stood_in: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """One target of a suite made small, as YAML has it, and what was changed."""

    suite: str
    name: str
    target: dict[str, Any]
    notes: Notes


def rehearsal_of(suite: Suite, stage: Workspace) -> list[Small]:
    """Every target of the suite, made small. Writes what they need below the stage's folder."""
    return [_small(suite, target, stage) for target in suite.targets]


def _small(suite: Suite, target: Target, stage: Workspace) -> Small:
    notes = Notes()
    if suite.before or suite.after:
        notes.left_out.append("the night's own commands (before, after)")
    small = _target(suite, target, stage, notes)
    return Small(suite=suite.name, name=target.name, target=small, notes=notes)


def _target(suite: Suite, target: Target, stage: Workspace, notes: Notes) -> dict[str, Any]:
    asked = [_benchmark(spec, stage, notes) for spec in suite.accuracy_of(target)]
    loads = [_load(spec, stage, notes) for spec in suite.load_of(target)]
    return {
        "name": target.name,
        **_served(target, stage, notes),
        "boot_timeout_s": max(target.boot_timeout_s, BOOT_TIMEOUT_S),
        "hang_timeout_s": target.hang_timeout_s,
        "priority": target.priority,
        "accuracy": [spec for spec in asked if spec is not None],
        "load": loads,
    }


def _served(target: Target, stage: Workspace, notes: Notes) -> dict[str, Any]:
    """Model and engine."""
    engine, there = target.engine, stage.existing(target)
    lacking = _lacking(target, there, stage)
    if target_engine.adapter_of(target).keeps_argv and lacking is None:
        model = target.model if models.is_fetched(target.model or "") else _whole(target, stage)
        return {
            "model": model,
            "served_model_name": target.served_model_name,
            "engine": engine.model_dump(mode="json", exclude_unset=True) | {"kind": engine.kind},
        }
    name = target_engine.served_name(target) or None
    if isinstance(engine, VllmEngine):
        return {
            "model": _model(target, stage, notes),
            "served_model_name": name,
            "engine": _vllm(target, engine, there, stage, notes),
        }
    is_api = target_engine.remote_of(target) is engine
    own = "an external API" if is_api else f"{engine.kind} itself"
    because = f" ({lacking})" if lacking else ""
    notes.left_out.append(f"{own}{because}: vLLM takes its place")
    return {
        "model": _model(target, stage, notes),
        "served_model_name": name,
        "engine": _stand_in(target, notes),
    }


def _lacking(target: Target, there: EngineEnvironment | None, stage: Workspace) -> str | None:
    """Why a command is not rehearsed itself; None where it is."""
    adapter = target_engine.adapter_of(target)
    if not adapter.keeps_argv:
        return None
    wanted, executable = target_engine.environment_of(target), adapter.executable(target.engine)
    if wanted is not None and there is None:
        return f"{wanted.requirement or wanted.image or wanted.executable} is not built here"
    if wanted is None and executable is not None and shutil.which(executable) is None:
        return f"{executable} is not installed here"
    num_gpus = target_engine.num_gpus(target)
    if num_gpus > stage.num_gpus:
        return f"it needs {num_gpus} GPUs"
    here = Path(_whole(target, stage) or "/")
    return f"{here} does not exist" if here.is_absolute() and not here.exists() else None


def _vllm(
    target: Target,
    engine: VllmEngine,
    there: EngineEnvironment | None,
    stage: Workspace,
    notes: Notes,
) -> dict[str, Any]:
    """vLLM with the target's own arguments, as wide as the machine is."""
    on_cores = there is None or there.flavour == "cpu"
    lanes = stage.cores if on_cores else stage.num_gpus
    if not on_cores and stage.num_gpus < 1:
        on_cores, lanes = True, stage.cores
    rehearsed: dict[str, Any] = {"kind": "vllm", "env": dict(engine.env)}
    if on_cores:
        rehearsed["environment"] = _build_for_cores(target, there, notes)
        rehearsed["env"].setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    else:
        rehearsed["environment"] = _as_written(engine.environment)
    width = _largest_divisor(engine.tensor_parallel_size, lanes)
    rehearsed["tensor_parallel_size"] = width
    wide = engine.tensor_parallel_size * engine.pipeline_parallel_size * engine.data_parallel_size
    if wide != width:
        notes.stood_in.append(f"tensor parallel over {width} of {wide} ranks")
    if engine.ray is not None:
        notes.left_out.append("the Ray cluster")
    rehearsed["args"] = _args(target, engine, notes)
    return rehearsed


def _as_written(environment: Any) -> Any:
    return environment if environment == "auto" else environment.model_dump(exclude_none=True)


def _build_for_cores(target: Target, there: EngineEnvironment | None, notes: Notes) -> Any:
    """The build for CPUs: the one that the suite names, where it is here, else the recipe's."""
    wanted = target_engine.environment_of(target)
    if there is not None and there.flavour == "cpu" and wanted is not None:
        return _as_written(wanted)
    ours = recipes.load("vllm-cpu").requirements[0]
    named = (wanted.requirement or wanted.image or wanted.executable) if wanted else None
    if named is not None and named != ours:
        notes.stood_in.append(f"{named} by {ours}, the CPU build")
    return {"requirement": ours}


def _args(target: Target, engine: VllmEngine, notes: Notes) -> dict[str, Any]:
    given = {key.strip("-").replace("_", "-"): value for key, value in engine.args.items()}
    left = [key for key in _LEFT_OUT if key in given]
    notes.left_out.extend(f"--{key} {given.pop(key)}" for key in left)
    length = given.get("max-model-len", MAX_MODEL_LEN)
    fits = length if isinstance(length, int) and length <= MAX_MODEL_LEN else MAX_MODEL_LEN
    made = {"dtype": "float32", "enforce-eager": True, "max-model-len": fits}
    if not _is_built_in(target):
        made["load-format"] = "dummy"
        if miniatures.needs_remote_code(miniatures.family_of(_model_name(target))):
            made["trust-remote-code"] = True
    changed = [f"{key} {value}" for key, value in made.items() if given.get(key) != value]
    if changed:
        what = "on CPU cores" if _is_built_in(target) else "random weights on CPU cores"
        notes.stood_in.append(f"{what}: {', '.join(changed)}")
    return given | made


def _stand_in(target: Target, notes: Notes) -> dict[str, Any]:
    return {
        "kind": "vllm",
        "environment": {"requirement": recipes.load("vllm-cpu").requirements[0]},
        # As the suites that ship have it, so that they share a server with it.
        "env": {"VLLM_CPU_KVCACHE_SPACE": "2"},
        "tensor_parallel_size": 1,
        "args": _args(target, VllmEngine(kind="vllm"), notes),
    }


def _largest_divisor(wanted: int, most: int) -> int:
    return next(n for n in range(min(wanted, max(most, 1)), 0, -1) if wanted % n == 0)


def _is_built_in(target: Target) -> bool:
    return (target.model or "").startswith("builtin:")


def _whole(target: Target, stage: Workspace) -> str | None:
    """The model as a command is given it: a path that is one here, else its own name."""
    here = stage.base_dir / target.model if target.model else None
    return str(here) if here is not None and here.exists() else target.model


def _model_name(target: Target) -> str:
    """What tells its family."""
    return target.model or target.served_model_name or target.name


def _model(target: Target, stage: Workspace, notes: Notes) -> str:
    """The built-in model itself, a miniature of every other."""
    if _is_built_in(target):
        return (target.model or "").removesuffix(".gguf")
    name = _model_name(target)
    has_own_store = bool(target_engine.adapter_of(target).provision)
    own = stage.at_hand(target.model) if target.model and not has_own_store else None
    own = own if own is not None and own.is_dir() else None
    # Of one model, one miniature: what else is alike can share a server.
    digest = hashlib.sha256(f"{name}\n{own}".encode()).hexdigest()[:8]
    folder = stage.work_dir / "models" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}-{digest}"
    told = miniatures.write(folder, name, stage.shipped, own)
    notes.stood_in.append(f"{name} by {told}")
    return str(folder)


def _benchmark(spec: AccuracySpec, stage: Workspace, notes: Notes) -> dict[str, Any] | None:
    """One question of it."""
    benchmark = benchmarks.find(spec.benchmark)
    changes: dict[str, Any] = {"limit": 1, "limit_per_subset": None, "repeats": 1}
    changes["generation"] = _shorter(spec)
    source = RecordReader(benchmark, spec, stage.base_dir).hub()
    if spec.data is not None and (stage.base_dir / spec.data).exists():
        changes["data"] = str(stage.base_dir / spec.data)
    elif spec.data is not None or (source is not None and not loading.is_cached(*source)):
        shots = benchmark.few_shot if spec.few_shot is None else spec.few_shot
        place = stage.work_dir / "data" / f"{shots}-shot"
        folder = made_up.write_records(benchmark, place, shots)
        if folder is None:
            notes.left_out.append(f"benchmark {spec.benchmark}: its records have not been fetched")
            return None
        notes.stood_in.append(f"records of {spec.benchmark} by a synthetic one in their format")
        changes |= {"data": str(folder), "subsets": (benchmark.subsets[0].name,)}
    return spec.model_copy(update=changes).model_dump(mode="json", exclude_unset=True)


def _load(spec: LoadSpec, stage: Workspace, notes: Notes) -> dict[str, Any]:
    """One request of each level."""
    changes: dict[str, Any] = {"num_prompts": 1, "duration_s": None, "warmup_prompts": 0}
    changes["generation"] = _shorter(spec)
    rehearsed = spec.model_copy(update=changes).model_dump(mode="json", exclude_unset=True)
    source = spec.workload.source
    wanted = hub_files.parse(source) if source is not None else None
    if source is not None and wanted is None and (stage.base_dir / source).exists():
        rehearsed["workload"]["path"] = str(stage.base_dir / source)
    elif source is not None and (wanted is None or hub_files.cached(wanted) is None):
        levels = len(spec.max_concurrency or spec.request_rate or ())
        path = made_up.write_prompts(levels, stage.work_dir / "data" / f"{levels}-prompts.txt")
        rehearsed["workload"] = {"kind": "line_by_line", "path": str(path)}
        notes.stood_in.append(f"prompts of {spec.name} by synthetic ones")
    return rehearsed


def _shorter(spec: AccuracySpec | LoadSpec) -> Any:
    given: int | Literal[0] = spec.generation.max_tokens or 0
    short = min(given, MAX_TOKENS) if given else MAX_TOKENS
    return spec.generation.model_copy(update={"max_tokens": short, "min_tokens": None})
