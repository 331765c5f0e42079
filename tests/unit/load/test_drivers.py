"""Who sends when: what is decided without a connection."""

from __future__ import annotations

import pytest

from nightbench.load.drivers import apart_ns


@pytest.mark.parametrize(
    ("slots", "apart_us"), [(1, 150), (128, 150), (256, 117), (512, 58), (600, 50), (5000, 50)]
)
def test_slots_are_filled_within_30_ms_unless_that_were_a_burst(slots: int, apart_us: int) -> None:
    assert apart_ns(slots) // 1000 == apart_us
