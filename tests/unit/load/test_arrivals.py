"""The schedule of an open loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nightbench.errors import BadInput
from nightbench.load.plan.arrivals import Arrivals


def test_a_constant_rate_does_not_drift() -> None:
    offsets = Arrivals(rate=300, burstiness=math.inf).offsets_ns(300 * 3600 + 1)
    assert offsets[-1] == 3600 * 10**9


@pytest.mark.parametrize(("burstiness", "variation"), [(1.0, 1.0), (4.0, 0.5), (0.25, 2.0)])
def test_gaps_have_the_rate_and_the_burstiness_asked_for(
    burstiness: float, variation: float
) -> None:
    offsets = Arrivals(rate=50, burstiness=burstiness).offsets_ns(100_000)
    gaps = np.diff(np.asarray(offsets)) / 1e9
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.03)


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(np.asarray(Arrivals(rate=1).offsets_ns(50_000))) / 1e9
    assert (gaps > 1).mean() == pytest.approx(math.exp(-1), abs=0.01)


def test_the_same_seed_is_the_same_night_and_another_is_not() -> None:
    assert Arrivals(rate=9, seed=1).offsets_ns(50) == Arrivals(rate=9, seed=1).offsets_ns(50)
    assert Arrivals(rate=9, seed=1).offsets_ns(50) != Arrivals(rate=9, seed=2).offsets_ns(50)


def test_inf_is_all_at_once() -> None:
    assert list(Arrivals(rate=math.inf).offsets_ns(3)) == [0, 0, 0]


def test_a_duration_counts_what_leaves_before_its_end() -> None:
    arrivals = Arrivals(rate=100, burstiness=math.inf)
    assert arrivals.count_within(2.0) == 200
    assert arrivals.count_within(0.0001) == 1


def test_inf_for_a_duration_is_refused() -> None:
    with pytest.raises(BadInput, match="inf"):
        Arrivals(rate=math.inf).count_within(1)
