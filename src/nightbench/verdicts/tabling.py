"""Rows of what was measured as tables: one row a series, one column a run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np

from nightbench.metrics import better
from nightbench.verdicts.composites import chain, chained_error
from nightbench.verdicts.eras import WorkloadEras, eras_of
from nightbench.verdicts.fleet import Layout
from nightbench.verdicts.measured import LevelValue, RanTarget, Settings
from nightbench.verdicts.series import badness

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """A target where it runs: on another machine, or other hardware, it is measured anew."""

    node: str
    target: str
    hardware_class: str


@dataclass(frozen=True, slots=True)
class Series:
    """What one row is of. `level` "": all of the workload's."""

    unit: int
    workload: str
    era: int
    metric: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A column."""

    run_id: str
    began: datetime
    night: date


Cell = tuple[int, int, int]  # series, level and run


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Everything that is replayed."""

    runs: list[Run]
    units: list[Unit]
    series: list[Series]
    layout: Layout | None  # None: nothing that could be judged was ever measured
    badness: Floats
    se: Floats
    provenance: Integers  # one row a unit; -1: not measured that night
    values: Floats  # by series, level and run: badness of single levels
    offsets: Floats  # of each level from its composite
    levels: list[list[str]]  # of each series
    new_era: dict[tuple[int, int], list[str]]  # unit and run -> workloads that ask something else
    bridged: dict[tuple[int, int], list[str]]  # those of them that were asked as before, too
    aside: frozenset[Cell]  # what was measured only for that: no level of the night
    reasons: dict[tuple[int, int], set[str]]  # unit and run -> why a level is not valid


def table(
    ran: Sequence[RanTarget],
    values: Sequence[LevelValue],
    settings: Settings,
    bridges: Sequence[LevelValue] = (),
) -> Tables:
    """Tables out of the rows of runs, in the order in which the runs began. `bridges`: what was
    asked as before in the first run that asked something else, by its old measurement key."""
    runs = sorted({Run(row.run_id, row.began, row.night) for row in ran}, key=_by_time)
    column = {run.run_id: number for number, run in enumerate(runs)}
    wanted = set(settings.metrics)
    values = [value for value in values if value.metric in wanted and value.run_id in column]
    measured = {(value.run_id, value.target) for value in values}
    ran = [row for row in ran if (row.run_id, row.target) in measured]
    units = sorted({_unit(row) for row in ran})
    number_of = {unit: number for number, unit in enumerate(units)}
    unit_of = {(row.run_id, row.target): number_of[_unit(row)] for row in ran}
    values = [value for value in values if (value.run_id, value.target) in unit_of]
    bridges = [
        one for one in bridges if one.metric in wanted and (one.run_id, one.target) in unit_of
    ]
    eras = eras_of(values, bridges, unit_of, column)
    placed = _Cells(unit_of, column, eras, settings)
    for value in values:
        placed.put(value, eras.of)
    of_the_night = frozenset(placed.cells)
    for value in bridges:
        placed.put(value, eras.before)
    series, cells, levels = list(placed.rows), placed.cells, placed.levels
    shape = (len(series), max((len(names) for names in levels), default=0), len(runs))
    single, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    for (row, level, run), value in cells.items():
        if value.valid and value.value is not None and value.value > 0:
            single[row, level, run] = value.value
            errors[row, level, run] = np.nan if value.se is None else 100 * value.se / value.value
    for row, one in enumerate(series):
        single[row] = badness(single[row], better(one.metric))
    composite, offsets = chain(single) if series else (np.empty((0, len(runs))), single[:, :, :0])
    return Tables(
        runs=runs,
        units=units,
        series=series,
        layout=_layout(series, units, single, settings) if series else None,
        badness=composite,
        se=chained_error(errors, single) if series else composite,
        provenance=_provenance(ran, unit_of, column, len(units)),
        values=single,
        offsets=offsets,
        levels=levels,
        new_era=dict(eras.changed),
        bridged=dict(eras.bridged),
        aside=frozenset(cells) - of_the_night,
        reasons=_reasons(values, unit_of, column),
    )


def _by_time(run: Run) -> tuple[datetime, str]:
    return run.began, run.run_id


