"""From raw records and their outcomes to the rows of requests (docs/metrics.md has the formulas).

Everything here is of many requests at once, a value each, unless it is said to be of each read or
of each chunk of output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.drive.rawlog import Flag
from nightbench.load.parse.interpret_batch import OutcomeArrays
from nightbench.load.parse.raw_records import RawRequestArrays
from nightbench.load.parse.token_counts import visible
from nightbench.load.summarize.gaps import has_gap
from nightbench.load.summarize.level_arrays import RequestRows, numbers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# Chunks of one read that may be further apart than this were hidden by our own delay.
_HIDDEN_NS = 1_000_000
_VISIBLE = ("completion_tokens", "reasoning_tokens", "first_answer")
_CLOCKS_DISAGREE_NS = 1_000_000
_MOST_DELTA_US = 2**31 - 1


@dataclass(slots=True)
class ReadTally:
    """What the reads of a level say about the generator itself."""

    kernel_reads: int = 0
    user_reads: int = 0
    output_chunks: int = 0
    hidden_chunks: int = 0  # output chunks without an arrival of their own, by our own doing
    stamps_ahead: int = 0  # kernel stamps later than the read itself: the clock was set
    latency_ns: int = 0  # sum over requests of ended - sent
    lags_us: Counter[int] = field(default_factory=Counter)  # how many reads were so late

    def add_lags(self, lag_ns: Integers) -> None:
        """Take in how late reads were."""
        lags, reads = np.unique(lag_ns // 1000, return_counts=True)
        self.lags_us.update(dict(zip(lags.tolist(), reads.tolist(), strict=True)))

    @property
    def stamp_source(self) -> str:
        """kernel, user or mixed."""
        if self.kernel_reads and self.user_reads:
            return "mixed"
        return "user" if self.user_reads else "kernel"


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """When each read arrived, and how late it was read: shape (r,), int64, ns on the monotonic
    clock and ns."""

    at_ns: Integers
    lag_ns: Integers


@dataclass(frozen=True, slots=True)
class _Chunks:
    """The chunks of output of n requests, m in all.

    `reads`: shape (m,), int64, of each its read. `shared`: shape (m,), bool, whether the one before
    it came in the same read. `begins`, `ends`: shape (n,), int64, of each request's own among them.
    """

    reads: Integers
    shared: Flags
    begins: Integers
    ends: Integers

    def of(self, requests: Integers, places: Integers) -> Integers:
        """The reads of the chunks at these places within these requests."""
        found: Integers = self.reads[self.begins[requests] + places]
        return found


def rows_of(
    raws: RawRequestArrays,
    outcomes: OutcomeArrays,
    *,
    workload: str,
    level: str,
    prompt_hashes: Sequence[str],
    start_ns: int,
    offset_ns: int,
    tally: ReadTally,
) -> RequestRows:
    """The rows of these requests; `tally` takes in what their reads say about the generator.

    `offset_ns` puts kernel stamps on the monotonic clock; `prompt_hashes` go by request index.
    """
    arrivals = _arrivals(raws, offset_ns, tally)
    chunks = _chunks(raws, outcomes)
    sent = raws["sent_ns"]
    was_sent = sent > 0
    tally.output_chunks += len(chunks.reads)
    tally.hidden_chunks += _hidden(raws, chunks, arrivals)
    tally.latency_ns += int((raws["ended_ns"] - sent)[was_sent].sum())
    index = raws["index"]
    return RequestRows(
        numbers=numbers_of(
            len(raws),
            _times(raws, outcomes, arrivals, chunks, start_ns)
            | {name: values for name, values in outcomes.numbers.items() if name != "first_answer"}
            | {
                "request_index": index.astype(np.float64),
                "scheduled_us": _us(raws["scheduled_ns"], start_ns),
                "sent_us": np.where(was_sent, _us(sent, start_ns), np.nan),
                "connect_ms": _connect_ms(raws),
                "queue_ms": np.where(was_sent, (sent - raws["scheduled_ns"]) / 1e6, np.nan),
                "client_lag_max_ms": _most_lag_ms(raws, arrivals),
                "ttft_bound_ms": _ttft_bound_ms(raws, outcomes, arrivals, chunks),
                "resent": (raws["flags"] & Flag.RESENT).astype(np.float64),
                "coalesced_reads": _coalesced_reads(chunks).astype(np.float64),
            },
        ),
        texts={
            "workload": [workload] * len(raws),
            "level": [level] * len(raws),
            "prompt_hash": [prompt_hashes[number] for number in index.tolist()],
        }
        | outcomes.texts,
        chunk_deltas_us=_deltas_us(raws, arrivals, chunks),
        chunk_tokens=outcomes.chunk_tokens.astype(np.int32),
        chunk_ends=chunks.ends,
    )


def _arrivals(raws: RawRequestArrays, offset_ns: int, tally: ReadTally) -> _Arrivals:
    stamps, times = raws.stamps, raws.times
    no_stamp = stamps == 0
    missing = int(np.count_nonzero(no_stamp))
    at_ns = stamps - offset_ns
    lag_ns = times - at_ns
    if missing:
        # No stamp: the read's own time, late by no more than since the poll before.
        at_ns[no_stamp] = times[no_stamp]
        lag_ns[no_stamp] = np.where(raws.floors > 0, times - raws.floors, 0)[no_stamp]
    if lag_ns.min(initial=0) < 0:
        tally.stamps_ahead += int(np.count_nonzero(lag_ns < -_CLOCKS_DISAGREE_NS))
        at_ns = np.minimum(at_ns, times)
        lag_ns = np.maximum(lag_ns, 0)
    tally.add_lags(lag_ns)
    tally.kernel_reads += len(at_ns) - missing
    tally.user_reads += missing
    return _Arrivals(at_ns, lag_ns)


def _chunks(raws: RawRequestArrays, outcomes: OutcomeArrays) -> _Chunks:
    counts = outcomes.chunk_counts
    ends = counts.cumsum()
    reads = outcomes.chunk_reads + np.repeat(raws.first_reads[:-1], counts)
    shared = np.zeros(len(reads), dtype=np.bool_)
    shared[1:] = reads[1:] == reads[:-1]
    return _Chunks(reads, shared, ends - counts, ends)


def _times(
    raws: RawRequestArrays,
    outcomes: OutcomeArrays,
    arrivals: _Arrivals,
    chunks: _Chunks,
    start_ns: int,
) -> dict[str, Floats]:
    """First output, first answer and last output: on the clock, and since the request was sent."""
    any_output = np.flatnonzero(chunks.ends > chunks.begins)
    answered = np.flatnonzero(~np.isnan(outcomes["first_answer"]))
    answer = outcomes["first_answer"][answered].astype(np.int64)
    last = (chunks.ends - chunks.begins - 1)[any_output]
    reached = {
        "first_chunk": (any_output, chunks.of(any_output, np.zeros_like(any_output))),
        "first_answer": (answered, chunks.of(answered, answer)),
        "last_chunk": (any_output, chunks.of(any_output, last)),
    }
    on_clock, since_sent = {}, {}
    for name, (requests, reads) in reached.items():
        at_ns = arrivals.at_ns[reads]
        on_clock[f"{name}_us"] = _spread(len(raws), requests, _us(at_ns, start_ns))
        since_ms = (at_ns - raws["sent_ns"][requests]) / 1e6
        since_sent[name] = _spread(len(raws), requests, since_ms)
    streamed = np.where(outcomes.streamed, 1.0, np.nan)
    ttft_ms, e2el_ms = since_sent["first_chunk"] * streamed, since_sent["last_chunk"]
    gaps = visible(*(outcomes[name] for name in _VISIBLE)) - 1
    measured = np.where(has_gap(e2el_ms - ttft_ms, chunks.ends - chunks.begins), gaps, np.nan)
    return on_clock | {
        "ttft_ms": ttft_ms,
        "ttfat_ms": since_sent["first_answer"] * streamed,
        "tpot_ms": (e2el_ms - ttft_ms) / np.where(measured >= 1, measured, np.nan),
        "e2el_ms": e2el_ms,
    }


def _connect_ms(raws: RawRequestArrays) -> Floats:
    connected = raws["fresh_connection"] & (raws["connect_ns"] > 0)
    return np.where(connected, raws["connect_ns"] / 1e6, np.nan)


def _most_lag_ms(raws: RawRequestArrays, arrivals: _Arrivals) -> Floats:
    """How late the latest of each request's reads was."""
    some = np.flatnonzero(raws["reads"])
    most = np.maximum.reduceat(arrivals.lag_ns, raws.first_reads[some]) if len(some) else some
    return _spread(len(raws), some, most / 1e6)


