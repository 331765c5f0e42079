"""When nights are to run, and whether one that was due did not: decisions over values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim

from nightbench.errors import BadInput

# A worker asks for work every few seconds; a night that has not begun by then is not about to.
GRACE = timedelta(minutes=30)
LOOK_BACK = timedelta(days=7)
CLOCK_SLACK = timedelta(minutes=1)

_TIME_OF_DAY = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron line in a time zone."""

    cron: str
    timezone: str

    def due_between(self, after: datetime, until: datetime) -> list[datetime]:
        """The moments in (after, until] at which it fires, in UTC. Daylight saving is heeded."""
        moments = []
        for moment in CronSim(self.cron, after.astimezone(ZoneInfo(self.timezone))):
            if moment > until:
                break
            moments.append(moment.astimezone(UTC))
        return moments


def daily_at(time_of_day: str) -> str:
    """The cron line of `02:00`. Raises BadInput."""
    match = _TIME_OF_DAY.match(time_of_day)
    if match is None:
        raise BadInput(f"{time_of_day!r} is no time of day", hint="Say it as 02:00.")
    return f"{int(match[2])} {int(match[1])} * * *"


def known_timezone(name: str) -> str:
    """The name, if it is one of the IANA data base. Raises BadInput."""
    if name not in available_timezones():
        raise BadInput(
            f"there is no time zone {name!r}", hint="Say it as Europe/Berlin, Asia/Shanghai or UTC."
        )
    return name


def machine_timezone(localtime: Path = Path("/etc/localtime")) -> str:
    """The time zone this machine is set to, UTC where it does not say."""
    _, found, name = str(localtime.resolve()).partition("/zoneinfo/")
    return name if found and name in available_timezones() else "UTC"


def missed(
    schedule: Schedule, since: datetime, now: datetime, began: Iterable[datetime]
) -> datetime | None:
    """The last moment a night was due after `since` and none has begun, if there was one.

    `began` are the moments at which scheduled nights began, be they landed, running or dead; one
    that began late (its machine was off at two o'clock) was not missed.
    """
    due = schedule.due_between(max(since, now - LOOK_BACK), now - GRACE)
    if not due or any(moment >= due[-1] - CLOCK_SLACK for moment in began):
        return None
    return due[-1]
