"""Ends what a dead run left behind, and only what its lease record proves to be ours.

The proof is the boot of the machine, the pid and the start time: never a name. It is needed where
guard and supervisor were killed together on a kernel without PID namespaces.

A GPU whose memory was not given back is marked dirty in its lock file. It is not leased again
before its memory is back, and what a person or the hourly maintenance reaps is only the mark.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from nightbench.errors import LeaseError
from nightbench.serving import gpus, processes
from nightbench.serving.file_locks import Sleep, open_shared, try_lock
from nightbench.serving.gpus import ReadUse
from nightbench.serving.images import remove_container

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
    containers: tuple[tuple[str, str], ...] = ()  # docker client, name
    dirty: str = ""  # what was wrong with its end
    memory_limit_bytes: int | None = None  # a dirty GPU is well again below that

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

    @property
    def dirty(self) -> str:
        """What is wrong with hardware that nobody holds, "" where nothing is."""
        return self.record.dirty if self.record is not None and not self.held else ""


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
            containers=tuple((str(c), str(name)) for c, name in fields.get("containers", [])),
            dirty=str(fields.get("dirty", "")),
            memory_limit_bytes=fields.get("memory_limit_bytes"),
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


def reap(where: Path, read_use: ReadUse = gpus.read_use) -> list[LeaseState]:
    """End every leftover of this node, and tell what was found; `states` tells what remains."""
    reaped = []
    for state in states(where):
        if not state.is_leftover:
            continue
        fd = open_shared(state.path)
        try:
            if try_lock(fd):
                if clear(fd) and _memory_is_back(state, read_use):
                    os.ftruncate(fd, 0)
                reaped.append(state)
        finally:
            os.close(fd)
    return reaped


def clear(
    fd: int, *, sleep: Sleep = time.sleep, clock: Callable[[], float] = time.monotonic
) -> bool:
    """End what the record in a lock file that we hold points at. False if something resists.

    The record of a dirty GPU stays: its memory is for others to look at.
    """
    record = parse(_content(fd))
    if record is None:
        return True
    deadline = clock() + PATIENCE_S
    while living := record.living():
        if clock() > deadline:
            return False
        processes.kill_all(living)
        sleep(0.05)
    if not all(remove_container(docker, name) for docker, name in record.containers):
        return False
    if record.memory_limit_bytes is None:
        os.ftruncate(fd, 0)
    return True


def mark_dirty(path: Path, record: Record) -> None:
    """Write down that this hardware was not given back; nothing where somebody holds it again."""
    fd = open_shared(path)
    try:
        if try_lock(fd):
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(asdict(record)).encode(), 0)
    finally:
        os.close(fd)


def memory_limit_bytes(fd: int) -> int | None:
    """How much memory of a GPU may be in use for it to be leased, where it was left dirty."""
    record = parse(_content(fd))
    return record.memory_limit_bytes if record else None


def _memory_is_back(state: LeaseState, read_use: ReadUse) -> bool:
    limit = state.record.memory_limit_bytes if state.record else None
    if limit is None:
        return True
    uuid = state.path.stem.removeprefix("gpu-")
    try:
        return read_use([uuid])[uuid].memory_used_bytes <= limit
    except LeaseError:
        return False  # what cannot be read is not proven


def _content(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)
