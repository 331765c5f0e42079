"""The measurements: one task run per benchmark and per load level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from nightbench import resuming
from nightbench.accuracy.evaluate import evaluate
from nightbench.home import Home
from nightbench.load.levels import Level, plan_levels
from nightbench.load.measure import GeneratorOptions, measure_level
from nightbench.load.workloads import Prompts, read_prompts
from nightbench.night import Night
from nightbench.records import AccuracySample, blamed
from nightbench.serving.server import Server
from nightbench.suite import AccuracySpec, LoadSpec, Target
from tasks.keeping import TargetKeeper
from tasks.reporting import Reporter


@task(name="accuracy", task_run_name="accuracy {spec.benchmark}", cache_policy=NO_CACHE)
def measure_accuracy(
    spec: AccuracySpec,
    server: Server,
    keeper: TargetKeeper,
    base_dir: Path,
    already: Sequence[AccuracySample] = (),
) -> None:
    """Ask what of a benchmark is not `already` answered; every reply is kept as it comes.

    Raises ServerError if the server went.
    """
    results = evaluate(
        spec,
        server.endpoint,
        base_dir=base_dir,
        on_sample=keeper.keep,
        on_progress=Reporter(),
        stop=server.trouble,
        already=already,
        on_kept=keeper.keep_all,
        requests_per_second=keeper.target.requests_per_second,
    )
    trouble = server.look() if any(row.num_failed for row in results) else None
    for row in results:
        keeper.keep(blamed(row, trouble))
    keeper.take_telemetry(server)
    server.check()


@task(name="answered before", task_run_name="answered before", cache_policy=NO_CACHE)
def answered_before(night: Night, target: Target, server: Server) -> list[AccuracySample]:
    """What the run that this one resumes has answered, by this target on hardware like this."""
    return resuming.answers(
        Home.from_env(), night.resumes or "", target.name, server.hardware_class
    )


@task(name="read prompts", task_run_name="prompts of {spec.name}", cache_policy=NO_CACHE)
def read_workload(spec: LoadSpec, base_dir: Path) -> tuple[tuple[Level, ...], Prompts]:
    """The levels of a load and prompts for all of them, none used twice."""
    levels = plan_levels(spec)
    return levels, read_prompts(spec.workload, levels[-1].prompts_needed, spec.seed, base_dir)


@task(name="load level", task_run_name="load {level.workload} {level.label}", cache_policy=NO_CACHE)
def measure_load(level: Level, prompts: Prompts, server: Server, keeper: TargetKeeper) -> None:
    """Measure one level and keep it, valid or not. Raises ServerError if the server went."""
    measured = measure_level(
        level,
        prompts,
        server.endpoint,
        work_dir=keeper.work_dir,
        on_progress=Reporter(),
        stop=server.trouble,
        # Somebody else's server is measured as it is found.
        options=GeneratorOptions(watch_prefix_cache=keeper.target.engine.kind != "remote"),
    )
    keeper.keep(blamed(measured.level, server.look() if measured.level.failed else None))
    for interval in measured.intervals:
        keeper.keep(interval)
    keeper.keep_file("load_requests", measured.requests_path)
    keeper.take_telemetry(server)
    server.check()
