"""How the metrics of a level follow from its rows (docs/metrics.md): values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightbench import stats
from nightbench.load.summarize.gaps import has_gap
from nightbench.load.summarize.goodput_limits import GoodputLimits
from nightbench.metrics import QUANTILES, SPREAD
from nightbench.records import LoadInterval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.load.summarize.level_arrays import RequestColumns

    Floats = NDArray[np.float64]

_MOST_SHARES = 20_000_000  # of gaps by token


@dataclass(frozen=True, slots=True)
class Distribution:
    """The statistics of one metric of a level, with their 95 % intervals."""

    metric: str
    values: dict[str, float | None]  # mean, median, p90, p95, p99
    intervals: dict[str, stats.Interval | None]

    def rows(self, workload: str, level: str) -> list[LoadInterval]:
        """One row per statistic."""
        return [
            LoadInterval(
                workload=workload,
                level=level,
                metric=self.metric,
                statistic=statistic,
                value=value,
                ci_low=interval[0] if (interval := self.intervals[statistic]) else None,
                ci_high=interval[1] if interval else None,
                estimable=interval is not None,
            )
            for statistic, value in self.values.items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Completed work over the time from the first request sent to the last output."""

    duration_s: float
    completed: int
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    request_throughput: float
    output_throughput: float
    total_token_throughput: float
    goodput: float | None


def request_distribution(columns: RequestColumns, metric: str) -> Distribution:
    """A metric with one value per completed request; intervals from order statistics."""
    values = columns[metric][columns.completed]
    ordered = np.sort(values[~np.isnan(values)])
    found: dict[str, float | None] = dict.fromkeys(SPREAD)
    if len(ordered):
        percentiles = np.percentile(ordered, [100 * quantile for quantile in QUANTILES.values()])
        found["mean"] = float(ordered.mean())
        found |= zip(QUANTILES, percentiles.tolist(), strict=True)
    intervals: dict[str, stats.Interval | None] = {"mean": stats.bootstrap_mean_interval(ordered)}
    for name, quantile in QUANTILES.items():
        intervals[name] = stats.quantile_interval(ordered, quantile)
    return Distribution(metric, found, intervals)


def gap_distributions(columns: RequestColumns) -> tuple[Distribution, Distribution]:
    """(itl_ms, icl_ms): gaps pooled over completed requests; intervals by resampling requests.

    icl is the gap between output chunks as they arrived. itl is between tokens: a chunk of k tokens
    after a gap counts as k gaps of gap / k.
    """
    starts = np.concatenate(([0], columns.ends[:-1])) if columns.count else columns.ends
    owner = np.repeat(np.arange(columns.count, dtype=np.int32), columns.ends - starts)
    is_gap = np.ones(len(columns.deltas_us), dtype=bool)
    is_gap[starts[starts < columns.ends]] = False  # a request's first delta is its ttft
    is_gap &= columns.completed[owner]
    is_gap &= _has_gap(columns, starts)[owner]
    gaps_us, owner = columns.deltas_us[is_gap], owner[is_gap]
    icl = _pooled("icl_ms", gaps_us, owner)
    if np.all(columns.tokens == 1):
        return Distribution("itl_ms", icl.values, icl.intervals), icl
    tokens = _bounded(np.maximum(columns.tokens[is_gap], 1))
    shares_us = np.repeat((gaps_us / tokens).astype(np.float32), tokens)
    return _pooled("itl_ms", shares_us, np.repeat(owner, tokens)), icl


