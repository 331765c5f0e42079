"""A history of nights judged anew, up to one run: what is said about each of its targets.

Nothing is remembered between nights but what was measured and what people said. So verdicts are a
function of those, and a night that is judged again gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

import numpy as np

from nightbench.metrics import Direction, better
from nightbench.verdicts.drawn import Drawn
from nightbench.verdicts.events import Size
from nightbench.verdicts.fleet import Fleet, Night
from nightbench.verdicts.judge import Verdict, judge_night
from nightbench.verdicts.looking import Word
from nightbench.verdicts.measured import Acceptance, Again, LevelValue, RanTarget, Settings
from nightbench.verdicts.measured_now import Live, measured_now
from nightbench.verdicts.series import plain_pct
from nightbench.verdicts.tabling import Run, Tables, Unit, in_order, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Integers = NDArray[np.int64]

Said = Word | Literal["starved", "method changed", "not measured"]
_STARVED = frozenset({"client_lag", "host_contention", "host_starved", "rate_missed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of one metric over the levels of a workload. Sizes are plain per cent and positive
    is worse; `relative`, `low` and `high` are of the metric itself."""

    workload: str
    metric: str
    levels: tuple[str, ...]
    value: float | None  # tonight, the geometric mean over the workload's levels
    size_pct: float
    lo_pct: float
    hi_pct: float

    @property
    def better(self) -> Direction:
        """Which way is good."""
        return better(self.metric)

    @property
    def relative(self) -> float:
        """(value − baseline) ÷ baseline."""
        return self._relative(self.size_pct)

    @property
    def interval(self) -> tuple[float, float]:
        """Of `relative`, the smaller first."""
        ends = sorted((self._relative(self.lo_pct), self._relative(self.hi_pct)))
        return ends[0], ends[1]

    def _relative(self, pct: float) -> float:
        worse = max(1.0 + pct / 100.0, 1e-9)
        return worse - 1.0 if self.better == "lower" else 1.0 / worse - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is said about one target's night."""

    target: str
    hardware_class: str | None
    node: str
    word: Said
    change: Change | None = None
    node_pct: float | None = None  # what the whole machine is slower by; below 0: faster
    touched: tuple[str, ...] = ()  # "workload metric" of each series that moved
    since: date | None = None
    since_run: str | None = None
    before_run: str | None = None  # the target's last run before that
    open_kind: Literal["regressed", "improved", "node"] | None = None  # the event that is open
    notice: bool = False
    new: bool = False
    nights: int = 0  # that hold something, tonight's among them
    more_nights: int | None = None
    fresh_boots: int = 0  # of tonight's configuration, beside the first one
    control_boots: int = 0  # of the accepted configuration
    accepted_itself: bool = False  # tonight's configuration: it made no difference
    reasons: tuple[str, ...] = ()  # why nothing is valid, or why it was not measured
    asked_anew: tuple[str, ...] = ()  # workloads whose measurement key changed tonight
    bridged: tuple[str, ...] = ()  # those of them that were asked as before, too


def judge_run(
    ran: Sequence[RanTarget],
    values: Sequence[LevelValue],
    accepted: Sequence[Acceptance] = (),
    settings: Settings | None = None,
    *,
    again: Sequence[Again] = (),
    bridges: Sequence[LevelValue] = (),
    live: Live | None = None,
) -> list[Judged]:
    """Judge the newest run of these rows: one verdict for each of its targets, by name.

    `bridges`: what was asked as before in a run that asked something else. `again`: what was
    measured again in these runs. `live`: measures again now, in the newest run, where that is not
    enough.
    """
    if not ran:
        return []
    newest = max(ran, key=lambda row: (row.began, row.run_id)).run_id
    tables = table(ran, values, settings or Settings(), bridges)
    tonight = [row for row in ran if row.run_id == newest]
    if tables.layout is None:
        return [_not_measured(row) for row in sorted(tonight, key=lambda row: row.target)]
    fleet, verdicts = replay(tables, accepted, again=again, live=live)
    if tables.runs[-1].run_id != newest:
        verdicts = []
    said = {tables.units[v.target].target: _judged(v, tables, fleet) for v in verdicts}
    for row in tonight:
        said.setdefault(row.target, _missed(row, tables, fleet))
    return [said[name] for name in sorted(said)]


