"""When a request has waited too long or all of them hold too much, and how often to look."""

from __future__ import annotations

from collections.abc import Iterable

from nightbench.load.drive.exchange import Exchange
from nightbench.load.drive.rawlog import Cause
from nightbench.load.drive.worker_protocol import Job

_SECOND = 1_000_000_000


def timed_out(job: Job, exchange: Exchange, at_ns: int) -> int | None:
    """The cause to end a request for now, if it has waited too long."""
    since_sent = at_ns - exchange.sent_ns
    if since_sent > job.total_timeout_ns:
        return Cause.TIMEOUT_TOTAL
    if since_sent > job.first_token_timeout_ns and not exchange.saw_output():
        return Cause.TIMEOUT_FIRST_TOKEN
    quiet_ns = job.between_tokens_timeout_ns
    if (
        since_sent > quiet_ns
        and at_ns - exchange.last_output_ns() > quiet_ns
        and exchange.saw_output()
    ):
        return Cause.TIMEOUT_BETWEEN_TOKENS
    return None


def overgrown(exchanges: Iterable[Exchange], most_bytes: int) -> list[Exchange]:
    """Those to end, the largest first, so that the others together hold no more than that."""
    largest_first = sorted(exchanges, key=lambda exchange: -exchange.held_bytes)
    held_bytes = sum(exchange.held_bytes for exchange in largest_first)
    ended = []
    for exchange in largest_first:
        if held_bytes <= most_bytes:
            break
        held_bytes -= exchange.held_bytes
        ended.append(exchange)
    return ended


def housekeeping_every_ns(job: Job) -> int:
    """A twentieth of the shortest timeout, between 5 and 250 ms."""
    shortest_ns = min(
        job.connect_timeout_ns,
        job.first_token_timeout_ns,
        job.between_tokens_timeout_ns,
        job.total_timeout_ns,
    )
    planted_ns = job.planted_stall_ns[0] if job.planted_stall_ns else _SECOND
    return min(max(shortest_ns // 20, 5_000_000), _SECOND // 4, planted_ns // 4)
