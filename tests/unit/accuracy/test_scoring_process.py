"""Processes that score are heard for so long and so much, and end with whoever started them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nightbench.accuracy.scoring.mathematics import _Worker
from nightbench.accuracy.scoring.programs import run_confined
from nightbench.accuracy.scoring.worker_process import exchange, started_to_stay

LONG_S, SOON_S = 60.0, 0.2
SOON_ENDED_S = 30.0


def started(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def heard(
    program: str, said: bytes = b"", *, within_s: float = LONG_S, one_line: bool = False
) -> bytes | None:
    with started(program) as process:
        try:
            return exchange(process, said, most_bytes=100, within_s=within_s, one_line=one_line)
        finally:
            process.kill()


def test_what_is_said_is_heard_and_answered() -> None:
    assert heard("print(len(input()))", b"a" * 1_000_000) == b"1000000\n"
    assert heard("pass", b"a" * 1_000_000) == b""
    assert heard("while True: print(input(), flush=True)", b"a\n", one_line=True) == b"a\n"


@pytest.mark.parametrize(
    ("program", "within_s"),
    [
        ("while True: print('a' * 1000)", LONG_S),
        ("import time; time.sleep(99)", SOON_S),
        ("import time\nwhile True: print('a', end='', flush=True); time.sleep(0.05)", SOON_S),
        ("import sys, time; sys.stdin.close(); time.sleep(99)", SOON_S),
    ],
    ids=["too much", "nothing", "a drip", "deaf"],
)
@pytest.mark.parametrize("one_line", [True, False])
def test_too_much_and_too_late_is_no_answer(program: str, within_s: float, one_line: bool) -> None:
    assert heard(program, b"a" * 1_000_000, within_s=within_s, one_line=one_line) is None


def test_a_process_that_goes_before_its_line_ends_says_nothing() -> None:
    assert heard("print('a', end='')", one_line=True) is None


@pytest.mark.parametrize(
    "program",
    [
        "import os\nfor fd in range(3, 10):\n  try:\n    while True: os.write(fd, b'x' * 65536)\n"
        "  except OSError: pass",
        "import signal, time\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n"
        "  except (OSError, ValueError): pass\ntime.sleep(99)",
        "import os, time\nos.closerange(3, 64)\ntime.sleep(99)",
        "import ctypes; assert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0",
        "'" + "x" * 3_000_000,
        "(" * 100_000,
    ],
    ids=["gigabytes", "ignores signals", "closes", "forgets its starter", "long", "nested"],
)
def test_a_program_that_does_not_behave_fails_and_is_gone(program: str) -> None:
    before = {child.pid for child in psutil.Process().children()}

    assert not run_confined(program, wall_limit_s=0.1)

    assert {child.pid for child in psutil.Process().children()} <= before


def test_a_process_started_to_stay_outlives_the_thread_that_asked_for_it() -> None:
    worker = _Worker(LONG_S)
    answers: list[object] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: answers.append(worker.call("same", "1", "1.0")))
        thread.start()
        thread.join()
    process = worker._process
    worker.close()

    assert answers == [True, True]
    assert process is not None
    assert process.returncode == -9  # ours: it was there until it was closed


def test_what_cannot_be_started_is_told_where_it_was_asked_for() -> None:
    def start() -> subprocess.Popen[bytes]:
        raise FileNotFoundError("no such program")

    with pytest.raises(FileNotFoundError, match="no such program"):
        started_to_stay(start)


SLEEPS = """
from nightbench.accuracy.scoring.programs import run_confined
run_confined("import time; time.sleep(999)", wall_limit_s=900)
"""
COMPUTES = SLEEPS.replace("import time; time.sleep(999)", "while True: pass")
COMPARES = """
from nightbench.accuracy.scoring.mathematics import _Worker
worker = _Worker(900)
worker.call("read", "1")
print("warm", flush=True)
worker.call("same", "9^{9^{9}}", "5")
"""


@pytest.mark.parametrize("scorer", [SLEEPS, COMPUTES, COMPARES], ids=["sleeps", "computes", "math"])
def test_a_scorer_that_is_killed_leaves_no_program_behind(scorer: str) -> None:
    with subprocess.Popen([sys.executable, "-c", scorer], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if scorer == COMPARES:
                assert process.stdout.readline() == b"warm\n"
            children = wait_for(lambda: at_work(process.pid))
        finally:
            process.kill()
    wait_for(lambda: not any(map(is_alive, children)))


def at_work(pid: int) -> list[psutil.Process]:
    """The children that have begun with what they are for: their starter is known to the kernel."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if _has_begun(child)]


def _has_begun(process: psutil.Process) -> bool:
    """Confined, or (the mathematical one, which is not) computing."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return "Seccomp:\t2" in status or process.cpu_times().user > 0.5


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(look: Callable[[], Any]) -> Any:
    ends_at_s = time.monotonic() + SOON_ENDED_S
    while not (seen := look()):
        assert time.monotonic() < ends_at_s
        time.sleep(0.02)
    return seen