def _unit(row: RanTarget) -> Unit:
    return Unit(row.node, row.target, row.hardware_class or "")


class _Cells:
    """Which value stands where. A level of another era is a column of its own."""

    def __init__(
        self,
        unit_of: dict[tuple[str, str], int],
        column: dict[str, int],
        eras: WorkloadEras,
        settings: Settings,
    ) -> None:
        self._unit_of, self._column, self._eras = unit_of, column, eras
        self._specs: dict[str, list[str]] = defaultdict(list)
        for spec in settings.primary:
            metric, _, level = spec.partition("@")
            self._specs[metric].append(level)
        self._places: list[list[tuple[str, int]]] = []  # level and era of each column of a series
        self.rows: dict[Series, int] = {}
        self.cells: dict[Cell, LevelValue] = {}

    @property
    def levels(self) -> list[list[str]]:
        """The level of each column of each series."""
        return [[level for level, _ in places] for places in self._places]

    def put(self, value: LevelValue, era_of: dict[tuple[int, str, int], int]) -> None:
        """Place a value of the era that `era_of` says; nowhere, where that says none."""
        unit, run = self._unit_of[value.run_id, value.target], self._column[value.run_id]
        era = era_of.get((unit, value.workload, run))
        if era is None:
            return
        root = self._eras.root[unit, value.workload, era]
        for level in self._specs.get(value.metric, ()):
            if level not in ("", value.level):
                continue
            one = Series(unit, value.workload, root, value.metric, level)
            row = self.rows.setdefault(one, len(self.rows))
            if row == len(self._places):
                self._places.append([])
            if (value.level, era) not in self._places[row]:
                self._places[row].append((value.level, era))
            self.cells[row, self._places[row].index((value.level, era)), run] = value


def _layout(
    series: Sequence[Series], units: Sequence[Unit], single: Floats, settings: Settings
) -> Layout:
    """Neighbours are other targets of one node, by the same metric. A target's second workload
    speaks with the second workloads of the others: never two of its own at once."""
    order: dict[int, list[str]] = defaultdict(list)
    for one in series:
        if one.workload not in order[one.unit]:
            order[one.unit].append(one.workload)
    nodes = sorted({unit.node for unit in units})
    keys = [
        (units[s.unit].node, s.metric, s.level, order[s.unit].index(s.workload)) for s in series
    ]
    groups = {key: number for number, key in enumerate(sorted(set(keys)))}
    return Layout(
        series_target=np.array([one.unit for one in series]),
        series_group=np.array([groups[key] for key in keys]),
        group_node=np.array([nodes.index(key[0]) for key in groups]),
        min_effect=np.array(
            [
                settings.min_effect_of(one.metric).log_pct_at(_usual(single[row], one.metric))
                for row, one in enumerate(series)
            ]
        ),
    )


def _usual(levels: Floats, metric: str) -> float:
    """The value a series has in the middle of its nights."""
    known = levels[np.isfinite(levels)]
    sign = 1.0 if better(metric) == "lower" else -1.0
    return float(np.exp(sign * np.median(known) / 100.0)) if len(known) else 0.0


def _provenance(
    ran: Sequence[RanTarget],
    unit_of: dict[tuple[str, str], int],
    column: dict[str, int],
    units: int,
) -> Integers:
    names: dict[str, int] = {}
    table = np.full((units, len(column)), -1, dtype=np.int64)
    for row in sorted(ran, key=lambda row: (column[row.run_id], row.target)):
        number = names.setdefault(row.provenance, len(names))
        table[unit_of[row.run_id, row.target], column[row.run_id]] = number
    return table


def _reasons(
    values: Sequence[LevelValue], unit_of: dict[tuple[str, str], int], column: dict[str, int]
) -> dict[tuple[int, int], set[str]]:
    found: dict[tuple[int, int], set[str]] = defaultdict(set)
    for value in values:
        if not value.valid:
            found[unit_of[value.run_id, value.target], column[value.run_id]] |= set(
                value.invalid_reasons
            )
    return dict(found)


def in_order(levels: Sequence[str]) -> list[str]:
    """Levels as they rise: c4 before c10."""
    return sorted(levels, key=lambda level: [int(n) for n in re.findall(r"\d+", level)])
