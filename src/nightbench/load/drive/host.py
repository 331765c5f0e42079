"""How busy the generator's own machine is: one that fights its server for cores slows it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class HostReading:
    """Seconds that the machine's cores have worked so far, and when that was."""

    at_s: float
    busy_s: float
    cores: int


@dataclass(frozen=True, slots=True)
class HostUsage:
    """The machine between two readings."""

    before: HostReading
    after: HostReading

    @property
    def capacity_s(self) -> float:
        """Core seconds there were."""
        return max((self.after.at_s - self.before.at_s) * self.after.cores, 1e-9)

    @property
    def busy_share(self) -> float:
        """Of all cores' time, the share that was worked."""
        return (self.after.busy_s - self.before.busy_s) / self.capacity_s


def read_host() -> HostReading | None:
    """A reading now; None where there is no /proc/stat."""
    try:
        lines = _STAT.read_text().splitlines()
    except OSError:
        return None
    ticks = [int(value) for value in lines[0].split()[1:9]]
    idle = ticks[3] + ticks[4]  # idle and iowait
    cores = sum(1 for line in lines if line.startswith("cpu")) - 1
    return HostReading(time.monotonic(), (sum(ticks) - idle) / _TICKS, cores)
