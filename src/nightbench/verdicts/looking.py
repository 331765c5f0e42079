"""One target's night under the eye: its windows with tonight's value put in, and what speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from nightbench.stats import Z_95
from nightbench.verdicts.events import Event, Size, size_given_found
from nightbench.verdicts.measuring import robust_mean
from nightbench.verdicts.method import INTERVAL_SLACK
from nightbench.verdicts.two_looks import second_look_p
from nightbench.verdicts.windows import Evaluation, evaluate, slow_tail, thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.verdicts.fleet import Fleet
    from nightbench.verdicts.measuring import Again
    from nightbench.verdicts.method import Method
    from nightbench.verdicts.reading import Reading

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

Word = Literal["ok", "inconclusive", "regressed", "improved", "node", "recovered", "invalid"]

_FEW_NEIGHBOURS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The window that speaks loudest: `ratio` is |t| over its threshold."""

    row: int  # among the target's series
    estimate: float
    se: float
    threshold: float  # of |estimate|
    ratio: float
    start: int  # the window's first column of the reading
    tonight: float  # tonight's value alone, and what it had to pass for all of this to be seen
    tonight_se: float
    tonight_threshold: float
    touched: tuple[int, ...] = ()

    @property
    def size(self) -> Size:
        """The size as it is tonight, with the interval that holds though it was found by being
        large. Tonight's fresh values say it without knowing since when."""
        sign = 1.0 if self.estimate > 0 else -1.0
        se = INTERVAL_SLACK * self.tonight_se
        return size_given_found(sign, sign * self.tonight, se, self.tonight_threshold)

    @property
    def plain_size(self) -> Size:
        """The size with the interval of a value that nobody picked."""
        half = Z_95 * INTERVAL_SLACK * self.se
        return Size(value=self.estimate, low=self.estimate - half, high=self.estimate + half)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of a target's night."""

    word: Word
    size: Size | None = None
    since: int | None = None
    event: Event | None = None
    notice: bool = False
    more_nights: int | None = None  # inconclusive: until a change of this size would be certain
    replaced: Floats | None = None  # by repeats or fresh boots: own values of the night
    boots: int = 1
    loudest: int | None = None  # the series that spoke, where there is no event


