"""A night that was killed in the middle is picked up where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from house import REFERENCE_SERVER, House

MAX_TOKENS = 7  # tells the benchmark's requests from the checks that the server answers
QUESTIONS = 60

pytestmark = pytest.mark.timeout(300)


class Api:
    """The reference server as an API that outlives the night, and what it was asked."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def asked(self) -> list[str]:
        """The prompts of the benchmark, in the order in which they came."""
        with urllib.request.urlopen(f"{self.url}/truth") as answer:  # noqa: S310
            records = [json.loads(line) for line in answer.read().splitlines()]
        return [one["prompt"] for one in records if one["max_tokens"] == MAX_TOKENS]


@pytest.fixture
def api() -> Iterator[Api]:
    with subprocess.Popen(
        [sys.executable, str(REFERENCE_SERVER), "--ttft-ms=80", "--itl-ms=5"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Api(int(process.stdout.readline()))
        process.kill()


def suite_of(house: House, api: Api, **changes: Any) -> Path:
    target = {
        "name": "api",
        "served_model_name": "truth",
        "engine": {"kind": "remote", "base_url": f"{api.url}/v1"},
    }
    accuracy = {
        "benchmark": "starter",
        "limit": QUESTIONS,
        "max_concurrency": 2,
        "generation": {"max_tokens": MAX_TOKENS, "temperature": 0},
    }
    return house.suite(targets=[target], accuracy=[accuracy], **changes)


def kill_in_the_middle(house: House, api: Api, suite: Path) -> None:
    already_asked = len(api.asked())
    process = house.start("run", str(suite))
    with process:
        while len(api.asked()) < already_asked + QUESTIONS // 2:
            assert process.poll() is None, process.stdout and process.stdout.read()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def test_a_killed_night_is_resumed_and_nothing_answered_is_asked_again(
    house: House,
    api: Api,
) -> None:
    suite = suite_of(house, api)
    whole = house("run", str(suite))
    assert whole.returncode == 0, whole.stdout + whole.stderr
    kill_in_the_middle(house, api, suite)
    asked = len(api.asked())

    resumed = house("run", "--resume", "latest", "--json", "results.json")

    # Nobody had landed what the dead night left: resuming found it.
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    of_run = {
        row["status"]: (row["run_id"], row["n"])
        for row in house.sql(
            "SELECT run_id, status, count(*) AS n, min(started_at) AS began FROM accuracy_samples "
            "JOIN runs USING (run_id) GROUP BY ALL ORDER BY began"
        )
    }
    crashed, answered = of_run["crashed"]
    assert 0 < answered < QUESTIONS
    again = api.asked()[asked:]
    assert len(again) == QUESTIONS - answered
    assert f"{answered} of {QUESTIONS} replies reused" in resumed.stdout

    results = json.loads((house.folder / "results.json").read_text(encoding="utf-8"))
    assert results["resumed_from"] == crashed
    kept = [
        row["sample_id"]
        for row in house.sql("SELECT run_id, sample_id FROM accuracy_samples")
        if row["run_id"] == results["run_id"]
    ]
    assert len(set(kept)) == len(kept) == QUESTIONS
    measured = house.sql(
        "SELECT DISTINCT num_samples, accuracy, valid, measurement_key FROM accuracy_results "
        "WHERE subset = 'all'"
    )
    assert len(measured) == 1, "the uninterrupted night came to something else"
    assert measured[0]["num_samples"] == QUESTIONS
    levels = results["targets"][0]["levels"]
    assert [level["completed"] for level in levels] == [20, 20]
    assert crashed in house("show", results["run_id"]).stdout


def test_what_cannot_be_resumed_is_refused(house: House, api: Api) -> None:
    suite = suite_of(house, api, load=[])
    kill_in_the_middle(house, api, suite)
    text = suite.read_text(encoding="utf-8")
    changed = yaml.safe_load(text) | {"description": "another"}
    suite.write_text(yaml.safe_dump(changed), encoding="utf-8")
    refused = house("run", "--resume", "latest")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "is not the suite that" in refused.stderr

    suite.write_text(text, encoding="utf-8")
    assert house("run", "--resume", "latest").returncode == 0
    done = house("run", "--resume", "latest")
    assert done.returncode == 2
    assert "nothing left to do" in done.stderr
