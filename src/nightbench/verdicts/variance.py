"""How much a series varies from night to night, also when its history is short.

Recursive residuals: each night against the mean of the nights before it (Brown, Durbin & Evans
1975). They are independent, and a step in the past costs one of them instead of all. Nights beyond
3 sd are outliers and left out: what one of them looks like is measured again before it is judged.

Moderation: a variance of few nights is itself uncertain, and a threshold built on one that came out
small by chance alarms. It is pulled to what like series show, as if those were `prior_df` more
nights (empirical Bayes: Smyth 2004, limma). What like series share is the part beyond each one's
own standard error; where there are few of them a declared prior speaks.

Boots: the spread between fresh boots of one night holds no night at all. What a series' nightly
variance has beyond it is the night's, and no number of fresh boots of one night makes it smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from nightbench.verdicts.aligned import Aligned, medians

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.verdicts.method import Method

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Spread:
    """What one night of each series varies by; variances in squared log per cent."""

    variance: Floats  # of a night measured once
    df: Floats
    boot: Floats  # of one fresh boot within a night
    night: Floats  # what all boots of a night share: variance − boot, never below its floor
    correlation: Floats  # AR(1), from one night to the next
    skew: Floats


def spread_of(
    past: Aligned,
    *,
    se_squared: Floats,
    alone: Flags,
    support: Floats,
    boot_ss: Floats,
    boot_df: Floats,
    method: Method,
) -> Spread:
    """The spread of each series from its newest eligible nights, `past` (own part, each epoch
    centred). `boot_ss` and `boot_df`: what fresh boots showed so far."""
    declared = np.where(alone, method.prior_alone_sd, method.prior_sd) ** 2 + se_squared
    raw, df = _robust_variance(past, declared, method)
    prior, prior_df = np.empty_like(raw), np.empty_like(raw)
    correlation, skew = np.empty_like(raw), np.empty_like(raw)
    for kind in (True, False):
        like = alone == kind
        if like.any():
            prior[like] = _shared_variance(raw[like], df[like], se_squared[like], kind, method)
            prior_df[like] = _prior_df(raw[like], df[like], prior[like], method)
            correlation[like], skew[like] = _shape(past.values[like], kind, method)
    total = df + prior_df
    variance = (df * raw + prior_df * prior) / total
    boot = _boot_variance(se_squared, boot_ss, boot_df, method)
    floor = np.where(alone, 0.2, 0.9 / (support + 1.0)) * variance
    night = np.maximum(variance - boot, floor)
    return Spread(variance, total, boot, night, correlation, skew)


def _robust_variance(past: Aligned, declared: Floats, method: Method) -> tuple[Floats, Floats]:
    """The mean square of recursive residuals over the nights that are no outliers, and how many
    there are. Outliers are nights beyond `clip_sd` of a pilot sd, that of the median deviation."""
    squares_from_median = (past.values - medians(past.values)[:, None]) ** 2
    number = past.present.sum(axis=1)
    median_square = np.nan_to_num(medians(squares_from_median)) / 0.4549  # chi-square's median
    pilot = (method.prior_df * declared + number * median_square) / (method.prior_df + number)
    with np.errstate(invalid="ignore"):
        kept = past.present & (squares_from_median <= method.clip_sd**2 * pilot[:, None])
    count = kept.cumsum(axis=1)
    values = np.where(kept, past.values, 0.0)
    before = (values.cumsum(axis=1) - values) / np.maximum(count - 1, 1)
    factor = np.sqrt(np.maximum(count - 1, 0) / np.maximum(count, 1))
    residual = np.where(kept & (count > 1), (values - before) * factor, 0.0)
    freedom = np.maximum(kept.sum(axis=1) - 1, 0)
    within_clip = 0.973  # the variance of a normal value that lies within 3 sd
    squares = (residual**2).sum(axis=1) / within_clip
    return squares / np.maximum(freedom, 1), freedom.astype(np.float64)


def _shared_variance(
    raw: Floats, df: Floats, se_squared: Floats, alone: bool, method: Method
) -> Floats:
    """What a series like these varies by: their common part and its own standard error."""
    declared = (method.prior_alone_sd if alone else method.prior_sd) ** 2
    common = np.maximum(raw - se_squared, 0.0)
    pooled = (method.prior_weight * declared + (df * common).sum()) / (
        method.prior_weight + df.sum()
    )
    return np.asarray(pooled + se_squared)


def _prior_df(raw: Floats, df: Floats, prior: Floats, method: Method) -> Floats:
    """How many nights the prior is worth: much where like series are alike (Smyth 2004, eq. for
    d0: the variance of log s² beyond what chance gives it is trigamma(d0 / 2))."""
    known = (df >= 5) & (raw > 0)
    if known.sum() < 12:
        return np.full_like(raw, method.prior_df)
    logs = np.log(raw[known] / prior[known])
    beyond = float(logs.var(ddof=1) - special.polygamma(1, df[known] / 2).mean())
    if beyond <= 0.05:
        return np.full_like(raw, 5 * method.prior_df)
    # trigamma(x) is about 1/x + 1/(2x²): solved for x, good to 2 % where x > 0.5.
    half = (1 + np.sqrt(1 + 2 * beyond)) / (2 * beyond)
    return np.full_like(raw, float(np.clip(2 * half, method.prior_df / 2, 5 * method.prior_df)))


def _shape(values: Floats, alone: bool, method: Method) -> tuple[float, float]:
    """AR(1) and skew that like series share, each pulled to its declared value."""
    centred = values - medians(values)[:, None]
    sd = np.sqrt(np.nanmean(centred**2)) if np.isfinite(centred).any() else 1.0
    centred = np.clip(centred / max(float(sd), 1e-9), -method.clip_sd, method.clip_sd)
    pairs = centred[:, 1:] * centred[:, :-1]
    known = np.isfinite(pairs)
    declared = method.correlation_alone if alone else method.correlation
    correlation = (method.correlation_weight * declared + pairs[known].sum()) / (
        method.correlation_weight + known.sum()
    )
    cubes = centred[np.isfinite(centred)] ** 3
    skew = (method.skew_weight * method.skew + cubes.sum()) / (method.skew_weight + len(cubes))
    return float(np.clip(correlation, 0.0, 0.8)), float(np.clip(skew, 0.0, 1.5))


def _boot_variance(se_squared: Floats, boot_ss: Floats, boot_df: Floats, method: Method) -> Floats:
    """The variance of one fresh boot: pooled over all series, then moderated for each."""
    beyond = (boot_ss - boot_df * se_squared).sum()
    between = (method.boot_df * method.boot_sd**2 + beyond) / (method.boot_df + boot_df.sum())
    prior = max(float(between), 0.1) + se_squared
    return np.asarray((method.boot_df * prior + boot_ss) / (method.boot_df + boot_df))
