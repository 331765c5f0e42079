"""Intervals against published values and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nightbench import stats


@pytest.mark.parametrize(("quantile", "enough"), [(0.5, 6), (0.9, 29), (0.95, 59), (0.99, 299)])
def test_an_interval_exists_only_from_enough_values_on(quantile: float, enough: int) -> None:
    assert stats.quantile_interval(list(range(enough - 1)), quantile) is None
    assert stats.quantile_interval(list(range(enough)), quantile) is not None


def test_the_ranks_of_the_median_are_the_tabulated_ones() -> None:
    # Conover, Practical Nonparametric Statistics, table A3: n = 20, median, 95 %: ranks 6 and 15.
    assert stats.order_statistic_ranks(20, 0.5) == (6, 15)


@pytest.mark.parametrize(("n", "quantile"), [(20, 0.5), (60, 0.95), (100, 0.9), (400, 0.99)])
def test_an_interval_covers_as_often_as_it_says(n: int, quantile: float) -> None:
    ranks = stats.order_statistic_ranks(n, quantile)
    assert ranks is not None
    lower, upper = ranks
    mass = [math.comb(n, k) * quantile**k * (1 - quantile) ** (n - k) for k in range(lower, upper)]
    assert sum(mass) >= 0.95


def test_a_million_values_take_no_time_and_a_narrow_interval() -> None:
    ranks = stats.order_statistic_ranks(1_000_000, 0.5)
    assert ranks is not None
    assert ranks[0] == pytest.approx(500_000 - 980, abs=3)
    assert ranks[1] == pytest.approx(500_000 + 981, abs=3)


def test_wilson_is_the_published_interval() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263.
    low, high = stats.wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_wilson_stays_inside_zero_and_one() -> None:
    assert stats.wilson_interval(0, 20)[0] == 0.0
    assert stats.wilson_interval(20, 20)[1] == pytest.approx(1.0)
    assert stats.wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("answers", "correct"), [(1, 0), (1, 1), (5, 2), (6, 6), (7, 1)])
def test_pass_at_k_is_the_share_of_all_draws_of_k_that_hold_a_right_answer(
    answers: int, correct: int
) -> None:
    given = [True] * correct + [False] * (answers - correct)
    for k in range(1, answers + 1):
        draws = list(itertools.combinations(given, k))
        assert stats.pass_at_k(answers, correct, k) == pytest.approx(
            sum(map(any, draws)) / len(draws)
        )
    with pytest.raises(ValueError, match="replies"):
        stats.pass_at_k(answers, correct, answers + 1)


@pytest.mark.parametrize("n", [200, 5000])
def test_the_bootstrap_of_a_mean_agrees_with_the_normal_theory(n: int) -> None:
    values = np.random.default_rng(2).exponential(size=n)
    interval = stats.bootstrap_mean_interval(values)
    assert interval is not None
    half = 1.96 * values.std(ddof=1) / math.sqrt(n)
    assert interval[0] == pytest.approx(values.mean() - half, abs=0.3 * half)
    assert interval[1] == pytest.approx(values.mean() + half, abs=0.3 * half)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = list(range(50))
    assert stats.bootstrap_mean_interval(values, seed=3) == stats.bootstrap_mean_interval(
        values, seed=3
    )


def test_one_value_has_no_bootstrap_interval() -> None:
    assert stats.bootstrap_mean_interval([1.0]) is None


def test_pooled_percentiles_resample_requests_and_not_gaps() -> None:
    rng = np.random.default_rng(4)
    level_of_request = rng.normal(10, 2, size=40)
    values = np.repeat(level_of_request, 100)  # 100 equal gaps: no more news than one
    owner = np.repeat(np.arange(40), 100)
    order = np.argsort(values)
    (interval,) = stats.bootstrap_pooled_percentiles(values[order], owner[order], [0.5])
    assert interval is not None
    few = stats.quantile_interval(np.sort(level_of_request), 0.5)
    assert few is not None
    assert interval[1] - interval[0] > 0.5 * (few[1] - few[0])


def test_pooled_percentiles_of_one_request_have_no_interval() -> None:
    owner = np.zeros(10, dtype=np.int64)
    assert stats.bootstrap_pooled_percentiles(np.arange(10.0), owner, [0.5, 0.9]) == [None, None]
