"""Nights of a provenance that nobody has accepted: held against the accepted configuration.

The accepted configuration is booted again on the same node, interleaved with tonight's (A B B A):
whatever the night does, it does to both. The history says the same less directly; both are weighed
by their variances. With controls f and the night's own effect a, known to be about 0 ± sd(a) from
the baseline, the best guess of a is f shrunk by var(a) / (var(a) + var(f)). Where f lies further
out than the history allows, the environment has changed for both, and the control speaks alone.

A provenance that differs from the accepted one by nothing worth naming, on three nights, is
accepted by itself. Otherwise no neighbour would ever be trusted again after an upgrade.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from nightbench.stats import Z_95
from nightbench.verdicts.fleet import Candidate
from nightbench.verdicts.looking import Finding, Look, Peak
from nightbench.verdicts.method import FRESH_BOOTS
from nightbench.verdicts.windows import slow_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_HALF_WAY = 0.45  # of the threshold: from there on a third pair can decide


@dataclass(frozen=True, slots=True)
class Nights:
    """A candidate's nights: one row a series, one column a night."""

    values: Floats  # own part
    boots: Integers
    ref: Floats  # own part of the controls' mean; NaN where there were none
    ref_boots: Integers
    night_variance: Floats  # of what all boots of a night share


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate against what was accepted, one a series."""

    estimate: Floats
    se: Floats
    quantile_slow: Floats
    quantile_fast: Floats

    @property
    def ratio(self) -> Floats:
        """|t| over the threshold of its side."""
        quantile = np.where(self.estimate > 0, self.quantile_slow, self.quantile_fast)
        return np.asarray(np.abs(self.estimate) / self.se / quantile)


def judge_changed(look: Look, candidate: Candidate) -> tuple[Finding, Candidate]:
    """Judge a night of a candidate; the candidate after it."""
    nights = _nights_so_far(look, candidate)
    before = compare(look, nights)
    pairs = _control_where_needed(look, candidate, before, nights.values.shape[1])
    if not pairs and not look.again.fresh.size:
        return _conclude(look, candidate, before, nights, pairs=0)
    compared, nights = _with_tonight(look, nights)
    if _one_more_pair_decides(look, compared, pairs):
        pairs = look.again.control(look.method.pairs_night)
        compared, nights = _with_tonight(look, nights)
    return _conclude(look, candidate, compared, nights, pairs=pairs)


def compare(look: Look, nights: Nights) -> Comparison:
    """All nights of the candidate, weighed by what each of them knows."""
    spread, rows, method = look.reading.spread, look.rows, look.method
    boot, night = spread.boot[rows][:, None], nights.night_variance
    base = look.reading.windows.base[rows, 0][:, None]
    base_variance = look.reading.windows.base_variance[rows, 0]
    control = np.isfinite(nights.ref)
    ref_variance = boot / np.maximum(nights.ref_boots, 1)
    away = np.where(control, nights.ref - base, 0.0)
    shrink = np.where(control, night / (night + ref_variance), 0.0)
    elsewhere = np.abs(away) > method.unknown_env_sd * np.sqrt(night + ref_variance)
    shrink = np.where(elsewhere, 1.0, shrink)
    left = np.where(control, shrink * ref_variance, night)
    weight = 1.0 / (boot / nights.boots + left)
    known = np.isfinite(nights.values)
    weight = np.where(known, weight, 0.0)
    total = weight.sum(axis=1)
    deviations = np.where(known, nights.values - base - shrink * away, 0.0)
    estimate = (weight * deviations).sum(axis=1) / total
    leaning = (weight * (1.0 - shrink)).sum(axis=1) / total  # on the baseline
    se = np.sqrt(1.0 / total + leaning**2 * base_variance)
    measured = float(nights.boots[known.any(axis=0)].sum())
    plain = -special.stdtrit(spread.df[rows], method.changed_alarm_p)
    slow = plain + slow_tail(plain, spread.skew[rows], measured)
    return Comparison(estimate, se, slow, plain)


def _nights_so_far(look: Look, candidate: Candidate) -> Nights:
    fleet = look.fleet
    span = slice(max(candidate.first, look.reading.first), fleet.nights)
    part = slice(span.start - look.reading.first, None)
    node = look.reading.split.node[look.rows, part]
    mine = fleet.pending[look.target, span]
    boots = fleet.boots[look.target, span].copy()
    boot = look.reading.spread.boot[look.rows][:, None]
    own = np.where(mine, look.reading.own[look.rows, part], np.nan)
    return Nights(
        own,
        boots,
        fleet.ref[look.rows, span] - node,
        fleet.ref_boots[look.target, span].copy(),
        look.reading.variances[look.rows, part] - boot / boots,
    )


def _with_tonight(look: Look, nights: Nights) -> tuple[Comparison, Nights]:
    """The nights with tonight's fresh values in the place of the first one."""
    return _with_boots(look, nights, look.again.fresh, look.again.ref)


def _with_boots(
    look: Look, nights: Nights, fresh: Floats, ref: Floats
) -> tuple[Comparison, Nights]:
    values, boots = nights.values.copy(), nights.boots.copy()
    refs, ref_boots = nights.ref.copy(), nights.ref_boots.copy()
    if len(fresh):
        values[:, -1], boots[-1] = look.own(look.mean_of(fresh)), len(fresh)
    if len(ref):
        refs[:, -1], ref_boots[-1] = look.own(look.mean_of(ref)), len(ref)
    changed = replace(nights, values=values, boots=boots, ref=refs, ref_boots=ref_boots)
    return compare(look, changed), changed


