"""One target: serve, ask, load, let go, keep."""

from __future__ import annotations

from nightbench.load.levels import plan_levels
from prefect import flow
from tasks.beginning import begin_night
from tasks.keeping import kept_target, land_spool
from tasks.measuring import measure_accuracy, measure_load, read_workload
from tasks.preparing import prepare_environment, prepare_model
from tasks.serving import served


@flow(name="benchmark-target", flow_run_name="{target}", validate_parameters=True)
def benchmark_target(
    suite: str = "starter", target: str = "smollm2-135m", run_id: str | None = None
) -> None:
    """Measure one target of a suite.

    Args:
        suite: a suite file, or the name of one that ships with nightbench.
        target: the name of one of its targets.
        run_id: the run this target belongs to; left empty, it is a run of its own.
    """
    night = begin_night(suite, [target], run_id)
    chosen = night.targets[0]
    try:
        with kept_target(night, chosen) as keeper:
            environment = prepare_environment(chosen)
            model = prepare_model(chosen, environment, night.base_dir)
            with served(chosen, environment, model, keeper) as server:
                for spec in night.suite.accuracy_of(chosen):
                    measure_accuracy(spec, server, keeper, night.base_dir)
                for load in night.suite.load_of(chosen):
                    prompts = read_workload(load, night.base_dir)
                    for level in plan_levels(load):
                        measure_load(level, prompts, server, keeper)
    finally:
        land_spool()
