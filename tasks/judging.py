"""At the end of a run: is anything worse than it was?"""

from __future__ import annotations

from prefect.logging import get_run_logger

from nightbench.errors import BadInput, HistoryError
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from nightbench.night import judging
from nightbench.night.run import Night
from nightbench.records import VerdictRow
from tasks.redacting import step


@step(name="judge the night", task_run_name="judge the night")
def judge_the_night(night: Night) -> list[VerdictRow]:
    """Judge what has landed of a run against all runs before it; the verdicts land too.

    A night that cannot be judged is a warning: what was measured stays, and `nightbench judge`
    does it later.
    """
    home = Home.from_env()
    try:
        with open_history(home) as history:
            judged = judging.judge(history, night.run_id)
            kept = judging.keep(history, home.spool, night.run_id, judged)
        if kept is not None:
            land(home)
    except (BadInput, HistoryError) as error:
        get_run_logger().warning("%s was not judged: %s", night.run_id, error)
        return []
    except Exception:  # noqa: BLE001 - a row of the past must not cost the night its message
        get_run_logger().warning("%s was not judged", night.run_id, exc_info=True)
        return []
    for row in judged.rows:
        get_run_logger().info("%s", row.detail)
    return judged.rows
