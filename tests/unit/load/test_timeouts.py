"""Which answers are ended where all of them together hold too much."""

from __future__ import annotations

from nightbench.load.drive.exchange import Exchange
from nightbench.load.drive.rawlog import NO_STAMP
from nightbench.load.drive.reads import MARK_BYTES, PlainReads
from nightbench.load.drive.timeouts import overgrown


def holding(size_bytes: int) -> Exchange:
    exchange = Exchange(0, b"", 0, PlainReads())
    exchange.reads.add(b"x" * (size_bytes - MARK_BYTES), NO_STAMP, 1, 0)
    return exchange


def test_as_long_as_there_is_room_none_is_ended() -> None:
    assert overgrown([holding(100), holding(200)], 300) == []
    assert overgrown([], 0) == []


def test_the_largest_are_ended_until_the_others_have_room() -> None:
    small, larger, largest = holding(100), holding(200), holding(300)
    assert overgrown([larger, small, largest], 599) == [largest]
    assert overgrown([larger, small, largest], 299) == [largest, larger]
    assert overgrown([larger, small, largest], 0) == [largest, larger, small]
