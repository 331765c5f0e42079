"""A server for as long as a flow measures it, its boot and its end as task runs of their own."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect import get_client, runtime
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.sync import concurrency
from prefect.logging import get_run_logger

from nightbench.dashboards.sentences import boot_sentence
from nightbench.engines import target_engine
from nightbench.errors import BootFailed, BootTimeout, LeaseError, ServerError
from nightbench.home.paths import Home
from nightbench.night.budget import NightClock, TimeIsOver
from nightbench.night.controls import Control
from nightbench.serving.hardware import lease_folder, reaper
from nightbench.serving.hardware.endpoint_leases import resource_of
from nightbench.serving.server import Server, serve
from nightbench.serving.supervise.launcher import Options
from nightbench.suite.models import Target
from tasks.publishing import attach_log
from tasks.recording import TargetRecorder
from tasks.redacting import step
from tasks.reporting import log, reported

_ONE_RUN_NAME = "NIGHTBENCH_PREFECT_OF_ONE_RUN"
_SLOT_S = 60.0  # renewed meanwhile: a machine that died lets go within this


@contextmanager
def served(
    target: Target,
    base_dir: Path,
    recorder: TargetRecorder,
    clock: NightClock,
    *,
    launch: int = 1,
    control: Control | None = None,
) -> Iterator[Server]:
    """A server that really answers, gone when the context is left, however it is left. `launch`
    numbers it among the target's launches of the night; `control` is booted in the target's place.
    """
    target, base_dir = (control.target, control.base_dir) if control else (target, base_dir)
    with alone_among_machines(target, clock), ExitStack() as stack:
        server = boot_server(
            target, base_dir, recorder, stack, clock, launch=launch, control=control
        )
        try:
            yield server
        except ServerError as error:
            attach_log(target, error)
            raise
        finally:
            stop_server(server, recorder, stack)


@contextmanager
def alone_among_machines(target: Target, clock: NightClock) -> Iterator[None]:
    """No run of another machine at the same server, as far as one Prefect server serves both: a
    limit of one by the server's address. On this machine the lease is what counts, and a Prefect
    server of one run knows no other machine (a limit there would outlive a run that is killed).

    Raises TimeIsOver where the night ends before the server is free.
    """
    address = target_engine.address_of(target)
    if not address or target.is_shared or os.environ.get(_ONE_RUN_NAME):
        yield
        return
    name = f"nightbench-{resource_of(address)}"
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, 1)
    left_s = clock.left_s()
    try:
        slot = ExitStack()
        slot.enter_context(concurrency(name, timeout_seconds=left_s, lease_duration=_SLOT_S))
    except TimeoutError as error:
        raise TimeIsOver(f"another machine was measuring the server of {target.name}") from error
    with slot:
        yield


def is_worth_another_boot(_: Any, run: TaskRun, state: State[Any]) -> bool:
    """A boot that failed is tried once more: what was in its way may be gone, what it compiled is
    kept. A measurement is never repeated: half of it would come from another server."""
    return isinstance(state.result(raise_on_failure=False), BootFailed | BootTimeout)


@step(
    name="boot server",
    task_run_name="{target.name}: boot",
    retries=1,
    retry_condition_fn=is_worth_another_boot,
)
def boot_server(
    target: Target,
    base_dir: Path,
    recorder: TargetRecorder,
    stack: ExitStack,
    clock: NightClock,
    *,
    launch: int = 1,
    control: Control | None = None,
) -> Server:
    """Lease, launch and wait for a real completion; note at once what it runs on, unless it is the
    control of another.

    Raises TimeIsOver where the night ended before the server was up.
    """
    limit_s = clock.at_most(target.boot_timeout_s)
    with reported(limit_s=limit_s) as report:
        serving = serve(
            target.model_copy(update={"boot_timeout_s": limit_s}),
            Home.from_env(),
            base_dir=base_dir,
            run_dir=recorder.log_dir,
            on_progress=report,
            on_row=recorder.keep,
            launch=launch - 1 + (runtime.task_run.run_count or 1),
            options=Options(lease_within_s=clock.at_most(math.inf)),
            built=control.built if control else None,
        )
        try:
            server = stack.enter_context(serving)
        except (ServerError, LeaseError) as error:
            if clock.over():
                raise TimeIsOver(
                    f"the night's time budget ran out before it was ready: {error}"
                ) from error
            if isinstance(error, ServerError):
                attach_log(target, error)
            raise
    if control is None:
        recorder.serving(server)
    else:
        recorder.keep_out_secrets(server)
    log(boot_sentence(server.row(), server.hardware_class))
    return server


@step(name="stop server", task_run_name="{recorder.target.name}: stop")
def stop_server(server: Server, recorder: TargetRecorder, stack: ExitStack) -> None:
    """Tear the server down and prove it; the proof is kept with its last readings."""
    recorder.take_telemetry(server)
    stack.__exit__(*sys.exc_info())  # the server's row says what ended it


@step(name="reap leftovers", task_run_name="reap leftovers")
def reap_leftovers() -> int:
    """End what dead runs of this user left behind, as far as it is proven."""
    try:
        reaped = reaper.reap(lease_folder.directory())
    except LeaseError as error:  # the rest of the maintenance goes on
        get_run_logger().error("%s", error)
        return 0
    for lease in reaped:
        get_run_logger().warning("reaped: %s: %s", lease.resource, lease.describe())
    return len(reaped)
