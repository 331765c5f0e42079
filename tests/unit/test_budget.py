"""What fits into a night, by priority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightbench.night.budget import (
    BOOT,
    NightClock,
    Stage,
    StagePlan,
    TimeIsOver,
    end_of,
    expected_s,
    next_at,
    why_not_at_all,
    why_not_now,
)

TWO = datetime(2026, 7, 8, 2, tzinfo=UTC)
IQUIZ, C8, C16 = Stage("accuracy iquiz"), Stage("load chat c8"), Stage("load chat c16", priority=5)
TOOK = {"accuracy iquiz": 100.0, "load chat c8": 200.0, "load chat c16": 400.0, BOOT: 60.0}


def test_without_a_budget_everything_is_begun() -> None:
    assert why_not_now(IQUIZ, [C8, C16], TOOK, None) is None
    assert why_not_at_all([IQUIZ], TOOK, None) is None


def test_a_stage_that_fits_is_begun_and_one_that_does_not_says_by_how_much() -> None:
    assert why_not_now(C8, [], TOOK, 300) is None
    assert why_not_now(C8, [], TOOK, 180) == "it takes 4 min, 3 min of the night were left"


def test_time_is_kept_for_what_matters_more_and_not_for_what_matters_as_much() -> None:
    assert why_not_now(IQUIZ, [C8], TOOK, 150) is None
    kept = why_not_now(IQUIZ, [C8, C16], TOOK, 500)
    assert (
        kept
        == "it takes 2 min, 8 min of the night were left, 7 min of them for work of higher priority"
    )
    assert why_not_now(C16, [], TOOK, 500) is None


def test_what_was_never_measured_is_begun_while_there_is_time() -> None:
    assert why_not_now(Stage("load new c1"), [], TOOK, 1) is None
    assert why_not_now(Stage("load new c1"), [], TOOK, 0) == "the night's time budget was used up"


def test_a_target_of_which_nothing_fits_is_not_booted() -> None:
    assert why_not_at_all([IQUIZ, C8], TOOK, 50) == (
        "its boot takes 60 s, 50 s of the night were left"
    )
    assert why_not_at_all([IQUIZ, C8], TOOK, 150) == (
        "it takes 2 min, 2 min of the night were left"
    )
    assert why_not_at_all([C8, IQUIZ], TOOK, 180) is None
    assert why_not_at_all([], TOOK, 0) == "the night's time budget was used up"


@given(
    priorities=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    seconds=st.lists(st.floats(1, 1000), min_size=6, max_size=6),
    budget=st.floats(1, 5000),
)
def test_nothing_is_done_at_the_cost_of_something_more_important(
    priorities: list[int], seconds: list[float], budget: float
) -> None:
    """If a stage is left out, all that is more important and would have fitted before is in."""
    stages = [Stage(f"load l c{n}", priority) for n, priority in enumerate(priorities)]
    took = {stage.name: seconds[n] for n, stage in enumerate(stages)}
    left, begun = budget, []
    for n, stage in enumerate(stages):
        if why_not_now(stage, stages[n + 1 :], took, left) is None:
            begun.append(stage)
            left -= expected_s(stage, took)
    most = max(priorities)
    needed = sum(expected_s(stage, took) for stage in stages if stage.priority == most)
    if needed <= budget:
        assert all(stage in begun for stage in stages if stage.priority == most)
    assert left >= -1e-6


def test_a_night_ends_when_its_budget_says() -> None:
    assert end_of(TWO, None) is None
    clock = NightClock(ends_at=end_of(TWO, 3600), now=lambda: TWO + timedelta(minutes=45))
    assert clock.left_s() == 900
    assert clock.over() is None
    assert clock.at_most(1800) == 900
    assert clock.at_most(300) == 300
    late = NightClock(ends_at=end_of(TWO, 3600), now=lambda: TWO + timedelta(hours=2))
    assert late.left_s() == 0
    assert late.over() == "time_budget"
    assert NightClock(ends_at=None, now=lambda: TWO).over() is None


def test_a_plan_says_what_is_begun_and_reports_the_rest() -> None:
    told: list[tuple[str, str]] = []
    clock = NightClock(ends_at=TWO + timedelta(seconds=500), now=lambda: TWO)
    plan = StagePlan(
        [IQUIZ, C8, C16], TOOK, clock, lambda stage, why: told.append((stage.name, why))
    )
    plan.refuse_what_cannot_fit()
    assert [plan.begins(stage) for stage in (IQUIZ, C8, C16)] == [False, False, True]
    assert [name for name, _ in told] == ["accuracy iquiz", "load chat c8"]


def test_a_target_that_cannot_fit_is_refused_before_its_boot() -> None:
    clock = NightClock(ends_at=TWO, now=lambda: TWO)
    with pytest.raises(TimeIsOver, match="the night's time budget was used up"):
        StagePlan([IQUIZ], TOOK, clock, lambda *_: None).refuse_what_cannot_fit()


def test_a_night_must_end_by_a_time_on_the_clocks_of_its_zone() -> None:
    in_shanghai = datetime(2026, 7, 8, 18, tzinfo=UTC)  # two in the morning there
    assert next_at("06:00", "Asia/Shanghai", in_shanghai) == datetime(2026, 7, 8, 22, tzinfo=UTC)
    at_noon = datetime(2026, 7, 8, 4, tzinfo=UTC)
    assert next_at("06:00", "Asia/Shanghai", at_noon) == datetime(2026, 7, 8, 22, tzinfo=UTC)
    just_then = datetime(2026, 7, 8, 22, tzinfo=UTC)
    assert next_at("06:00", "Asia/Shanghai", just_then) == just_then + timedelta(days=1)


def test_the_night_in_which_the_clocks_change_ends_by_the_clock() -> None:
    before = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # 00:30 in Berlin, an hour is left out
    assert next_at("06:00", "Europe/Berlin", before) == datetime(2026, 3, 29, 4, tzinfo=UTC)
    evening = datetime(2026, 10, 24, 20, tzinfo=UTC)
    assert next_at("06:00", "Europe/Berlin", evening) == datetime(2026, 10, 25, 5, tzinfo=UTC)


def test_of_two_limits_the_earlier_one_counts_and_the_ending_has_its_time() -> None:
    six = datetime(2026, 7, 8, 6, tzinfo=UTC)
    assert end_of(TWO, None, "06:00") == six - timedelta(minutes=1)
    assert end_of(TWO, 3600, "06:00") == TWO + timedelta(hours=1)
    assert end_of(TWO, 9 * 3600, "06:00") == six - timedelta(minutes=1)
    almost = six - timedelta(seconds=20)
    assert end_of(almost, None, "06:00") == almost
