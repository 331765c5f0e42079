"""Which nights of a workload were asked the same, and which of its eras go on as one series.

Where other prompts, levels or settings are asked, an era begins. In its first run both may have
been asked: then that night tells how far the two lie apart, and the new era goes on where the old
one ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nightbench.verdicts.composites import Eras
from nightbench.verdicts.measured import LevelValue

Place = tuple[int, str, int]  # unit, workload and run; or unit, workload and era
Keys = dict[tuple[int, str], dict[int, dict[str, str]]]  # by unit and workload, run, level


@dataclass(slots=True)
class WorkloadEras:
    """`of`: the era of a run. `root`: the era whose series an era goes on with. `before`: the era
    that was asked, too, in a run that began another. `changed`: by unit and run, the workloads that
    ask something else than the time before; `bridged`: those of them that go on."""

    of: dict[Place, int] = field(default_factory=dict)
    root: dict[Place, int] = field(default_factory=dict)
    before: dict[Place, int] = field(default_factory=dict)
    changed: dict[tuple[int, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    bridged: dict[tuple[int, int], list[str]] = field(default_factory=lambda: defaultdict(list))


def eras_of(
    values: Sequence[LevelValue],
    bridges: Sequence[LevelValue],
    unit_of: Mapping[tuple[str, str], int],
    column: Mapping[str, int],
) -> WorkloadEras:
    """The eras of every unit's workloads, in the order of the runs."""
    found = WorkloadEras()
    old = _keys(bridges, unit_of, column)
    for (unit, workload), nights in _keys(values, unit_of, column).items():
        _walk(found, unit, workload, nights, old.get((unit, workload), {}))
    return found


def _walk(
    found: WorkloadEras,
    unit: int,
    workload: str,
    nights: Mapping[int, Mapping[str, str]],
    old: Mapping[int, Mapping[str, str]],
) -> None:
    eras, before = Eras(), None
    for run in sorted(nights):
        was = eras.find(old[run]) if run in old else None
        known = eras.count
        era = found.of[unit, workload, run] = eras.of(nights[run])
        begins = era == known
        if begins:
            found.root[unit, workload, era] = era
        if before is not None and era != before:
            found.changed[unit, run].append(workload)
        if begins and was is not None:
            found.root[unit, workload, era] = found.root[unit, workload, was]
            found.before[unit, workload, run] = was
            found.bridged[unit, run].append(workload)
        before = era


def _keys(
    values: Sequence[LevelValue],
    unit_of: Mapping[tuple[str, str], int],
    column: Mapping[str, int],
) -> Keys:
    keys: Keys = defaultdict(lambda: defaultdict(dict))
    for value in values:
        place = (unit_of[value.run_id, value.target], value.workload)
        keys[place][column[value.run_id]][value.level] = value.measurement_key
    return keys
