"""What people look at in the morning: a table in the Prefect UI, experiments in SwanLab."""

from __future__ import annotations

from nightbench.dashboards.swanlab_mirror import mirror_run
from nightbench.errors import DashboardError
from nightbench.history.reading import open_history
from nightbench.home import Home
from nightbench.night import Night
from nightbench.results import RunResults, artifact_rows, read_results
from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger


@task(name="publish results", cache_policy=NO_CACHE)
def publish_results(night: Night) -> RunResults:
    """Read the run back from the history and put its table into the Prefect UI."""
    with open_history(Home.from_env()) as history:
        results = read_results(history, night.run_id)
    create_table_artifact(
        key="results",
        table=artifact_rows(results),
        description=f"{night.run_id}: accuracy and every load level",
    )
    return results


@task(name="mirror to SwanLab", cache_policy=NO_CACHE)
def mirror_to_swanlab(night: Night) -> None:
    """Feed the dashboards. Their trouble is a warning: it never fails a run."""
    try:
        mirror_run(Home.from_env(), night.run_id, night.suite.swanlab)
    except DashboardError as error:
        get_run_logger().warning("SwanLab was not fed: %s", error)
