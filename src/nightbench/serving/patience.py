"""Loading is not failing: what a server says while it is not ready yet, and waiting until it is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

REMOTE_S = 60.0  # for an API that somebody else runs: as long as a restart behind a balancer takes
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0

# The statuses of a server, or of what stands before it, that has none to answer yet.
_NOT_YET = frozenset({502, 503, 504})
_LOADING = re.compile(
    r"\b(?:is|are|still|currently|model)\s+(?:\w+\s+){0,2}loading|\bloading (?:the )?model"
    r"|\bwarming up|\bnot (?:yet )?ready|\bstarting up|\bstill starting",
    re.IGNORECASE,
)

Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Patience:
    """How to wait: for so many seconds, telling what is said meanwhile."""

    patience_s: float
    say: Callable[[str], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until_ready(self, ask: Callable[[], Said], why_not: Callable[[Said], str | None]) -> Said:
        """Ask again and again, until what comes is no sign of loading or patience ends; then that.

        `why_not` gives what the server said where it may still come to answer.
        """
        ends_s = self.clock() + self.patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            found = ask()
            said, left_s = why_not(found), ends_s - self.clock()
            if said is None or left_s <= 0:
                return found
            self.say(said)
            self.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def is_loading(status: int | None, failure: str | None, words: str) -> bool:
    """Whether this is what a server says, or does, before it is ready.

    `failure`: as `NotRead.kind`, where no answer came. A status of 4xx is our own doing, a wrong
    model's name included, unless its words say otherwise.
    """
    if status is None:
        return failure in ("connect", "cut")
    return status in _NOT_YET or bool(_LOADING.search(words))
