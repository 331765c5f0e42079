"""How busy this machine is."""

from __future__ import annotations

import os
import time

import pytest

from nightbench.load.drive.host import HostReading, HostUsage, read_host


def test_the_share_is_of_all_cores() -> None:
    use = HostUsage(HostReading(10.0, 100.0, 4), HostReading(20.0, 130.0, 4))
    assert use.capacity_s == 40
    assert use.busy_share == pytest.approx(0.75)


def test_work_of_our_own_is_seen() -> None:
    before = read_host()
    begun = time.process_time()
    while time.process_time() - begun < 0.3:
        pass
    after = read_host()
    assert before is not None
    assert after is not None
    assert after.cores == os.cpu_count()
    assert after.busy_s - before.busy_s > 0.2
