"""One request on the wire: how long its loop may look away, judging by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nightbench.load.drive.exchange import MOST_LINGER_NS, Exchange, linger_ns
from nightbench.load.drive.rawlog import NO_STAMP
from nightbench.load.drive.reads import PlainReads

MS = 1_000_000
TOKEN = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'


def ended(*, first_ms: float, last_ms: float, reads: int) -> Exchange:
    exchange = Exchange(0, b"", 0, PlainReads())
    exchange.sent_ns = 1000 * MS
    gap_ms = (last_ms - first_ms) / max(reads - 1, 1)
    for number in range(reads):
        at_ns = round((1000 + first_ms + number * gap_ms) * MS)
        exchange.reads.add(TOKEN, NO_STAMP, at_ns, 0)
    exchange.ended_ns = round((1000 + last_ms) * MS)
    return exchange


@pytest.mark.parametrize(
    ("first_ms", "last_ms", "reads", "linger_ms"),
    [
        (50, 1040, 100, 0.7),  # a steady stream: as long as is ever waited
        (5, 1040, 100, 0.1),  # 2 % of the time to a first answer
        (50, 150, 100, 0.15),  # a tenth of the gap: a token every millisecond and a half
        (40, 100, 2, 0.2),  # 0.2 % of a short request
    ],
)
def test_the_loop_waits_for_no_longer_than_can_be_seen(
    first_ms: float, last_ms: float, reads: int, linger_ms: float
) -> None:
    exchange = ended(first_ms=first_ms, last_ms=last_ms, reads=reads)
    assert linger_ns(exchange) / MS == pytest.approx(linger_ms, rel=0.01)


def test_a_request_that_got_no_answer_says_nothing_about_waiting() -> None:
    assert linger_ns(Exchange(0, b"", 0, PlainReads())) == MOST_LINGER_NS


def test_a_token_cut_across_two_reads_is_seen() -> None:
    exchange = Exchange(0, b"", 0, PlainReads())
    for read in (b'HTTP/1.1 200 OK\r\n\r\ndata: {"delta":{"cont', b'ent":"a"}}'):
        assert not exchange.saw_output()
        exchange.reads.add(read, NO_STAMP, 1, 0)
    assert exchange.saw_output()


def test_keep_alive_comments_are_no_data() -> None:
    exchange = Exchange(0, b"", 0, PlainReads())
    exchange.reads.add(TOKEN, NO_STAMP, 5, 0)
    exchange.reads.add(b"8\r\n: alive\n", NO_STAMP, 9, 0)
    assert exchange.last_output_ns() == 5


def test_the_last_data_is_remembered_and_no_read_is_looked_at_twice() -> None:
    """A server may send millions of comments, and is looked at several times a second."""
    looked_at = []

    class Counted(PlainReads):
        def latest_first(self) -> Iterator[tuple[bytes, int]]:
            for read in super().latest_first():
                looked_at.append(read)
                yield read

    exchange = Exchange(0, b"", 0, Counted())
    exchange.reads.add(TOKEN, NO_STAMP, 5, 0)
    for at_ns in range(10, 110):
        exchange.reads.add(b"8\r\n: alive\n", NO_STAMP, at_ns, 0)
        assert exchange.last_output_ns() == 5
    assert len(looked_at) == 101
    exchange.reads.add(TOKEN, NO_STAMP, 200, 0)
    assert exchange.last_output_ns() == 200
