"""One clock for everything: CLOCK_MONOTONIC, and how kernel stamps are put on it."""

from __future__ import annotations

import ctypes
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

SO_TIMESTAMPNS = 35  # SO_TIMESTAMPING's software receive stamp, in a third of the bytes
now_ns = time.perf_counter_ns  # CLOCK_MONOTONIC on Linux, the clock servers' records use too

# Steps are told from noise: offsets are sampled to a few microseconds, once a second.
_JUMP_NS = 1_000_000
_JUMP_SHARE = 0.001
_SAMPLES = 5


def realtime_offset_ns() -> tuple[int, int]:
    """(now, CLOCK_REALTIME minus CLOCK_MONOTONIC), the tightest of a few readings."""
    best_width, best = 1 << 62, (0, 0)
    for _ in range(_SAMPLES):
        before = time.perf_counter_ns()
        real = time.time_ns()
        after = time.perf_counter_ns()
        if after - before < best_width:
            middle = (before + after) // 2
            best_width, best = after - before, (middle, real - middle)
    return best


@contextmanager
def stamping(wanted: bool = True) -> Iterator[None]:
    """The kernel stamps what arrives as long as some socket asks for it, from a moment after the
    first one did: asked here, before the connections of a level are opened."""
    with socket.socket() as asking:
        if wanted:
            asking.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        yield


@dataclass(frozen=True, slots=True)
class OffsetTrack:
    """The offset between the two clocks, sampled while a level ran: (monotonic, offset) pairs."""

    samples: tuple[tuple[int, int], ...]

    @property
    def offset_ns(self) -> int:
        """The offset of the level: the middle sample. Slewing moves both clocks; only a step, which
        makes the level void, parts them."""
        offsets = sorted(offset for _, offset in self.samples)
        return offsets[len(offsets) // 2]

    @property
    def jumped(self) -> bool:
        """Whether somebody set the clock: then kernel stamps are worth nothing."""
        return any(
            abs(offset - before) > _JUMP_NS + _JUMP_SHARE * (at - at_before)
            for (at_before, before), (at, offset) in pairwise(self.samples)
        )


class Alarm:
    """A timerfd: wakes an epoll loop at an instant, where epoll itself counts in milliseconds."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self.fd: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = (ctypes.c_long * 4)()

    def set(self, at_ns: int) -> None:
        """Fire at `at_ns` of CLOCK_MONOTONIC; an instant that has passed fires at once."""
        self._spec[2], self._spec[3] = divmod(max(at_ns, 1), 1_000_000_000)
        self._libc.timerfd_settime(self.fd, 1, self._spec, None)

    def clear(self) -> None:
        """Take note that it fired."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return
