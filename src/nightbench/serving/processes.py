"""Processes as the kernel tells them: trees, start times, signals. Standard library only.

A pid alone proves nothing, for it is given again; a pid with its start time and the machine's boot
does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path


def stat_of(pid: int) -> tuple[int, int, str] | None:
    """(parent pid, start time in clock ticks since boot, state letter), None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), int(fields[19]), fields[0]


def descendants(root: int) -> list[int]:
    """Every living process below `root`, wherever in its tree, zombies left out."""
    children: dict[int, list[int]] = {}
    alive = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 - called 50 times a second while stopping
        if name.isdigit() and (stat := stat_of(int(name))):
            children.setdefault(stat[0], []).append(int(name))
            if stat[2] not in "ZX":
                alive.add(int(name))
    found, queue = [], [root]
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
    stat = stat_of(pid)
    return stat is not None and stat[1] == start and stat[2] not in "ZX"


def usage(pid: int) -> tuple[int, int] | None:
    """(CPU time in clock ticks, resident pages), None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[11]) + int(fields[12]), int(fields[21])
