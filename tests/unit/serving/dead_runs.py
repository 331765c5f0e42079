"""What a dead run leaves: a lease file that nobody holds, and processes with its launch's mark."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nightbench.serving import processes
from nightbench.serving.hardware import lease_files

LAUNCH = "0123456789abcdef"


def start_of(pid: int) -> int:
    """When it started, in clock ticks since boot."""
    stat = processes.stat_of(pid)
    assert stat is not None
    return stat[1]


def record(*pids: int, **fields: object) -> dict[str, object]:
    """What a supervisor writes of processes that live."""
    return {
        "launch_id": LAUNCH,
        "subject": "t",
        "port": 1,
        "boot_id": processes.boot_id(),
        "processes": [[pid, start_of(pid)] for pid in pids],
    } | fields


def leave_behind(where: Path, resource: str, written: dict[str, object]) -> Path:
    """A lease file that nobody holds."""
    where.mkdir(exist_ok=True)
    before = set(where.iterdir())
    lease_files.leave(where, resource, written)
    (path,) = set(where.iterdir()) - before
    return path


def marked(argv: Sequence[str], launch_id: str = LAUNCH) -> subprocess.Popen[bytes]:
    """A process as a launch starts them."""
    return subprocess.Popen(argv, env=os.environ | {processes.LAUNCH_VARIABLE: launch_id})
