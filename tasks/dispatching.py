"""Targets dispatched to other nodes: one flow run each, in their pool's queue for the night."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect import get_client, runtime
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import State, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from prefect.states import Cancelling, Failed

from nightbench.history.clock import Now, utc_now
from nightbench.night.placing import Pool, place
from nightbench.night.run import Night
from nightbench.night.waiting import Waiting, next_step
from nightbench.serving.hardware.machine import this_machine
from nightbench.suite.file import suites_by_name
from nightbench.suite.models import Target
from nightbench.suite.travelling import text_to_send
from tasks.redacting import step

TARGET_FLOW = "benchmark-target"
QUEUE = "night"
POLL_S = 3.0


class Dispatch:
    """The targets that other nodes measure, and those that are left for this one."""

    def __init__(
        self,
        here: Sequence[Target],
        runs: dict[str, UUID],
        night: Night,
        *,
        now: Now = utc_now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.here = tuple(here)
        self._runs = runs
        self._night = night
        self._now = now
        self._sleep = sleep
        begun = Waiting(dispatched_at=now(), ends_at=night.ends_at)
        self._waiting = dict.fromkeys(runs, begun)
        self._nobody_since: dict[str, datetime] = {}

    def waited_for(self) -> Iterator[tuple[Target, State[Any]]]:
        """How each went, as it ends; one that nobody begins, or that does not end, has failed."""
        left = {t.name: t for t in self._night.targets if t.name in self._runs}
        while left:
            for name in list(left):
                state = self._now_of(name)
                if state is not None and state.is_final():
                    yield left.pop(name), state
            if left:
                self._sleep(POLL_S)

    def _now_of(self, name: str) -> State[Any] | None:
        """The state of one, or that it is given up; None while nothing can be told."""
        try:
            with get_client(sync_client=True) as client:
                run = client.read_flow_run(self._runs[name])
                has_worker = self._has_worker(client, run.work_pool_name)
        except (HTTPError, PrefectException):  # its server is away: the night's end still counts
            return self._decide(name, None, has_begun=True, has_worker=True)
        has_begun = run.start_time is not None
        return self._decide(name, run.state, has_begun=has_begun, has_worker=has_worker)

    def _decide(
        self, name: str, state: State[Any] | None, *, has_begun: bool, has_worker: bool
    ) -> State[Any] | None:
        waiting, now = self._waiting[name], self._now()
        if state is not None and state.is_final():
            return Failed(message=waiting.why) if waiting.why and not has_begun else state
        if has_worker:
            self._nobody_since.pop(name, None)
        since = None if has_worker else self._nobody_since.setdefault(name, now)
        step, why = next_step(waiting, now, has_begun=has_begun, nobody_since=since)
        if step == "call off":
            get_run_logger().warning("%s cancelled: %s", name, why)
            self._waiting[name] = replace(waiting, called_off_at=now, why=why)
            self._call_off(name)
        return Failed(message=f"{name} was abandoned: {why}") if step == "give up" else None

    @staticmethod
    def _has_worker(client: SyncPrefectClient, pool: str | None) -> bool:
        return pool is None or client.read_work_pool(pool).status == WorkPoolStatus.READY

    def _call_off(self, name: str) -> None:
        try:
            with get_client(sync_client=True) as client:
                _cancel(client, self._runs[name])
        except (HTTPError, PrefectException) as error:
            get_run_logger().warning("%s could not be cancelled: %s", name, error)

    def cancel(self) -> None:
        """End what is still measured elsewhere."""
        with get_client(sync_client=True) as client:
            for run in self._runs.values():
                _cancel(client, run)


def _cancel(client: SyncPrefectClient, run: UUID) -> None:
    state = client.read_flow_run(run).state
    if state is not None and not (state.is_final() or state.is_cancelling()):
        client.set_flow_run_state(run, Cancelling())


@contextmanager
def dispatched(night: Night) -> Iterator[Dispatch]:
    """Targets go to the nodes they ask for; what is still measured there ends when we must."""
    out = dispatch(night)
    try:
        yield out
    except BaseException:
        out.cancel()
        raise


@step(name="dispatch", task_run_name="dispatch")
def dispatch(night: Night) -> Dispatch:
    """Start a flow run for every target that another node is to measure."""
    name = night.suite_file.path.stem
    if runtime.deployment.id is None or suites_by_name().get(name) != night.suite_file.path:
        return Dispatch(night.targets, {}, night)
    with get_client(sync_client=True) as client:
        placed = place(night.targets, len(this_machine().inventory.gpus), _pools(client))
    given = {target: pool for target, pool in placed.items() if pool is not None}
    text = _text_for_others(night) if given else ""
    runs = {}
    for target, pool in given.items():
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
                "suite_digest": night.suite_file.digest,
                "suite_text": text,
            },
            flow_run_name=target,
            work_queue_name=QUEUE,
            timeout=0,
        )
        runs[target] = run.id
    return Dispatch([t for t in night.targets if t.name not in runs], runs, night)


def _text_for_others(night: Night) -> str:
    """The suite as it was when the night began; "" where each node has to have its file."""
    text = text_to_send(night.suite_file)
    if not text:
        get_run_logger().warning(
            "%s is not sent along, for a secret may stand in it (or it is very long): each node "
            "reads its own file, which must be the same. Name the variables of secrets (${NAME}, "
            "pass_env), and the suite is sent.",
            night.suite_file.path.name,
        )
    return text


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
