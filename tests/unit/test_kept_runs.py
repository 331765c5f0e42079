"""Which runs are the newest, by nights that exist and not by a clock that may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightbench.errors import BadInput
from nightbench.home.kept_runs import RunRetention, moment_in, newest_runs

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)


def run(days_ago: float, name: str = "s-000001") -> str:
    """The id of a run that began so long ago."""
    return f"{NOW - timedelta(days=days_ago):%Y%m%dT%H%M%SZ}-{name}"


def test_the_newest_are_kept_however_old_they_are() -> None:
    long_ago = [run(4000 + n) for n in range(5)]
    assert newest_runs(long_ago, 2, NOW) == {run(4000), run(4001)}
    assert newest_runs(long_ago, 9, NOW) == set(long_ago)


def test_nights_dated_ahead_do_not_push_out_the_true_ones() -> None:
    ahead = [run(-3650 - n) for n in range(60)]
    true = [run(n) for n in range(3)]
    assert newest_runs([*ahead, *true], 3, NOW) == set(true)
    assert newest_runs([*ahead, *true], 4, NOW) == {*true, run(-3709)}


def test_a_clock_set_back_keeps_the_newest_all_the_same() -> None:
    runs = [run(n) for n in range(5)]
    assert newest_runs(runs, 2, NOW - timedelta(days=9000)) == {run(0), run(1)}


def test_a_server_started_by_hand_counts_as_a_run() -> None:
    assert moment_in("serve-20261121-020000-4242") == moment_in(run(0)) == "20261121020000"
    assert moment_in("notes") is None


@settings(deadline=None)
@given(st.sets(st.integers(-100, 5000)), st.integers(1, 80))
def test_exactly_so_many_are_kept_or_all_there_are(days: set[int], number: int) -> None:
    runs = [run(day) for day in days]
    assert len(newest_runs(runs, number, NOW)) == min(number, len(runs))


def test_how_many_is_said_in_the_environment() -> None:
    assert RunRetention.from_env({}) == RunRetention(swanlab_runs=60, log_runs=60)
    named = {"NIGHTBENCH_KEEP_SWANLAB_RUNS": "10", "NIGHTBENCH_KEEP_LOG_RUNS": "365"}
    assert RunRetention.from_env(named) == RunRetention(swanlab_runs=10, log_runs=365)


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5", "²"])
def test_what_is_no_number_of_runs_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="NIGHTBENCH_KEEP_LOG_RUNS is"):
        RunRetention.from_env({"NIGHTBENCH_KEEP_LOG_RUNS": text})
