"""Is a server that is up also alive? Decided from its own counters; pure.

/health has been seen to lie, so work must be seen to move: every engine step moves a counter. An
idle server moves none and a hung one, between requests, looks the same; so one that has been quiet
for a while is asked a question (which cannot disturb a measurement: nothing was moving).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nightbench.engines.observed import Counters

Decision = Literal["alive", "ask", "hung"]


@dataclass(frozen=True, slots=True)
class HangLimits:
    """Seconds: without a step while requests are in flight or without any answer, before a quiet
    server is asked, and for its answer. All of them longer where its processes are computing: one
    step of a large model on a CPU may take minutes, on a GPU it never does."""

    hung_after_s: float
    quiet_for_s: float
    answer_within_s: float
    times_if_computing: float = 10.0

    @classmethod
    def of(cls, hang_timeout_s: float) -> HangLimits:
        """Found within about `hang_timeout_s`, whether it was working when it hung or quiet."""
        return cls(hang_timeout_s, hang_timeout_s / 3, hang_timeout_s * 2 / 3)


class Heartbeat:
    """Takes what the counters say, once a second or so."""

    def __init__(self, now_s: float, patience: HangLimits) -> None:
        self._patience = patience
        self._moved_at_s = now_s
        self._signature: int | None = None

    def saw(self, now_s: float, counters: Counters | None, *, computing: bool = False) -> Decision:
        """`counters` is None where the server did not say anything; `computing` is whether its
        processes use a CPU for what a GPU is not there for."""
        if counters is not None and counters.signature != self._signature:
            self._signature = counters.signature
            self._moved_at_s = now_s
            return "alive"
        still_s = now_s - self._moved_at_s
        times = self._patience.times_if_computing if computing else 1.0
        if still_s >= self._patience.hung_after_s * times:
            return "hung"
        idle = counters is not None and not (counters.requests_running or counters.requests_waiting)
        return (
            "ask" if idle and not computing and still_s >= self._patience.quiet_for_s else "alive"
        )

    def answered(self, now_s: float, ok: bool) -> Decision:
        """What became of the question."""
        if ok:
            self._moved_at_s = now_s
        return "alive" if ok else "hung"
