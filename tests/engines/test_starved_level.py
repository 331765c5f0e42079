"""A level of real vLLM whose cores others halve is marked; the same level left alone is not.

NIGHTBENCH_QUIET_LEVELS says how often it is left alone. A machine that does something else
meanwhile starves it indeed: then this fails, rightly.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nightbench.load.drive.jobs import GeneratorOptions
from nightbench.load.measure import measure_level
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.workloads import read_prompts
from nightbench.serving.server import Server
from nightbench.suite.models import LoadSpec

pytestmark = [pytest.mark.engine, pytest.mark.build, pytest.mark.timeout(1800)]

QUIET_LEVELS = int(os.environ.get("NIGHTBENCH_QUIET_LEVELS", "3"))
BURNING = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
while True:
    pass
"""
SPEC = LoadSpec.model_validate(
    {
        "name": "short",
        "workload": {"kind": "random", "random_input_len": 32},
        "max_concurrency": [4],
        "num_prompts": 24,
        "warmup_prompts": 4,
        "generation": {"max_tokens": 32, "ignore_eos": True},
    }
)


def starved(server: Server, folder: Path) -> tuple[float, str | None]:
    """The TPOT of one level, and what its engine lacked."""
    (level,) = plan_levels(SPEC)
    watch = server.watch_hardware()
    measured = measure_level(
        level,
        read_prompts(SPEC.workload, level.prompts_needed, 0, folder),
        server.endpoint,
        work_dir=folder,
        at_bounds=watch.mark,
        options=GeneratorOptions(keep_requests=False),
    ).level
    said = watch.starved(server.drain_telemetry(), measured.client_cpu_s or 0.0)
    print(f"{measured.median_tpot_ms:.1f} ms: {said}")
    return measured.median_tpot_ms or 0.0, said


@contextmanager
def halved_cores() -> Iterator[None]:
    """One process on every core that wants all of it."""
    burning = [
        subprocess.Popen(
            [sys.executable, "-c", BURNING, str(core)],
            start_new_session=True,  # else they share what the scheduler gives to one session
        )
        for core in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def test_a_level_is_marked_where_others_halve_its_cores_and_not_where_it_is_left_alone(
    smollm2_server: Server, tmp_path: Path
) -> None:
    alone = [starved(smollm2_server, tmp_path / str(time)) for time in range(QUIET_LEVELS)]
    with halved_cores():
        slowed, said = starved(smollm2_server, tmp_path / "halved")
    assert [lacked for _, lacked in alone] == [None] * QUIET_LEVELS
    assert said, "its cores were halved"
    assert slowed > 1.3 * min(tpot for tpot, _ in alone), "it was not even slower"
