"""What is measured while a night is judged: what is wanted, of whom, and against which run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.drawn import Drawn
from nightbench.verdicts.fleet import Fleet
from nightbench.verdicts.measured import Again
from nightbench.verdicts.measuring import Further, Measurer
from nightbench.verdicts.tabling import Tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """So many further measurements of a target. `accepted_run`: the newest run of what is accepted
    of it, which is what a `ref` boots; None where no night of it is left to be held against."""

    target: str
    kind: Further
    count: int
    accepted_run: str | None = None


# Measures a target again now; each measurement as its values.
Live = Callable[[Wanted], Sequence[Sequence[Again]]]


def measured_now(tables: Tables, drawn: Drawn, fleet: Fleet, live: Live) -> Measurer:
    """The measurer of the newest run."""
    run = len(tables.runs) - 1

    def measure(target: int, kind: Further, count: int) -> Floats:
        wanted = Wanted(
            target=tables.units[target].target,
            kind=kind,
            count=count,
            accepted_run=accepted_run(tables, fleet, target),
        )
        found = [drawn.as_badness(target, run, values) for values in live(wanted)]
        usable = [one for one in found if one is not None]
        return np.stack(usable) if usable else np.empty((0, 0))

    return measure


def accepted_run(tables: Tables, fleet: Fleet, target: int) -> str | None:
    """The newest run before tonight's in which the target was measured on what is accepted."""
    before = slice(0, fleet.nights - 1)
    good = np.isfinite(fleet.badness[fleet.rows_of[target], before]).any(axis=0)
    good &= ~fleet.pending[target, before] & ~fleet.in_event[target, before]
    nights = np.flatnonzero(good)
    return tables.runs[int(nights[-1])].run_id if len(nights) else None