def _coalesced_reads(chunks: _Chunks) -> Integers:
    """How many reads of each request held more than one chunk."""
    again = chunks.shared[1:] & ~chunks.shared[:-1]  # the second chunk of its read
    before = np.concatenate(([0, 0], again.cumsum()))  # up to each chunk, it left out
    found: Integers = before[chunks.ends] - before[chunks.begins]
    return found


def _hidden(raws: RawRequestArrays, chunks: _Chunks, arrivals: _Arrivals) -> int:
    """How many chunks shared a read that our own delay made late."""
    places = np.flatnonzero(chunks.shared)
    requests = np.searchsorted(chunks.ends, places, side="right")
    uncertainty_ns = _uncertainty_ns(raws, arrivals, requests, chunks.reads[places])
    return int(np.count_nonzero(uncertainty_ns > _HIDDEN_NS))


def _ttft_bound_ms(
    raws: RawRequestArrays, outcomes: OutcomeArrays, arrivals: _Arrivals, chunks: _Chunks
) -> Floats:
    """How much earlier the first token may have come, where its read held more than one chunk."""
    two = np.flatnonzero((chunks.ends - chunks.begins > 1) & outcomes.streamed)
    requests = two[chunks.shared[chunks.begins[two] + 1]]
    reads = chunks.reads[chunks.begins[requests]]
    return _spread(len(raws), requests, _uncertainty_ns(raws, arrivals, requests, reads) / 1e6)