def replay(
    tables: Tables,
    accepted: Sequence[Acceptance] = (),
    *,
    again: Sequence[Again] = (),
    live: Live | None = None,
) -> tuple[Fleet, list[Verdict]]:
    """The fleet after all nights, and the verdicts of the last one."""
    assert tables.layout is not None  # noqa: S101
    fleet = Fleet(tables.layout, capacity=max(64, len(tables.runs)))
    approved = _accepted_provenance(tables, accepted)
    accepts = _acceptances(tables, accepted)
    drawn, last = Drawn(tables, again), len(tables.runs) - 1
    verdicts: list[Verdict] = []
    for run in range(len(tables.runs)):
        night = Night(
            badness=tables.badness[:, run],
            se=tables.se[:, run],
            provenance=tables.provenance[:, run],
            accepted=approved[:, run],
            accepts=accepts[:, run],
        )
        now = measured_now(tables, drawn, fleet, live) if live and run == last else None
        verdicts = judge_night(fleet, night, drawn.of_run(run, now))
    return fleet, verdicts


def _acceptances(tables: Tables, accepted: Sequence[Acceptance]) -> Flags:
    """Which unit's change was accepted since its last night, one column a run."""
    flags = np.zeros(tables.provenance.shape, dtype=bool)
    for one in accepted:
        for unit in _units_of(one, tables.units):
            due = np.flatnonzero(tables.provenance[unit] >= 0)
            later = [run for run in due.tolist() if tables.runs[run].began > one.made_at]
            if later and later[0] != due[0]:
                flags[unit, later[0]] = True
    return flags


def _accepted_provenance(tables: Tables, accepted: Sequence[Acceptance]) -> Integers:
    """What was accepted by the start of each run: a unit's first provenance, until a person
    accepts; then what ran last."""
    flags = _acceptances(tables, accepted)
    approved = np.full(tables.provenance.shape, -1, dtype=np.int64)
    for unit, row in enumerate(tables.provenance):
        now = last = -1
        for run in np.flatnonzero(row >= 0).tolist():
            now = int(row[run]) if now < 0 else last if flags[unit, run] else now
            approved[unit, run:] = now
            last = int(row[run])
    return approved


def _units_of(one: Acceptance, units: Sequence[Unit]) -> list[int]:
    if one.benchmark is not None:
        return []
    return [
        number
        for number, unit in enumerate(units)
        if unit.target == one.target and one.hardware_class in (None, unit.hardware_class)
    ]


def _judged(verdict: Verdict, tables: Tables, fleet: Fleet) -> Judged:
    unit, run = verdict.target, len(tables.runs) - 1
    reasons = tables.reasons.get((unit, run), set())
    asked_anew = tuple(tables.new_era.get((unit, run), ()))
    word: Said = verdict.word
    if word == "invalid" and reasons and reasons <= _STARVED:
        word = "starved"
    if asked_anew and (word == "ok" or (word == "inconclusive" and verdict.new)):
        word = "method changed"
    event, node_event = fleet.events[unit], fleet.node_events[int(fleet.node_of[unit])]
    open_kind = event.kind if event else "node" if node_event else None
    since = verdict.since
    if since is None and event is not None:
        since = event.since
    size = verdict.size or (event.size if event else None)
    row = verdict.loudest if verdict.loudest is not None else event.series if event else None
    return Judged(
        target=tables.units[unit].target,
        hardware_class=tables.units[unit].hardware_class or None,
        node=tables.units[unit].node,
        word=word,
        change=_change(tables, row, size) if row is not None and size is not None else None,
        node_pct=plain_pct(size.value) if size is not None and verdict.word == "node" else None,
        touched=_names(tables, verdict.series),
        since=tables.runs[since].night if since is not None else None,
        since_run=tables.runs[since].run_id if since is not None else None,
        before_run=_before(tables, unit, since),
        open_kind=open_kind,
        notice=verdict.notice,
        new=verdict.new,
        nights=_nights(tables, fleet, unit),
        more_nights=verdict.more_nights,
        fresh_boots=verdict.fresh_boots,
        control_boots=verdict.control_boots,
        accepted_itself=verdict.accepted_itself,
        reasons=tuple(sorted(reasons)) if word in ("invalid", "starved") else (),
        asked_anew=asked_anew,
        bridged=tuple(tables.bridged.get((unit, run), ())),
    )


