"""A night given its history: the verdict of every target, and the history with the night in it.

`judge_night` is the whole method for one night; what it needs beyond the values (repeats, fresh
boots, controls) it asks of a `Measurer`. The same history, night and answers give the same
verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nightbench.stats import Z_95
from nightbench.verdicts.changed import judge_changed
from nightbench.verdicts.events import Event, Size, follow, looks_recovered
from nightbench.verdicts.fleet import Candidate, Fleet, Night
from nightbench.verdicts.looking import Finding, Look, Word
from nightbench.verdicts.measuring import Again, Measurer, boot_spread
from nightbench.verdicts.method import INTERVAL_SLACK, Method
from nightbench.verdicts.node_events import judge_nodes
from nightbench.verdicts.reading import Reading, read_history
from nightbench.verdicts.unchanged import judge_unchanged
from nightbench.verdicts.windows import evaluate, thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said about one target's night. Sizes are log per cent of badness."""

    target: int
    word: Word
    size: Size | None = None
    since: int | None = None
    series: tuple[int, ...] = ()
    loudest: int | None = None  # the series that `size` is of
    more_nights: int | None = None
    controlled: bool = False
    fresh_boots: int = 0  # that the night was measured again on
    control_boots: int = 0  # of the accepted configuration, beside them
    accepted_itself: bool = False  # tonight's provenance, equivalent often enough
    cost: float = 0.0
    wanted: int = 0  # further measurements that were asked for and not given
    notice: bool = False  # certain for tonight, and one night cannot yet tell it from its node
    new: bool = False  # there are no nights yet that it could be held against


def judge_night(
    fleet: Fleet, night: Night, measurer: Measurer, method: Method | None = None
) -> list[Verdict]:
    """Add the night to the fleet and judge every target that was due: those with a provenance."""
    method = method or Method()
    column = fleet.add(night)
    due: list[int] = np.flatnonzero(night.provenance >= 0).tolist()
    for target in due:
        _take_acceptance(fleet, target, column, night)
    reading = read_history(fleet, method)
    slow_nodes = set(judge_nodes(fleet, reading, method))
    if slow_nodes:
        reading = read_history(fleet, method)
    suspicious = _suspicious(fleet, reading, method)
    verdicts = []
    for target in due:
        verdict = _verdict(
            fleet,
            reading,
            target,
            measurer=measurer,
            method=method,
            suspicious=bool(suspicious[target]),
        )
        if verdict.word in ("ok", "inconclusive") and int(fleet.node_of[target]) in slow_nodes:
            verdict = _node_verdict(fleet, verdict)
        verdicts.append(verdict)
    return verdicts


def _verdict(
    fleet: Fleet,
    reading: Reading,
    target: int,
    *,
    measurer: Measurer,
    method: Method,
    suspicious: bool,
) -> Verdict:
    """One target's: what has no value, nothing to be held against or no suspicion is said first."""
    series = fleet.rows_of[target]
    present = np.isfinite(fleet.badness[series, fleet.nights - 1])
    if not present.any():
        return Verdict(target=target, word="invalid")
    judged = np.flatnonzero(present & reading.windows.usable[series, 0])
    event = fleet.events[target]
    if not len(judged):
        word: Word = event.kind if event else "inconclusive"
        return Verdict(target=target, word=word, more_nights=1, new=event is None)
    young = bool(reading.windows.young[series[judged]].all())
    if not (suspicious or event or fleet.candidates[target]):
        return _ok(target, young=young)
    again = Again(measurer, target, judged)
    verdict = _judge_target(Look(fleet, reading, method, target, series[judged], again))
    return _ok(target, young=young) if young and verdict.word == "ok" else verdict


def _ok(target: int, *, young: bool) -> Verdict:
    """Nothing speaks for a change; of a series of two or three nights that is not worth much."""
    return Verdict(target=target, word="inconclusive" if young else "ok", new=young)


