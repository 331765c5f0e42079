"""A suite's limits are what a request must meet to be good."""

from __future__ import annotations

from nightbench.load.summarize.goodput_limits import GoodputLimits
from nightbench.suite.models import Slo
from tasks.measuring import limits_of


def test_the_limits_of_a_suite_are_those_of_a_request() -> None:
    slo = Slo(ttft_p95_ms=500, tpot_p95_ms=50)
    assert limits_of(slo) == GoodputLimits(ttft_ms=500, tpot_ms=50)


def test_a_suite_without_limits_has_no_goodput() -> None:
    assert limits_of(Slo()) is None
