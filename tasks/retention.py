"""What is kept for a time and no longer."""

from __future__ import annotations

from prefect.logging import get_run_logger

from nightbench.dashboards.swanlab_retention import remove_old
from nightbench.errors import DashboardError
from nightbench.history.clock import utc_now
from nightbench.home.cleanup import tidy
from nightbench.home.kept_runs import RunRetention
from nightbench.home.paths import Home
from tasks.redacting import step


@step(name="apply retention", task_run_name="apply retention")
def remove_what_is_old() -> None:
    """Keep dashboards and logs for the newest runs alone. The numbers stay in the history."""
    home, keep = Home.from_env(), RunRetention.from_env()
    done = tidy(home, keep.log_runs, utc_now())
    if done.num_files:
        get_run_logger().info(
            "removed the logs of %s runs and %s leftovers: %s files, %.1f MB",
            *(len(done.log_runs), len(done.leftovers), done.num_files, done.num_bytes / 1e6),
        )
    try:
        folders = remove_old(home, keep.swanlab_runs)
    except DashboardError as error:
        get_run_logger().warning("SwanLab's old runs could not be removed: %s", error)
    else:
        if folders:
            get_run_logger().info("removed %s old experiments of SwanLab", len(folders))
