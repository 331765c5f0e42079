"""Events: how a change is kept until it is over, and how large it is said to be.

There is one event a target (or one for its node), not one a night. It stays open until it has
recovered, or until a person accepts it. Recovery is a sequential test: each night adds the
log-likelihood ratio of "back at the baseline" against "still as large", the sum starts again where
it falls below zero (Page 1954), and the event closes at a fixed height, which bounds how often an
event that lasts is closed by chance (Wald 1947). One night adds a bounded amount: no single fast
night closes an event.

A size that is reported because it was large is too large on average. Its interval is therefore that
of a normal value *given that it passed the threshold* (Zhong & Prentice 2008; Weinstein, Fithian &
Benjamini 2013), and the size is the median of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from nightbench.verdicts.method import Method
from nightbench.verdicts.series import log_pct

Kind = Literal["regressed", "improved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A change of badness in log per cent with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change that is open. Nights are counted from 0; sizes are log per cent of badness."""

    kind: Kind
    since: int
    opened: int
    size: Size
    series: int  # the series that spoke loudest
    touched: tuple[int, ...]
    provenance: int
    controlled: bool = False  # held against the accepted configuration the same night
    height: float = 0.0  # of the recovery's sum
    better_since: int | None = None  # the first night of the run that the sum counts


def follow(
    event: Event, night: int, deviation: float, variance: float, method: Method
) -> tuple[Event, bool]:
    """The event after one more night `deviation` from the baseline, and whether it is over."""
    sign = 1.0 if event.kind == "regressed" else -1.0
    size = max(sign * event.size.value, log_pct(method.min_effect_pct))
    gain = (size * size / 2.0 - size * sign * deviation) / variance
    height = max(0.0, event.height + min(gain, method.recovered_night_most))
    started = event.better_since if event.height > 0 else night
    after = replace(event, height=height, better_since=started if height > 0 else None)
    return after, height >= method.recovered_at


def looks_recovered(event: Event, deviation: float) -> bool:
    """Whether a night lies nearer to the baseline than to the event."""
    sign = 1.0 if event.kind == "regressed" else -1.0
    return sign * deviation < sign * event.size.value / 2.0


def size_given_found(sign: float, seen: float, se: float, threshold: float) -> Size:
    """The size of a change, `sign` × `seen`, that was found because `seen` passed `threshold`.

    Barely past it the condition says next to nothing but "smaller than it looks": the interval then
    reaches from nothing to what was seen, and the size is half of what was seen.
    """
    low, value, high = (_conditional_bound(seen, se, threshold, p) for p in (0.025, 0.5, 0.975))
    low, value, high = max(0.0, low), max(seen / 2.0, value, 0.0), max(high, seen, 0.0)
    if sign > 0:
        return Size(value=value, low=low, high=high)
    return Size(value=-value, low=-high, high=-low)


def _conditional_bound(seen: float, se: float, threshold: float, p: float) -> float:
    """The mean under which a value above the threshold is at least `seen` with probability p."""
    below, above = seen - 40.0 * se, seen + 6.0 * se
    for _ in range(60):
        middle = (below + above) / 2.0
        if _log_tail((seen - middle) / se) - _log_tail((threshold - middle) / se) < math.log(p):
            below = middle
        else:
            above = middle
    return (below + above) / 2.0


def _log_tail(z: float) -> float:
    """ln P(Z > z), also far out where the tail itself underflows."""
    if z < 20.0:
        return math.log(0.5 * math.erfc(z / math.sqrt(2.0)))
    return -z * z / 2.0 - math.log(z * math.sqrt(2.0 * math.pi))
