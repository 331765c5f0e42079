"""What the targets of a suite need on this machine and do not find: said before anything waits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nightbench.accuracy import benchmarks
from nightbench.accuracy.record_sources import RecordReader
from nightbench.data import hub_files, loading
from nightbench.engines import remote, target_engine
from nightbench.errors import BadInput, NightbenchError
from nightbench.home.paths import Home
from nightbench.secrets.values import shown_name
from nightbench.serving.provision import environments, hubs, models, recipes
from nightbench.suite.engines import Environment
from nightbench.suite.file import SuiteFile
from nightbench.suite.models import AccuracySpec, LoadSpec, Suite, Target

ENGINE_BYTES = 12 * 10**9  # the largest environment that a recipe has been seen to make
PUT_IT_THERE = "put it there, or change the suite"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is not here. `how` says what brings it."""

    what: Literal["model", "data set", "workload", "engine", "disk", "hardware", "key"]
    name: str
    how: str
    is_fetchable: bool = False


def missing(
    suite_file: SuiteFile, home: Home, *, has_gpu: bool, environ: Mapping[str, str] = os.environ
) -> list[Need]:
    """What is missing for all targets together, each thing once."""
    suite, base_dir = suite_file.suite, suite_file.base_dir
    found: list[Need] = []
    for target in suite.targets:
        found += of_target(suite, target, base_dir, home, has_gpu=has_gpu)
        found += _key(target, environ)
    if any(need.what == "engine" and need.is_fetchable for need in found):
        found += _disk(home)
    return list(dict.fromkeys(found))


def of_target(
    suite: Suite, target: Target, base_dir: Path, home: Home, *, has_gpu: bool
) -> Iterator[Need]:
    """What is missing for one target."""
    if not target.is_attached:
        yield from _engine(target, home, has_gpu=has_gpu)
        yield from _model(target, base_dir, home)
        gpus = target_engine.num_gpus(target)
        if gpus and not has_gpu and target_engine.environment_of(target) is not None:
            yield Need("hardware", f"{gpus} GPU{'s' * (gpus > 1)}", "run it where they are")
    for benchmark in suite.accuracy_of(target):
        yield from _records(benchmark, base_dir)
    for load in suite.load_of(target):
        yield from _prompts(load, base_dir)


def _key(target: Target, environ: Mapping[str, str]) -> Iterator[Need]:
    attached = target_engine.remote_of(target)
    key_env = None if attached is None else remote.key_env_of(attached)
    if key_env and not environ.get(key_env):
        yield Need("key", shown_name(key_env), "it is not set: export it")


def _engine(target: Target, home: Home, *, has_gpu: bool) -> Iterator[Need]:
    engine, wanted = target_engine.adapter_of(target), target_engine.environment_of(target)
    executable = engine.executable(target.engine)
    if not engine.is_built(target.engine):
        if executable is not None:
            yield from _command(executable)
        return
    if wanted is not None and wanted.image is not None:
        yield from _command("docker")
        return
    chosen: Environment | Literal["auto"] = wanted or "auto"
    try:
        there = environments.existing(chosen, home, has_gpu=has_gpu, kind=engine.kind)
    except BadInput as error:
        yield Need("engine", engine.kind, error.message)
        return
    if there is None:
        recipe = recipes.choose(chosen, has_gpu=has_gpu, kind=engine.kind)
        yield Need("engine", recipe.requirements[0], "not built yet (minutes)", is_fetchable=True)


def _command(executable: str) -> Iterator[Need]:
    if shutil.which(executable) is None:
        yield Need("engine", executable, "there is no such command: install it")


def _model(target: Target, base_dir: Path, home: Home) -> Iterator[Need]:
    model = target.model
    if model is None or target_engine.adapter_of(target).is_own_name(model):
        return
    try:
        there = models.at_hand(model, home, base_dir)
    except BadInput:  # no machine has it: said as wrong
        return
    if there is None:
        fetched = models.is_fetched(model)
        how = "not fetched yet" if fetched else PUT_IT_THERE
        if not fetched and models.looks_like_a_hub_s(model):
            how += f" (hf:{model}, if it is Hugging Face's)"
        yield Need("model", model, how, fetched)


def _records(spec: AccuracySpec, base_dir: Path) -> Iterator[Need]:
    try:
        benchmark = benchmarks.find(spec.benchmark)
        source = RecordReader(benchmark, spec, base_dir).hub()
    except NightbenchError as error:
        yield Need("data set", spec.benchmark, error.message)
        return
    if spec.data is not None and not (base_dir / spec.data).exists():
        yield Need("data set", f"{spec.benchmark} ({base_dir / spec.data})", PUT_IT_THERE)
    elif source is not None and not loading.is_cached(*source):
        hub, repository = source
        yield Need("data set", f"{spec.benchmark} ({hub}:{repository})", "not fetched yet", True)


def _prompts(spec: LoadSpec, base_dir: Path) -> Iterator[Need]:
    source = spec.workload.source
    if source is None:
        return
    wanted = hub_files.parse(source)
    if wanted is None:
        if not (base_dir / source).exists():
            yield Need("workload", f"{spec.name} ({base_dir / source})", PUT_IT_THERE)
    elif hub_files.cached(wanted) is None:
        yield Need("workload", f"{spec.name} ({wanted})", "not fetched yet", True)


def _disk(home: Home) -> Iterator[Need]:
    free = hubs.free_bytes(home.engines)
    if free < ENGINE_BYTES:
        yield Need(
            "disk",
            str(home.engines),
            f"{hubs.gigabytes(free)} are free, an engine's environment takes 4 to 12 GB",
        )
