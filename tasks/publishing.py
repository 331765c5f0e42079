"""What people look at in the morning: a page in the Prefect UI, experiments in SwanLab."""

from __future__ import annotations

import os

from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.logging import get_run_logger

from nightbench.dashboards.level_chart import data_url, level_chart
from nightbench.dashboards.markdown import escaped
from nightbench.dashboards.pointers import pointers
from nightbench.dashboards.run_page import failure_page, run_page
from nightbench.dashboards.swanlab_mirror import mirror_pending, mirror_run
from nightbench.errors import DashboardError, HistoryError, ServerError
from nightbench.history.reading import open_history
from nightbench.history.run_results import RunResults, read_run
from nightbench.home.kept_runs import RunRetention
from nightbench.home.paths import Home
from nightbench.night.run import Night
from nightbench.suite.models import Target
from tasks.redacting import known, step
from tasks.reporting import artifact_key


@step(name="publish results", task_run_name="publish results")
def publish_results(night: Night) -> RunResults:
    """Read the run back from the history and put its page and its curves into the Prefect UI."""
    with open_history(Home.from_env()) as history:
        results = read_run(history, night.run_id)
    page = run_page(results, pointers(night.run_id, night.suite.swanlab, os.environ))
    create_markdown_artifact(
        known()(page),
        key="results",
        description=f"{escaped(night.run_id)}: accuracy, every load level, their curves",
    )
    for target in results.targets:
        if target.levels:
            create_image_artifact(
                data_url(level_chart(target.levels)),
                key=artifact_key("curves", target.target),
                description=f"{escaped(target.target)}: throughput and latencies over the load",
            )
    return results


def attach_log(target: Target, error: ServerError) -> None:
    """Put the last lines of a server that failed on the run's page."""
    redact = known()
    message, log_tail = redact(error.message), redact(error.log_tail)
    create_markdown_artifact(
        failure_page(target.name, message, log_tail, redact(error.hint)),
        key=artifact_key("server-log", target.name),
        description=escaped(message, max_chars=300),
    )


@step(name="mirror to SwanLab", task_run_name="mirror to SwanLab")
def mirror_to_swanlab(night: Night) -> None:
    """Feed the dashboards. Their trouble is a warning: it never fails a run."""
    try:
        mirror_run(Home.from_env(), night.run_id, night.suite.swanlab)
    except DashboardError as error:
        get_run_logger().warning("SwanLab was not updated: %s", error)


@step(name="mirror pending runs", task_run_name="mirror pending runs")
def mirror_what_is_pending() -> int:
    """Feed SwanLab the runs that an outage or a killed mirror left out."""
    try:
        return mirror_pending(Home.from_env(), limit=RunRetention.from_env().swanlab_runs)
    except (DashboardError, HistoryError) as error:
        get_run_logger().warning("SwanLab was not updated: %s", error)
        return 0
