"""One target: serve, ask, load, let go, keep."""

from __future__ import annotations

from prefect import flow

from tasks.beginning import begin_night
from tasks.keeping import kept_run_if, kept_target, land_spool
from tasks.measuring import answered_before, measure_accuracy, measure_load, read_workload
from tasks.preparing import prepare_engine_and_model
from tasks.publishing import mirror_to_swanlab, publish_results
from tasks.serving import served


@flow(name="benchmark-target", flow_run_name="{target}", validate_parameters=True)
def benchmark_target(
    suite: str = "starter",
    target: str = "smollm2-135m",
    run_id: str | None = None,
    resume: str | None = None,
) -> None:
    """Measure one target of a suite.

    Args:
        suite: a suite file, or the name of one that ships with nightbench.
        target: the name of one of its targets.
        run_id: the run this target belongs to; left empty, it is a run of its own.
        resume: the run whose replies are taken over; left empty, everything is asked.
    """
    night = begin_night(suite, [target], run_id, resume)
    chosen = night.targets[0]
    alone = run_id is None
    try:
        with kept_run_if(alone, night), kept_target(night, chosen) as keeper:
            loads = [read_workload(load, night.base_dir) for load in night.suite.load_of(chosen)]
            prepare_engine_and_model(chosen, night.base_dir)
            with served(chosen, night.base_dir, keeper) as server:
                already = answered_before(night, chosen, server) if night.resumes else []
                for spec in night.suite.accuracy_of(chosen):
                    measure_accuracy(spec, server, keeper, night.base_dir, already)
                for levels, prompts in loads:
                    for level in levels:
                        measure_load(level, prompts, server, keeper)
    finally:
        land_spool()
    if alone:
        publish_results(night)
        mirror_to_swanlab(night)
