"""Readings of the process tree, from real processes."""

from __future__ import annotations

import signal
import subprocess
import sys

from nightbench.serving import processes
from nightbench.serving.hardware.telemetry import ProcessSampler
from nightbench.serving.supervise.supervisor_client import wait_until

SPIN = "while True: pass"
TREE = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SPIN!r}])"


def test_what_spins_is_computing_until_it_or_another_is_stopped() -> None:
    with subprocess.Popen([sys.executable, "-c", TREE]) as parent:
        ticks = iter(range(1000))
        sampler = ProcessSampler(parent.pid, clock=lambda: next(ticks) / 1000)

        def computing() -> bool:
            sampler()
            return sampler.is_computing()

        assert wait_until(computing, 20)
        (child,) = processes.descendants(parent.pid)
        processes.kill_all([child], signal.SIGSTOP)
        assert wait_until(lambda: not sampler.is_computing(), 20)
        processes.kill_all([child])


def test_memory_is_that_of_the_whole_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", TREE]) as parent:
        sampler = ProcessSampler(parent.pid)
        assert wait_until(lambda: bool(processes.descendants(parent.pid)), 20)
        rss = {row.name: row.value for row in sampler()}["rss_bytes"]
        assert 1e6 < rss < 1e9
        processes.kill_all(processes.descendants(parent.pid))
