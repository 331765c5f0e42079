"""What people look at in the morning: a table in the Prefect UI, experiments in SwanLab."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from nightbench.dashboards.swanlab_mirror import mirror_pending, mirror_run
from nightbench.errors import DashboardError, HistoryError
from nightbench.history.reading import open_history
from nightbench.history.run_results import RunResults, TargetResults, read_run
from nightbench.home import Home
from nightbench.night import Night


@task(name="publish results", task_run_name="publish results", cache_policy=NO_CACHE)
def publish_results(night: Night) -> RunResults:
    """Read the run back from the history and put its table into the Prefect UI."""
    with open_history(Home.from_env()) as history:
        results = read_run(history, night.run_id)
    create_table_artifact(
        key="results",
        table=[row for target in results.targets for row in _rows(target)],
        description=f"{night.run_id}: accuracy and every load level",
    )
    return results


def _rows(target: TargetResults) -> list[dict[str, str]]:
    """The lines of the artifact: accuracies, then levels; all text, so that columns align."""
    accuracies = [
        {
            "target": target.target,
            "measured": f"{row.benchmark} {row.subset}",
            "accuracy": f"{row.accuracy:.1%} ({row.ci_low:.1%} to {row.ci_high:.1%})",
            "n": str(row.num_samples),
            "output tok/s": "",
            "mean TTFT ms": "",
            "mean TPOT ms": "",
            "valid": "yes" if row.valid else ", ".join(row.invalid_reasons),
        }
        for row in target.accuracy
    ]
    levels = [
        {
            "target": target.target,
            "measured": f"{row.workload} {row.level}",
            "accuracy": "",
            "n": str(row.num_prompts),
            "output tok/s": f"{row.output_throughput:.1f}",
            "mean TTFT ms": "" if row.mean_ttft_ms is None else f"{row.mean_ttft_ms:.1f}",
            "mean TPOT ms": "" if row.mean_tpot_ms is None else f"{row.mean_tpot_ms:.2f}",
            "valid": "yes" if row.valid else ", ".join(row.invalid_reasons),
        }
        for row in target.levels
    ]
    failed = [{"target": target.target, "measured": f"{target.row.status}: {target.row.error}"}]
    return [*accuracies, *levels, *(failed if target.row.status != "completed" else [])]


@task(name="mirror to SwanLab", task_run_name="mirror to SwanLab", cache_policy=NO_CACHE)
def mirror_to_swanlab(night: Night) -> None:
    """Feed the dashboards. Their trouble is a warning: it never fails a run."""
    try:
        mirror_run(Home.from_env(), night.run_id, night.suite.swanlab)
    except DashboardError as error:
        get_run_logger().warning("SwanLab was not fed: %s", error)


@task(name="mirror what is pending", task_run_name="mirror what is pending", cache_policy=NO_CACHE)
def mirror_what_is_pending() -> int:
    """Feed SwanLab the runs that an outage or a killed mirror left out."""
    try:
        return mirror_pending(Home.from_env())
    except (DashboardError, HistoryError) as error:
        get_run_logger().warning("SwanLab was not fed: %s", error)
        return 0
