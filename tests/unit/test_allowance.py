"""Measuring again stays within a target's share of the night's reserve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nightbench.night.allowance import Allowance, allowance_s
from nightbench.night.budget import OVER, NightClock
from nightbench.suite.models import Suite

BEGAN = datetime(2026, 1, 1, 2, tzinfo=UTC)


class Time:
    """A night's time, that passes when it is told to."""

    def __init__(self, ends_after_s: float | None = None) -> None:
        self.now_s = 0.0
        ends_at = None if ends_after_s is None else BEGAN + timedelta(seconds=ends_after_s)
        self.clock = NightClock(ends_at=ends_at, now=lambda: BEGAN + timedelta(seconds=self.now_s))


def allowance(left_s: float | None, time: Time) -> Allowance:
    return Allowance(left_s, time.clock, monotonic=lambda: time.now_s)


def test_targets_share_the_reserve_and_without_a_budget_there_is_no_end() -> None:
    targets = [
        {"name": name, "engine": {"kind": "remote", "base_url": "http://127.0.0.1:1/v1"}}
        for name in ("a", "b")
    ]
    suite = {"name": "s", "targets": targets, "verdicts": {"reserve": 0.5}}
    assert allowance_s(Suite.model_validate(suite)) is None
    assert allowance_s(Suite.model_validate(suite | {"time_budget": "1h"})) == 900.0


def test_a_pair_is_begun_only_where_both_of_its_boots_fit() -> None:
    share = allowance(100.0, Time())
    share.expect("ref", 60.0)
    share.expect("fresh", 60.0)
    assert share.why_not("ref") is None
    assert share.why_not("ref", "fresh") == "120 s are needed, 100 s were left for it"


def test_what_was_spent_is_no_longer_there_and_says_what_the_next_takes() -> None:
    time = Time()
    share = allowance(100.0, time)
    with share.spent_on("fresh"):
        time.now_s = 70.0
    assert share.why_not("rep") is None
    assert share.why_not("fresh") == "70 s are needed, 30 s were left for it"


def test_what_takes_longer_than_the_share_is_over_with_it() -> None:
    time = Time(ends_after_s=1000.0)
    share = allowance(100.0, time)
    with share.spent_on("ref") as clock:
        time.now_s = 99.0
        assert clock.over() is None
        time.now_s = 101.0
        assert clock.over() == OVER
    assert share.why_not("rep") == "0 s are needed, 0 s were left for it"


def test_without_a_share_the_night_itself_is_the_bound() -> None:
    time = Time(ends_after_s=50.0)
    share = allowance(None, time)
    share.expect("fresh", 60.0)
    assert share.why_not("fresh") == "60 s are needed, 50 s were left for it"
    with share.spent_on("fresh") as clock:
        assert clock is time.clock
