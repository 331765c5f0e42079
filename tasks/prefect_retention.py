"""Prefect's record of runs is what the last nights did; what they measured is in the history."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from nightbench.errors import BadInput
from nightbench.history.clock import utc_now
from tasks.redacting import step

DAYS_NAME = "NIGHTBENCH_PREFECT_DAYS"
DAYS = 90
OWN_NAME = "NIGHTBENCH_OWN_PREFECT"  # set where the server is one that nightbench has started
MOST_AT_ONCE = 200  # of a flow: what a year has left is gone within days, and no night waits for it


@dataclass(frozen=True, slots=True)
class Retention:
    """How long Prefect remembers the runs of a flow. The newest stay however old they are: a clock
    that is wrong is no reason to forget."""

    flow: str
    days: int
    newest: int


def retentions(environ: Mapping[str, str] = os.environ) -> tuple[Retention, ...]:
    """What is kept of each flow of ours. Raises BadInput where NIGHTBENCH_PREFECT_DAYS is no
    number of days."""
    said = environ.get(DAYS_NAME, str(DAYS))
    if not (said.isascii() and said.isdigit() and int(said) > 0):
        raise BadInput(
            f"{DAYS_NAME}={said!r} is not a number of days", hint="Set it to a number such as 90."
        )
    days = int(said)
    return (
        Retention("nightly", days, 60),
        Retention("benchmark-target", days, 600),
        Retention("maintenance", min(days, 3), 72),  # every hour, and all alike
    )


@step(name="delete Prefect's old runs", task_run_name="delete Prefect's old runs")
def forget_old_runs() -> int:
    """Have the Prefect server that we started forget runs of ours; how many it has forgotten.

    Their task runs and logs go with them, their pages and their events by the server's own hand.
    """
    if not os.environ.get(OWN_NAME):
        return 0
    forgotten = 0
    with get_client(sync_client=True) as client:
        for retention in retentions():
            for run in _old_runs(client, retention, utc_now()):
                with suppress(ObjectNotFound):  # a person's click was quicker
                    client.delete_flow_run(run.id)
                    forgotten += 1
    if forgotten:
        get_run_logger().info("deleted %d old flow runs from Prefect", forgotten)
    return forgotten


def _old_runs(client: SyncPrefectClient, retention: Retention, now: datetime) -> list[FlowRun]:
    """The oldest runs of the flow that are beyond its days and not among its newest."""
    ended = {"state": {"type": {"any_": sorted(TERMINAL_STATES)}}}
    flow = {"name": {"any_": [retention.flow]}}
    there = client.request("POST", "/flow_runs/count", json={"flows": flow, "flow_runs": ended})
    beyond = min(there.json() - retention.newest, MOST_AT_ONCE)
    if beyond <= 0:
        return []
    then = now - timedelta(days=retention.days)
    return client.read_flow_runs(
        flow_filter=FlowFilter.model_validate(flow),
        flow_run_filter=FlowRunFilter.model_validate(ended | {"start_time": {"before_": then}}),
        sort=FlowRunSort.START_TIME_ASC,
        limit=beyond,
    )
