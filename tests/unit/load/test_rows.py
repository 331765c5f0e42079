"""From raw stamps to a request's row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nightbench.load.outcome import Outcome
from nightbench.load.raw_requests import RawRequest
from nightbench.load.rawlog import Cause
from nightbench.load.rows import ReadTally, row_of
from nightbench.records import LoadRequest

MS = 1_000_000
START = 10_000 * MS
OFFSET = 1_700_000_000_000 * MS


def kernel(at_ms: float) -> int:
    return OFFSET + START + round(at_ms * MS)


def mono(at_ms: float) -> int:
    return START + round(at_ms * MS)


# Sent at 1 ms; three reads arrived at 51, 61 and 71 ms and were read 0.5 ms later.
RAW = RawRequest(
    index=4,
    cause=Cause.COMPLETE,
    fresh_connection=True,
    scheduled_ns=mono(0),
    sent_ns=mono(1),
    connect_ns=2 * MS,
    ended_ns=mono(72),
    stamps=np.array([kernel(51), kernel(61), kernel(71)]),
    times=np.array([mono(51.5), mono(61.5), mono(71.5)]),
    floors=np.zeros(3, dtype=np.int64),
    lengths=np.zeros(3, dtype=np.int64),
    data=b"",
    error="",
)
OUTCOME = Outcome(
    http_status=200,
    streamed=True,
    chunks=[0, 1, 2],
    chunk_tokens=[1, 1, 1],
    first_answer=1,
    completion_tokens=3,
)


def row(
    raw: RawRequest = RAW, outcome: Outcome = OUTCOME, tally: ReadTally | None = None
) -> LoadRequest:
    return row_of(
        raw,
        outcome,
        workload="w",
        level="c1",
        prompt_hash="h",
        start_ns=START,
        offset_ns=OFFSET,
        tally=tally or ReadTally(),
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
    none = np.zeros(0, dtype=np.int64)
    nothing = {"stamps": none, "times": none, "floors": none, "lengths": none}
    raw = replace(RAW, cause=Cause.CONNECT_REFUSED, sent_ns=0, **nothing)
    found = row(raw, Outcome(error_kind="connect_refused"))
    assert (found.sent_us, found.ttft_ms, found.queue_ms, found.chunk_deltas_us) == (
        None,
        None,
        None,
        [],
    )


def test_one_token_has_no_tpot() -> None:
    found = row(outcome=replace(OUTCOME, chunks=[0], first_answer=0, completion_tokens=1))
    assert found.tpot_ms is None


def test_an_answer_that_was_not_streamed_has_an_end_and_no_first_token() -> None:
    found = row(outcome=replace(OUTCOME, streamed=False, chunks=[2], first_answer=0))
    assert found.ttft_ms is None
    assert found.e2el_ms == pytest.approx(70)