def _node_verdict(fleet: Fleet, verdict: Verdict) -> Verdict:
    event = fleet.node_events[int(fleet.node_of[verdict.target])]
    assert event is not None  # noqa: S101
    return replace(verdict, word="node", size=event.size, since=event.since)


def _take_acceptance(fleet: Fleet, target: int, column: int, night: Night) -> None:
    """What a person accepted since the last night, and whether tonight's provenance is."""
    provenance, accepted = int(night.provenance[target]), int(night.accepted[target])
    known = int(fleet.accepted[target])
    if night.accepts is not None and night.accepts[target]:
        _accept_what_is_open(fleet, target)
    event, candidate = fleet.events[target], fleet.candidates[target]
    if known not in (-1, accepted) and accepted == provenance:
        if event is not None and event.provenance == accepted:
            fleet.start_epoch(target, event.since)
        elif candidate is not None and candidate.provenance == accepted:
            fleet.start_epoch(target, candidate.first)
    if known != accepted:
        fleet.equivalent[target] = fleet.equivalent[target] & {provenance}
    fleet.accepted[target] = accepted
    pending = provenance not in (accepted, *fleet.equivalent[target])
    fleet.pending[target, column] = pending
    fleet.in_event[target, column] = fleet.events[target] is not None
    candidate = fleet.candidates[target]
    if not pending:
        fleet.candidates[target] = None
    elif candidate is None or candidate.provenance != provenance:
        fleet.candidates[target] = Candidate(provenance=provenance, first=column)


def _accept_what_is_open(fleet: Fleet, target: int) -> None:
    """A person said so: the target's event, or its new provenance, or what its node does."""
    event, candidate = fleet.events[target], fleet.candidates[target]
    if event is not None:
        fleet.start_epoch(target, event.since)
    elif candidate is not None:
        fleet.start_epoch(target, candidate.first)
    else:
        fleet.accept_node(int(fleet.node_of[target]))


def _suspicious(fleet: Fleet, reading: Reading, method: Method) -> Flags:
    """The screen: which targets have a series with a window that looks wrong."""
    windows, everything = reading.windows, slice(None)
    seen = evaluate(windows, everything, reading.own[:, -1], reading.variances[:, -1])
    least = method.screen_effect * fleet.min_effects(method)[:, None]
    large = np.abs(seen.estimate) >= least
    quantile = thresholds(windows, everything, seen, "screen", 1)
    hit = (large & (np.abs(np.nan_to_num(seen.t)) > quantile)).any(axis=1)
    found = np.zeros(fleet.layout.targets, dtype=bool)
    np.logical_or.at(found, fleet.layout.series_target, hit)
    return found


def _judge_target(look: Look) -> Verdict:
    """A night that needs more than the screen: an event, a candidate, or a suspicion."""
    fleet, target = look.fleet, look.target
    event, candidate = fleet.events[target], fleet.candidates[target]
    accepted_itself = False
    if event is not None and event.series not in look.rows:
        finding = Finding(word=event.kind, size=event.size, since=event.since)
    elif event is not None:
        finding = _follow_event(look, event)
    elif candidate is not None:
        finding, candidate = judge_changed(look, candidate)
        accepted_itself = _keep_candidate(look, finding, candidate)
    else:
        finding = judge_unchanged(look)
    _store(look, finding)
    shown = finding.event or event
    return Verdict(
        target=target,
        word=finding.word,
        size=finding.size,
        since=finding.since,
        series=shown.touched if shown else (),
        loudest=shown.series if shown else finding.loudest,
        more_nights=finding.more_nights,
        controlled=shown.controlled if shown else False,
        fresh_boots=len(look.again.fresh),
        control_boots=len(look.again.ref),
        accepted_itself=accepted_itself,
        cost=look.again.cost,
        wanted=look.again.wanted,
        notice=finding.notice,
    )


