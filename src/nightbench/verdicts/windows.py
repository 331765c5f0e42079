"""Windows of nights against the baseline before them.

A change began some night ago and has lasted since: the newest L nights are held against the newest
60 eligible nights older than them, for L = 1, 2, 3, 5, 8, 13 and 21. That is the generalised
likelihood ratio of a step, looked for over a limited window (Willsky & Jones 1976; Lai 1995). One
rule finds a large step on its night, a small one after some, and a drift where it has gone far
enough; the window that speaks loudest says since when.

The statistic is (mean of the window − mean of the baseline) / its standard error, held against a
quantile of t with the degrees of freedom of the moderated variance. Latencies have a slow tail:
Cornish & Fisher's first term, skew/6 · (q² − 1), raises the threshold on the slow side, less the
more values are averaged. Nights that remember the night before (AR(1)) carry less than they seem
to: both means' variances grow by the exact factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from nightbench.verdicts.aligned import Aligned, medians, newest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.verdicts.method import Method
    from nightbench.verdicts.variance import Spread

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]


Level = Literal["screen", "alarm", "improved"]


@dataclass(frozen=True, slots=True)
class Windows:
    """For each series (rows) and window (columns) all but tonight's value.

    Tonight's value is put in by `evaluate`, as often as it is measured again.
    """

    weight: Floats  # of the window's nights before tonight: sum of 1 / variance
    weighted: Floats  # sum of value / variance
    base: Floats
    base_variance: Floats
    inflation: Floats
    usable: Flags
    start: Integers  # the window's first night; -1 where there is none
    quantile: dict[Level, Floats]  # thresholds of t, before the slow tail's share
    skew: Floats
    lengths: tuple[int, ...]
    young: Flags  # series with too few nights before tonight to know how they vary


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Windows with tonight's value in them."""

    estimate: Floats
    se: Floats
    t: Floats  # NaN where a window cannot be used


def build_windows(
    own: Floats,
    variances: Floats,
    *,
    tested: Flags,
    past: Aligned,
    spread: Spread,
    method: Method,
) -> Windows:
    """Windows of each series that end tonight, the last column.

    `tested`: the nights that a window may hold. `past`: the eligible nights before tonight.
    `variances`: of each night's value.
    """
    longest = max(method.windows)
    clipped, centre = _clipped(past, spread, method)
    recent = newest(own, tested, longest)
    # A night that was never measured again may be an outlier: it counts as far as one goes.
    reach = method.window_clip_sd * np.sqrt(spread.variance)[:, None]
    recent = Aligned(np.clip(recent.values, centre - reach, centre + reach), recent.columns)
    inverse = newest(1.0 / variances, tested, longest)
    columns = [
        _one_window(
            length,
            recent=recent,
            inverse=inverse,
            past=past,
            clipped=clipped,
            spread=spread,
            method=method,
        )
        for length in method.windows
    ]
    stacked = [np.stack(parts, axis=1) for parts in zip(*columns, strict=True)]
    weight, weighted, base, base_variance, inflation, usable, start = stacked
    return Windows(
        weight,
        weighted,
        base,
        base_variance,
        inflation,
        usable,
        start,
        _quantiles(spread, method),
        spread.skew,
        method.windows,
        _young(past, method),
    )


def _clipped(past: Aligned, spread: Spread, method: Method) -> tuple[Floats, Floats]:
    """The past drawn in to `clip_sd` from its median (Huber), and that median."""
    centre = medians(past.values)[:, None]
    reach = method.clip_sd * np.sqrt(spread.variance)[:, None]
    return np.clip(past.values, centre - reach, centre + reach), centre


def _one_window(
    length: int,
    *,
    recent: Aligned,
    inverse: Aligned,
    past: Aligned,
    clipped: Floats,
    spread: Spread,
    method: Method,
) -> tuple[Floats | Integers | Flags, ...]:
    first = recent.columns[:, -length]
    older = past.present & (past.columns < first[:, None])
    older &= older[:, ::-1].cumsum(axis=1)[:, ::-1] <= method.baseline_nights
    number = older.sum(axis=1)
    base = np.where(older, clipped, 0.0).sum(axis=1) / np.maximum(number, 1)
    base_variance = (
        spread.variance
        * ar_inflation(spread.correlation, method.baseline_nights)
        / np.maximum(number, 1)
    )
    before = slice(recent.values.shape[1] - length, recent.values.shape[1] - 1)
    weight = inverse.values[:, before].sum(axis=1)
    weighted = (inverse.values[:, before] * recent.values[:, before]).sum(axis=1)
    young = _young(past, method)
    base_variance = base_variance + young * method.young_sd**2
    usable = (first >= 0) & (number >= np.where(young, 1, method.fewest_nights))
    return (
        weight,
        weighted,
        base,
        base_variance,
        ar_inflation(spread.correlation, length),
        usable,
        first,
    )


def _young(past: Aligned, method: Method) -> Flags:
    return np.asarray(past.present.sum(axis=1) < method.fewest_nights)


def ar_inflation(correlation: Floats, nights: int) -> Floats:
    """How much larger the variance of a mean of that many nights is than of independent ones:
    1 + 2 Σ (1 − k/n) φ^k."""
    distinct, which = np.unique(correlation, return_inverse=True)  # like series share theirs
    lags = np.arange(1, nights)
    powers = distinct[:, None] ** lags
    return np.asarray(1.0 + 2.0 * (powers * (1.0 - lags / nights)).sum(axis=1)[which])


def _quantiles(spread: Spread, method: Method) -> dict[Level, Floats]:
    """Thresholds of t for values without skew."""
    screen = [-special.stdtrit(spread.df, p) for p in method.screen_p]
    alarm = -special.stdtrit(spread.df, method.alarm_p)
    fast = -special.stdtrit(spread.df, method.improved_p)
    return {
        "screen": np.stack(screen, axis=1),
        "alarm": np.repeat(alarm[:, None], len(method.windows), 1),
        "improved": np.repeat(fast[:, None], len(method.windows), 1),
    }


def slow_tail(quantile: Floats, skew: Floats, averaged: Floats | float) -> Floats:
    """What the slow tail adds to a threshold on a mean of so many values (Cornish & Fisher)."""
    return np.asarray(skew / np.sqrt(averaged) / 6.0 * (quantile**2 - 1.0))


def evaluate(
    windows: Windows, rows: Integers | slice, tonight: Floats, variance: Floats
) -> Evaluation:
    """The windows of some series with tonight's value, of the given variance, in them."""
    inverse = (1.0 / variance)[:, None]
    weight = windows.weight[rows] + inverse
    mean = (windows.weighted[rows] + inverse * tonight[:, None]) / weight
    estimate = mean - windows.base[rows]
    se = np.sqrt(windows.inflation[rows] / weight + windows.base_variance[rows])
    t = np.where(windows.usable[rows] & np.isfinite(estimate), estimate / se, np.nan)
    return Evaluation(estimate, se, t)


def thresholds(
    windows: Windows, rows: Integers | slice, seen: Evaluation, level: Level, boots: int
) -> Floats:
    """What |t| has to pass: higher on the slow side, the less the more values are averaged."""
    quantile = windows.quantile[level][rows]
    averaged = np.array(windows.lengths, dtype=np.float64) - 1.0 + boots
    tail = slow_tail(quantile, windows.skew[rows][:, None], averaged)
    fast = windows.quantile["improved" if level == "alarm" else level][rows]
    return np.where(seen.estimate > 0, quantile + tail, fast)