@dataclass(frozen=True, slots=True)
class Look:
    """A target on the newest night of the fleet."""

    fleet: Fleet
    reading: Reading
    method: Method
    target: int
    rows: Integers  # the target's series that have a value tonight and something to be held against
    again: Again

    @property
    def column(self) -> int:
        """Tonight, in the fleet."""
        return self.fleet.nights - 1

    @property
    def provenance(self) -> int:
        """What runs tonight."""
        candidate = self.fleet.candidates[self.target]
        return candidate.provenance if candidate else int(self.fleet.accepted[self.target])

    @property
    def support(self) -> int:
        """How many neighbours say what the node did tonight."""
        return int(np.median(self.reading.split.support[self.rows, -1]))

    @property
    def few_neighbours(self) -> bool:
        """Whether one night alone cannot tell the target from its node."""
        return self.support < _FEW_NEIGHBOURS

    @property
    def min_effect(self) -> Floats:
        """Of each of the target's series, in log per cent."""
        return self.fleet.min_effects(self.method)[self.rows]

    def own(self, badness: Floats) -> Floats:
        """The own part of values of tonight."""
        return np.asarray(badness - self.reading.split.node[self.rows, -1])

    def first_measured(self) -> Floats:
        """Tonight's own part as first measured."""
        return np.asarray(self.reading.own[self.rows, -1])

    def variance(self, boots: int) -> Floats:
        """Of a mean of so many boots of tonight."""
        boot = self.reading.spread.boot[self.rows]
        return np.asarray(self.reading.variances[self.rows, -1] - boot + boot / boots)

    def mean_of(self, boots: Floats) -> Floats:
        """The badness that boots of tonight agree on."""
        variance = self.reading.spread.boot[self.rows]
        return robust_mean(boots, variance, self.method.boot_clip_sd)

    def evaluate(self, own: Floats, boots: int) -> Evaluation:
        """The windows with that value of tonight."""
        return evaluate(self.reading.windows, self.rows, own, self.variance(boots))

    def loudest(self, own: Floats, boots: int, level: Literal["screen", "alarm"]) -> Peak | None:
        """With that value of tonight the window that comes nearest to its threshold, or furthest
        over it; None where no window shows an effect worth it."""
        windows, rows = self.reading.windows, self.rows
        seen = self.evaluate(own, boots)
        quantile = self._thresholds(seen, level, boots)
        least = self.min_effect * (1.0 if level == "alarm" else self.method.screen_effect)
        counts = np.isfinite(seen.t) & (np.abs(seen.estimate) >= least[:, None])
        ratio = np.where(counts, np.abs(np.nan_to_num(seen.t)) / quantile, 0.0)
        row, window = np.unravel_index(int(ratio.argmax()), ratio.shape)
        if ratio[row, window] <= 0:
            return None
        series, se = rows[row], float(seen.se[row, window])
        estimate = float(seen.estimate[row, window])
        threshold = max(float(quantile[row, window]) * se, float(least[row]))
        variance = float(self.variance(boots)[row])
        # Given the nights before, tonight's value alone decided: what it had to pass follows.
        gain = float(windows.weight[series, window]) * variance + 1.0
        tonight = float(own[row] - windows.base[series, window])
        passed = tonight - (abs(estimate) - threshold) * gain * float(np.sign(estimate))
        return Peak(
            row=int(row),
            estimate=estimate,
            se=se,
            threshold=threshold,
            ratio=float(ratio[row, window]),
            start=int(windows.start[series, window]),
            tonight=tonight,
            tonight_se=float(np.sqrt(variance + windows.base_variance[series, window])),
            tonight_threshold=passed * float(np.sign(estimate)),
            touched=tuple(int(series) for series in rows[(ratio > 1.0).any(axis=1)]),
        )

    def _thresholds(
        self, seen: Evaluation, level: Literal["screen", "alarm"], boots: int
    ) -> Floats:
        """What |t| has to pass. The alarm's is the second of two looks, where there are fresh
        boots: see two_looks.py."""
        windows, rows, method = self.reading.windows, self.rows, self.method
        if level == "screen" or boots == 1:
            return thresholds(windows, rows, seen, level, boots)
        correlation = self._looks_correlation(boots)
        quantile = np.empty_like(seen.t)
        for window, first_p in enumerate(method.screen_p):
            p = second_look_p(first_p, method.alarm_p, correlation[:, window])
            quantile[:, window] = -special.stdtrit(self.reading.spread.df[rows], p)
        averaged = np.array(windows.lengths, dtype=np.float64) - 1.0 + boots
        tail = slow_tail(quantile, windows.skew[rows][:, None], averaged)
        return np.where(seen.estimate > 0, quantile + tail, quantile)

    def _looks_correlation(self, boots: int) -> Floats:
        """Between the windows with tonight's first value and those with so many fresh boots."""
        windows, rows = self.reading.windows, self.rows
        first, second = (1.0 / self.variance(k)[:, None] for k in (1, boots))
        night = (self.variance(1) - self.reading.spread.boot[rows])[:, None]
        before, base = windows.weight[rows], windows.base_variance[rows]
        shared = (before + first * second * night) / ((before + first) * (before + second))
        return np.asarray(
            (shared + base)
            / np.sqrt((1 / (before + first) + base) * (1 / (before + second) + base))
        )

    def open_event(self, peak: Peak, since: int, provenance: int, *, controlled: bool) -> Event:
        """The event that a peak over its threshold is."""
        return Event(
            kind="regressed" if peak.estimate > 0 else "improved",
            since=since,
            opened=self.column,
            size=peak.size,
            series=int(self.rows[peak.row]),
            touched=peak.touched or (int(self.rows[peak.row]),),
            provenance=provenance,
            controlled=controlled,
        )

    def more_nights(self, peak: Peak) -> int:
        """How many more nights like this one would make a change of this size certain."""
        return max(1, int(np.ceil(min((1.0 / max(peak.ratio, 0.2)) ** 2, 25.0))) - 1)