def _keep_candidate(look: Look, finding: Finding, candidate: Candidate) -> bool:
    """Carry the candidate on, or accept it: equivalent on three nights. Whether it was accepted."""
    fleet, target = look.fleet, look.target
    if finding.event is not None or candidate.equivalent < look.method.equivalent_nights:
        fleet.candidates[target] = candidate
        return False
    fleet.equivalent[target] = fleet.equivalent[target] | {candidate.provenance}
    fleet.pending[target, candidate.first : fleet.nights] = False
    fleet.candidates[target] = None
    return True


def _store(look: Look, finding: Finding) -> None:
    """What the history keeps of the night: fresh values, spreads, the event's nights."""
    fleet, target, rows, column = look.fleet, look.target, look.rows, look.column
    if finding.replaced is not None:
        fleet.badness[rows, column] = finding.replaced
        fleet.boots[target, column] = finding.boots
    if look.again.ref.size:
        fleet.ref[rows, column] = look.mean_of(look.again.ref)
        fleet.ref_boots[target, column] = len(look.again.ref)
    fleet.notice[target, column] = finding.notice
    for boots in (look.again.fresh, look.again.ref):
        squares, df = boot_spread(
            boots, look.reading.spread.boot[rows], look.method.boot_outlier_sd
        )
        fleet.boot_ss[rows] += squares
        fleet.boot_df[rows] += df
    if finding.event is not None:
        fleet.events[target] = finding.event
        fleet.in_event[target, finding.event.since : fleet.nights] = True


def _follow_event(look: Look, event: Event) -> Finding:
    """One more night of an open event: still there, or recovered?"""
    row = int(np.flatnonzero(look.rows == event.series)[0])
    base = float(look.reading.windows.base[event.series, 0])
    own, boots = look.first_measured(), 1
    replaced = None
    if looks_recovered(event, float(own[row]) - base):
        boots = max(1, look.again.boot(2))
        if look.again.fresh.size:
            replaced = look.mean_of(look.again.fresh)
            own = look.own(replaced)
    variance = float(
        look.variance(boots)[row] + look.reading.windows.base_variance[event.series, 0]
    )
    after, over = follow(event, look.column, float(own[row]) - base, variance, look.method)
    if over:
        _close(look, after)
        return Finding(
            word="recovered", size=event.size, since=event.since, replaced=replaced, boots=boots
        )
    size = _size_so_far(look, after, float(own[row]) - base, variance) or event.size
    look.fleet.events[look.target] = replace(after, size=size)
    return Finding(word=event.kind, size=size, since=event.since, replaced=replaced, boots=boots)


def _size_so_far(look: Look, event: Event, tonight: float, variance: float) -> Size | None:
    """The size over the event's nights after the one that found it: nobody picked those."""
    first = event.opened + 1 - look.reading.first
    end = event.better_since - look.reading.first if event.better_since is not None else None
    own = look.reading.own[event.series].copy()
    variances = look.reading.variances[event.series].copy()
    own[-1] = tonight + look.reading.windows.base[event.series, 0]
    variances[-1] = variance
    part = slice(max(first, 0), end)
    known = np.isfinite(own[part])
    if known.sum() < 3:
        return None
    weight = 1.0 / variances[part][known]
    value = float((weight * own[part][known]).sum() / weight.sum())
    value -= float(look.reading.windows.base[event.series, 0])
    half = (
        Z_95
        * INTERVAL_SLACK
        * float(np.sqrt(1.0 / weight.sum() + look.reading.windows.base_variance[event.series, 0]))
    )
    if np.sign(value) != np.sign(event.size.value):
        return None
    return Size(value=value, low=value - half, high=value + half)


def _close(look: Look, event: Event) -> None:
    """The event is over since the first night of the run that closed it."""
    fleet, target = look.fleet, look.target
    since = event.better_since if event.better_since is not None else look.column
    fleet.events[target] = None
    fleet.in_event[target, since : fleet.nights] = False
    fleet.watch_from[target] = since
    candidate = fleet.candidates[target]
    if candidate is not None and candidate.first < since:
        fleet.candidates[target] = replace(candidate, first=since, equivalent=0, pairs=0)
