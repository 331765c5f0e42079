"""Before the boot clock starts: the engine's environment and the model are there."""

from __future__ import annotations

from pathlib import Path

from nightbench.home.paths import Home
from nightbench.night.budget import NightClock, TimeIsOver
from nightbench.serving.hardware.machine import this_machine
from nightbench.serving.server import prepare
from nightbench.suite.models import Target
from tasks.redacting import step
from tasks.reporting import reported


def prepare_engine_and_model(target: Target, base_dir: Path, clock: NightClock) -> None:
    """Engine and model are there. Raises TimeIsOver where the night ended before they were."""
    try:
        _prepare.with_options(timeout_seconds=clock.left_s())(target, base_dir)
    except TimeoutError as error:
        if clock.over() is None:
            raise
        raise TimeIsOver(
            "the night's time budget ran out before engine and model were ready"
        ) from error


@step(
    name="prepare engine and model",
    task_run_name="{target.name}: engine and model",
)
def _prepare(target: Target, base_dir: Path) -> None:
    """Build or reuse the engine's environment, fetch or convert the model. Slow only once."""
    with reported() as report:
        prepare(target, Home.from_env(), base_dir, this_machine(), report)
