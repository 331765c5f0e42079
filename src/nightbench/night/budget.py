"""A night's time: what still fits into it, by priority. Decisions over values.

Targets are measured in order of their priority, so a more important one is never cut for a less
important one; so are a target's benchmarks, and then its loads. A stage (a benchmark, or a level of
a load) is begun if the time that is left holds it besides all more important stages that are still
to come. How long a stage takes is what it took in the last nights; one that was never measured is
begun while there is time, and every stage ends when the night's time does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from nightbench.errors import NightbenchError

OVER = "time_budget"  # the reason of what was cut short
BOOT = "boot"
# What a stage takes besides its measuring: prompts, summing up, a warm-up that was not counted.
MARGIN = 1.1
OVERHEAD_S = 2.0
# Of a night that must end by a moment, what its last teardown and landing may take.
ENDING_S = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a target that is measured by itself."""

    name: str  # "accuracy iquiz", "load openqa c8"
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NightClock:
    """What is left of a night's time; `ends_at` None for a night without a budget."""

    ends_at: datetime | None
    now: Callable[[], datetime]

    def left_s(self) -> float | None:
        """Seconds until the night is over, never below zero; None where nothing limits it."""
        if self.ends_at is None:
            return None
        return max(0.0, (self.ends_at - self.now()).total_seconds())

    def over(self) -> str | None:
        """The reason to end what is being measured, None while there is time."""
        return OVER if self.left_s() == 0.0 else None

    def at_most(self, seconds: float) -> float:
        """The seconds something may take that may take so many and no longer than the night."""
        left = self.left_s()
        return seconds if left is None else max(1.0, min(seconds, left))


class TimeIsOver(NightbenchError):
    """A target is not begun, or not brought up, because the night's time does not hold it."""


class StagePlan:
    """The stages of one target, begun one after the other while there is time for them."""

    def __init__(
        self,
        stages: Sequence[Stage],
        took_s: Mapping[str, float],
        clock: NightClock,
        on_skip: Callable[[Stage, str], None],
    ) -> None:
        self.clock = clock
        self._later = list(stages)
        self._took_s = took_s
        self._on_skip = on_skip

    def refuse_what_cannot_fit(self) -> None:
        """Raise TimeIsOver where nothing of the target fits."""
        reason = why_not_at_all(self._later, self._took_s, self.clock.left_s())
        if reason is not None:
            raise TimeIsOver(reason)

    def begins(self, stage: Stage) -> bool:
        """Whether the stage is to be measured now; one that is not is reported."""
        self._later.remove(stage)
        reason = why_not_now(stage, self._later, self._took_s, self.clock.left_s())
        if reason is not None:
            self._on_skip(stage, reason)
        return reason is None


def end_of(
    started_at: datetime,
    time_budget_s: float | None,
    must_end_by: str | None = None,
    timezone: str = "UTC",
) -> datetime | None:
    """When the measuring of a night that began then is over; None where nothing limits it.

    `must_end_by` is a time of day in `timezone`: the first one after the start.
    """
    ends = []
    if time_budget_s is not None:
        ends.append(started_at + timedelta(seconds=time_budget_s))
    if must_end_by is not None:
        ends.append(next_at(must_end_by, timezone, started_at) - timedelta(seconds=ENDING_S))
    return max(started_at, min(ends)) if ends else None


def next_at(time_of_day: str, timezone: str, after: datetime) -> datetime:
    """The first moment after `after`, in its zone, at which the clocks of `timezone` show that."""
    hour, minute = map(int, time_of_day.split(":"))
    local = after.astimezone(ZoneInfo(timezone))
    wanted = local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    if wanted.astimezone(after.tzinfo) <= after:
        wanted += timedelta(days=1)  # the same time on the clock, be the day 23 or 25 hours long
    return wanted.astimezone(after.tzinfo)


def why_not_now(
    stage: Stage, later: Sequence[Stage], took_s: Mapping[str, float], left_s: float | None
) -> str | None:
    """Why a stage is not to be begun, None where it is.

    `later` are the stages of its target that are still to come, `took_s` the seconds stages took
    in the last nights, by name.
    """
    if left_s is None:
        return None
    if left_s <= 0:
        return "the night's time budget was used up"
    needed_s = expected_s(stage, took_s)
    important = [other for other in later if other.priority > stage.priority]
    kept_s = sum(expected_s(other, took_s) for other in important)
    if needed_s + kept_s <= left_s:
        return None
    told = f"it takes {_minutes(needed_s)}, {_minutes(left_s)} of the night were left"
    return told + (f", {_minutes(kept_s)} of them for work of higher priority" if kept_s else "")


def why_not_at_all(
    stages: Sequence[Stage], took_s: Mapping[str, float], left_s: float | None
) -> str | None:
    """Why a target is not even to be booted, None where something of it fits."""
    if left_s is None:
        return None
    boot_s = took_s.get(BOOT, 0.0)
    if 0 < left_s <= boot_s:
        return f"its boot takes {_minutes(boot_s)}, {_minutes(left_s)} of the night were left"
    reasons = [why_not_now(stage, (), took_s, left_s - boot_s) for stage in stages]
    if reasons and all(reasons):
        return reasons[0]
    return None if left_s > 0 else "the night's time budget was used up"


def expected_s(stage: Stage, took_s: Mapping[str, float]) -> float:
    """The seconds a stage will take, 0 where it was never measured."""
    return took_s[stage.name] * MARGIN + OVERHEAD_S if stage.name in took_s else 0.0


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
