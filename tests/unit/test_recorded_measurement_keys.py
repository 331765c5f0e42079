"""What the shipped suites ask has the measurement keys that it had before the code was rearranged:
another key would begin a new series for everybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightbench.accuracy.asking_plan import measurement_key
from nightbench.accuracy.benchmarks import find
from nightbench.accuracy.questions import prepare
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.workloads import read_prompts
from nightbench.suite.file import find_suite, read_suite

RECORDED: dict[str, str] = json.loads(
    Path(__file__).with_name("recorded_measurement_keys.json").read_text("utf-8")
)


def keys_of(suite_name: str) -> dict[str, str]:
    """Of every level and benchmark whose data ship with nightbench."""
    file = read_suite(find_suite(suite_name))
    keys = {}
    for load in file.suite.load:
        for level in plan_levels(load):
            name = f"{suite_name} {level.workload} {level.label}"
            if name in RECORDED:
                prompts = read_prompts(load.workload, level.prompts_needed, 0, file.base_dir)
                keys[name] = level.measurement_key(prompts)
    for spec in file.suite.accuracy:
        name = f"{suite_name} {spec.benchmark}"
        if name in RECORDED:
            prepared = prepare(find(spec.benchmark), spec, file.base_dir)
            keys[name] = measurement_key(spec, prepared)
    return keys


@pytest.mark.parametrize("suite_name", sorted({name.split()[0] for name in RECORDED}))
def test_a_shipped_suite_goes_on_with_its_series(suite_name: str) -> None:
    recorded = {name: key for name, key in RECORDED.items() if name.split()[0] == suite_name}
    assert keys_of(suite_name) == recorded
