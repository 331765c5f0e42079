"""A night keeps to its time: what matters more first, and what was left out is said and landed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import REFERENCE_SERVER, House

pytestmark = pytest.mark.timeout(400)

TTFT_S = 1.0


@pytest.fixture
def api() -> Iterator[str]:
    """A server that takes a second for an answer."""
    with subprocess.Popen(
        [sys.executable, str(REFERENCE_SERVER), f"--ttft-ms={TTFT_S * 1000}", "--itl-ms=1"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        process.kill()


def suite_of(house: House, api: str, prompts: int = 30, **changes: Any) -> Path:
    """Two targets; one stream takes half a minute, four take eight seconds and matter more."""
    engine = {"kind": "remote", "base_url": api}
    target = {"served_model_name": "truth", "engine": engine}
    load = {
        "workload": {"kind": "openqa", "path": "prompts.jsonl"},
        "num_prompts": prompts,
        "generation": {"max_tokens": 2},
    }
    return house.suite(
        targets=[{"name": "later"} | target, {"name": "first", "priority": 1} | target],
        accuracy=[{"benchmark": "starter", "limit": 4, "generation": {"max_tokens": 2}}],
        load=[
            {"name": "one", "max_concurrency": 1} | load,
            {"name": "four", "max_concurrency": 4, "priority": 1} | load,
        ],
        **changes,
    )


def skipped(house: House) -> list[dict[str, Any]]:
    return house.sql(
        "SELECT target, name, value FROM provenance WHERE name LIKE 'skipped load%' "
        "AND run_id = (SELECT max(run_id) FROM runs) ORDER BY ALL"
    )


def test_what_does_not_fit_is_left_out_by_priority_and_landed(house: House, api: str) -> None:
    whole = house("run", str(suite_of(house, api)), "--target", "first")
    assert whole.returncode == 0, whole.stdout + whole.stderr

    night = house("run", str(suite_of(house, api, time_budget="36s")))

    assert night.returncode == 0, night.stdout + night.stderr
    [row] = [row for row in skipped(house) if row["target"] == "first"]
    assert row["name"] == "skipped load one c1"
    assert "of the night were left" in row["value"]
    levels = house.sql(
        "SELECT target, workload, list_contains(invalid_reasons, 'time_budget') AS cut "
        "FROM load_levels WHERE run_id = (SELECT max(run_id) FROM runs)"
    )
    assert {"target": "first", "workload": "four", "cut": False} in levels
    assert "one" not in [level["workload"] for level in levels if not level["cut"]]
    assert house.sql("SELECT status FROM runs ORDER BY run_id DESC LIMIT 1") == [
        {"status": "completed"}
    ]


def test_when_the_time_is_over_the_level_ends_and_the_rest_is_skipped(
    house: House, api: str
) -> None:
    night = house("run", str(suite_of(house, api, prompts=240, time_budget="25s")))

    assert night.returncode == 0, night.stdout + night.stderr
    [level] = house.sql("SELECT target, workload, valid, invalid_reasons FROM load_levels")
    assert (level["target"], level["workload"], level["valid"]) == ("first", "four", False)
    assert "time_budget" in level["invalid_reasons"]
    assert house.sql("SELECT target, status, error FROM targets ORDER BY target") == [
        {"target": "first", "status": "completed", "error": None},
        {"target": "later", "status": "skipped", "error": "the night's time budget was used up"},
    ]
    [row] = skipped(house)
    assert row == {
        "target": "first",
        "name": "skipped load one c1",
        "value": "the night's time budget was used up",
    }
    said = house("show", "latest").stdout
    assert "first: load one c1 was skipped: the night's time budget was used up" in said
