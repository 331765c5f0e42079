"""The time that one target may be measured again for: its share of the night's reserve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from nightbench.night.budget import NightClock
from nightbench.suite.models import Suite


def allowance_s(suite: Suite) -> float | None:
    """The seconds that each target of a night may be measured again for; None: no budget, no end
    but the judge's own."""
    if suite.time_budget is None:
        return None
    return suite.verdicts.reserve * suite.time_budget / len(suite.targets)


class Allowance:
    """What is left of it, and what each kind of measuring again takes: as long as the last time."""

    def __init__(
        self,
        left_s: float | None,
        clock: NightClock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left_s, self._clock, self._monotonic = left_s, clock, monotonic
        self._took_s: dict[str, float] = {}

    def expect(self, kind: str, seconds: float) -> None:
        """That it will take so long, until it is known better."""
        self._took_s[kind] = seconds

    def why_not(self, *kinds: str) -> str | None:
        """Why there is no time for all of these, one after the other; None where there is."""
        needed_s = sum(self._took_s.get(kind, 0.0) for kind in kinds)
        left = [left for left in (self._left_s, self._clock.left_s()) if left is not None]
        if not left or needed_s < min(left):
            return None
        return f"{needed_s:.0f} s are needed, {min(left):.0f} s were left for it"

    @contextmanager
    def spent_on(self, kind: str) -> Iterator[NightClock]:
        """Count what this takes, however it ends; a clock that is over when the share is."""
        began = self._monotonic()
        try:
            yield self._within()
        finally:
            took_s = self._monotonic() - began
            self._took_s[kind] = took_s
            if self._left_s is not None:
                self._left_s = max(0.0, self._left_s - took_s)

    def _within(self) -> NightClock:
        if self._left_s is None:
            return self._clock
        ends_at = self._clock.now() + timedelta(seconds=self._left_s)
        if self._clock.ends_at is not None:
            ends_at = min(ends_at, self._clock.ends_at)
        return NightClock(ends_at=ends_at, now=self._clock.now)
