"""How long a night waits for a target that another node has: decisions over moments.

Nothing is waited for without an end. A target that nobody begins is called off; so is one that goes
on after the night; and one that was called off and does not say that it has ended is given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

# A worker asks for work every few seconds; Prefect calls it offline after a minute and a half.
TAKEN_WITHIN = timedelta(minutes=15)
# A target ends with the night; its teardown and landing come after.
AFTER_THE_NIGHT = timedelta(minutes=10)
WITHOUT_AN_END = timedelta(hours=24)  # of a night that nothing limits: the next one comes
ENDS_WITHIN = timedelta(minutes=5)  # once it was called off: teardown and sealing take 20 s

Step = Literal["wait", "call off", "give up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One target elsewhere: since when, and until when the night goes."""

    dispatched_at: datetime
    ends_at: datetime | None
    called_off_at: datetime | None = None
    why: str = ""  # it was called off

    def overstays(self, now: datetime) -> bool:
        """Whether the night is over for it."""
        until = self.ends_at + AFTER_THE_NIGHT if self.ends_at else None
        return now > (until or self.dispatched_at + WITHOUT_AN_END)


def next_step(
    waiting: Waiting, now: datetime, *, has_begun: bool, nobody_since: datetime | None
) -> tuple[Step, str]:
    """What to do now, and why. `nobody_since`: since when no worker of its pool is there."""
    if waiting.called_off_at is not None:
        over = now - waiting.called_off_at > ENDS_WITHIN
        return ("give up", waiting.why) if over else ("wait", "")
    if not has_begun and nobody_since is not None and now - nobody_since > TAKEN_WITHIN:
        return "call off", "no worker of its pool picked it up"
    if waiting.overstays(now):
        return "call off", "it was still running when the night ended"
    return "wait", ""
