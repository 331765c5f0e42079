"""Every way in which a server can misbehave, and what it costs nightbench: memory and time.

    python -m tests.security.misbehaviour [load|load-in-python|accuracy|probes]... [--only MODE]

Prints a table: the mode, what its requests ended with, the most memory that the process tree and
that any one process held, and the seconds it took. Limits are those a person has without setting
any; timeouts are short. Takes about half an hour.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.security.asked_clients import ANSWERS, TIMEOUTS_S
from tests.security.hostile_server import url_of
from tests.security.modes import MODES, OF_PAGES, OF_STREAMS

ROOT = Path(__file__).parents[2]
EVERY_S = 0.02
MB = 1_000_000
# What is called too much: nothing here may come near a machine's memory, or go on by itself.
MOST_TREE_BYTES = 2_000 * MB
MOST_S = 120.0

_NO_PAGES = tuple(mode for mode in MODES if mode not in OF_PAGES)
MODES_OF = {
    "load": _NO_PAGES,
    "load-in-python": _NO_PAGES,
    "accuracy": _NO_PAGES,
    "probes": tuple(mode for mode in MODES if mode not in OF_STREAMS),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What asking a server in one mode came to."""

    outcome: str
    tree_bytes: int  # the most that all processes held at a time, looked at every 20 ms
    process_bytes: int  # the most that any one of them held, by the kernel's account
    seconds: float

    @property
    def is_bounded(self) -> bool:
        """Whether it ended by itself, and on a small machine."""
        ended = self.outcome != "" and self.seconds < MOST_S
        return ended and self.tree_bytes < MOST_TREE_BYTES


def cost_of(what: str, mode: str, port: int) -> Cost:
    """Ask in a process of its own and watch it."""
    url = url_of(port, mode, everything=what == "probes")
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.security.asked_clients", what, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    watch = _TreeWatch(process.pid)
    timer = threading.Timer(MOST_S, process.kill)
    timer.start()
    with process, watch:
        assert process.stdout is not None
        said = process.stdout.read()
    timer.cancel()
    seconds = time.monotonic() - began
    last = said.strip().splitlines()[-1:] or [""]
    outcome = last[0] if process.returncode == 0 else f"FAILED ({process.returncode}): {last[0]}"
    return Cost(outcome, watch.most_bytes, watch.most_of_one_bytes, seconds)


class _TreeWatch:
    """The most that a process and its children held together."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.most_bytes = 0
        self.most_of_one_bytes = 0

    def __enter__(self) -> _TreeWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(EVERY_S):
            try:
                tree = [self._root, *self._root.children(recursive=True)]
                self.most_bytes = max(self.most_bytes, sum(map(_held_bytes, tree)))
                self.most_of_one_bytes = max(self.most_of_one_bytes, *map(_peak_bytes, tree))
            except psutil.Error:
                continue


def _held_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _peak_bytes(process: psutil.Process) -> int:
    """The most it ever held. (What wait4 tells begins with what its parent held at the fork.)"""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


@contextmanager
def hostile_server() -> Iterator[int]:
    """A hostile server in a process of its own: its memory is not what is measured."""
    argv = [sys.executable, "-m", "tests.security.hostile_server"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


def main() -> int:
    """The table; 1 where anything in it is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=[*MODES_OF])
    parser.add_argument("--only", action="append", metavar="MODE")
    args = parser.parse_args()
    worst = 0
    print(f"{ANSWERS} answers a mode, total timeout {TIMEOUTS_S['total']} s")
    with hostile_server() as port:
        for what in args.what:
            modes = [mode for mode in MODES_OF[what] if not args.only or mode in args.only]
            print(
                f"\n{what}: {len(modes)} modes\n{'mode':40} {'tree':>7} {'process':>8} {'time':>7}"
            )
            for mode in modes:
                cost = cost_of(what, mode, port)
                worst += not cost.is_bounded
                print(
                    f"{mode:40} {cost.tree_bytes / MB:4.0f} MB {cost.process_bytes / MB:5.0f} MB "
                    f"{cost.seconds:5.1f} s  {'' if cost.is_bounded else '!!! '}{cost.outcome}",
                    flush=True,
                )
    print(f"\n{worst} out of bounds")
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main())
