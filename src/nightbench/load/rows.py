"""From a raw record and its outcome to the row of a request (docs/metrics.md has the formulas)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from nightbench.load.outcome import Outcome
from nightbench.load.rawlog import RawRequest
from nightbench.records import LoadRequest

# Chunks of one read that may be further apart than this were hidden by our own delay.
_HIDDEN_NS = 1_000_000
_CLOCKS_DISAGREE_NS = 1_000_000


@dataclass(slots=True)
class ReadTally:
    """What the reads of a level say about the generator itself."""

    lags_us: Counter[int] = field(default_factory=Counter)  # how many reads were so late
    kernel_reads: int = 0
    user_reads: int = 0
    output_chunks: int = 0
    hidden_chunks: int = 0  # output chunks without an arrival of their own, by our own doing
    stamps_ahead: int = 0  # kernel stamps later than the read itself: the clock was set
    latency_ns: int = 0  # sum over requests of ended - sent
    ended: int = 0

    @property
    def stamp_source(self) -> str:
        """kernel, user or mixed."""
        if self.kernel_reads and self.user_reads:
            return "mixed"
        return "user" if self.user_reads else "kernel"


@dataclass(frozen=True, slots=True)
class _Arrivals:
    at_ns: list[int]
    lag_ns: list[int]


def row_of(
    raw: RawRequest,
    outcome: Outcome,
    *,
    workload: str,
    level: str,
    prompt_hash: str,
    start_ns: int,
    offset_ns: int,
    tally: ReadTally,
) -> LoadRequest:
    """The row of one request; `tally` takes in what its reads say about the generator.

    `offset_ns` puts kernel stamps on the monotonic clock.
    """
    arrivals = _arrivals(raw, offset_ns, tally)
    at = [arrivals.at_ns[read] for read in outcome.chunks]
    per_read = Counter(outcome.chunks)
    _tally_chunks(raw, arrivals, per_read, tally)
    sent = raw.sent_ns or None
    if sent is not None:
        tally.latency_ns += raw.ended_ns - sent
        tally.ended += 1
    first, last = (at[0], at[-1]) if at else (None, None)
    answer = at[outcome.first_answer] if outcome.first_answer is not None else None
    e2el_ms = _ms(last, sent)
    ttft_ms = _ms(first, sent) if outcome.streamed else None
    return LoadRequest(
        workload=workload,
        level=level,
        request_index=raw.index,
        prompt_hash=prompt_hash,
        scheduled_us=(raw.scheduled_ns - start_ns) // 1000,
        sent_us=_us(sent, start_ns),
        first_chunk_us=_us(first, start_ns),
        first_answer_us=_us(answer, start_ns),
        last_chunk_us=_us(last, start_ns),
        connect_ms=raw.connect_ns / 1e6 if raw.fresh_connection and raw.connect_ns else None,
        ttft_ms=ttft_ms,
        ttfat_ms=_ms(answer, sent) if outcome.streamed else None,
        tpot_ms=_tpot_ms(ttft_ms, e2el_ms, outcome.completion_tokens),
        e2el_ms=e2el_ms,
        queue_ms=_ms(sent, raw.scheduled_ns),
        client_lag_max_ms=max(arrivals.lag_ns) / 1e6 if arrivals.lag_ns else None,
        ttft_bound_ms=_ttft_bound_ms(raw, outcome, arrivals, per_read),
        coalesced_reads=sum(1 for chunks in per_read.values() if chunks > 1),
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        completion_tokens=outcome.completion_tokens,
        reasoning_tokens=outcome.reasoning_tokens,
        token_source=outcome.token_source,
        finish_reason=outcome.finish_reason,
        http_status=outcome.http_status,
        error_kind=outcome.error_kind,
        error=outcome.error,
        chunk_deltas_us=_deltas_us(at, sent),
        chunk_tokens=outcome.chunk_tokens,
    )


def _arrivals(raw: RawRequest, offset_ns: int, tally: ReadTally) -> _Arrivals:
    """When each read arrived, and how late it was read."""
    missing = raw.stamps.count(0)
    if missing == 0:
        at_ns = [stamp - offset_ns for stamp in raw.stamps]
        lag_ns = [read - arrived for read, arrived in zip(raw.times, at_ns, strict=True)]
    else:
        # No stamp: the read's own time, late by no more than since the poll before.
        reads = zip(raw.stamps, raw.times, raw.floors, strict=True)
        both = [
            (stamp - offset_ns, read - stamp + offset_ns)
            if stamp
            else (read, read - floor if floor else 0)
            for stamp, read, floor in reads
        ]
        at_ns, lag_ns = [at for at, _ in both], [lag for _, lag in both]
    if lag_ns and min(lag_ns) < 0:
        tally.stamps_ahead += sum(1 for lag in lag_ns if lag < -_CLOCKS_DISAGREE_NS)
        at_ns = [min(at, read) for at, read in zip(at_ns, raw.times, strict=True)]
        lag_ns = [max(lag, 0) for lag in lag_ns]
    tally.lags_us.update([lag // 1000 for lag in lag_ns])
    tally.kernel_reads += len(at_ns) - missing
    tally.user_reads += missing
    return _Arrivals(at_ns, lag_ns)


def _tally_chunks(
    raw: RawRequest, arrivals: _Arrivals, per_read: Counter[int], tally: ReadTally
) -> None:
    tally.output_chunks += sum(per_read.values())
    if len(per_read) == 0 or max(per_read.values()) == 1:
        return
    for read, chunks in per_read.items():
        if chunks > 1 and _uncertainty_ns(raw, arrivals, read) > _HIDDEN_NS:
            tally.hidden_chunks += chunks - 1


def _ttft_bound_ms(
    raw: RawRequest, outcome: Outcome, arrivals: _Arrivals, per_read: Counter[int]
) -> float | None:
    """How much earlier the first token may have come, where its read held more than one chunk."""
    if not outcome.chunks or not outcome.streamed or per_read[outcome.chunks[0]] < 2:
        return None
    return _uncertainty_ns(raw, arrivals, outcome.chunks[0]) / 1e6


def _uncertainty_ns(raw: RawRequest, arrivals: _Arrivals, read: int) -> int:
    """How much earlier than its stamp the first chunk of a read may have come."""
    floor = raw.floors[read]
    if not floor:
        # The loop slept: what arrived first woke it, so it is as early as waking was late.
        return arrivals.lag_ns[read]
    return max(0, arrivals.at_ns[read] - max(floor, raw.sent_ns))


def _deltas_us(at: list[int], sent: int | None) -> list[int]:
    """Microseconds since `sent`, then since the chunk before; their sum loses no rounding."""
    if not at or sent is None:
        return []
    marks = [0, *((moment - sent) // 1000 for moment in at)]
    return [after - before for before, after in pairwise(marks)]


def _tpot_ms(ttft: float | None, e2el: float | None, tokens: int | None) -> float | None:
    if ttft is None or e2el is None or tokens is None or tokens < 2:
        return None
    return (e2el - ttft) / (tokens - 1)


def _ms(later: int | None, earlier: int | None) -> float | None:
    return None if later is None or earlier is None else (later - earlier) / 1e6


def _us(at: int | None, start_ns: int) -> int | None:
    return None if at is None else (at - start_ns) // 1000
