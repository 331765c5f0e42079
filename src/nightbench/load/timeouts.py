"""When a request has waited too long, and how often to look."""

from __future__ import annotations

from nightbench.load.exchange import Exchange
from nightbench.load.job import Job
from nightbench.load.rawlog import Cause

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
        and at_ns - exchange.last_data_ns() > quiet_ns
        and exchange.saw_output()
    ):
        return Cause.TIMEOUT_BETWEEN_TOKENS
    return None


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
