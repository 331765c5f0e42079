"""The night's time: how long the stages of a target took before, and which of them are begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prefect.logging import get_run_logger

from nightbench.errors import HistoryError
from nightbench.history.clock import utc_now
from nightbench.history.reading import open_history
from nightbench.history.run_results import stage_times
from nightbench.home.paths import Home
from nightbench.load.plan.levels import Level
from nightbench.load.plan.workloads import Prompts
from nightbench.night import run as nights
from nightbench.night.budget import NightClock, Stage, StagePlan
from nightbench.night.run import Night
from nightbench.suite.models import AccuracySpec, LoadSpec, Target
from tasks.recording import TargetRecorder
from tasks.redacting import step

Load = tuple[LoadSpec, Sequence[Level], Prompts]


def benchmark_stage(spec: AccuracySpec) -> Stage:
    """A benchmark as a stage of its target."""
    return Stage(f"accuracy {spec.label}", spec.priority)


def level_stage(spec: LoadSpec, level: Level) -> Stage:
    """A level of a load as a stage of its target."""
    return Stage(f"load {level.workload} {level.label}", spec.priority)


@step(name="plan the time", task_run_name="{target.name}: plan the time")
def plan_time(
    night: Night, target: Target, loads: Iterable[Load], recorder: TargetRecorder
) -> StagePlan:
    """What of a target the night still holds. Raises TimeIsOver where that is nothing."""
    stages = [benchmark_stage(spec) for spec in night.suite.accuracy_of(target)]
    stages += [level_stage(spec, level) for spec, levels, _ in loads for level in levels]
    clock = NightClock(ends_at=night.ends_at, now=utc_now)
    took_s = _took_before(target) if night.ends_at is not None else {}

    def on_skip(stage: Stage, reason: str) -> None:
        get_run_logger().warning("%s was skipped: %s", stage.name, reason)
        recorder.keep(nights.skipped_fact(stage.name, reason))

    plan = StagePlan(stages, took_s, clock, on_skip)
    plan.refuse_what_cannot_fit()
    return plan


def _took_before(target: Target) -> dict[str, float]:
    try:
        with open_history(Home.from_env()) as history:
            return stage_times(history, target.name)
    except HistoryError:
        return {}  # the first night
