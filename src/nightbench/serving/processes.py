"""Processes as the kernel tells them: trees, start times, signals. Standard library only.

A pid alone proves nothing, for it is given again; a pid with its start time and the machine's boot
does. Whose a process is, the kernel says; that it is of a launch, the mark in its environment.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

# In the environment of everything that a launch starts; the value is the launch's id.
LAUNCH_VARIABLE = "NIGHTBENCH_LAUNCH"
_MAX_ENVIRON_BYTES = 8 << 20


def stat_of(pid: int) -> tuple[int, int, str] | None:
    """(parent pid, start time in clock ticks since boot, state letter), None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), int(fields[19]), fields[0]


def descendants(*roots: int) -> list[int]:
    """Every living process below `roots`, wherever in their trees, zombies left out."""
    children: dict[int, list[int]] = {}
    alive = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 - called 50 times a second while stopping
        if name.isdigit() and (stat := stat_of(int(name))):
            children.setdefault(stat[0], []).append(int(name))
            if stat[2] not in "ZX":
                alive.add(int(name))
    found, queue = [], list(roots)
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return [pid for pid in found if pid in alive]


def kill_all(pids: Iterable[int], signum: int = signal.SIGKILL) -> None:
    """Send a signal to each; those already gone are fine."""
    for pid in pids:
        try:
            os.kill(pid, signum)
        except (ProcessLookupError, PermissionError):
            continue


def end(pid: int, start: int, owner: int) -> None:
    """SIGKILL one process if it is still the one that started at `start`, and is `owner`'s.

    What is looked at and what is killed is one process (pidfd), whoever gets its number meanwhile.
    """
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError:
        fd = -1  # a kernel, or a container's filter, without pidfds
    try:
        if is_same(pid, start) and belongs_to(pid, owner):
            if fd >= 0:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        if fd >= 0:
            os.close(fd)


def belongs_to(pid: int, owner: int) -> bool:
    """Whether a process runs as that user and nobody else: real, effective, saved, and for files.

    The owner of /proc/PID is not asked: it is root for a process that may not be dumped.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return False
    uids = next((line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")), [])
    return bool(uids) and {int(uid) for uid in uids} == {owner}


def carries(pid: int, launch_id: str) -> bool:
    """Whether a process was started with the mark of that launch. False where we may not know."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            environ = file.read(_MAX_ENVIRON_BYTES)
    except OSError:
        return False
    return bool(launch_id) and f"{LAUNCH_VARIABLE}={launch_id}".encode() in environ.split(b"\0")


def reap_children() -> dict[int, int]:
    """Wait for every child that has ended; pid to exit code (128 + n for signal n)."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        code = os.waitstatus_to_exitcode(status)
        ended[pid] = code if code >= 0 else 128 - code


def boot_id() -> str:
    """Which boot of this machine: pids and start times mean nothing in another one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def parent_of(pid: int) -> int:
    """The parent's pid, 0 where the process is gone."""
    stat = stat_of(pid)
    return stat[0] if stat else 0


def is_same(pid: int, start: int) -> bool:
    """Whether `pid` still is the process that started at `start`, and lives."""
    return start_of(pid) == start


def start_of(pid: int) -> int | None:
    """When it started, in clock ticks since boot; None when it lives no more."""
    stat = stat_of(pid)
    return stat[1] if stat is not None and stat[2] not in "ZX" else None


def usage(pid: int) -> tuple[int, int] | None:
    """(CPU time in clock ticks, resident pages), None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[11]) + int(fields[12]), int(fields[21])
