"""Planning a load: pure, the same every night, and no prompt asked twice."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nightbench.load.plan.levels import Level, plan_levels
from nightbench.load.plan.workloads import Prompts
from nightbench.suite.models import LoadSpec

PROMPTS = Prompts([f"question {i}" for i in range(1000)])


def spec(**fields: Any) -> LoadSpec:
    return LoadSpec.model_validate(
        {
            "name": "openqa",
            "workload": {"kind": "openqa", "path": "q.jsonl"},
            "max_concurrency": [5, 10],
            "num_prompts": 20,
            "warmup_prompts": 3,
        }
        | fields
    )


def own_prompts(level: Level) -> range:
    return range(level.first_prompt, level.prompts_needed)


def test_levels_share_no_prompt_with_each_other_nor_with_a_warm_up() -> None:
    levels = plan_levels(spec(max_concurrency=[5, 10, 15]))
    owned = [index for level in levels for index in own_prompts(level)]
    assert len(owned) == len(set(owned)) == 3 * 23


def test_levels_are_named_after_what_drives_them() -> None:
    assert [level.label for level in plan_levels(spec())] == ["c5", "c10"]
    rates = plan_levels(spec(max_concurrency=None, request_rate=[2.5, math.inf]))
    assert [level.label for level in rates] == ["r2.5", "rinf"]


def test_the_key_is_the_same_tonight_as_last_night() -> None:
    first, again = plan_levels(spec())[0], plan_levels(spec())[0]
    assert first.measurement_key(PROMPTS) == again.measurement_key(PROMPTS)


@pytest.mark.parametrize(
    "change",
    [
        {"num_prompts": 21},
        {"warmup_prompts": 2},
        {"max_concurrency": [6, 10]},
        {"generation": {"max_tokens": 5}},
        {"timeouts_s": {"first_token": 1}},
    ],
)
def test_the_key_changes_with_what_is_asked(change: dict[str, Any]) -> None:
    before, after = plan_levels(spec())[0], plan_levels(spec(**change))[0]
    assert before.measurement_key(PROMPTS) != after.measurement_key(PROMPTS)


def test_the_key_changes_with_the_prompts_of_its_level_and_no_others() -> None:
    first, second = plan_levels(spec())
    texts = list(PROMPTS.texts)
    texts[30] = "another question"  # the second level's
    changed = Prompts(texts)
    assert first.measurement_key(PROMPTS) == first.measurement_key(changed)
    assert second.measurement_key(PROMPTS) != second.measurement_key(changed)


def test_one_more_level_at_the_end_changes_nothing_before_it() -> None:
    longer = plan_levels(spec(max_concurrency=[5, 10, 15]))
    for before, after in zip(plan_levels(spec()), longer, strict=False):
        assert before.measurement_key(PROMPTS) == after.measurement_key(PROMPTS)


def test_a_level_bounded_by_time_knows_how_many_prompts_it_may_need() -> None:
    closed = plan_levels(spec(num_prompts=None, duration_s=6))[0]
    assert (closed.num_prompts, closed.duration_s) == (300, 6)
    opened = plan_levels(
        spec(
            num_prompts=None,
            duration_s=6,
            max_concurrency=None,
            request_rate=50,
            burstiness=math.inf,
        )
    )[0]
    assert opened.num_prompts == 300
