"""When nights are to run, and whether one that was due did not: decisions over values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
        raise BadInput(f"{time_of_day!r} is not a time of day", hint="Write it as 02:00.")
    return f"{int(match[2])} {int(match[1])} * * *"


def known_timezone(name: str) -> str:
    """The name, if it is one of the IANA data base. Raises BadInput."""
    if name not in available_timezones():
        raise BadInput(
            f"there is no time zone {name!r}",
            hint="Use a name such as Europe/Berlin, Asia/Shanghai or UTC.",
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


@dataclass(frozen=True, slots=True)
class Watched:
    """A schedule, since when it was seen switched on, and the last missed night that was told."""

    schedule: Schedule
    since: datetime
    told: datetime | None = None


def look(
    before: Iterable[Watched],
    active: Iterable[Schedule],
    began: Sequence[datetime],
    now: datetime,
) -> tuple[list[Watched], list[datetime]]:
    """What to remember until the next look, and the missed nights to tell of now.

    A schedule counts from when it was first seen on, so that switching one on at noon does not
    make last night a missed one. Each missed night is told once.
    """
    known = {watched.schedule: watched for watched in before}
    remembered, to_tell = [], []
    for schedule in active:
        watched = known.get(schedule, Watched(schedule, now))
        due = missed(schedule, watched.since, now, began)
        if due is not None and due != watched.told:
            to_tell.append(due)
            watched = replace(watched, told=due)
        remembered.append(watched)
    return remembered, to_tell


def read_watched(file: Path) -> list[Watched]:
    """What the last look left; nothing where there is none, or it cannot be read."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [
            Watched(
                Schedule(row["cron"], row["timezone"]),
                datetime.fromisoformat(row["since"]),
                datetime.fromisoformat(row["told"]) if row["told"] else None,
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_watched(file: Path, watched: Iterable[Watched]) -> None:
    """Leave it for the next look."""
    rows = [
        {
            "cron": one.schedule.cron,
            "timezone": one.schedule.timezone,
            "since": one.since.isoformat(),
            "told": one.told.isoformat() if one.told else None,
        }
        for one in watched
    ]
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    aside.rename(file)
