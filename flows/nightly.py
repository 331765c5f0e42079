"""A night: every target of a suite, then what people look at in the morning."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.benchmark_target import benchmark_target
from nightbench.history.run_results import RunResults
from tasks.beginning import begin_night
from tasks.concluding import conclude
from tasks.keeping import kept_run, land_spool
from tasks.naming import by_suite
from tasks.publishing import mirror_to_swanlab, publish_results


@flow(name="nightly", flow_run_name=by_suite, validate_parameters=True)
def nightly(
    suite: str = "starter", targets: list[str] | None = None, resume: str | None = None
) -> State[RunResults]:
    """Run a suite: serve, ask, load and keep each target, one after the other.

    Args:
        suite: a suite file, or the name of one that ships with nightbench.
        targets: names of the targets to run; left empty, all of them.
        resume: a run of this suite that ended too early: the replies it has are taken over, and
            the targets it had completed are left out.
    """
    night = begin_night(suite, targets, resume=resume)
    try:
        with kept_run(night) as run:
            for target in night.targets:
                state = benchmark_target(
                    suite, target.name, night.run_id, night.resumes, return_state=True
                )
                run.note(target, state)
    finally:
        land_spool()
    results = publish_results(night)
    mirror_to_swanlab(night)
    return conclude(results, run)
