"""Ends what a dead run left behind, and only what its lease record proves to be ours.

The proof is the boot of the machine, the pid and the start time: never a name. It is needed where
guard and supervisor were killed together on a kernel without PID namespaces.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nightbench.serving import processes
from nightbench.serving.file_locks import Sleep, open_shared, try_lock

PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a supervisor wrote into the lock files it holds."""

    launch_id: str = ""
    subject: str = "an unknown target"
    user: str = ""
    run_dir: str = ""
    port: int | None = None
    boot_id: str = ""
    processes: tuple[tuple[int, int], ...] = ()  # pid, start time in clock ticks since boot

    def living(self) -> list[int]:
        """The pids that are still the processes of the record, and what descends from them."""
        if self.boot_id != processes.boot_id():
            return []
        ours = [pid for pid, start in self.processes if processes.is_same(pid, start)]
        below = [pid for root in ours for pid in processes.descendants(root)]
        return sorted({*ours, *below})


@dataclass(frozen=True, slots=True)
class LeaseState:
    """One lock file: `held` by a living run, or not; the record in it; what of it lives."""

    path: Path
    held: bool
    record: Record | None
    living: tuple[int, ...]

    @property
    def is_leftover(self) -> bool:
        """Nobody holds it, and there is a trace of a run that did not end well."""
        return not self.held and self.record is not None


def parse(data: bytes) -> Record | None:
    """The record in a lock file; None where there is none. One cut short by a crash is unknown."""
    if not data.strip():
        return None
    try:
        fields = json.loads(data)
        return Record(
            launch_id=str(fields["launch_id"]),
            subject=str(fields["subject"]),
            user=str(fields["user"]),
            run_dir=str(fields["run_dir"]),
            port=fields["port"],
            boot_id=str(fields["boot_id"]),
            processes=tuple((int(pid), int(start)) for pid, start in fields["processes"]),
        )
    except (ValueError, KeyError, TypeError):
        return Record()


def describe(path: Path) -> str:
    """Who holds a lease, for a person who waits for it."""
    record = parse(path.read_bytes()) if path.exists() else None
    if record is None:
        return "a run that is just starting"
    owner = f" by {record.user}" if record.user else ""
    pid = f", pid {record.processes[0][0]}" if record.processes else ""
    return f"{record.subject}{owner}{pid}"


def states(where: Path) -> list[LeaseState]:
    """Every lease of this node, without changing any."""
    found = []
    for path in sorted(where.glob("*.lock")):
        if path.name == "line.lock":
            continue
        fd = open_shared(path)
        try:
            held = not try_lock(fd)
            record = parse(_content(fd))
            found.append(LeaseState(path, held, record, tuple(record.living() if record else ())))
        finally:
            os.close(fd)
    return found


def reap(where: Path) -> list[LeaseState]:
    """End every leftover of this node, and tell what was found."""
    reaped = []
    for state in states(where):
        if not state.is_leftover:
            continue
        fd = open_shared(state.path)
        try:
            if try_lock(fd):
                clear(fd)
                reaped.append(state)
        finally:
            os.close(fd)
    return reaped


def clear(
    fd: int, *, sleep: Sleep = time.sleep, clock: Callable[[], float] = time.monotonic
) -> bool:
    """End what the record in a lock file that we hold points at. False if something resists."""
    record = parse(_content(fd))
    if record is None:
        return True
    deadline = clock() + PATIENCE_S
    while living := record.living():
        if clock() > deadline:
            return False
        processes.kill_all(living)
        sleep(0.05)
    os.ftruncate(fd, 0)
    return True


def _content(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)
