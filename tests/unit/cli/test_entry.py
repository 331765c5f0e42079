"""The command ends, whatever a library still waits for as the interpreter goes down."""

from __future__ import annotations

import subprocess
import sys

STUCK_AT_EXIT = """
import sys, threading, time
from nightbench.cli import main as cli

sys.modules["prefect"] = sys  # as if a flow had run
threading._register_atexit(time.sleep, 60)  # what Prefect's queues do while their API is away
cli.LEAVE_WITHIN_S = 0.2
cli.main = lambda: 3
cli.entry()
"""


def test_a_prefect_api_that_is_gone_does_not_hold_up_the_end_nor_change_its_code() -> None:
    ended = subprocess.run([sys.executable, "-c", STUCK_AT_EXIT], timeout=30, check=False)
    assert ended.returncode == 3