def _control_where_needed(look: Look, candidate: Candidate, before: Comparison, nights: int) -> int:
    """Screen, and run controls: two pairs on the first night, later up to nine in all."""
    method = look.method
    left = method.pairs_most - candidate.pairs
    t = before.estimate / before.se
    first = nights == 1
    slow = method.first_look_t if first else method.later_look_t
    fast = method.first_look_fast_t if first else method.later_look_t
    suspicious = (t > slow) | (t < -fast)
    if not first:
        suspicious &= np.abs(before.estimate) > 0.6 * look.min_effect
    if left <= 0 or not suspicious.any():
        return 0
    pairs = look.again.control(min(left, method.pairs_first))
    if pairs == 0:
        look.again.boot(FRESH_BOOTS)
    return pairs


def _one_more_pair_decides(look: Look, compared: Comparison, pairs: int) -> bool:
    """Whether the pairs so far leave it open."""
    if not 0 < pairs < look.method.pairs_night:
        return False
    loudest = compared.ratio.max()
    return bool(loudest > _HALF_WAY)


def _conclude(
    look: Look, candidate: Candidate, compared: Comparison, nights: Nights, *, pairs: int
) -> tuple[Finding, Candidate]:
    peak = _peak(look, compared)
    boots = max(1, len(look.again.fresh))
    replaced = look.mean_of(look.again.fresh) if look.again.fresh.size else None
    candidate = replace(candidate, pairs=candidate.pairs + pairs)
    controlled = pairs > 0 or candidate.pairs > 0
    large = abs(peak.estimate) >= look.min_effect[peak.row]
    certain = peak.ratio > 1.0 and large and _holds_without_loudest(look, nights, peak)
    again = _lasts_without_loudest_night(look, nights, peak)
    told_apart = controlled or not look.few_neighbours or again
    measured_again = boots > 1 or candidate.pairs > 0 or again
    if certain and told_apart and measured_again:
        event = look.open_event(peak, candidate.first, candidate.provenance, controlled=controlled)
        finding = Finding(
            word=event.kind,
            size=event.size,
            since=candidate.first,
            event=event,
            replaced=replaced,
            boots=boots,
        )
        return finding, candidate
    equal = (np.abs(compared.estimate) + Z_95 * compared.se < look.min_effect).all()
    candidate = replace(candidate, equivalent=candidate.equivalent + int(equal))
    open_question = large and peak.ratio > 2 * _HALF_WAY / 1.5
    return Finding(
        word="inconclusive" if open_question or certain else "ok",
        notice=certain,
        loudest=int(look.rows[peak.row]) if open_question or certain else None,
        size=peak.plain_size if open_question or certain else None,
        since=candidate.first if open_question or certain else None,
        more_nights=1 if certain else look.more_nights(peak) if open_question else None,
        replaced=replaced,
        boots=boots,
    ), candidate


def _lasts_without_loudest_night(look: Look, nights: Nights, peak: Peak) -> bool:
    """Whether a second night says it too: what stands for measuring again where that cannot be."""
    base = look.reading.windows.base[look.rows, 0][peak.row]
    sign = float(np.sign(peak.estimate))
    speaks = sign * (nights.values[peak.row] - base)
    known = np.flatnonzero(np.isfinite(speaks))
    if len(known) < 2:
        return False
    rest = nights.values.copy()
    rest[:, known[int(speaks[known].argmax())]] = np.nan
    if not np.isfinite(rest).any(axis=1).all():
        return False
    compared = compare(look, replace(nights, values=rest))
    same_side = sign * float(compared.estimate[peak.row]) > 0
    return bool(same_side and compared.ratio[peak.row] > look.method.without_worst)


def _peak(look: Look, compared: Comparison) -> Peak:
    large = np.abs(compared.estimate) >= look.min_effect
    row = int(np.where(large, compared.ratio + 100.0, compared.ratio).argmax())
    quantile = compared.quantile_slow if compared.estimate[row] > 0 else compared.quantile_fast
    estimate, se = float(compared.estimate[row]), float(compared.se[row])
    threshold = max(float(quantile[row]) * se, float(look.min_effect[row]))
    return Peak(
        row=row,
        estimate=estimate,
        se=se,
        threshold=threshold,
        ratio=float(compared.ratio[row]),
        start=0,
        tonight=estimate,
        tonight_se=se,
        tonight_threshold=threshold,
        touched=tuple(int(series) for series in look.rows[(compared.ratio > 1.0) & large]),
    )


def _holds_without_loudest(look: Look, nights: Nights, peak: Peak) -> bool:
    """Whether it is still there without the pair (or the boot) that speaks loudest for it."""
    fresh, ref = look.again.fresh, look.again.ref
    if len(fresh) < 2:
        return True
    sign = float(np.sign(peak.estimate))
    paired = min(len(fresh), len(ref))
    speaks = fresh[:, peak.row].copy()
    speaks[:paired] -= ref[:paired, peak.row] if paired else 0.0
    loudest = int((speaks[: paired or None] * sign).argmax())
    rest_ref = np.delete(ref, loudest, axis=0) if len(ref) > 1 else ref
    compared, _ = _with_boots(look, nights, np.delete(fresh, loudest, axis=0), rest_ref)
    same_side = sign * float(compared.estimate[peak.row]) > 0
    return bool(same_side and compared.ratio[peak.row] > look.method.without_worst)
