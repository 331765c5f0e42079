"""A server for as long as a flow measures it, its boot and its end as task runs of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from nightbench.home import Home
from nightbench.serving import leases, reaper
from nightbench.serving.server import Server, serve
from nightbench.suite import Target
from tasks.keeping import TargetKeeper
from tasks.reporting import Reporter


@contextmanager
def served(target: Target, base_dir: Path, keeper: TargetKeeper) -> Iterator[Server]:
    """A server that really answers, gone when the context is left, however it is left."""
    with ExitStack() as stack:
        server = boot_server(target, base_dir, keeper, stack)
        try:
            yield server
        finally:
            stop_server(server, keeper, stack)


@task(name="boot server", task_run_name="boot server", cache_policy=NO_CACHE)
def boot_server(target: Target, base_dir: Path, keeper: TargetKeeper, stack: ExitStack) -> Server:
    """Lease, launch and wait for a real completion; note at once what it runs on."""
    server = stack.enter_context(
        serve(
            target,
            Home.from_env(),
            base_dir=base_dir,
            run_dir=keeper.log_dir,
            on_progress=Reporter(),
            on_row=keeper.keep,
        )
    )
    keeper.serving(server)
    return server


@task(name="stop server", task_run_name="stop server", cache_policy=NO_CACHE)
def stop_server(server: Server, keeper: TargetKeeper, stack: ExitStack) -> None:
    """Tear the server down and prove it; the proof is kept with its last readings."""
    keeper.take_telemetry(server)
    stack.__exit__(*sys.exc_info())  # the server's row says what ended it


@task(name="reap leftovers", task_run_name="reap leftovers", cache_policy=NO_CACHE)
def reap_leftovers() -> int:
    """End what dead runs left behind, as their lease files prove it ours."""
    reaped = reaper.reap(leases.directory())
    for lease in reaped:
        get_run_logger().warning("reaped: %s", lease)
    return len(reaped)
