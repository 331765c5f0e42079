"""What is judged, on one scale: badness in log per cent.

Badness is 100 ln(value) where lower is better and −100 ln(value) where higher is better
(`nightbench.metrics.better`): one more of it is one per cent worse, whichever way the metric runs,
and the same step up and down again cancels. Differences are shown in plain per cent, positive is
worse: 5 means latency × 1.05 or throughput ÷ 1.05.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.metrics import Direction

    Floats = NDArray[np.float64]


def badness(value: float | Floats, direction: Direction) -> float | Floats:
    """Log per cent, more is worse. Values that are not positive have none: NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = 100.0 * np.log(np.where(np.asarray(value) > 0, value, np.nan))
    signed = logs if direction == "lower" else -logs
    return float(signed) if np.ndim(value) == 0 else signed


def plain_pct(difference: float) -> float:
    """A difference of badness in plain per cent: 4.88 becomes 5.0."""
    return 100.0 * math.expm1(difference / 100.0)


def log_pct(pct: float) -> float:
    """The badness of a difference in plain per cent: 5.0 becomes 4.88."""
    return 100.0 * math.log1p(pct / 100.0)


def composite(levels: Floats, offsets: Floats) -> Floats:
    """One series of a metric's levels: the mean of each level's deviation from its own offset.

    `levels` is badness, one row a level and one column a night; NaN where a level is invalid. A
    night with a level missing is the mean of the others' deviations, so that nothing shifts; a
    night without any is NaN.
    """
    deviations = levels - offsets[:, None]
    present = np.isfinite(deviations)
    count = present.sum(axis=0)
    total = np.where(present, deviations, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
