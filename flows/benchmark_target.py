"""One target: serve, ask, load, let go, keep."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow
from prefect.client.schemas.objects import State

from flows.parameters import SuiteName, TargetName
from nightbench.night.budget import StagePlan
from nightbench.night.run import Night
from nightbench.serving.server import Server
from nightbench.suite.models import Target
from tasks.budgeting import Load, benchmark_stage, level_stage, plan_time
from tasks.finishing import conclude_target
from tasks.ingesting import landed_afterwards
from tasks.judging import judge_the_night
from tasks.measuring import (
    answered_before,
    measure_accuracy,
    measure_load,
    read_questions,
    read_workload,
)
from tasks.measuring_again import MeasuringAgain
from tasks.night_commands import commands_around_if
from tasks.preparing import prepare_engine_and_model
from tasks.publishing import mirror_to_swanlab, publish_results
from tasks.recording import TargetRecorder, recorded_run_if, recorded_target
from tasks.redacting import kept_secret
from tasks.serving import served
from tasks.starting import begin_night


@flow(name="benchmark-target", flow_run_name="{target}", validate_parameters=True)
def benchmark_target(
    suite: SuiteName = "starter",
    target: TargetName = "smollm2-135m",
    *,
    resume: str = "",
    run_id: str = "",
    ends_at: str = "",
    night_of: str = "",
    suite_digest: str = "",
    suite_text: str = "",
) -> State[None]:
    """Measure one target of a suite.

    Args:
        suite: The suite it is a target of.
        target: One of the suite's targets.
        resume: A run that ended too early - its replies are taken over, its load is measured again.
            Left empty, everything is asked.
        run_id: The run this target belongs to. Left empty, it is a run of its own.
        ends_at: When the night's time is over. Left empty, the suite's time budget begins now.
        night_of: The date of the night this target belongs to. Left empty, today.
        suite_digest: What the suite's text was when the run began. Left empty, whatever it is.
        suite_text: The suite as the run began with it, where another node sends it. Left empty, the
            suite's file is read.
    """
    night = begin_night(
        suite,
        [target],
        run_id=run_id or None,
        resume=resume or None,
        ends_at=ends_at,
        night_of=night_of,
        suite_digest=suite_digest,
        suite_text=suite_text,
    )
    chosen = night.targets[0]
    alone = not run_id
    with (
        kept_secret(night.suite),
        landed_afterwards(alone),
        recorded_run_if(alone, night) as run,
        commands_around_if(alone, night, run),
        recorded_target(night, chosen) as recorder,
    ):
        loads = [read_workload(load, night.base_dir) for load in night.suite.load_of(chosen)]
        for benchmark in night.suite.accuracy_of(chosen):
            read_questions(benchmark, night.base_dir)
        plan = plan_time(night, chosen, loads, recorder)
        prepare_engine_and_model(chosen, night.base_dir, plan.clock)
        with served(chosen, night.base_dir, recorder, plan.clock) as server:
            _measure(night, chosen, server, recorder, loads=loads, plan=plan)
            again = MeasuringAgain(night, chosen, recorder, loads, plan.clock)
            again.on_this_boot(server)
        again.on_fresh_boots()
    if alone:
        judge_the_night(night)
        publish_results(night)
        mirror_to_swanlab(night)
    return conclude_target(recorder)


def _measure(
    night: Night,
    target: Target,
    server: Server,
    recorder: TargetRecorder,
    *,
    loads: Sequence[Load],
    plan: StagePlan,
) -> None:
    """All that a target is asked, in the suite's order: its benchmarks, then its loads."""
    over, slo = plan.clock.over, night.suite.slo
    already = answered_before(night, target, server) if night.resumes else []
    for benchmark in night.suite.accuracy_of(target):
        if plan.begins(benchmark_stage(benchmark)):
            measure_accuracy(benchmark, server, recorder, night.base_dir, already, over=over)
    for load, levels, prompts in loads:
        for level in levels:
            if plan.begins(level_stage(load, level)):
                measure_load(level, prompts, server, recorder, slo=slo, over=over)
