"""What people say about a change goes into the history, from a form too."""

from __future__ import annotations

from prefect.logging import get_run_logger

from nightbench.home.paths import Home
from nightbench.night import annotating
from nightbench.night.annotating import Remark
from tasks.redacting import step


@step(name="accept", task_run_name="accept {what}")
def accept_change(what: str, reason: str, author: str) -> None:
    """Take what is open of a target, or an event, for the new level. Raises BadInput where there is
    neither."""
    remark = Remark(kind="accepted", reason=reason, author=author)
    for row in annotating.accept(Home.from_env(), what, remark):
        meant = f"event {row.event}" if row.event else "what it ran last"
        get_run_logger().info("accepted for %s: %s", row.target, meant)


@step(name="refuse", task_run_name="refuse {what}")
def refuse_change(what: str, reason: str, author: str) -> None:
    """Keep why what is open stays open. Raises BadInput where nothing is open of that name."""
    remark = Remark(kind="refused", reason=reason, author=author)
    for row in annotating.refuse(Home.from_env(), what, remark):
        get_run_logger().info("refused for %s: event %s stays open", row.target, row.event)
