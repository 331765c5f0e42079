"""A run's id, its targets and its rows."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from nightbench.errors import SuiteError
from nightbench.night.run import Night, choose_targets, config_digest, new_run_id, slo_facts
from nightbench.suite.file import find_suite, read_suite
from nightbench.suite.models import Gates, Limits, Target
from nightbench.verdicts.gates import failed_gates


def test_run_ids_sort_by_time_and_say_which_suite() -> None:
    early = new_run_id("starter", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), b"\xff\xff\xff")
    late = new_run_id("starter", datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC), b"\x00\x00\x00")
    assert early == "20260102T030405Z-starter-ffffff"
    assert early < late


def test_a_target_after_midnight_belongs_to_the_night_its_run_began() -> None:
    file = read_suite(find_suite("starter"))
    began = datetime(2026, 1, 2, 23, 0, tzinfo=UTC)
    after = datetime(2026, 1, 3, 1, 0, tzinfo=UTC)
    run_id = new_run_id("starter", began, b"abc")
    assert Night(run_id, after, file, ()).date == began.date()
    assert Night("named-by-hand", after, file, ()).date == after.date()


def test_two_in_the_morning_in_shanghai_is_not_yesterday() -> None:
    file = read_suite(find_suite("starter"))
    began = datetime(2026, 7, 8, 18, tzinfo=UTC)
    run_id = new_run_id("starter", began, b"abc")
    there = Night(run_id, began, file, (), timezone="Asia/Shanghai")
    assert there.date == date(2026, 7, 9)
    assert Night(run_id, began, file, ()).date == date(2026, 7, 8)


def test_a_target_on_a_node_of_another_zone_has_the_date_of_its_night() -> None:
    file = read_suite(find_suite("starter"))
    began = datetime(2026, 7, 8, 18, tzinfo=UTC)
    elsewhere = Night("r", began, file, (), timezone="UTC", dated=date(2026, 7, 9))
    assert elsewhere.date == date(2026, 7, 9)


def test_an_unknown_target_is_refused_with_the_names_there_are() -> None:
    file = read_suite(find_suite("starter"))
    with pytest.raises(SuiteError, match="no target is named 'x'; there are smollm2-135m"):
        choose_targets(file, ["x"])


def test_the_config_digest_follows_the_engine_and_not_what_is_asked() -> None:
    target = read_suite(find_suite("starter")).suite.targets[0]
    asked_more = target.model_copy(
        update={"priority": 3, "load": (), "limits": Limits(answer_mb=1)}
    )
    other_model = Target.model_validate(target.model_dump() | {"model": "/other"})
    assert config_digest(asked_more) == config_digest(target)
    assert config_digest(other_model) != config_digest(target)


def test_a_gate_holds_for_what_reaches_it_and_fails_for_what_was_not_measured() -> None:
    gates = Gates(min_accuracy={"iquiz": 0.75, "mmlu": 0.5})
    lines = failed_gates(gates, [("a", "iquiz", 0.75), ("b", "iquiz", 0.74)])
    assert lines == [
        "gate min_accuracy.iquiz: b reached 74.0%, required ≥ 75.0%",
        "gate min_accuracy.mmlu: it was not measured",
    ]


def test_the_suites_limits_are_facts_the_capacity_view_reads() -> None:
    slo = read_suite(find_suite("glm-4.5-air")).suite.slo
    assert [(fact.name, fact.value) for fact in slo_facts(slo)] == [
        ("slo_ttft_p95_ms", "500.0"),
        ("slo_tpot_p95_ms", "50.0"),
    ]
