"""A file of series judged night by night, as it would have been as the nights came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.fleet import Fleet, Layout, Night
from nightbench.verdicts.judge import Verdict, judge_night
from nightbench.verdicts.measuring import Further
from nightbench.verdicts.method import Method
from nightbench.verdicts.series import badness, plain_pct
from nightbench.verdicts.series_file import SeriesRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TargetKey = tuple[str, str]  # node and target: on another node it is measured anew
SeriesKey = tuple[TargetKey, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRow:
    """A line of the verdicts' file. Sizes are plain per cent, positive is worse."""

    night: int
    target: str
    verdict: str
    size_pct: float | None = None
    lo_pct: float | None = None
    hi_pct: float | None = None
    since: int | None = None

    def cells(self) -> list[object]:
        """As the file has them."""
        sizes = [self.size_pct, self.lo_pct, self.hi_pct]
        shown = ["" if size is None else f"{size:.2f}" for size in sizes]
        since = "" if self.since is None else self.since
        return [self.night, self.target, self.verdict, *shown, since]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The verdicts, and what measuring again cost: 1 for a repeat, 6 for a boot."""

    rows: list[JudgedRow]
    cost: float
    repeats: int
    boots: int


@dataclass(slots=True)
class _Stored:
    """A measurer that gives what the file holds, each value once."""

    rows: dict[int, list[SeriesRow]]  # of each target, tonight
    taken: dict[tuple[int, Further], int] = field(default_factory=dict)

    def __call__(self, target: int, kind: Further, count: int) -> Floats:
        stored = [
            badness(np.array(self._of(row, kind), dtype=np.float64), row.better)
            for row in self.rows[target]
        ]
        first = self.taken.get((target, kind), 0)
        last = min([first + count, *(len(np.atleast_1d(values)) for values in stored)])
        self.taken[target, kind] = max(first, last)
        return np.stack([np.atleast_1d(values)[first:last] for values in stored], axis=1)

    @staticmethod
    def _of(row: SeriesRow, kind: Further) -> Sequence[float]:
        if kind == "rep":
            return () if row.rep is None else (row.rep,)
        return row.fresh if kind == "fresh" else row.ref


def judge_series(rows: Sequence[SeriesRow], method: Method | None = None) -> Replay:
    """Judge every night of the file, oldest first, each by what was known on it."""
    targets = sorted({(row.node, row.target) for row in rows})
    series = sorted({((row.node, row.target), row.metric) for row in rows})
    fleet = Fleet(_layout(targets, series))
    provenances: dict[str, int] = {}
    for row in rows:
        for name in (row.provenance, row.accepted):
            provenances.setdefault(name, len(provenances))
    by_night: dict[int, list[SeriesRow]] = defaultdict(list)
    for row in rows:
        by_night[row.night].append(row)
    calendar = sorted(by_night)
    judged: list[JudgedRow] = []
    taken: dict[Further, int] = {"rep": 0, "fresh": 0, "ref": 0}
    cost = 0.0
    for night in calendar:
        stored = _Stored(_rows_by_target(by_night[night], targets, series))
        values = _night(by_night[night], targets, series, provenances)
        verdicts = judge_night(fleet, values, stored, method)
        judged += [
            _judged(night, targets[verdict.target][1], verdict, fleet, calendar)
            for verdict in verdicts
        ]
        cost += sum(verdict.cost for verdict in verdicts)
        for (_, kind), count in stored.taken.items():
            taken[kind] += count
    return Replay(rows=judged, cost=cost, repeats=taken["rep"], boots=taken["fresh"] + taken["ref"])


def _layout(targets: list[TargetKey], series: list[SeriesKey]) -> Layout:
    """Series speak for each other where they are of one node: of one metric, where a target has
    several (its other metrics are no neighbours of it)."""
    nodes = sorted({node for node, _ in targets})
    pooled = len(series) == len(targets)
    keys = [(key[0], "" if pooled else metric) for key, metric in series]
    groups = sorted(set(keys))
    return Layout(
        series_target=np.array([targets.index(key) for key, _ in series]),
        series_group=np.array([groups.index(key) for key in keys]),
        group_node=np.array([nodes.index(node) for node, _ in groups]),
    )


def _rows_by_target(
    rows: list[SeriesRow], targets: list[TargetKey], series: list[SeriesKey]
) -> dict[int, list[SeriesRow]]:
    place = {key: index for index, key in enumerate(series)}
    number = {key: index for index, key in enumerate(targets)}
    found: dict[int, list[SeriesRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: place[(row.node, row.target), row.metric]):
        found[number[row.node, row.target]].append(row)
    return found


def _night(
    rows: list[SeriesRow],
    targets: list[TargetKey],
    series: list[SeriesKey],
    provenances: dict[str, int],
) -> Night:
    place = {key: index for index, key in enumerate(series)}
    number = {key: index for index, key in enumerate(targets)}
    values, errors = np.full(len(series), np.nan), np.full(len(series), np.nan)
    provenance = np.full(len(targets), -1, dtype=np.int64)
    accepted = np.full(len(targets), -1, dtype=np.int64)
    for row in rows:
        target, where = (row.node, row.target), place[(row.node, row.target), row.metric]
        provenance[number[target]] = provenances[row.provenance]
        accepted[number[target]] = provenances[row.accepted]
        if row.value is not None:
            values[where] = badness(row.value, row.better)
            errors[where] = np.nan if row.se is None else 100.0 * row.se / row.value
    return Night(badness=values, se=errors, provenance=provenance, accepted=accepted)


def _judged(
    night: int, name: str, verdict: Verdict, fleet: Fleet, calendar: list[int]
) -> JudgedRow:
    """In the file's words: a night that holds nothing is its open event's, or inconclusive."""
    word: str = verdict.word
    size, since = verdict.size, verdict.since
    if word == "invalid":
        event = fleet.events[verdict.target]
        word = event.kind if event else "inconclusive"
        size, since = (event.size, event.since) if event else (None, None)
    return JudgedRow(
        night=night,
        target=name,
        verdict=word,
        size_pct=plain_pct(size.value) if size else None,
        lo_pct=plain_pct(size.low) if size else None,
        hi_pct=plain_pct(size.high) if size else None,
        since=calendar[since] if since is not None else None,
    )
