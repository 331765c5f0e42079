"""From raw stamps to a request's row."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightbench.load.drive.rawlog import HEADER_FIELDS, Cause
from nightbench.load.parse.interpret import Outcome
from nightbench.load.parse.interpret_batch import by_column
from nightbench.load.parse.raw_records import RawRequestArrays
from nightbench.load.summarize.level_arrays import RequestRows
from nightbench.load.summarize.request_rows import ReadTally, rows_of
from nightbench.records import LoadRequest
from tests.unit.load.by_column import records_of_rows

MS = 1_000_000
START = 10_000 * MS
OFFSET = 1_700_000_000_000 * MS


def kernel(at_ms: float) -> int:
    return OFFSET + START + round(at_ms * MS)


def mono(at_ms: float) -> int:
    return START + round(at_ms * MS)


# Sent at 1 ms; three reads arrived at 51, 61 and 71 ms and were read 0.5 ms later.
HEADER = (4, Cause.COMPLETE, True, 0, 3, 0, 0, mono(0), mono(1), 2 * MS, mono(72))
RAW = RawRequestArrays(
    block=bytearray(),
    fields=np.array([HEADER], dtype=HEADER_FIELDS),
    begins=np.zeros(1, dtype=np.int64),
    first_reads=np.array([0, 3]),
    stamps=np.array([kernel(51), kernel(61), kernel(71)]),
    times=np.array([mono(51.5), mono(61.5), mono(71.5)]),
    floors=np.zeros(3, dtype=np.int64),
    lengths=np.zeros(3, dtype=np.uint32),
)
OUTCOME = Outcome(
    http_status=200,
    streamed=True,
    chunks=[0, 1, 2],
    first_answer=1,
    completion_tokens=3,
)


def row(
    raw: RawRequestArrays = RAW, outcome: Outcome = OUTCOME, tally: ReadTally | None = None
) -> LoadRequest:
    (found,) = records_of_rows(rows(raw, [outcome], tally or ReadTally()))
    return found


def rows(raws: RawRequestArrays, outcomes: list[Outcome], tally: ReadTally) -> RequestRows:
    return rows_of(
        raws,
        by_column(outcomes),
        workload="w",
        level="c1",
        prompt_hashes=["h"] * 5,
        start_ns=START,
        offset_ns=OFFSET,
        tally=tally,
    )


def test_times_are_when_bytes_arrived_and_not_when_they_were_read() -> None:
    found = row()
    assert found.ttft_ms == pytest.approx(50)
    assert found.ttfat_ms == pytest.approx(60)
    assert found.e2el_ms == pytest.approx(70)
    assert found.tpot_ms == pytest.approx(10)
    assert found.chunk_deltas_us == [50_000, 10_000, 10_000]


def test_waiting_to_send_and_connecting_are_apart_from_the_rest() -> None:
    found = row()
    assert found.queue_ms == pytest.approx(1)
    assert found.connect_ms == pytest.approx(2)
    assert found.scheduled_us == 0
    assert found.sent_us == 1000


def test_without_kernel_stamps_the_reads_own_time_counts() -> None:
    tally = ReadTally()
    found = row(replace(RAW, stamps=np.zeros(3, dtype=np.int64)), tally=tally)
    assert found.ttft_ms == pytest.approx(50.5)
    assert tally.stamp_source == "user"


def test_some_stamps_missing_is_said() -> None:
    tally = ReadTally()
    row(replace(RAW, stamps=np.array([kernel(51), 0, kernel(71)])), tally=tally)
    assert tally.stamp_source == "mixed"


def test_the_clients_lag_is_what_the_stamps_show() -> None:
    tally = ReadTally()
    assert row(tally=tally).client_lag_max_ms == pytest.approx(0.5)
    assert tally.lags_us == {500: 3}


def test_a_coalesced_first_read_in_a_busy_loop_bounds_its_ttft() -> None:
    """Both chunks came after the poll at 31 ms, so the first token is at most 20 ms earlier."""
    raw = replace(RAW, floors=np.array([mono(31), 0, 0]))
    tally = ReadTally()
    found = row(raw, replace(OUTCOME, chunks=[0, 0, 2]), tally)
    assert found.coalesced_reads == 1
    assert found.ttft_bound_ms == pytest.approx(20)
    assert (tally.hidden_chunks, tally.output_chunks) == (1, 3)


def test_the_bound_never_reaches_before_the_request_was_sent() -> None:
    raw = replace(RAW, floors=np.array([mono(-500), 0, 0]))
    found = row(raw, replace(OUTCOME, chunks=[0, 0, 2]))
    assert found.ttft_bound_ms == pytest.approx(50)


def test_two_chunks_in_one_write_of_the_server_are_not_the_clients_doing() -> None:
    raw = replace(RAW, times=np.array([mono(51.01), mono(61.01), mono(71.01)]))
    tally = ReadTally()
    found = row(raw, replace(OUTCOME, chunks=[0, 0, 2]), tally)
    assert found.coalesced_reads == 1
    assert found.ttft_bound_ms == pytest.approx(0.01)
    assert tally.hidden_chunks == 0


def test_a_stamp_after_its_own_read_means_that_the_clock_was_set() -> None:
    tally = ReadTally()
    row(replace(RAW, stamps=np.array([kernel(55), kernel(61), kernel(71)])), tally=tally)
    assert tally.stamps_ahead == 1


def test_a_request_that_was_never_sent_has_no_times() -> None:
    fields = RAW.fields.copy()
    fields["cause"], fields["sent_ns"], fields["reads"] = Cause.CONNECT_REFUSED, 0, 0
    none = np.zeros(0, dtype=np.int64)
    reads = {"stamps": none, "times": none, "floors": none, "first_reads": np.zeros(2, np.int64)}
    raw = replace(RAW, fields=fields, **reads)
    found = row(raw, Outcome(error_kind="connect_refused"))
    assert (found.sent_us, found.ttft_ms, found.queue_ms, found.client_lag_max_ms) == (
        None,
        None,
        None,
        None,
    )
    assert found.chunk_deltas_us == []


def test_a_gap_of_many_minutes_is_not_a_negative_one() -> None:
    """The history has 32 bits for the microseconds between two chunks."""
    times = np.array([mono(50), mono(60), mono(3_000_000)])
    found = row(replace(RAW, stamps=np.zeros(3, dtype=np.int64), times=times))
    assert found.chunk_deltas_us[2] == 2**31 - 1
    assert found.e2el_ms == pytest.approx(2_999_999)


def test_one_token_has_no_tpot() -> None:
    found = row(outcome=replace(OUTCOME, chunks=[0], first_answer=0, completion_tokens=1))
    assert found.tpot_ms is None


def test_an_answer_that_was_not_streamed_has_an_end_and_no_first_token() -> None:
    found = row(outcome=replace(OUTCOME, streamed=False, chunks=[2], first_answer=0))
    assert found.ttft_ms is None
    assert found.e2el_ms == pytest.approx(70)


@given(st.lists(st.lists(st.integers(1, 3), max_size=6), max_size=8), st.randoms())
def test_many_at_once_are_what_they_are_one_at_a_time(
    answers: list[list[int]], rng: random.Random
) -> None:
    """Each answer a list of its reads, each read so many chunks of output."""
    raws = [some_request(len(reads), rng) for reads in answers]
    outcomes = [some_outcome(reads, rng) for reads in answers]
    tally, one_by_one = ReadTally(), ReadTally()
    expected = [
        record
        for raw, outcome in zip(raws, outcomes, strict=True)
        for record in records_of_rows(rows(raw, [outcome], one_by_one))
    ]
    if raws:
        assert records_of_rows(rows(joined(raws), outcomes, tally)) == expected
    assert tally == one_by_one


def some_request(reads: int, rng: random.Random) -> RawRequestArrays:
    sent = mono(rng.random()) * rng.choice([1, 1, 1, 0]) if not reads else mono(rng.random())
    times = np.array([mono(10 + 10 * read + rng.random()) for read in range(reads)], dtype=np.int64)
    late = np.array([rng.choice([0, 1, 10_000, 5 * MS]) for _ in range(reads)], dtype=np.int64)
    stamped = np.array([rng.random() < 0.8 for _ in range(reads)], dtype=np.bool_)
    slept = np.array([rng.random() < 0.5 for _ in range(reads)], dtype=np.bool_)
    header = (4, Cause.COMPLETE, rng.random() < 0.5, 0, reads, 0, 0, mono(0), sent, MS, mono(99))
    return replace(
        RAW,
        fields=np.array([header], dtype=HEADER_FIELDS),
        first_reads=np.array([0, reads]),
        stamps=np.where(stamped, times - late + OFFSET, 0),
        times=times,
        floors=np.where(slept, 0, times - 2 * late),
        lengths=np.zeros(reads, dtype=np.uint32),
    )


def some_outcome(reads: list[int], rng: random.Random) -> Outcome:
    chunks = [read for read, count in enumerate(reads) for _ in range(count)]
    return Outcome(
        streamed=rng.random() < 0.8,
        chunks=chunks,
        first_answer=rng.choice([None, *range(len(chunks))]),
        completion_tokens=rng.choice([None, len(chunks), len(chunks) + 1, 3 * len(chunks), 1]),
        error_kind=rng.choice([None, "cut"]),
    )


def joined(raws: list[RawRequestArrays]) -> RawRequestArrays:
    def all_of(name: str) -> np.ndarray:
        return np.concatenate([getattr(raw, name) for raw in raws])

    counts = [len(raw.times) for raw in raws]
    names = ("fields", "begins", "stamps", "times", "floors", "lengths")
    return RawRequestArrays(
        block=bytearray(),
        first_reads=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        **{name: all_of(name) for name in names},
    )
