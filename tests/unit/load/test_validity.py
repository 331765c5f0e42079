"""Whether a level may be believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nightbench.load.summarize.validity import Evidence, invalid_reasons

SOUND = Evidence(
    num_prompts=1000,
    completed=1000,
    failed=0,
    max_concurrency=20,
    peak_concurrency=20,
    median_ttft_ms=50.0,
    median_tpot_ms=10.0,
    ttft_residual_ms=0.0,
    tpot_residual_ms=0.0,
    p99_queue_ms=1.0,
    idle_slot_share=0.001,
    hidden_chunk_share=0.0,
    host_busy_share=0.5,
    client_cpu_share=0.02,
    wanted_rate=None,
    achieved_rate=None,
    cached_tokens=0,
    prompt_tokens=10_000,
    shares_prefix=False,
    short_outputs=0,
    empty_answers=0,
    contradicted_share=0.0,
    fixed_length=False,
    clock_jumped=False,
    prompts_exhausted=False,
    stopped=None,
)


def test_a_sound_level_is_valid() -> None:
    assert invalid_reasons(SOUND) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"failed": 11, "completed": 989}, "failures"),
        ({"num_prompts": 5, "completed": 5}, "too_few_requests"),
        ({"ttft_residual_ms": 2.6}, "client_lag"),
        ({"tpot_residual_ms": 0.6}, "client_lag"),
        ({"max_concurrency": None, "p99_queue_ms": 5.1}, "client_lag"),
        ({"idle_slot_share": 0.021}, "client_lag"),
        ({"hidden_chunk_share": 0.06}, "client_lag"),
        ({"host_busy_share": 0.95, "client_cpu_share": 0.3}, "host_contention"),
        ({"host_busy_share": 0.75, "client_cpu_share": 0.4}, "host_contention"),
        ({"wanted_rate": 10.0, "achieved_rate": 9.7}, "rate_missed"),
        ({"peak_concurrency": 18}, "concurrency_not_reached"),
        ({"cached_tokens": 101}, "prefix_cache_hits"),
        ({"fixed_length": True, "short_outputs": 11}, "short_outputs"),
        ({"clock_jumped": True}, "clock_jump"),
        ({"empty_answers": 11}, "empty_answers"),
        ({"contradicted_share": 0.011}, "usage_contradicted"),
        ({"prompts_exhausted": True}, "prompts_exhausted"),
        ({"stopped": "server_died"}, "server_died"),
    ],
)
def test_each_trouble_has_its_reason(change: dict[str, Any], reason: str) -> None:
    assert invalid_reasons(replace(SOUND, **change)) == [reason]


@pytest.mark.parametrize(
    "change",
    [
        {"failed": 10, "completed": 990},
        {"ttft_residual_ms": 2.4},
        {"max_concurrency": None, "p99_queue_ms": 4.9},
        {"p99_queue_ms": 50.0, "idle_slot_share": 0.019},
        {"wanted_rate": 10.0, "achieved_rate": 9.9},
        {"cached_tokens": 5000, "shares_prefix": True},
        {"cached_tokens": None},
        {"empty_answers": 10},
        {"contradicted_share": 0.01},
        {"host_busy_share": 1.0, "client_cpu_share": 0.05},
        {"host_busy_share": 0.75, "client_cpu_share": 0.2},
        {"host_busy_share": None, "client_cpu_share": 0.5},
        {"short_outputs": 500},
        {"max_concurrency": None, "median_ttft_ms": None, "p99_queue_ms": 50.0},
    ],
)
def test_what_is_within_its_limit_is_no_trouble(change: dict[str, Any]) -> None:
    assert invalid_reasons(replace(SOUND, **change)) == []


def test_a_level_says_everything_that_is_wrong_with_it() -> None:
    troubled = replace(SOUND, stopped="server_died", failed=500, completed=500)
    assert invalid_reasons(troubled) == ["server_died", "failures"]
