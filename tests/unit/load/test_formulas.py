"""The metrics of a level, from rows, against values computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nightbench.load.summarize import formulas
from nightbench.load.summarize.goodput_limits import GoodputLimits
from nightbench.load.summarize.level_arrays import COLUMNS, ColumnsBuilder, RequestColumns
from nightbench.records import LoadRequest
from tests.unit.load.by_column import rows_of_records


def request(index: int, **fields: Any) -> LoadRequest:
    """Sent at index seconds, three chunks: 50 ms, then twice 10 ms."""
    sent = index * 1_000_000
    return LoadRequest(
        **(
            dict.fromkeys(COLUMNS)
            | {
                "workload": "w",
                "level": "c1",
                "request_index": index,
                "prompt_hash": "h",
                "scheduled_us": sent,
                "sent_us": sent,
                "first_chunk_us": sent + 50_000,
                "last_chunk_us": sent + 70_000,
                "ttft_ms": 50.0,
                "tpot_ms": 10.0,
                "e2el_ms": 70.0,
                "queue_ms": 0.0,
                "coalesced_reads": 0,
                "prompt_tokens": 5,
                "completion_tokens": 3,
                "token_source": "usage",
                "chunk_deltas_us": [50_000, 10_000, 10_000],
                "chunk_tokens": [1, 1, 1],
            }
            | fields
        )
    )


def columns(*rows: LoadRequest) -> RequestColumns:
    builder = ColumnsBuilder()
    for row in rows:
        builder.add(rows_of_records([row]))
    return builder.columns()


def failed(index: int) -> LoadRequest:
    return request(index, error_kind="cut", ttft_ms=9999.0, chunk_deltas_us=[7], chunk_tokens=[1])


def test_percentiles_are_over_completed_requests_alone() -> None:
    rows = [request(i, ttft_ms=float(i)) for i in range(101)]
    found = formulas.request_distribution(columns(*rows, failed(101)), "ttft_ms")
    assert found.values == {"mean": 50, "median": 50, "p90": 90, "p95": 95, "p99": 99}
    assert found.intervals["p95"] is not None
    assert found.intervals["p99"] is None  # 101 values do not make one


def test_a_metric_nobody_has_is_none_and_not_zero() -> None:
    found = formulas.request_distribution(columns(request(0), request(1)), "ttfat_ms")
    assert set(found.values.values()) == {None}


def test_gaps_leave_out_the_time_to_the_first_token() -> None:
    slow = request(1, chunk_deltas_us=[900_000, 30_000], chunk_tokens=[1, 1])
    itl, icl = formulas.gap_distributions(columns(request(0), slow, failed(2)))
    assert itl.values["mean"] == pytest.approx((10 + 10 + 30) / 3)
    assert itl.values == icl.values


def test_a_chunk_of_k_tokens_counts_as_k_gaps_of_a_kth() -> None:
    fat = request(0, chunk_deltas_us=[50_000, 40_000, 10_000], chunk_tokens=[4, 4, 1])
    itl, icl = formulas.gap_distributions(columns(fat, request(1)))
    assert icl.values["mean"] == pytest.approx((40 + 10 + 10 + 10) / 4)
    assert itl.values["mean"] == pytest.approx((4 * 10 + 10 + 10 + 10) / 7)
    assert itl.values["median"] == pytest.approx(10)


def test_a_request_without_chunks_between_others_shifts_nobodys_gaps() -> None:
    nothing = request(1, chunk_deltas_us=[], chunk_tokens=[], error_kind="connect_refused")
    _, icl = formulas.gap_distributions(columns(nothing, request(0), nothing, request(2)))
    assert icl.values["mean"] == pytest.approx(10)


def test_throughputs_run_from_the_first_sent_to_the_last_output() -> None:
    work = formulas.throughput(columns(*[request(i) for i in range(11)]), None)
    assert work.duration_s == pytest.approx(10.07)
    assert work.request_throughput == pytest.approx(11 / 10.07)
    assert work.output_throughput == pytest.approx(33 / 10.07)
    assert work.total_token_throughput == pytest.approx(88 / 10.07)
    assert work.goodput is None
    assert work.cached_tokens is None


def test_failed_work_is_not_throughput() -> None:
    work = formulas.throughput(columns(request(0), request(1), failed(2)), None)
    assert (work.completed, work.completion_tokens) == (2, 6)


def test_goodput_counts_requests_that_meet_every_limit() -> None:
    rows = [
        request(0),
        request(1, ttft_ms=150.0),
        request(2, tpot_ms=60.0),
        request(3, tpot_ms=None),
    ]
    limits = GoodputLimits(ttft_ms=100, tpot_ms=50)
    work = formulas.throughput(columns(*rows), limits)
    assert work.goodput == pytest.approx(2 / work.duration_s)


def test_steady_throughput_counts_tokens_by_when_they_arrived() -> None:
    rows = [request(i) for i in range(4)]
    found = formulas.steady_output_throughput(columns(*rows), 1_000_000, 3_055_000)
    assert found == pytest.approx((3 + 3 + 1) / 2.055)


def test_no_steady_state_is_none() -> None:
    assert formulas.steady_output_throughput(columns(request(0)), None, 5.0) is None
    assert formulas.steady_output_throughput(columns(request(0)), 5.0, 5.0) is None


def test_peak_concurrency_counts_requests_in_flight() -> None:
    rows = [request(0, sent_us=0), request(1, sent_us=10), request(2, sent_us=20)]
    found = columns(*rows)
    assert formulas.peak_concurrency(found, np.array([15.0, 30.0, 40.0])) == 2
    assert formulas.peak_concurrency(found, np.array([20.0, 30.0, 40.0])) == 2
    assert formulas.peak_concurrency(found, np.array([25.0, 30.0, 40.0])) == 3


def test_no_request_at_all_has_no_metrics_and_no_error() -> None:
    found = columns()
    assert formulas.throughput(found, GoodputLimits(ttft_ms=1)).completed == 0
    assert formulas.request_distribution(found, "ttft_ms").values["mean"] is None
    itl, _ = formulas.gap_distributions(found)
    assert itl.values["mean"] is None


def test_a_slot_is_idle_from_when_it_was_free_until_it_sent() -> None:
    rows = columns(request(0), request(1, queue_ms=10.0), failed(2))
    assert formulas.idle_slot_share(rows) == pytest.approx(10 / 150)


def test_a_slot_whose_connection_the_server_closed_is_not_idle_while_another_is_opened() -> None:
    rows = columns(request(0, queue_ms=12.0, connect_ms=10.0), request(1))
    assert formulas.idle_slot_share(rows) == pytest.approx(2 / 142)


def test_a_connection_that_was_opened_before_explains_no_idle_slot() -> None:
    rows = columns(request(0, queue_ms=2.0, connect_ms=3.0), request(1))
    assert formulas.idle_slot_share(rows) == pytest.approx(2 / 142)


EMPTY: dict[str, Any] = {
    "ttft_ms": None,
    "tpot_ms": None,
    "e2el_ms": None,
    "first_chunk_us": None,
    "last_chunk_us": None,
    "chunk_deltas_us": [],
    "chunk_tokens": [],
}


def test_an_answer_without_output_took_until_it_ended_and_blames_nobody() -> None:
    rows = columns(*(request(index, sent_us=0, queue_ms=1.0, **EMPTY) for index in range(4)))
    ended_us = [100_000.0] * 4
    assert formulas.empty_answers(rows) == 4
    assert formulas.idle_slot_share(rows, ended_us) == pytest.approx(1 / 101)
    assert formulas.throughput(rows, None, ended_us).request_throughput == pytest.approx(40)


def test_what_came_in_one_burst_has_no_gaps() -> None:
    burst = {"chunk_deltas_us": [20_000, 3, 4], "chunk_tokens": [1, 1, 1]}
    for gaps in formulas.gap_distributions(columns(request(0, **burst))):
        assert gaps.values["mean"] is None


def test_absurd_counts_of_a_chunk_cost_no_memory() -> None:
    absurd = {"chunk_deltas_us": [20_000, 10_000], "chunk_tokens": [1, 9_999_999]}
    rows = columns(*(request(index, **absurd) for index in range(200)))
    itl, _ = formulas.gap_distributions(rows)
    assert itl.values["mean"] is not None
    assert itl.values["mean"] < 0.01


def test_where_nothing_was_completed_no_slot_was_idle() -> None:
    assert formulas.idle_slot_share(columns(failed(0))) == 0.0