def _change(tables: Tables, row: int, size: Size) -> Change:
    series = tables.series[row]
    tonight, names = tables.values[row, :, -1], tables.levels[row]
    sign = 1.0 if better(series.metric) == "lower" else -1.0
    known = np.isfinite(tonight)
    known &= [(row, place, len(tables.runs) - 1) not in tables.aside for place in range(len(known))]
    before = tables.badness[row, -1] - size.value  # where the composite would be without it
    moved = tonight - tables.offsets[row] - before
    shows = known & (np.sign(size.value) * moved >= abs(size.value) / 2)
    shown = shows if shows.any() else known
    return Change(
        workload=series.workload,
        metric=series.metric,
        levels=tuple(in_order([name for name, is_in in zip(names, shown, strict=False) if is_in])),
        value=float(np.exp(sign * tonight[known].mean() / 100.0)) if known.any() else None,
        size_pct=plain_pct(size.value),
        lo_pct=plain_pct(size.low),
        hi_pct=plain_pct(size.high),
    )


def _names(tables: Tables, rows: Sequence[int]) -> tuple[str, ...]:
    names = [
        f"{tables.series[row].workload} {tables.series[row].metric}"
        + (f" at {tables.series[row].level}" if tables.series[row].level else "")
        for row in rows
    ]
    return tuple(dict.fromkeys(names))


def _nights(tables: Tables, fleet: Fleet, unit: int) -> int:
    """How many nights the longest series that was asked tonight has in its epoch."""
    rows = fleet.rows_of[unit]
    rows = rows[np.isfinite(tables.badness[rows, -1])]
    epoch = fleet.epoch[unit, : fleet.nights] == fleet.epoch_now[unit]
    return int((np.isfinite(tables.badness[rows]) & epoch).sum(axis=1).max()) if len(rows) else 0


def _before(tables: Tables, unit: int, since: int | None) -> str | None:
    if since is None:
        return None
    earlier = np.flatnonzero(tables.provenance[unit, :since] >= 0)
    return tables.runs[int(earlier[-1])].run_id if len(earlier) else None


def _missed(row: RanTarget, tables: Tables, fleet: Fleet) -> Judged:
    """A target without a number: what was open of it stays open."""
    units = [
        number
        for number, unit in enumerate(tables.units)
        if unit.target == row.target and row.hardware_class in (None, unit.hardware_class)
    ]
    for unit in units:
        event = fleet.events[unit]
        if event is not None:
            run: Run = tables.runs[event.since]
            return Judged(
                target=row.target,
                hardware_class=tables.units[unit].hardware_class or None,
                node=tables.units[unit].node,
                word="not measured",
                change=_change(tables, event.series, event.size),
                touched=_names(tables, event.touched),
                since=run.night,
                since_run=run.run_id,
                before_run=_before(tables, unit, event.since),
                open_kind=event.kind,
                reasons=_why(row),
            )
    return _not_measured(row)


def _not_measured(row: RanTarget) -> Judged:
    return Judged(
        target=row.target,
        hardware_class=row.hardware_class,
        node=row.node,
        word="not measured",
        reasons=_why(row),
    )


def _why(row: RanTarget) -> tuple[str, ...]:
    said = (row.error or "").strip().splitlines()
    return (said[0] if said else row.status,)
