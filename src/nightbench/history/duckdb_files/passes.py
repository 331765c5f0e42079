"""How much time has really passed between one landing and the next.

What was merged or retired is removed a grace period later, and a clock that is wrong must not make
that sooner. So elapsed time is summed up from landing to landing: by the uptime of the machine,
which nobody sets, and after a boot by the clock, as far as that is plausible. A landing that finds
the clock set since the last one removes nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter

from nightbench.errors import HistoryError
from nightbench.history.clock import Uptime
from nightbench.history.regular_files import read_regular, write_whole
from nightbench.history.spool import checked_json
from nightbench.history.spool.checked_json import DIGEST

LONGEST_GAP_S = 7 * 86_400.0  # more than that without an uptime to hold it against is a jump
_AGREE_WITHIN_S = 300.0  # a clock that is steered, or set to rights after a boot, is no jump

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One landing: what its clock said, and what it saw waiting to be removed.

    `elapsed_s` is the time that has passed over all landings; `due` says of each path (relative to
    the history) how much had passed when it was first seen.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    clock: datetime
    boot_id: str | None
    uptime_s: float | None
    elapsed_s: Seconds
    due: Mapping[str, Seconds]


@dataclass(frozen=True, slots=True)
class Passage:
    """From the last landing to this one. `jump`: how the clock was set meanwhile, in words."""

    elapsed_s: float
    jump: str | None


def passage(last: Pass | None, clock: datetime, uptime: Uptime | None, *, most_s: float) -> Passage:
    """How much time has passed since the last landing, at least, and whether the clock was set.

    By the uptime where it is of the same boot; else, after a boot or on another node, by the clock,
    and no more than `most_s`.
    """
    if last is None:
        return Passage(0.0, None)
    by_clock_s = (clock - last.clock).total_seconds()
    if uptime is not None and last.uptime_s is not None and uptime.boot_id == last.boot_id:
        elapsed_s = max(0.0, uptime.seconds - last.uptime_s)
        steady = abs(by_clock_s - elapsed_s) <= _AGREE_WITHIN_S
        return Passage(elapsed_s, None if steady else _words(last.clock, clock, elapsed_s))
    if -_AGREE_WITHIN_S <= by_clock_s <= LONGEST_GAP_S:  # another node's may be a little behind
        return Passage(min(max(0.0, by_clock_s), most_s), None)
    return Passage(0.0, _words(last.clock, clock, None))


def _words(before: datetime, now: datetime, elapsed_s: float | None) -> str:
    meanwhile = "" if elapsed_s is None else f", {timedelta(seconds=round(elapsed_s))} later"
    return f"the clock said {_minute(before)} at the last landing and{meanwhile} {_minute(now)}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def read_pass(path: Path) -> Pass | None:
    """The last landing; None where none is written down.

    Raises:
        HistoryError: what is written down cannot be read.
    """
    try:
        content = read_regular(path)
        members = checked_json.parse_members(content)
        checked_json.check_digest(members)
        rest = {name: value for name, value in members.items() if name != DIGEST}
        return checked_json.validated(TypeAdapter(Pass), rest)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error}") from error


def write_pass(path: Path, done: Pass) -> None:
    """Write a landing down for the next one.

    Raises:
        OSError: the disk does not take it.
    """
    members = {
        "clock": done.clock.isoformat(),
        "boot_id": done.boot_id,
        "uptime_s": done.uptime_s,
        "elapsed_s": done.elapsed_s,
        "due": dict(done.due),
    }
    write_whole(path, checked_json.text_of(checked_json.signed(members)).encode())