def _uncertainty_ns(
    raws: RawRequestArrays, arrivals: _Arrivals, requests: Integers, reads: Integers
) -> Integers:
    """How much earlier than its stamp the first chunk of a read, of these requests', may be."""
    floors = raws.floors[reads]
    since_ns = arrivals.at_ns[reads] - np.maximum(floors, raws["sent_ns"][requests])
    # The loop slept: what arrived first woke it, so it is as early as waking was late.
    return np.where(floors > 0, np.maximum(since_ns, 0), arrivals.lag_ns[reads])


def _deltas_us(raws: RawRequestArrays, arrivals: _Arrivals, chunks: _Chunks) -> NDArray[np.int32]:
    """Of each chunk, microseconds since its request was sent, or since the chunk before; their sum
    loses no rounding. More than 35 minutes are 35 minutes."""
    sent = np.repeat(raws["sent_ns"], chunks.ends - chunks.begins)
    marks: Integers = (arrivals.at_ns[chunks.reads] - sent) // 1000
    deltas = marks.copy()
    deltas[1:] -= marks[:-1]
    first = chunks.begins[chunks.ends > chunks.begins]
    deltas[first] = marks[first]
    return deltas.clip(-_MOST_DELTA_US, _MOST_DELTA_US).astype(np.int32)


def _spread(count: int, requests: Integers, values: Floats) -> Floats:
    """A value for each of `count` requests: NaN but for these."""
    found = np.full(count, np.nan)
    found[requests] = values
    return found


def _us(at_ns: Integers, start_ns: int) -> Floats:
    return ((at_ns - start_ns) // 1000).astype(np.float64)
