"""Before the boot clock starts: the engine's environment and the model are there."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from nightbench.home import Home
from nightbench.serving.machine import this_machine
from nightbench.serving.server import prepare
from nightbench.suite import Target
from tasks.reporting import reported


@task(
    name="prepare engine and model",
    task_run_name="{target.name}: engine and model",
    cache_policy=NO_CACHE,
)
def prepare_engine_and_model(target: Target, base_dir: Path) -> None:
    """Build or reuse the engine's environment, fetch or convert the model. Slow only once."""
    with reported() as report:
        prepare(target, Home.from_env(), base_dir, this_machine(), report)
