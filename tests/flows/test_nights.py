"""Whole nights through the real command line, real Prefect and a real history.

The served model is the project's reference server, so that a night takes seconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from house import House

pytestmark = pytest.mark.timeout(180)


def test_a_second_night_adds_rows_and_neither_leaves_a_process(
    house_with_its_own_prefect: House,
) -> None:
    house = house_with_its_own_prefect
    suite = str(house.suite())
    first = house("run", suite, "--json", "results.json")
    assert first.returncode == 0, first.stdout + first.stderr
    assert house.living() == []
    assert "✓ reference" in first.stdout
    results = json.loads((house.folder / "results.json").read_text(encoding="utf-8"))
    assert [level["level"] for level in results["targets"][0]["levels"]] == ["c2", "c4"]

    latest = house.sql("SELECT * FROM latest")
    assert {row["max_concurrency"] for row in latest if row["kind"] == "load"} == {2, 4}
    assert any(row["kind"] == "accuracy" and row["accuracy"] is not None for row in latest)
    assert house.sql("SELECT count(*) AS n FROM load_requests") == [{"n": 40}]

    second = house("run", suite)
    assert second.returncode == 0, second.stdout + second.stderr
    runs = house.sql("SELECT status, flow_run_id FROM runs")
    assert [row["status"] for row in runs] == ["completed", "completed"]
    assert all(row["flow_run_id"] for row in runs)
    assert house.sql("SELECT count(*) AS n FROM load_requests") == [{"n": 80}]
    assert house.prefect("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'") == [(4,)]
    assert house.prefect("SELECT count(*) FROM artifact WHERE key = 'results'") == [(2,)]
    assert house.living() == []


def test_a_target_that_dies_at_boot_fails_and_the_others_are_measured(house: House) -> None:
    dying = {
        "name": "dying",
        "served_model_name": "x",
        "priority": 9,
        "engine": {
            "kind": "command",
            "argv": [sys.executable, "-c", "raise SystemExit('no such knob: {port}')"],
        },
    }
    healthy = yaml.safe_load(house.suite().read_text(encoding="utf-8"))["targets"][0]
    night = house("run", str(house.suite(targets=[dying, healthy])))
    said = night.stdout + night.stderr
    assert night.returncode == 1, said
    assert "no such knob" in said
    assert "Traceback" not in said
    assert house.sql("SELECT target, status FROM targets ORDER BY target") == [
        {"target": "dying", "status": "failed"},
        {"target": "reference", "status": "completed"},
    ]
    assert house.sql("SELECT DISTINCT target FROM load_levels") == [{"target": "reference"}]
    assert house.sql("SELECT status FROM runs") == [{"status": "failed"}]
    assert house.living() == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_night_ends_in_order_and_keeps_what_it_measured(
    house_with_its_own_prefect: House, signum: signal.Signals
) -> None:
    house = house_with_its_own_prefect
    load = yaml.safe_load(house.suite().read_text(encoding="utf-8"))["load"][0]
    slow = load | {"max_concurrency": [4, 1], "num_prompts": 40, "generation": {"max_tokens": 90}}
    process = house.start("run", str(house.suite(load=[slow])))
    with process:
        assert process.stdout is not None
        said = ""
        while "chat c1" not in said:
            said += process.stdout.readline()
        began = time.monotonic()
        os.killpg(process.pid, signum)
        said += process.stdout.read()
    assert process.returncode == 130, said
    assert time.monotonic() - began < 20
    assert "nightbench: interrupted" in said
    assert "Traceback" not in said
    assert house.living() == []
    assert house.sql("SELECT status FROM runs") == [{"status": "cancelled"}]
    assert house.sql("SELECT status FROM targets") == [{"status": "cancelled"}]
    assert house.sql("SELECT level, completed FROM load_levels")[0] == {
        "level": "c4",
        "completed": 40,
    }
    assert house.sql("SELECT count(*) AS n FROM accuracy_samples") == [{"n": 10}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targetz": []}, "targetz: unknown key; did you mean targets?"),
        ({"accuracy": [{"benchmark": "iqiuz"}]}, "iqiuz"),
        ({"load": [{"name": "l", "workload": {"kind": "openqa", "path": "no.jsonl"},
                    "max_concurrency": 1, "num_prompts": 1}]}, "no.jsonl is not there"),
        ({"targets": [{"name": "t", "model": "/no/such/model", "engine": {"kind": "vllm"}}]},
         "/no/such/model is not there"),
    ],
    ids=["typo", "benchmark", "prompts", "model"],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_starts(
    house: House, changes: dict[str, Any], said: str
) -> None:
    refused = house("run", str(house.suite(**changes)))
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (house.folder / "home" / "prefect").exists()


def test_a_gate_that_does_not_hold_is_exit_code_3(house: House) -> None:
    suite = str(house.suite(gates={"min_accuracy": {"starter": 1.0}}))
    night = house("run", suite, "--gate")
    assert night.returncode == 3, night.stdout + night.stderr
    assert "gate min_accuracy.starter: reference reached" in night.stderr


ALONE = """
import os, sys
from nightbench.cli.prefect_api import prefect_api, prefect_settings
from nightbench.home.paths import Home

home = Home.from_env()
os.environ.update(prefect_settings(home))
with prefect_api(home) as access:
    os.environ.update(access.environment())
    from flows.benchmark_target import benchmark_target
    from tasks.reporting import flush_logs

    benchmark_target(sys.argv[1], "reference")
    flush_logs()
"""


def test_a_target_started_alone_is_a_run_of_its_own(house: House) -> None:
    suite = str(house.suite(accuracy=[]))
    done = subprocess.run(
        [sys.executable, "-c", ALONE, suite],
        env=house.env,
        cwd=house.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert house.sql("SELECT status FROM runs") == [{"status": "completed"}]
    assert house.sql("SELECT count(*) AS n FROM load_levels") == [{"n": 2}]
    assert house.living() == []
