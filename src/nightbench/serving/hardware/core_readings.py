"""What the kernel says of an engine's processes and of the cores it leased."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from nightbench.serving import processes
from nightbench.serving.hardware.starvation import CoreReading

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT, _COUNTED = 3, 4, 8  # of a line of /proc/stat: guests are within their hosts


def read_cores(root: int, cores: Iterable[int], proc: Path = _PROC) -> CoreReading | None:
    """A reading now of the tree below `root` and of these cores; None where /proc lacks it."""
    pids = [root, *processes.descendants(root)]
    spent = [usage[0] for pid in pids if (usage := processes.usage(pid)) is not None]
    busy_s = busy_seconds(_text(proc / "stat"), frozenset(cores))
    if busy_s is None or not spent:
        return None
    return CoreReading(
        at_s=time.monotonic(),
        busy_s=busy_s,
        engine_cpu_s=sum(spent) / _TICKS_PER_S,
        engine_waiting_s=sum(_waiting_ns(proc / str(pid) / "task") for pid in pids) / 1e9,
    )


def busy_seconds(stat: str, cores: frozenset[int]) -> float | None:
    """Seconds that these cores have worked, by a /proc/stat; None where it lists none of them."""
    ticks = [
        [int(value) for value in line.split()[1 : _COUNTED + 1]]
        for line in stat.splitlines()
        if line.startswith("cpu") and line[3:4].isdigit() and int(line[3:].split()[0]) in cores
    ]
    if not ticks:
        return None
    return sum(sum(core) - core[_IDLE] - core[_IOWAIT] for core in ticks) / _TICKS_PER_S


def _waiting_ns(tasks: Path) -> int:
    """How long the threads of a process were runnable and on no core (schedstat's second field)."""
    try:
        threads = list(tasks.iterdir())
    except OSError:
        return 0
    said = [_text(thread / "schedstat").split() for thread in threads]
    return sum(int(fields[1]) for fields in said if len(fields) > 1)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
