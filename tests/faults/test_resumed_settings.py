"""A night that is killed within each of a benchmark's settings, and resumed each time, asks a real
engine every question once, with its own settings, and comes to what an undisturbed night does."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from held_proxy import HeldProxy, held_proxy
from night import Night

from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.suite.models import Target

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.engine, pytest.mark.timeout(1200)]

QUESTIONS = 4  # of a subset
ANSWERED = 3  # of a setting, when the night is killed
SYSTEM = "You answer with one letter."
SHOWN = "Here are some examples"
Row = dict[str, Any]

# One benchmark in seven ways. max_tokens says in a request which of them it is of; all are greedy.
SETTINGS: dict[str, Row] = {
    "plain": {"generation": {"temperature": 0, "max_tokens": 8}},
    "sampled": {"generation": {"temperature": 0.7, "top_k": 1, "seed": 7, "max_tokens": 9}},
    "told": {"system_prompt": SYSTEM, "generation": {"temperature": 0, "max_tokens": 10}},
    "shown": {"few_shot": 2, "generation": {"temperature": 0, "max_tokens": 11}},
    "twice": {
        "subsets": ["anatomy"],
        "repeats": 2,
        "max_concurrency": 1,
        "generation": {"temperature": 0, "max_tokens": 12},
    },
    "templated": {
        "generation": {
            "temperature": 0,
            "max_tokens": 13,
            "chat_template_kwargs": {"enable_thinking": False},
        }
    },
    "completed": {"api": "completions", "generation": {"temperature": 0, "max_tokens": 14}},
}
NAMED = {entry["generation"]["max_tokens"]: name for name, entry in SETTINGS.items()}


def write_records(folder: Path) -> None:
    """Questions on two subjects, and examples to show before them."""
    folder.mkdir()
    for subset in ("anatomy", "astronomy"):
        for split, first, count in (("test", 0, QUESTIONS), ("dev", 50, 2)):
            records = [
                {
                    "question": f"Which one is number {n} of {subset}?",
                    "choices": [str(n + other) for other in range(-(n % 4), 4 - n % 4)],
                    "answer": n % 4,
                }
                for n in range(first, first + count)
            ]
            lines = "".join(f"{json.dumps(record)}\n" for record in records)
            (folder / f"{subset}_{split}.jsonl").write_text(lines)


def suite_of(proxy: HeldProxy, data: Path) -> Row:
    """The benchmark in each of its ways, asked of the engine behind the proxy."""
    common = {
        "benchmark": "mmlu",
        "data": str(data),
        "subsets": ["anatomy", "astronomy"],
        "few_shot": 0,
        "max_concurrency": 4,
    }
    return {
        "targets": [{"name": "api", "engine": {"kind": "remote", "base_url": proxy.base_url}}],
        "accuracy": [common | {"name": name} | entry for name, entry in SETTINGS.items()],
        "load": [],
    }


def answers_spooled(night: Night, setting: str) -> int:
    """How many of a setting's answers the night that is running has on disk."""
    found = night.home.glob("spool/*/*.open/accuracy_samples.jsonl")
    lines = [json.loads(line) for path in found for line in path.read_text().splitlines()]
    return sum(line["benchmark"] == setting for line in lines)


def kill_within(
    night: Night,
    proxy: HeldProxy,
    begin: Callable[[], subprocess.Popen[bytes]],
    setting: str,
) -> None:
    """Begin, and kill it when some of a setting are answered and the next ones are asked."""
    proxy.hold_after(SETTINGS[setting]["generation"]["max_tokens"], ANSWERED)
    process = begin()

    def some_are_kept() -> bool:
        assert process.poll() is None, night.output.read_text()
        return answers_spooled(night, setting) >= ANSWERED

    assert wait_until(some_are_kept, 240), night.output.read_text()
    process.kill()
    process.wait()
    proxy.let_go()


def assert_asked_as_its_setting_says(body: Row) -> None:
    """All of a request that any setting changes."""
    entry = SETTINGS[NAMED[body["max_tokens"]]]
    generation = entry["generation"]
    for member in ("temperature", "top_k", "seed", "chat_template_kwargs"):
        assert body.get(member) == generation.get(member), body
    assert ("prompt" in body) == (entry.get("api") == "completions"), body
    *system, said = body.get("messages") or [{"content": body.get("prompt")}]
    told = [{"role": "system", "content": SYSTEM}] if "system_prompt" in entry else []
    assert system == told, body
    assert (SHOWN in said["content"]) == ("few_shot" in entry), body
    if entry.get("subsets") == ["anatomy"]:
        assert "of astronomy?" not in said["content"], body


def counted(asked: list[Row]) -> Counter[str]:
    return Counter(json.dumps(body, sort_keys=True) for body in asked)


def test_a_night_killed_in_every_setting_asks_each_question_once_and_as_it_is_to_be_asked(
    night: Night, smollm2: Target
) -> None:
    data = night.scene.folder / "records"
    write_records(data)
    with (
        night.scene.serve(smollm2) as server,
        held_proxy(server.endpoint, frozenset(NAMED)) as proxy,
    ):
        suite = suite_of(proxy, data)
        night.start(**suite)
        night.wait_to_end()
        undisturbed, proxy.asked = proxy.asked, []
        for number, setting in enumerate(SETTINGS):
            begin = night.resume if number else lambda: night.start(**suite)
            kill_within(night, proxy, begin, setting)
        said = night.nightbench("run", "--resume", "latest")
        in_parts = proxy.asked

    assert f"{ANSWERED} of {2 * QUESTIONS} replies taken over" in said
    for body in in_parts:
        assert_asked_as_its_setting_says(body)
    assert Counter(NAMED[body["max_tokens"]] for body in in_parts) == dict.fromkeys(
        SETTINGS, 2 * QUESTIONS
    )
    assert counted(in_parts) == counted(undisturbed)

    landed = night.landed(
        runs="run_id, status, started_at",
        accuracy_samples="run_id, benchmark, sample_id, repeat, prompt_hash, reply, correct",
        accuracy_results="run_id, benchmark, subset, num_samples, accuracy, measurement_key",
    )
    runs = sorted(landed["runs"], key=lambda run: str(run["started_at"]))
    assert [run["status"] for run in runs] == [
        "completed",
        *["crashed"] * len(SETTINGS),
        "completed",
    ]
    whole, resumed = (of_run(landed, runs[which]["run_id"]) for which in (0, -1))
    samples = [(s["benchmark"], s["sample_id"], s["repeat"]) for s in resumed["accuracy_samples"]]
    assert len(set(samples)) == len(samples) == len(SETTINGS) * 2 * QUESTIONS
    assert resumed == whole
    overall = [row for row in resumed["accuracy_results"] if row["subset"] == "all"]
    assert len({row["measurement_key"] for row in overall}) == len(overall) == len(SETTINGS)
    accuracies = {row["accuracy"] for row in overall}
    assert accuracies != {0.0}, "a model that never answers right says nothing about scores"


def of_run(landed: dict[str, list[Row]], run_id: str) -> dict[str, list[Row]]:
    """What one run came to, in an order that is not that of its answers."""
    return {
        table: sorted(
            ({**row, "run_id": None} for row in landed[table] if row["run_id"] == run_id),
            key=lambda row: json.dumps(row, sort_keys=True),
        )
        for table in ("accuracy_samples", "accuracy_results")
    }
