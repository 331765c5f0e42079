"""A night: every target of a suite, then what people look at in the morning."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.benchmark_target import benchmark_target
from flows.parameters import SuiteName, TargetName
from nightbench.history.run_results import RunResults
from tasks.alerting import say_that_it_failed, send_morning_message
from tasks.dispatching import dispatched
from tasks.finishing import conclude
from tasks.ingesting import land_spool
from tasks.judging import judge_the_night
from tasks.night_commands import commands_around
from tasks.prefect_retention import forget_old_runs
from tasks.publishing import mirror_to_swanlab, publish_results
from tasks.recording import recorded_run
from tasks.redacting import kept_secret
from tasks.run_naming import by_suite
from tasks.starting import begin_night


@flow(
    name="nightly",
    flow_run_name=by_suite,
    validate_parameters=True,
    on_failure=[say_that_it_failed],
    on_crashed=[say_that_it_failed],
)
def nightly(
    suite: SuiteName = "starter", targets: tuple[TargetName, ...] = (), resume: str = ""
) -> State[RunResults]:
    """Run a suite: serve, ask, load and keep each target, here one after the other, those that ask
    for another kind of node there.

    Args:
        suite: What to benchmark.
        targets: Only these of its targets. Left empty, all of them.
        resume: A run of this suite that ended too early - the replies it has are taken over, and
            the targets it had completed are left out. Left empty, everything is asked.
    """
    night = begin_night(suite, targets or None, resume=resume or None)
    try:
        with (
            kept_secret(night.suite),
            recorded_run(night) as run,
            commands_around(night, run),
            dispatched(night) as elsewhere,
        ):
            for target in elsewhere.here:
                state = benchmark_target(suite, target.name, run_id=night.run_id, return_state=True)
                run.note(target, state)
            for target, state in elsewhere.waited_for():
                run.note(target, state)
    finally:
        land_spool()
    judge_the_night(night)
    results = publish_results(night)
    mirror_to_swanlab(night)
    send_morning_message(night, results)
    forget_old_runs(return_state=True)  # where nobody is up, there is no maintenance
    return conclude(results, run)
