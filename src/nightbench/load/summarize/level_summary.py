"""From a finished level to its row and its intervals: its metrics, and whether to believe them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nightbench.load.drive.kernel_clock import OffsetTrack
from nightbench.load.drive.worker_protocol import ShardReport
from nightbench.load.plan.levels import Level
from nightbench.load.prefix_cache import CacheUse
from nightbench.load.summarize import formulas
from nightbench.load.summarize.formulas import Distribution, Throughput
from nightbench.load.summarize.level_arrays import RequestColumns
from nightbench.load.summarize.level_rows import Finished, Parsed, parse
from nightbench.load.summarize.notes import notes_of
from nightbench.load.summarize.request_rows import ReadTally
from nightbench.load.summarize.validity import Evidence, invalid_reasons
from nightbench.metrics import distributions
from nightbench.records import LoadInterval, LoadLevel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Summary:
    """What a level came to. `errors`: the kinds of failure, each with what the first of it said."""

    level: LoadLevel
    intervals: tuple[LoadInterval, ...]
    errors: dict[str, str]
    notes: tuple[str, ...] = ()


def summarise(finished: Finished, requests_path: Path | None, *, compiled: bool = True) -> Summary:
    """Parse the raw records and sum them up; the rows go to `requests_path`, if anywhere."""
    return sum_up(finished, parse(finished, requests_path, compiled=compiled))


def sum_up(finished: Finished, parsed: Parsed) -> Summary:
    """The metrics of a parsed level, and whether to believe them."""
    columns, level = parsed.columns, finished.level
    found = [
        formulas.request_distribution(columns, metric.name) for metric in distributions("latency")
    ]
    found += formulas.gap_distributions(columns)
    by_name = {distribution.metric: distribution for distribution in found}
    work = formulas.throughput(columns, finished.limits, parsed.ended_us)
    peak = formulas.peak_concurrency(columns, parsed.ended_us)
    finished = _with_what_was_sent(finished, work, columns.count)
    reasons = invalid_reasons(_evidence(finished, parsed, by_name, peak))
    row = _level_row(finished, parsed, by_name, work, peak=peak, reasons=reasons)
    intervals = [
        row for found in by_name.values() for row in found.rows(level.workload, level.label)
    ]
    return Summary(row, tuple(intervals), parsed.errors, notes_of(finished, parsed))


def _with_what_was_sent(finished: Finished, work: Throughput, sent: int) -> Finished:
    """The same, its cache counters beside what the prompts had, where all of that is known."""
    if finished.cache is None or not work.prompt_tokens or work.completed < sent:
        return finished
    return replace(finished, cache=replace(finished.cache, prompt_tokens=work.prompt_tokens))


def _evidence(
    finished: Finished, parsed: Parsed, found: dict[str, Distribution], peak: int
) -> Evidence:
    columns, tally, level = parsed.columns, parsed.tally, finished.level
    done = columns.completed
    bound = np.nan_to_num(columns["ttft_bound_ms"][done])
    tokens = columns["completion_tokens"][done]
    wanted_tokens = level.generation.get("max_tokens")
    wanted_rate, achieved_rate = _rates(columns, level)
    cached = columns["cached_tokens"][done]
    return Evidence(
        num_prompts=columns.count,
        completed=int(done.sum()),
        failed=int((~done).sum()),
        max_concurrency=level.max_concurrency,
        peak_concurrency=peak,
        median_ttft_ms=found["ttft_ms"].values["median"],
        median_tpot_ms=found["tpot_ms"].values["median"],
        ttft_residual_ms=float(np.median(bound)) if len(bound) else 0.0,
        tpot_residual_ms=float(np.median(bound / np.maximum(np.nan_to_num(tokens) - 1, 1)))
        if len(bound)
        else 0.0,
        p99_queue_ms=found["queue_ms"].values["p99"],
        idle_slot_share=formulas.idle_slot_share(columns, parsed.ended_us),
        hidden_chunk_share=tally.hidden_chunks / max(tally.output_chunks, 1),
        host_busy_share=finished.host.busy_share if finished.host else None,
        client_cpu_share=_client_cpu_share(finished),
        wanted_rate=wanted_rate,
        achieved_rate=achieved_rate,
        cached_tokens=_cached_above_template(finished, cached),
        prompt_tokens=int(np.nansum(columns["prompt_tokens"][done])),
        shares_prefix=finished.shares_prefix,
        short_outputs=int((tokens < wanted_tokens).sum()) if wanted_tokens else 0,
        empty_answers=formulas.empty_answers(columns),
        contradicted_share=formulas.contradicted_share(columns),
        fixed_length=bool(level.generation.get("ignore_eos")) and wanted_tokens is not None,
        clock_jumped=tally.stamps_ahead > 0
        or any(OffsetTrack(report.offsets).jumped for report in finished.reports),
        prompts_exhausted=any(report.prompts_exhausted for report in finished.reports)
        and level.max_concurrency is not None,
        stopped=finished.stopped,
    )


def _client_cpu_share(finished: Finished) -> float:
    """Of the machine's core time in the level, what the generator took."""
    if finished.host is None:
        return 0.0
    return sum(report.cpu_s for report in finished.reports) / finished.host.capacity_s


