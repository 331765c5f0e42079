"""What was measured again, as the judge draws on it while a history is replayed.

A measurement of a series is the night's composite, moved by what its levels differ by from their
first measurement of that night. So what a level usually lies off by, or one that is missing, plays
no part in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nightbench.metrics import better
from nightbench.verdicts.measured import Again
from nightbench.verdicts.measuring import Further, Measurer
from nightbench.verdicts.series import badness
from nightbench.verdicts.tabling import Tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Place = tuple[int, int, Further]  # unit, run, kind


class Drawn:
    """Every further measurement of a history. `of_run` is the measurer of one of its runs."""

    def __init__(self, tables: Tables, again: Sequence[Again]) -> None:
        self._tables = tables
        self._rows: dict[int, list[int]] = defaultdict(list)
        for row, series in enumerate(tables.series):
            self._rows[series.unit].append(row)
        self._values: dict[Place, dict[int, list[Again]]] = defaultdict(lambda: defaultdict(list))
        column = {run.run_id: number for number, run in enumerate(tables.runs)}
        for one in again:
            run = column.get(one.run_id)
            if run is None:
                continue
            for unit in self._units_of(one.target, run):
                self._values[unit, run, one.kind][one.number].append(one)

    def of_run(self, run: int, live: Measurer | None = None) -> Measurer:
        """Gives what is stored of the run, each measurement once, in its order; and what `live`
        measures where that is not enough."""
        taken: dict[tuple[int, Further], int] = defaultdict(int)

        def measure(target: int, kind: Further, count: int) -> Floats:
            stored = self._stored(target, run, kind)
            first = taken[target, kind]
            found = stored[first : first + count]
            taken[target, kind] += len(found)
            if live is not None and len(found) < count:
                found = [*found, *live(target, kind, count - len(found))]
            width = len(self._rows[target])
            return np.stack(found) if found else np.empty((0, width))

        return measure

    def as_badness(self, unit: int, run: int, values: Sequence[Again]) -> Floats | None:
        """One measurement, a value for each series of the unit; None where a series that was
        measured tonight is not in it."""
        by_place = {(one.workload, one.level, one.metric): one.value for one in values}
        rows = self._rows[unit]
        found = np.full(len(rows), np.nan)
        for place, row in enumerate(rows):
            found[place] = self._one(row, run, by_place)
        needed = np.isfinite(self._tables.badness[rows, run])
        return found if needed.any() and np.isfinite(found[needed]).all() else None

    def _one(self, row: int, run: int, values: dict[tuple[str, str, str], float]) -> float:
        series = self._tables.series[row]
        moved = []
        for place, level in enumerate(self._tables.levels[row]):
            first = self._tables.values[row, place, run]
            value = values.get((series.workload, level, series.metric))
            is_aside = (row, place, run) in self._tables.aside
            if value is not None and np.isfinite(first) and not is_aside:
                moved.append(badness(value, better(series.metric)) - first)
        if not moved:
            return float("nan")
        return float(self._tables.badness[row, run] + np.mean(moved))

    def _stored(self, unit: int, run: int, kind: Further) -> list[Floats]:
        measured = self._values.get((unit, run, kind), {})
        found = [self.as_badness(unit, run, measured[number]) for number in sorted(measured)]
        return [one for one in found if one is not None]

    def _units_of(self, target: str, run: int) -> list[int]:
        return [
            number
            for number, unit in enumerate(self._tables.units)
            if unit.target == target and self._tables.provenance[number, run] >= 0
        ]
