"""A process that is kept running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from nightbench.cli.restarted_process import RestartedProcess
from nightbench.errors import NightbenchError
from nightbench.serving.supervise.supervisor_client import wait_until

LASTING = (sys.executable, "-c", "import time; time.sleep(600)")
ENDING = (sys.executable, "-c", "raise SystemExit(7)")


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(argv: tuple[str, ...], folder: Path, clock: Clock) -> RestartedProcess:
    return RestartedProcess("server", argv, dict(os.environ), folder / "log", clock)


def ended(process: RestartedProcess) -> bool:
    return wait_until(lambda: not process.is_running(), 20)


def test_a_process_that_is_killed_is_started_again_and_that_is_said(tmp_path: Path) -> None:
    with kept(LASTING, tmp_path, Clock()) as process:
        first = process.pid
        assert first is not None
        assert process.keep() == ""
        os.kill(first, signal.SIGKILL)
        assert ended(process)
        assert process.keep() == "the Prefect server ended by itself (SIGKILL); started again"
        assert process.is_running()
        assert process.pid != first
    assert not process.is_running()


def test_one_that_never_starts_is_given_up_with_its_log_named(tmp_path: Path) -> None:
    with kept(ENDING, tmp_path, Clock()) as process:
        for _ in range(2):
            assert ended(process)
            assert "exit code 7" in process.keep()
        assert ended(process)
        with pytest.raises(NightbenchError, match="3 times soon after its start") as given_up:
            process.keep()
    assert str(tmp_path / "log") in str(given_up.value)


def test_one_that_ends_now_and_then_is_started_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    with kept(ENDING, tmp_path, clock) as process:
        for _ in range(5):
            assert ended(process)
            clock.now += 60
            assert "started again" in process.keep()


KEEPER = """
import os, sys, time
from pathlib import Path
from nightbench.cli.restarted_process import RestartedProcess

argv = (sys.executable, "-c", "import time; time.sleep(600)")
with RestartedProcess("server", argv, dict(os.environ), Path(sys.argv[1])) as process:
    print(process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not shutil.which("setpriv"), reason="this machine has no setpriv")
def test_it_does_not_outlive_a_keeper_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEPER, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        kept = psutil.Process(int(keeper.stdout.readline()))
        # Only then is it tied to its keeper: setpriv has become the process that it was to start.
        assert wait_until(lambda: "-c" in kept.cmdline()[1:2], 20)
        keeper.kill()
        assert wait_until(lambda: not kept.is_running(), 20)
