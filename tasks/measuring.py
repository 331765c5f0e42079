"""The measurements: one task run per benchmark and per load level."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nightbench.accuracy import benchmarks, questions
from nightbench.accuracy.benchmark_summary import ALL
from nightbench.accuracy.evaluate import evaluate
from nightbench.dashboards.sentences import accuracy_sentence, level_sentence
from nightbench.home.paths import Home
from nightbench.load.drive.jobs import GeneratorOptions
from nightbench.load.measure import MeasuredLevel, measure_level, never_stop
from nightbench.load.plan.levels import Level, plan_levels
from nightbench.load.plan.workloads import Prompts, read_prompts
from nightbench.load.summarize.goodput_limits import GoodputLimits
from nightbench.night import resuming
from nightbench.night.run import Night
from nightbench.records import HOST_STARVED, AccuracySample, marked_invalid_for
from nightbench.serving.server import Server
from nightbench.suite.models import AccuracySpec, LoadSpec, Slo, Target
from tasks.recording import TargetRecorder
from tasks.redacting import step
from tasks.reporting import log, reported


@step(
    name="accuracy",
    task_run_name="{recorder.target.name}: accuracy {spec.label}",
)
def measure_accuracy(
    spec: AccuracySpec,
    server: Server,
    recorder: TargetRecorder,
    base_dir: Path,
    already: Sequence[AccuracySample] = (),
    *,
    over: Callable[[], str | None] = never_stop,
) -> None:
    """Ask what of a benchmark is not `already` answered; every reply is kept as it comes.

    `over` says when the night's time is. Raises ServerError if the server went.
    """
    recorder.take_telemetry(server)
    watch = server.watch_hardware()
    watch.mark()
    own_cpu_s = time.process_time()
    with reported() as report:
        results = evaluate(
            spec,
            server.endpoint,
            base_dir=base_dir,
            on_sample=recorder.keep,
            on_progress=report,
            stop=lambda: server.trouble() or over(),
            already=already,
            on_plan=lambda plan: recorder.keep_all(plan.kept),
            requests_per_second=recorder.target.requests_per_second,
            max_retries=recorder.target.max_retries,
        )
    watch.mark()
    starved = watch.starved(recorder.take_telemetry(server), time.process_time() - own_cpu_s)
    if starved is not None:
        log(f"{spec.label}: the engine did not get its leased hardware: {starved}")
    trouble = server.look() if any(row.num_failed for row in results) else None
    reasons = (trouble, HOST_STARVED if starved else None)
    for row in (marked_invalid_for(row, reasons) for row in results):
        recorder.keep(row)
        if row.subset == ALL:
            log(accuracy_sentence(row))
    recorder.take_telemetry(server)
    server.check()


@step(name="read questions", task_run_name="questions of {spec.label}")
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


def keep_level(
    measured: MeasuredLevel,
    recorder: TargetRecorder,
    *,
    trouble: str | None = None,
    starved: str | None = None,
) -> None:
    """Keep what a level came to, valid or not; `starved` says what its engine did not get."""
    row = marked_invalid_for(measured.level, (trouble, HOST_STARVED if starved else None))
    recorder.keep(row)
    log(level_sentence(row))
    notes = [f"the engine did not get its leased hardware: {starved}"] if starved else []
    for note in (*measured.notes, *notes):
        log(f"{row.workload} {row.level}: {note}")
    for interval in measured.intervals:
        recorder.keep(interval)
    recorder.keep_file("load_requests", measured.requests_path)


def measured_on(
    server: Server,
    level: Level,
    prompts: Prompts,
    recorder: TargetRecorder,
    *,
    slo: Slo,
    over: Callable[[], str | None],
    keep_requests: bool = True,
    on_cut: Callable[[MeasuredLevel], None] | None = None,
) -> tuple[MeasuredLevel, str | None]:
    """One level, and what its engine did not get meanwhile of what it was leased."""
    recorder.take_telemetry(server)
    watch = server.watch_hardware()
    with reported() as report:
        measured = measure_level(
            level,
            prompts,
            server.endpoint,
            work_dir=recorder.work_dir,
            on_progress=report,
            limits=limits_of(slo),
            stop=lambda: server.trouble() or over(),
            at_bounds=watch.mark,
            # Somebody else's server is measured as it is found.
            options=GeneratorOptions(
                watch_prefix_cache=not recorder.target.is_attached, keep_requests=keep_requests
            ),
            on_cut=on_cut,
        )
    telemetry = recorder.take_telemetry(server)
    return measured, watch.starved(telemetry, measured.level.client_cpu_s or 0.0)


@step(
    name="load level",
    task_run_name="{recorder.target.name}: load {level.workload} {level.label}",
)
def measure_load(
    level: Level,
    prompts: Prompts,
    server: Server,
    recorder: TargetRecorder,
    *,
    slo: Slo = Slo(),  # noqa: B008  (frozen)
    over: Callable[[], str | None] = never_stop,
) -> None:
    """Measure one level and keep it, valid or not. `over` says when the night's time is; what meets
    `slo` is its goodput.

    Raises ServerError if the server went.
    """
    measured, starved = measured_on(
        server,
        level,
        prompts,
        recorder,
        slo=slo,
        over=over,
        on_cut=lambda measured: keep_level(measured, recorder),
    )
    trouble = server.look() if measured.level.failed else None
    keep_level(measured, recorder, trouble=trouble, starved=starved)
    recorder.take_telemetry(server)
    server.check()
