"""A server for as long as a flow measures it, its boot and its end as task runs of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nightbench.home import Home
from nightbench.serving.environments import EngineEnvironment
from nightbench.serving.server import Server, serve
from nightbench.suite import Target
from prefect import task
from prefect.cache_policies import NO_CACHE
from tasks.keeping import TargetKeeper
from tasks.reporting import Reporter


@contextmanager
def served(
    target: Target,
    environment: EngineEnvironment | None,
    model: Path | None,
    keeper: TargetKeeper,
) -> Iterator[Server]:
    """A server that really answers, gone when the context is left, however it is left."""
    with ExitStack() as stack:
        server = boot_server(target, environment, model, keeper, stack)
        try:
            yield server
        finally:
            stop_server(server, keeper, stack)


@task(name="boot server", cache_policy=NO_CACHE)
def boot_server(
    target: Target,
    environment: EngineEnvironment | None,
    model: Path | None,
    keeper: TargetKeeper,
    stack: ExitStack,
) -> Server:
    """Lease, launch and wait for a real completion; provenance is kept at once."""
    server = stack.enter_context(
        serve(
            target,
            environment,
            model,
            Home.from_env(),
            log_dir=keeper.log_dir,
            on_progress=Reporter(),
            on_row=keeper.keep,
        )
    )
    keeper.serving(server)
    return server


@task(name="stop server", cache_policy=NO_CACHE)
def stop_server(server: Server, keeper: TargetKeeper, stack: ExitStack) -> None:
    """Tear the server down and prove it; the proof is kept."""
    Reporter()  # teardown is quick; the run's log says when it is done
    stack.close()
    keeper.keep(server.row())
