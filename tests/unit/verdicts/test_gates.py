"""What `run --gate` makes of verdicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from nightbench.records import VerdictRow
from nightbench.suite.models import Gates, Suite
from nightbench.verdicts.gates import failed_regressions, held_against_nothing

GATES = Gates(max_regression=0.05)
OK = VerdictRow(
    target="a",
    hardware_class="gpu x1",
    measurement_key="",
    name="",
    subset_or_level="",
    metric="",
    verdict="ok",
    judged_at=datetime(2026, 1, 1, tzinfo=UTC),
    detail="a is as it was",
)
REGRESSED = replace(
    OK,
    verdict="regressed",
    event="a-20260101",
    event_kind="regressed",
    size_pct=8.5,
    relative_change=-0.078,
    detail="a regressed: output tok/s −7.8 %",
)


def test_an_open_event_of_at_least_that_size_fails_and_says_which() -> None:
    assert failed_regressions(GATES, [OK, REGRESSED]) == [
        "gate max_regression 5.0%: a regressed: output tok/s −7.8 %"
    ]
    assert failed_regressions(Gates(max_regression=0.08), [REGRESSED]) == []
    assert failed_regressions(Gates(), [REGRESSED]) == []


def test_a_notice_of_that_size_fails_too() -> None:
    said = "a may have regressed …; one night cannot yet tell it from the node"
    notice = replace(
        OK, verdict="inconclusive", notice=True, size_pct=9.0, relative_change=0.09, detail=said
    )
    assert failed_regressions(GATES, [notice]) == [f"gate max_regression 5.0%: {said}"]
    assert failed_regressions(GATES, [replace(notice, notice=False)]) == []


def test_an_improvement_fails_nothing() -> None:
    better = replace(
        REGRESSED, verdict="improved", event_kind="improved", size_pct=-9.0, relative_change=0.1
    )
    assert failed_regressions(GATES, [better]) == []


@pytest.mark.parametrize("word", ["not measured", "invalid", "starved"])
def test_what_could_not_be_told_does_not_pass(word: str) -> None:
    row = replace(OK, verdict=word, detail=f"a: {word}")
    assert failed_regressions(GATES, [row]) == [f"gate max_regression 5.0%: a: {word}"]


def test_an_event_that_was_open_before_a_missed_night_fails() -> None:
    missed = replace(REGRESSED, verdict="inconclusive")
    assert len(failed_regressions(GATES, [missed])) == 1


def test_an_acknowledged_event_is_quiet_until_its_date() -> None:
    assert failed_regressions(GATES, [REGRESSED], quiet={"a-20260101"}) == []


def test_a_first_night_says_that_there_is_nothing_to_be_held_against() -> None:
    first = replace(OK, verdict="inconclusive", is_new=True, detail="a has nothing …")
    assert held_against_nothing(GATES, [first, OK]) == ["gate max_regression: a has nothing …"]
    assert failed_regressions(GATES, [first]) == []


def test_a_run_that_was_not_judged_does_not_pass() -> None:
    assert failed_regressions(GATES, []) == ["gate max_regression: the run was not judged"]


def suite(**changes: Any) -> dict[str, Any]:
    target = {"name": "a", "engine": {"kind": "remote", "base_url": "http://h/v1"}}
    return {"name": "s", "targets": [target | {"served_model_name": "m"}]} | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gates": {"max_regresion": 0.1}}, "max_regresion"),
        ({"gates": {"min_accuracy": {"mmlu": 0.5}}}, "no target runs it"),
        ({"gates": {"max_regression": 0.05}}, "measures nothing"),
        ({"verdicts": {"primary": ["p95_lattency_ms"]}}, "p95_lattency_ms"),
        ({"verdicts": {"primary": ["output_throughput at c1"]}}, "expected METRIC"),
        ({"verdicts": {"min_effect": {"output_throughput": {"ms": 3}}}}, "is not a time"),
        ({"verdicts": {"reserves": 0.2}}, "reserves"),
    ],
)
def test_gates_and_settings_that_nothing_could_follow_are_refused_as_the_suite_is_read(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Suite.model_validate(suite(**changes))


def test_a_suite_says_what_is_judged_and_from_which_size() -> None:
    settings = {
        "primary": ["output_throughput", "p95_ttft_ms@c20"],
        "min_effect": {"output_throughput": 3, "p95_ttft_ms": {"pct": 5, "ms": 2}},
        "reserve": 0.1,
    }
    read = Suite.model_validate(suite(verdicts=settings)).verdicts
    assert read.min_effect["output_throughput"].pct == 3
    assert read.min_effect["p95_ttft_ms"].ms == 2
