"""Intervals that load, accuracy and verdicts share, as far as scipy has none of the kind.

Each says why it is here. Nothing draws from a hidden source of chance: resampling takes its seed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Integers = NDArray[np.integer]

Interval = tuple[float, float]

Z_95 = 1.959963984540054
_MOST_GROUPS = 1000  # resampled units; more requests than this are dealt into so many groups
_SAMPLE = 1_000_000
_BLOCK = 1_000_000
_MOST_BINS = 1024  # pooled values are looked at through so many quantile bins


def quantile_interval(
    ordered: Sequence[float] | Floats, quantile: float, confidence: float = 0.95
) -> Interval | None:
    """The distribution-free interval of a quantile, from the order statistics of ascending values.

    None where too few values make any such interval reach `confidence` (at 95 %: fewer than 6 for
    the median, 29 for p90, 59 for p95, 299 for p99). Source: David & Nagaraja, Order Statistics,
    section 7.1: P(X(l) <= quantile <= X(u)) >= P(l <= B < u), B binomial(n, quantile).
    Here because scipy.stats.quantile_test gives each tail half, so that its interval ends in NaN
    where a tail does not fit; for p99 that is below 368 values instead of 299.
    """
    ranks = order_statistic_ranks(len(ordered), quantile, confidence)
    if ranks is None:
        return None
    return float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1])


def order_statistic_ranks(
    n: int, quantile: float, confidence: float = 0.95
) -> tuple[int, int] | None:
    """The 1-based ranks (lower, upper) of `quantile_interval`, or None where there are none.

    Equal tails where both fit; a tail that does not fit leaves its share to the other.
    """
    if n < 1 or not 0 < quantile < 1:
        return None
    allowed = 1 - confidence
    outside_low, outside_high = (1 - quantile) ** n, quantile**n
    if outside_low + outside_high > allowed:
        return None
    low_share = high_share = allowed / 2
    if outside_high > high_share:
        low_share = allowed - outside_high
    elif outside_low > low_share:
        high_share = allowed - outside_low
    from scipy import special  # 0.2 s to import: not before the first request has left

    successes = range(n + 1)
    lower = bisect_right(successes, low_share, key=lambda k: special.bdtr(k, n, quantile))
    upper = bisect_left(successes, -high_share, key=lambda k: -special.bdtrc(k, n, quantile)) + 1
    return max(1, lower), min(n, upper)


def wilson_interval(successes: float, n: float, z: float = Z_95) -> Interval:
    """The 95 % interval of a proportion. Source: Wilson (1927), JASA 22, 209-212.

    `successes` and `n` may be fractional (an effective sample size). Without trials: (0, 1).
    Here because scipy.stats.binomtest takes whole successes alone.
    """
    if n <= 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def pass_at_k(answers: int, correct: int, k: int) -> float:
    """The chance that one of `k` answers to a question is right, when `correct` of `answers` were.

    Unbiased. Source: Chen et al. (2021), arXiv:2107.03374, equation 1; in no library of statistics.
    Raises ValueError where fewer than `k` answers were given.
    """
    if not 0 < k <= answers:
        raise ValueError(f"pass@{k} needs {k} replies, there are {answers}")
    return 1 - math.comb(answers - correct, k) / math.comb(answers, k)


def bootstrap_mean_interval(
    values: Sequence[float] | Floats, *, resamples: int = 1000, seed: int = 0
) -> Interval | None:
    """The 95 % percentile-bootstrap interval of a mean; None below two values.

    More than 1,000 values are dealt into 1,000 groups by chance and the groups are resampled.
    """
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    return bootstrap_ratio_interval(array, np.ones(len(array)), resamples=resamples, seed=seed)


def bootstrap_ratio_interval(
    numerators: Floats, denominators: Floats, *, resamples: int = 1000, seed: int = 0
) -> Interval | None:
    """The 95 % bootstrap interval of sum(numerators) / sum(denominators), over their pairs.

    The mean of a pooled quantity: one pair per request, its sum and its count. None below two.
    Here because scipy.stats.bootstrap draws every pair anew: a billion draws for the requests of a
    large level, where a thousand groups, drawn once for all of its metrics, do.
    """
    import numpy as np

    if len(numerators) < 2:
        return None
    rng = np.random.default_rng(seed)
    group = _deal(len(numerators), rng)
    tops = np.bincount(group, weights=numerators)
    bottoms = np.bincount(group, weights=denominators)
    weights = _resampling_weights(len(tops), resamples, seed)
    drawn = weights @ bottoms
    means = (weights @ tops)[drawn > 0] / drawn[drawn > 0]
    if len(means) == 0:
        return None
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_pooled_percentiles(
    values: Floats | Integers,
    owner: Integers,
    quantiles: Sequence[float],
    *,
    resamples: int = 500,
    seed: int = 0,
) -> list[Interval | None]:
    """The 95 % bootstrap intervals of percentiles of a pooled quantity, resampling its owners.

    `values` are the pooled values in any order; `owner[i]` is the request that value i belongs to.
    Values within a request are not independent, so requests are drawn, not values.
    Seen through at most 1,024 quantile bins. None for all where fewer than two requests own values.
    Here because scipy.stats.bootstrap draws values and knows no owners.
    """
    import numpy as np

    present = owner_sums(owner) > 0
    owners = int(present.sum())
    if owners < 2:
        return [None] * len(quantiles)
    rng = np.random.default_rng(seed)
    group_of_owner = np.zeros(len(present), dtype=np.int32)
    group_of_owner[present] = _deal(owners, rng)
    tops = _bin_tops(values)
    groups = int(group_of_owner.max()) + 1
    cells = np.zeros(groups * len(tops))
    for part in _blocks(len(values)):
        bins = np.searchsorted(tops, values[part], side="left")
        bins += group_of_owner[owner[part]] * len(tops)
        cells += np.bincount(bins, minlength=len(cells))
    table = cells.reshape(groups, len(tops))
    counts = _resampling_weights(len(table), resamples, seed) @ table
    cumulative = np.cumsum(counts, axis=1)
    share = cumulative / cumulative[:, -1:]
    intervals: list[Interval | None] = []
    for quantile in quantiles:
        reached = tops[np.argmax(share >= quantile - 1e-12, axis=1)]
        low, high = np.percentile(reached, [2.5, 97.5])
        intervals.append((float(low), float(high)))
    return intervals


def owner_sums(owner: Integers, values: Floats | Integers | None = None) -> Floats:
    """The sum of the values of each owner 0, 1, …; without values: how many each owns.

    numpy.bincount, a block at a time: it would hold tens of millions of values as float64.
    """
    import numpy as np

    sums = np.zeros(int(owner.max()) + 1 if len(owner) else 0)
    for part in _blocks(len(owner)):
        weights = None if values is None else values[part]
        sums += np.bincount(owner[part], weights=weights, minlength=len(sums))
    return sums


def _blocks(n: int) -> Iterator[slice]:
    """Tens of millions of gaps, a million at a time: numpy widens what it counts."""
    return (slice(first, first + _BLOCK) for first in range(0, n, _BLOCK))


def _bin_tops(values: Floats | Integers) -> Floats:
    """The upper edges of quantile bins: of a sample of a million where there are more values."""
    import numpy as np

    sample = np.sort(values[:: max(1, len(values) // _SAMPLE)])
    edges = np.linspace(0, len(sample) - 1, _MOST_BINS).astype(np.int64)
    tops: Floats = np.unique(np.append(sample[edges], values.max()))
    return tops


def _deal(n: int, rng: np.random.Generator) -> Integers:
    """Which group each of n units belongs to: its own, or one of 1,000 dealt evenly by chance."""
    import numpy as np

    if n <= _MOST_GROUPS:
        return np.arange(n)
    return rng.permutation(n) % _MOST_GROUPS


@lru_cache(maxsize=2)  # a level's metrics are resampled alike, one after the other
def _resampling_weights(n: int, resamples: int, seed: int) -> Floats:
    """How often each of n units is drawn, one row per resample."""
    import numpy as np

    rng = np.random.default_rng((seed, n))
    drawn = rng.integers(0, n, size=(resamples, n)) + np.arange(resamples)[:, None] * n
    counts = np.bincount(drawn.ravel(), minlength=resamples * n)
    weights: Floats = counts.reshape(resamples, n).astype(np.float64)
    weights.setflags(write=False)
    return weights
