"""Who sends when: what is decided without a connection."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nightbench.load.drive.connection import Connection
from nightbench.load.drive.drivers import ClosedLoop, apart_ns
from nightbench.load.drive.kernel_clock import now_ns

HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize(
    ("slots", "apart_us"), [(1, 150), (128, 150), (256, 117), (512, 58), (600, 50), (5000, 50)]
)
def test_slots_are_filled_within_30_ms_unless_that_were_a_burst(slots: int, apart_us: int) -> None:
    assert apart_ns(slots) // 1000 == apart_us


class Slot:
    """A connection, as far as a closed loop knows it."""

    def __init__(self) -> None:
        self.alive = True
        self.assigned: list[Any] = []

    def assign(self, exchange: Any) -> None:
        self.assigned.append(exchange)


def closed_loop(slots: list[Slot]) -> ClosedLoop:
    exchange_of = cast(Any, lambda index, scheduled_ns: index)
    return ClosedLoop(cast(list[Connection], slots), range(9), exchange_of, None)


def test_each_slot_is_filled_when_its_turn_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = [Slot() for _ in range(3)]
    loop = closed_loop(slots)
    loop.start(HOUR_NS)
    for turns, filled in enumerate(([[0], [], []], [[0], [1], []], [[0], [1], [2]])):
        at_ns = HOUR_NS + turns * apart_ns(3)
        monkeypatch.setattr("nightbench.load.drive.drivers.now_ns", lambda at_ns=at_ns: at_ns)
        loop.on_time()
        assert [slot.assigned for slot in slots] == filled
    assert not loop.waiting


def test_a_slot_whose_connection_is_gone_does_not_wait_for_those_never_filled() -> None:
    first, second = Slot(), Slot()
    loop = closed_loop([first, second])
    loop.start(now_ns() + HOUR_NS)
    first.alive = False
    loop.free(cast(Connection, first), now_ns())
    assert not first.assigned  # through the loop, not by recursion
    loop.on_time()
    assert (first.assigned, second.assigned) == ([0], [])
    assert loop.waiting
