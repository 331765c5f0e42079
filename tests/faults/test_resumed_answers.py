"""A night of the real model that is killed at half and resumed comes to what a whole one does."""

from __future__ import annotations

import pytest
from night import Night

from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.suite.models import Target

pytestmark = [pytest.mark.fault, pytest.mark.engine, pytest.mark.timeout(900)]

QUESTIONS = 32
ANCHOR = {
    "benchmark": "starter",
    "subsets": ["anchor"],
    "limit": QUESTIONS,
    "max_concurrency": 4,
    "generation": {"temperature": 0, "max_tokens": 32},
}


def answers_spooled(night: Night) -> int:
    """How many answers the night that is running has on disk."""
    found = night.home.glob("spool/*/*.open/accuracy_samples.jsonl")
    return sum(path.read_text().count("\n") for path in found)


def test_resumed_answers_are_each_there_once_and_as_right(night: Night, smollm2: Target) -> None:
    suite = {
        "targets": [smollm2.model_dump(mode="json", exclude_unset=True)],
        "accuracy": [ANCHOR],
        "load": [],
    }
    night.start(**suite)
    night.wait_for("^samples ")
    night.wait_to_end()
    killed = night.start(**suite)
    night.wait_for("^samples ")
    assert wait_until(lambda: answers_spooled(night) >= QUESTIONS / 2, 120)
    killed.kill()
    killed.wait()
    night.scene.assert_all_gone()

    said = night.nightbench("run", "--resume", "latest")

    landed = night.landed(
        runs="run_id, status, started_at",
        accuracy_samples="run_id, sample_id, correct, reply",
        accuracy_results="run_id, subset, num_samples, accuracy, invalid_reasons, measurement_key",
    )
    runs = sorted(landed["runs"], key=lambda run: str(run["started_at"]))
    assert [run["status"] for run in runs] == ["completed", "crashed", "completed"]
    whole, crashed, resumed = (
        {s["sample_id"]: s for s in landed["accuracy_samples"] if s["run_id"] == run["run_id"]}
        for run in runs
    )
    assert len(landed["accuracy_samples"]) == len(whole) + len(crashed) + len(resumed)
    assert QUESTIONS / 2 <= len(crashed) < QUESTIONS
    assert f"{len(crashed)} of {QUESTIONS} replies reused" in said
    assert whole.keys() == resumed.keys()
    assert len(resumed) == QUESTIONS
    assert {name: resumed[name]["reply"] for name in crashed} == {
        name: crashed[name]["reply"] for name in crashed
    }
    of_all = [
        # Two tests share this machine: an engine may lack cores, which changes no answer.
        {name: row[name] for name in ("num_samples", "accuracy", "measurement_key")}
        for row in landed["accuracy_results"]
        if row["subset"] == "all" and set(row["invalid_reasons"] or ()) <= {"host_starved"}
    ]
    first, second = of_all
    assert first == second