def _has_gap(columns: RequestColumns, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each request, whether its chunks came in more than one burst."""
    arrived_us = np.concatenate(([0], np.cumsum(columns.deltas_us, dtype=np.int64)))
    some = columns.ends > starts
    first_us = arrived_us[np.where(some, starts + 1, 0)]
    return has_gap((arrived_us[columns.ends] - first_us) / 1000, columns.ends - starts)


def _bounded(tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """How often each gap counts: in proportion, and never so often that memory does not hold it."""
    total = int(tokens.sum(dtype=np.int64))
    most = max(_MOST_SHARES, 4 * len(tokens))
    if total <= most:
        return tokens.astype(np.int64)
    shares: NDArray[np.int64] = np.maximum(tokens * (most / total), 1).astype(np.int64)
    return shares


def _pooled(metric: str, values_us: NDArray[Any], owner: NDArray[np.int32]) -> Distribution:
    """Statistics of microseconds, in milliseconds; `owner` is the request of each."""
    if len(values_us) == 0:
        return Distribution(metric, dict.fromkeys(SPREAD), dict.fromkeys(SPREAD))
    quantiles = list(QUANTILES.values())
    percentiles = np.percentile(values_us, [100 * quantile for quantile in quantiles]) / 1000
    found: dict[str, float | None] = {"mean": float(values_us.mean(dtype=np.float64)) / 1000}
    found |= zip(QUANTILES, percentiles.tolist(), strict=True)
    counts, sums = stats.owner_sums(owner), stats.owner_sums(owner, values_us)
    has_any = counts > 0
    mean = stats.bootstrap_ratio_interval(sums[has_any], counts[has_any])
    by_resampling = stats.bootstrap_pooled_percentiles(values_us, owner, quantiles)
    intervals: dict[str, stats.Interval | None] = {"mean": _to_ms(mean)}
    for (name, quantile), interval in zip(QUANTILES.items(), by_resampling, strict=True):
        enough = stats.order_statistic_ranks(int(has_any.sum()), quantile) is not None
        intervals[name] = _to_ms(interval) if enough else None
    return Distribution(metric, found, intervals)


def _to_ms(interval_us: stats.Interval | None) -> stats.Interval | None:
    return None if interval_us is None else (interval_us[0] / 1000, interval_us[1] / 1000)


def throughput(
    columns: RequestColumns,
    limits: GoodputLimits | None,
    ended_us: Sequence[float] | Floats | None = None,
) -> Throughput:
    """What was completed, per second; `ended_us` is for answers without output."""
    done = columns.completed
    duration_s = _duration_s(columns, _ended(columns, ended_us))
    per_s = 1 / duration_s if duration_s > 0 else 0.0
    prompt = int(np.nansum(columns["prompt_tokens"][done]))
    completion = int(np.nansum(columns["completion_tokens"][done]))
    cached = columns["cached_tokens"][done]
    known = bool(len(cached)) and not bool(np.all(np.isnan(cached)))
    return Throughput(
        duration_s=duration_s,
        completed=int(done.sum()),
        prompt_tokens=prompt,
        cached_tokens=int(np.nansum(cached)) if known else None,
        completion_tokens=completion,
        request_throughput=int(done.sum()) * per_s,
        output_throughput=completion * per_s,
        total_token_throughput=(prompt + completion) * per_s,
        goodput=None if limits is None else _good(columns, limits) * per_s,
    )


def _ended(columns: RequestColumns, ended_us: Sequence[float] | Floats | None) -> Floats:
    return columns["last_chunk_us"] if ended_us is None else np.asarray(ended_us)


def _duration_s(columns: RequestColumns, ended_us: Floats) -> float:
    """First request sent to last output; an answer without output took until it ended."""
    sent, last = columns["sent_us"], columns["last_chunk_us"]
    last = np.where(np.isnan(last), ended_us, last)[columns.completed]
    if np.all(np.isnan(sent)) or np.all(np.isnan(last)):
        return 0.0
    return float(np.nanmax(last) - np.nanmin(sent)) / 1e6


def _good(columns: RequestColumns, limits: GoodputLimits) -> int:
    good = columns.completed.copy()
    for metric, limit in (
        ("ttft_ms", limits.ttft_ms),
        ("tpot_ms", limits.tpot_ms),
        ("e2el_ms", limits.e2el_ms),
    ):
        if limit is not None:
            # A value that is not defined (one token has no tpot) exceeds no limit.
            good &= ~(columns[metric] > limit)
    return int(good.sum())


def steady_output_throughput(
    columns: RequestColumns, from_us: float | None, until_us: float | None
) -> float | None:
    """Output tokens per second that arrived inside the steady state of a closed loop."""
    if from_us is None or until_us is None or until_us <= from_us:
        return None
    starts = np.concatenate(([0], columns.ends[:-1])) if columns.count else columns.ends
    sizes = columns.ends - starts
    arrived = np.cumsum(columns.deltas_us, dtype=np.int64)
    before = np.where(starts > 0, arrived[np.maximum(starts - 1, 0)], 0) if len(arrived) else starts
    sent = np.nan_to_num(columns["sent_us"]).astype(np.int64)
    arrived += np.repeat(sent - before, sizes)
    inside = (arrived >= from_us) & (arrived <= until_us)
    inside &= np.repeat(columns.completed, sizes)
    return float(columns.tokens[inside].sum()) / (until_us - from_us) * 1e6


def peak_concurrency(columns: RequestColumns, ended_us: Sequence[float] | Floats) -> int:
    """The most requests in flight at once."""
    sent = columns["sent_us"]
    known = ~np.isnan(sent)
    at = np.concatenate((sent[known], np.asarray(ended_us)[known]))
    change = np.concatenate((np.ones(known.sum()), -np.ones(known.sum())))
    order = np.lexsort((change, at))  # an end at the same instant comes first
    return int(np.cumsum(change[order]).max()) if len(at) else 0


def idle_slot_share(
    columns: RequestColumns, ended_us: Sequence[float] | Floats | None = None
) -> float:
    """How much of a closed loop's slots the generator left unused: the time from when a slot was
    free until its next request was sent, of that and what the requests then took.

    Where the server had closed the connection, opening another is not the generator's doing. What
    took longer than the slot waited was opened before.
    """
    done = columns.completed
    idle_ms = columns["queue_ms"][done]
    connect_ms = np.nan_to_num(columns["connect_ms"][done])
    unused_ms = float(np.nansum(idle_ms - np.where(connect_ms <= idle_ms, connect_ms, 0)))
    whole_ms = (_ended(columns, ended_us) - columns["sent_us"]) / 1000
    e2el_ms = columns["e2el_ms"]
    used_ms = float(np.nansum(np.where(np.isnan(e2el_ms), whole_ms, e2el_ms)[done]))
    return unused_ms / (unused_ms + used_ms) if unused_ms + used_ms > 0 else 0.0


def empty_answers(columns: RequestColumns) -> int:
    """How many requests were completed without any output."""
    starts = np.concatenate(([0], columns.ends[:-1])) if columns.count else columns.ends
    return int(np.count_nonzero(columns.completed & (columns.ends == starts)))


def contradicted_share(columns: RequestColumns) -> float:
    """How far the counts that usage gives are off from those that are used, of all tokens."""
    done = columns.completed
    used, said = columns["completion_tokens"][done], columns["said_tokens"][done]
    off = float(np.nansum(np.abs(np.nan_to_num(used) - said)))
    return off / max(float(np.nansum(used)), 1.0)
