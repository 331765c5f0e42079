"""The measurements: one task run per benchmark and per load level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nightbench.accuracy import benchmarks, questions
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.summary import ALL
from nightbench.dashboards.sentences import accuracy_sentence, level_sentence
from nightbench.home.paths import Home
from nightbench.load.measure import GeneratorOptions, Measured, measure_level, never_stop
from nightbench.load.plan.levels import Level, plan_levels
from nightbench.load.plan.workloads import Prompts, read_prompts
from nightbench.load.summarize.goodput_limits import GoodputLimits
from nightbench.night import resuming
from nightbench.night.run import Night
from nightbench.records import AccuracySample, blamed
from nightbench.serving.server import Server
from nightbench.suite.models import AccuracySpec, LoadSpec, Slo, Target
from tasks.keeping import TargetKeeper
from tasks.redacting import step
from tasks.reporting import log, reported


@step(
    name="accuracy",
    task_run_name="{keeper.target.name}: accuracy {spec.benchmark}",
)
def measure_accuracy(
    spec: AccuracySpec,
    server: Server,
    keeper: TargetKeeper,
    base_dir: Path,
    already: Sequence[AccuracySample] = (),
    *,
    over: Callable[[], str | None] = never_stop,
) -> None:
    """Ask what of a benchmark is not `already` answered; every reply is kept as it comes.

    `over` says when the night's time is. Raises ServerError if the server went.
    """
    with reported() as report:
        results = evaluate(
            spec,
            server.endpoint,
            base_dir=base_dir,
            on_sample=keeper.keep,
            on_progress=report,
            stop=lambda: server.trouble() or over(),
            already=already,
            on_kept=keeper.keep_all,
            requests_per_second=keeper.target.requests_per_second,
            max_retries=keeper.target.max_retries,
        )
    trouble = server.look() if any(row.num_failed for row in results) else None
    for row in (blamed(row, trouble) for row in results):
        keeper.keep(row)
        if row.subset == ALL:
            log(accuracy_sentence(row))
    keeper.take_telemetry(server)
    server.check()


@step(name="read questions", task_run_name="questions of {spec.benchmark}")
def read_questions(spec: AccuracySpec, base_dir: Path) -> None:
    """See that a benchmark's records are here, or fetch them, before any hardware is held."""
    questions.prepare(benchmarks.find(spec.benchmark), spec, base_dir)


@step(name="answered before", task_run_name="answered before")
def answered_before(night: Night, target: Target, server: Server) -> list[AccuracySample]:
    """What the run that this one resumes has answered, by this target on hardware like this."""
    return resuming.answers(
        Home.from_env(), night.resumes or "", target.name, server.hardware_class
    )


@step(name="read prompts", task_run_name="prompts of {spec.name}")
def read_workload(spec: LoadSpec, base_dir: Path) -> tuple[LoadSpec, tuple[Level, ...], Prompts]:
    """A load with its levels and prompts for all of them, none used twice."""
    levels = plan_levels(spec)
    return spec, levels, read_prompts(spec.workload, levels[-1].prompts_needed, spec.seed, base_dir)


def limits_of(slo: Slo) -> GoodputLimits | None:
    """What a request must meet to count as good: the suite's limits, None where it has none."""
    limits = GoodputLimits(
        ttft_ms=slo.ttft_p95_ms, tpot_ms=slo.tpot_p95_ms, e2el_ms=slo.e2el_p95_ms
    )
    return None if limits == GoodputLimits() else limits


def keep_level(measured: Measured, keeper: TargetKeeper, trouble: str | None) -> None:
    """Keep what a level came to, valid or not."""
    row = blamed(measured.level, trouble)
    keeper.keep(row)
    log(level_sentence(row))
    for interval in measured.intervals:
        keeper.keep(interval)
    keeper.keep_file("load_requests", measured.requests_path)


@step(
    name="load level",
    task_run_name="{keeper.target.name}: load {level.workload} {level.label}",
)
def measure_load(
    level: Level,
    prompts: Prompts,
    server: Server,
    keeper: TargetKeeper,
    *,
    slo: Slo = Slo(),  # noqa: B008  (frozen)
    over: Callable[[], str | None] = never_stop,
) -> None:
    """Measure one level and keep it, valid or not. `over` says when the night's time is; what meets
    `slo` is its goodput.

    Raises ServerError if the server went.
    """
    with reported() as report:
        measured = measure_level(
            level,
            prompts,
            server.endpoint,
            work_dir=keeper.work_dir,
            on_progress=report,
            limits=limits_of(slo),
            stop=lambda: server.trouble() or over(),
            # Somebody else's server is measured as it is found.
            options=GeneratorOptions(watch_prefix_cache=not keeper.target.is_attached),
            on_cut=lambda measured: keep_level(measured, keeper, None),
        )
    keep_level(measured, keeper, server.look() if measured.level.failed else None)
    keeper.take_telemetry(server)
    server.check()
