"""An engine that did not get what it was leased is told from one that did."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest
from recorded_node import RecordedNode

from nightbench.records import TelemetryRow
from nightbench.serving.hardware import gpus
from nightbench.serving.hardware.core_readings import busy_seconds, read_cores
from nightbench.serving.hardware.starvation import CoreReading, starved_of_cores, starved_of_gpus
from nightbench.serving.hardware.telemetry import GpuSampler

BEFORE = CoreReading(at_s=0, busy_s=100, engine_cpu_s=50, engine_waiting_s=5)


def after(*, busy_s: float, engine_s: float, waiting_s: float, wall_s: float = 10) -> CoreReading:
    return CoreReading(
        at_s=wall_s,
        busy_s=100 + busy_s,
        engine_cpu_s=50 + engine_s,
        engine_waiting_s=5 + waiting_s,
    )


@pytest.mark.parametrize(
    ("reading", "client_cpu_s", "starved"),
    [
        (after(busy_s=19.5, engine_s=5.8, waiting_s=9), 0.2, True),  # 0.58 of 2 cores
        (after(busy_s=20, engine_s=10, waiting_s=10), 0.2, True),  # halved by others
        (after(busy_s=19, engine_s=18.5, waiting_s=4), 0.2, False),  # its own threads crowd
        (after(busy_s=20, engine_s=10, waiting_s=8), 8.0, False),  # by us: host_contention
        (after(busy_s=15, engine_s=5, waiting_s=0.1), 0.2, False),  # room for both
        (after(busy_s=6, engine_s=5.5, waiting_s=3), 0.1, False),
        (after(busy_s=1.6, engine_s=0.5, waiting_s=0.5, wall_s=0.8), 0.0, False),  # too short
    ],
)
def test_cores_that_others_took_are_told_from_those_it_used(
    reading: CoreReading, client_cpu_s: float, starved: bool
) -> None:
    said = starved_of_cores(BEFORE, reading, cores=2, client_cpu_s=client_cpu_s)
    assert (said is not None) == starved


def test_what_it_lacked_is_said_in_cores() -> None:
    reading = after(busy_s=19.5, engine_s=5.8, waiting_s=9)
    said = starved_of_cores(BEFORE, reading, cores=2, client_cpu_s=0.2)
    assert said is not None
    assert "1.35 of its 2 cores: it had 0.58" in said


STAT = """cpu  900 0 100 5000 10 0 0 0 0 0
cpu0 300 10 50 2000 5 1 2 32 40 0
cpu1 300 0 50 2000 5 0 0 0 0 0
cpu10 300 0 50 1000 0 0 0 0 0 0
intr 1 2 3
"""


def test_only_the_leased_cores_count_and_a_hypervisors_share_does_too() -> None:
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    assert busy_seconds(STAT, frozenset({0})) == pytest.approx(395 / ticks_per_s)
    assert busy_seconds(STAT, frozenset({1, 10})) == pytest.approx(700 / ticks_per_s)
    assert busy_seconds(STAT, frozenset({7})) is None


@contextmanager
def burning(core: int) -> Iterator[int]:
    """A process below another that works on one core: the pid of the upper one."""
    code = "import os, subprocess, sys\n"
    code += f"os.sched_setaffinity(0, {{{core}}})\n"
    code += "subprocess.run([sys.executable, '-c', 'while True: pass'])"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_an_engine_that_shares_its_core_with_others_is_starved() -> None:
    core = min(os.sched_getaffinity(0))
    with ExitStack() as stack:
        engine = stack.enter_context(burning(core))
        for _ in range(2):
            stack.enter_context(burning(core))
        time.sleep(0.7)
        before = read_cores(engine, [core])
        time.sleep(2.0)
        later = read_cores(engine, [core])
    assert before is not None
    assert later is not None
    said = starved_of_cores(before, later, cores=1, client_cpu_s=0)
    assert said is not None, (before, later)


def test_what_is_gone_has_no_reading() -> None:
    assert read_cores(2**22 + 1, [0]) is None


def readings(**columns: list[float]) -> list[TelemetryRow]:
    at = datetime.now(UTC)
    return [
        TelemetryRow(read_at=at, source="gpu0", name=name, value=value)
        for name, values in columns.items()
        for value in values
    ]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"throttle_reasons": [0, 1, 0x4, 0x4]}, None),  # idle; its own power cap
        ({"throttle_reasons": [0] * 19 + [0x40]}, None),  # once
        ({"throttle_reasons": [0x4] * 8 + [0x40, 0x44]}, "0x40"),  # thermal, by hardware
        ({"throttle_reasons": [0x20] * 5}, "0x20"),
        ({"throttle_reasons": [0x80, 0, 0]}, "0x80"),  # the power brake
        ({"foreign_processes": [0, 0, 0]}, None),
        ({"foreign_processes": [0, 1, 2]}, "2 foreign processes"),
        ({"sm_clock_mhz": [1980, 1400], "utilization_percent": [99, 99]}, None),
        ({"sm_clock_mhz": [345, 345], "utilization_percent": [0, 3]}, None),  # idle
        (
            {"sm_clock_mhz": [1980, 900], "utilization_percent": [99, 99]},
            "900 MHz of its maximum of 1980",
        ),
        ({}, None),
    ],
)
def test_gpus_that_were_held_back_say_so(columns: dict[str, list[float]], said: str | None) -> None:
    found = starved_of_gpus(readings(**columns), {"gpu0": 1980})
    assert (found is None) == (said is None)
    assert (said or "") in (found or "")


def sampled(node: RecordedNode, root: int) -> dict[str, float]:
    node_gpus = gpus.read_inventory(node, {}).gpus[:1]
    return {row.name: row.value for row in GpuSampler(node_gpus, node, root)()}


def test_processes_of_others_on_a_gpu_are_counted_where_its_own_are_seen() -> None:
    us = os.getpid()
    node = RecordedNode(count=1, pids={0: (us, 4_000_001, 4_000_002)})
    assert sampled(node, us)["foreign_processes"] == 2
    assert sampled(RecordedNode(count=1, pids={0: (us,)}), us)["foreign_processes"] == 0
    # Its own are not seen: NVML counts in another namespace, or does not say.
    assert "foreign_processes" not in sampled(RecordedNode(count=1, pids={0: (7,)}), us)
    assert "foreign_processes" not in sampled(RecordedNode(count=1), us)
