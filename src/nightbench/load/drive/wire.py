"""The innermost loop of the generator: wait for what arrives, and read it or say whose it is."""

from __future__ import annotations

import select
from typing import Protocol

from nightbench.load.drive.kernel_clock import now_ns
from nightbench.load.drive.reads import PlainReads, Reads

CROWD = 256  # sockets of one poll: where it is full, there may be more
_SLEPT_NS = 50_000  # a poll that took longer was asleep: nothing was waiting to be read

# (fd, mask of epoll; 0: read already; negative: error number, EMSGSIZE of an answer too large)
Events = list[tuple[int, int]]


class Wire(Protocol):
    """Waits for a loop's sockets, and may read some of them itself."""

    woke_ns: int  # when the last poll ended
    floor_ns: int  # nothing that it found had arrived before; 0: it slept
    arrived: int  # sockets that had something

    def reads(self, most_bytes: int) -> Reads:
        """Where the reads of one answer go, at most so much of it."""

    def hand_over(self, fd: int, reads: Reads) -> None:
        """Read this socket from now on; an event with mask 0 says that the answer may be over."""

    def take_back(self, fd: int) -> None:
        """Leave this socket alone."""

    def poll(self, wait_ms: int) -> Events:
        """What the loop has to look at, `CROWD` sockets at most."""


class PlainWire:
    """Everything is read in Python."""

    def __init__(self, epoll: select.epoll) -> None:
        self.woke_ns = self.floor_ns = self.arrived = 0
        self._all_seen_ns = now_ns()
        self._poll = epoll.poll

    def reads(self, most_bytes: int) -> PlainReads:
        """Where the reads of one answer go."""
        return PlainReads(most_bytes)

    def hand_over(self, fd: int, reads: Reads) -> None:
        """Nothing is read here."""

    def take_back(self, fd: int) -> None:
        """Nothing is read here."""

    def poll(self, wait_ms: int) -> Events:
        """Whatever has arrived."""
        before_ns = now_ns()
        events = self._poll(wait_ms / 1000, CROWD)
        self.woke_ns = now_ns()
        slept = wait_ms and self.woke_ns - before_ns >= _SLEPT_NS
        self.floor_ns = 0 if slept else self._all_seen_ns
        self.arrived = len(events)
        if self.arrived < CROWD:  # a full poll may have left something waiting
            self._all_seen_ns = self.woke_ns
        return events