def _rates(columns: RequestColumns, level: Level) -> tuple[float | None, float | None]:
    """(the rate of the drawn schedule, the rate that was sent), from first to last request."""
    if level.request_rate is None or columns.count < 2:
        return None, None
    scheduled, sent = columns["scheduled_us"], columns["sent_us"]
    span, sent_span = float(np.ptp(scheduled)), float(np.nanmax(sent) - np.nanmin(sent))
    if span <= 0 or sent_span <= 0:
        return None, None
    gaps = columns.count - 1
    return gaps / span * 1e6, gaps / sent_span * 1e6


def _cached_above_template(finished: Finished, cached: NDArray[np.float64]) -> int | None:
    """Cached prompt tokens beyond what every request shares: the chat template's own head.

    By what each request's usage says; else by the server's counters.
    """
    known = cached[~np.isnan(cached)]
    if len(known):
        return int((known - known.min()).sum())
    if finished.cache is None or finished.cache.problem is not None:
        return None
    level = finished.level
    return finished.cache.hits_above_template(level.warmup_prompts, len(cached))


def _level_row(
    finished: Finished,
    parsed: Parsed,
    found: dict[str, Distribution],
    work: Throughput,
    *,
    peak: int,
    reasons: list[str],
) -> LoadLevel:
    level, tally, columns = finished.level, parsed.tally, parsed.columns
    mean_concurrency = _mean_concurrency(finished, columns)
    latency_s = tally.latency_ns / 1e9
    start_ns = min((report.start_ns for report in finished.reports), default=0)
    steady = _steady_us(finished.reports, start_ns) if level.max_concurrency else (None, None)
    area_s = sum(report.in_flight_ns for report in finished.reports) / 1e9
    fields: dict[str, Any] = {
        f"{statistic}_{name}": value
        for name, distribution in found.items()
        for statistic, value in distribution.values.items()
    }
    return LoadLevel(
        workload=level.workload,
        level=level.label,
        measurement_key=finished.measurement_key,
        started_at=finished.started_at,
        max_concurrency=level.max_concurrency,
        request_rate=level.request_rate,
        num_prompts=columns.count,
        completed=work.completed,
        failed=columns.count - work.completed,
        duration_s=work.duration_s,
        prompt_tokens=work.prompt_tokens,
        cached_tokens=_cached_tokens(work, finished.cache),
        completion_tokens=work.completion_tokens,
        request_throughput=work.request_throughput,
        output_throughput=work.output_throughput,
        total_token_throughput=work.total_token_throughput,
        steady_output_throughput=formulas.steady_output_throughput(columns, *steady),
        goodput=work.goodput,
        peak_concurrency=peak,
        mean_concurrency=mean_concurrency,
        littles_law_ratio=latency_s / area_s if area_s > 0 else None,
        **_lags(tally),
        client_cpu_s=sum(report.cpu_s for report in finished.reports),
        coalesced_reads=int(columns["coalesced_reads"].sum()),
        stamp_source=tally.stamp_source,
        valid=not reasons,
        invalid_reasons=reasons,
        **fields,
    )


def _cached_tokens(work: Throughput, cache: CacheUse | None) -> int | None:
    """As the requests' usage says; else as the server counted while the level ran."""
    if work.cached_tokens is not None or cache is None or cache.problem is not None:
        return work.cached_tokens
    return cache.hits


def _mean_concurrency(finished: Finished, columns: RequestColumns) -> float:
    """Requests in flight, weighted by time, from the first sent to the last ended."""
    area_ns = sum(report.in_flight_ns for report in finished.reports)
    if not finished.reports or np.all(np.isnan(columns["sent_us"])):
        return 0.0
    start_ns = min(report.start_ns for report in finished.reports)
    end_ns = max(report.end_ns for report in finished.reports)
    span_ns = end_ns - start_ns - float(np.nanmin(columns["sent_us"])) * 1000
    return area_ns / span_ns if span_ns > 0 else 0.0


def _steady_us(
    reports: tuple[ShardReport, ...], start_ns: int
) -> tuple[float | None, float | None]:
    """From when every process had its slots full until one had a slot without a request."""
    starts = [report.full_from_ns for report in reports if report.full_from_ns is not None]
    ends = [report.full_until_ns for report in reports if report.full_until_ns is not None]
    if len(starts) < len(reports) or not ends:
        return None, None
    return (max(starts) - start_ns) / 1000, (min(ends) - start_ns) / 1000


def _lags(tally: ReadTally) -> dict[str, Any]:
    """The generator's own lag on reads: from the kernel's stamp to its own."""
    if not tally.lags_us:
        return dict.fromkeys(("client_lag_p50_ms", "client_lag_p99_ms", "client_lag_max_ms"))
    lags = np.array(sorted(tally.lags_us), dtype=np.int64)
    reads = np.cumsum([tally.lags_us[lag] for lag in lags.tolist()])
    p50, p99 = lags[np.searchsorted(reads, np.array([0.5, 0.99]) * reads[-1])] / 1000
    return {
        "client_lag_p50_ms": float(p50),
        "client_lag_p99_ms": float(p99),
        "client_lag_max_ms": float(lags[-1]) / 1000,
    }
