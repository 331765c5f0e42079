"""Targets handed to other nodes: one flow run each, in their pool's queue for the night."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import get_client, runtime
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import State, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.logging import get_run_logger
from prefect.states import Cancelling

from nightbench.night.placing import Pool, place
from nightbench.night.run import Night, utc_now
from nightbench.serving.hardware.machine import this_machine
from nightbench.suite.file import suites_by_name
from nightbench.suite.models import Target
from tasks.redacting import step

TARGET_FLOW = "benchmark-target"
QUEUE = "night"
POLL_S = 3.0
# A target ends with the night; its teardown and landing come after.
AFTER_THE_NIGHT = timedelta(minutes=10)


class HandedOut:
    """The targets that other nodes measure, and those that are left for this one."""

    def __init__(self, here: Sequence[Target], runs: dict[str, UUID], night: Night) -> None:
        self.here = tuple(here)
        self._runs = runs
        self._night = night

    def waited_for(self) -> Iterator[tuple[Target, State[Any]]]:
        """How each went, as it ends."""
        left = {t.name: t for t in self._night.targets if t.name in self._runs}
        while left:
            for name in list(left):
                state = self._state(self._runs[name])
                if state.is_final():
                    yield left.pop(name), state
            if left:
                self._end_what_overstays()
                time.sleep(POLL_S)

    def cancel(self) -> None:
        """End what is still measured elsewhere."""
        with get_client(sync_client=True) as client:
            for run in self._runs.values():
                state = client.read_flow_run(run).state
                if state is not None and not (state.is_final() or state.is_cancelling()):
                    client.set_flow_run_state(run, Cancelling())

    def _end_what_overstays(self) -> None:
        ends_at = self._night.ends_at
        if ends_at is not None and utc_now() > ends_at + AFTER_THE_NIGHT:
            self.cancel()

    def _state(self, run: UUID) -> State[Any]:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
        if state is None:
            raise RuntimeError(f"flow run {run} has no state")
        return state


@contextmanager
def handed_out(night: Night) -> Iterator[HandedOut]:
    """Targets go to the nodes they ask for; what is still measured there ends when we must."""
    out = hand_out(night)
    try:
        yield out
    except BaseException:
        out.cancel()
        raise


@step(name="hand out", task_run_name="hand out")
def hand_out(night: Night) -> HandedOut:
    """Start a flow run for every target that another node is to measure."""
    name = night.suite_file.path.stem
    if runtime.deployment.id is None or suites_by_name().get(name) != night.suite_file.path:
        return HandedOut(night.targets, {}, night)
    with get_client(sync_client=True) as client:
        placed = place(night.targets, len(this_machine().inventory.gpus), _pools(client))
    runs = {}
    for target, pool in placed.items():
        if pool is None:
            continue
        get_run_logger().info("%s is measured by %s", target, pool.name)
        run: Any = run_deployment(
            pool.deployment,
            parameters={
                "suite": name,
                "target": target,
                "resume": night.resumes or "",
                "run_id": night.run_id,
                "ends_at": "" if night.ends_at is None else night.ends_at.isoformat(),
                "night_of": night.date.isoformat(),
            },
            flow_run_name=target,
            work_queue_name=QUEUE,
            timeout=0,
        )
        runs[target] = run.id
    return HandedOut([t for t in night.targets if t.name not in runs], runs, night)


def _pools(client: SyncPrefectClient) -> list[Pool]:
    """The pools of other nodes, with a worker that is there."""
    flow = FlowFilter(name=FlowFilterName(any_=[TARGET_FLOW]))
    deployments = client.read_deployments(flow_filter=flow)
    found = []
    for deployment in deployments:
        pool = deployment.work_pool_name
        if pool is None or deployment.name != pool:
            continue  # the one that a person clicks is for the machine of `nightbench up`
        if client.read_work_pool(pool).status == WorkPoolStatus.READY:
            found.append(Pool(pool, f"{TARGET_FLOW}/{deployment.name}"))
    return found
