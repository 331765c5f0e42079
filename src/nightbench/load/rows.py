"""From a raw record and its outcome to the row of a request (docs/metrics.md has the formulas)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.outcome import Outcome
from nightbench.load.raw_requests import RawRequest
from nightbench.records import LoadRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

# Chunks of one read that may be further apart than this were hidden by our own delay.
_HIDDEN_NS = 1_000_000
_CLOCKS_DISAGREE_NS = 1_000_000
_MOST_UNCOUNTED = 2048  # requests whose lags may wait to be counted together


@dataclass(slots=True)
class ReadTally:
    """What the reads of a level say about the generator itself."""

    kernel_reads: int = 0
    user_reads: int = 0
    output_chunks: int = 0
    hidden_chunks: int = 0  # output chunks without an arrival of their own, by our own doing
    stamps_ahead: int = 0  # kernel stamps later than the read itself: the clock was set
    latency_ns: int = 0  # sum over requests of ended - sent
    ended: int = 0
    _lags_us: Counter[int] = field(default_factory=Counter)
    _uncounted: list[Integers] = field(default_factory=list)

    def add_lags(self, lag_ns: Integers) -> None:
        """Take in how late the reads of one request were."""
        self._uncounted.append(lag_ns // 1000)
        if len(self._uncounted) >= _MOST_UNCOUNTED:
            self._count()

    @property
    def lags_us(self) -> Counter[int]:
        """How many reads were so many microseconds late."""
        self._count()
        return self._lags_us

    def _count(self) -> None:
        if self._uncounted:
            lags, reads = np.unique(np.concatenate(self._uncounted), return_counts=True)
            self._lags_us.update(dict(zip(lags.tolist(), reads.tolist(), strict=True)))
            self._uncounted.clear()

    @property
    def stamp_source(self) -> str:
        """kernel, user or mixed."""
        if self.kernel_reads and self.user_reads:
            return "mixed"
        return "user" if self.user_reads else "kernel"


@dataclass(frozen=True, slots=True)
class _Arrivals:
    at_ns: Integers
    lag_ns: Integers


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
    at = arrivals.at_ns[outcome.chunks] if outcome.chunks else arrivals.at_ns[:0]
    shared = _shared_reads(outcome.chunks)
    _tally_chunks(raw, outcome, arrivals, shared, tally)
    sent = raw.sent_ns or None
    if sent is not None:
        tally.latency_ns += raw.ended_ns - sent
        tally.ended += 1
    first, last = (int(at[0]), int(at[-1])) if len(at) else (None, None)
    answer = int(at[outcome.first_answer]) if outcome.first_answer is not None else None
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
        client_lag_max_ms=int(arrivals.lag_ns.max()) / 1e6 if len(arrivals.lag_ns) else None,
        ttft_bound_ms=_ttft_bound_ms(raw, outcome, arrivals, shared),
        coalesced_reads=len(shared),
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
    no_stamp = raw.stamps == 0
    missing = int(np.count_nonzero(no_stamp))
    at_ns = raw.stamps - offset_ns
    lag_ns = raw.times - at_ns
    if missing:
        # No stamp: the read's own time, late by no more than since the poll before.
        at_ns[no_stamp] = raw.times[no_stamp]
        lag_ns[no_stamp] = np.where(raw.floors > 0, raw.times - raw.floors, 0)[no_stamp]
    if len(lag_ns) and lag_ns.min() < 0:
        tally.stamps_ahead += int(np.count_nonzero(lag_ns < -_CLOCKS_DISAGREE_NS))
        at_ns = np.minimum(at_ns, raw.times)
        lag_ns = np.maximum(lag_ns, 0)
    tally.add_lags(lag_ns)
    tally.kernel_reads += len(at_ns) - missing
    tally.user_reads += missing
    return _Arrivals(at_ns, lag_ns)


def _shared_reads(chunks: list[int]) -> dict[int, int]:
    """The reads that hold more than one output chunk, and how many each."""
    if len(set(chunks)) == len(chunks):
        return {}
    return {read: count for read, count in Counter(chunks).items() if count > 1}


def _tally_chunks(
    raw: RawRequest,
    outcome: Outcome,
    arrivals: _Arrivals,
    shared: dict[int, int],
    tally: ReadTally,
) -> None:
    tally.output_chunks += len(outcome.chunks)
    for read, chunks in shared.items():
        if _uncertainty_ns(raw, arrivals, read) > _HIDDEN_NS:
            tally.hidden_chunks += chunks - 1


def _ttft_bound_ms(
    raw: RawRequest, outcome: Outcome, arrivals: _Arrivals, shared: dict[int, int]
) -> float | None:
    """How much earlier the first token may have come, where its read held more than one chunk."""
    if not outcome.chunks or not outcome.streamed or outcome.chunks[0] not in shared:
        return None
    return _uncertainty_ns(raw, arrivals, outcome.chunks[0]) / 1e6


def _uncertainty_ns(raw: RawRequest, arrivals: _Arrivals, read: int) -> int:
    """How much earlier than its stamp the first chunk of a read may have come."""
    floor = int(raw.floors[read])
    if not floor:
        # The loop slept: what arrived first woke it, so it is as early as waking was late.
        return int(arrivals.lag_ns[read])
    return max(0, int(arrivals.at_ns[read]) - max(floor, raw.sent_ns))


def _deltas_us(at: Integers, sent: int | None) -> list[int]:
    """Microseconds since `sent`, then since the chunk before; their sum loses no rounding."""
    if sent is None:
        return []
    marks = (at - sent) // 1000
    deltas = marks.copy()
    deltas[1:] -= marks[:-1]
    found: list[int] = deltas.tolist()
    return found


def _tpot_ms(ttft: float | None, e2el: float | None, tokens: int | None) -> float | None:
    if ttft is None or e2el is None or tokens is None or tokens < 2:
        return None
    return (e2el - ttft) / (tokens - 1)


def _ms(later: int | None, earlier: int | None) -> float | None:
    return None if later is None or earlier is None else (later - earlier) / 1e6


def _us(at: int | None, start_ns: int) -> int | None:
    return None if at is None else (at - start_ns) // 1000
