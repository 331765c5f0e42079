"""Measuring again: what the judge may ask for, and what it made of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

Further = Literal["rep", "fresh", "ref"]
COST: dict[Further, float] = {"rep": 1.0, "fresh": 6.0, "ref": 6.0}


def pair_order(pairs: int) -> tuple[Further, Further]:
    """How the next pair is booted after so many: A B, B A, A B. What drifts through the night then
    favours neither."""
    return ("ref", "fresh") if pairs % 2 == 0 else ("fresh", "ref")


class Measurer(Protocol):
    """Measures a target again tonight, or says what was measured.

    `rep`: the same boot once more. `fresh`: fresh boots of tonight's configuration. `ref`: fresh
    boots of the last accepted one, on the same node. Each call gives the *next* values.
    """

    def __call__(self, target: int, kind: Further, count: int) -> Floats:
        """Badness, one row a measurement and one column a series of the target. Fewer rows than
        asked for, or none, where the budget is spent or nothing more can be booted."""
        ...


@dataclass(slots=True)
class Again:
    """One target's further measurements of one night, as they come in."""

    measurer: Measurer
    target: int
    columns: Integers  # of the target's series, those that are judged tonight
    fresh: Floats = field(default_factory=lambda: np.empty((0, 0)))
    ref: Floats = field(default_factory=lambda: np.empty((0, 0)))
    cost: float = 0.0
    wanted: int = 0  # measurements asked for and not given

    def repeat(self) -> Floats | None:
        """The level once more on the same boot, one value a series; None where there is none."""
        got = self._ask("rep", 1)
        return got[0] if len(got) else None

    def boot(self, upto: int) -> int:
        """Have at least so many fresh boots, where that is possible; how many there are."""
        if len(self.fresh) < upto:
            got = self._ask("fresh", upto - len(self.fresh))
            self.fresh = np.vstack([self.fresh, got]) if self.fresh.size else got
        return len(self.fresh)

    def control(self, pairs: int) -> int:
        """Have so many pairs of tonight's and the accepted configuration, interleaved A B B A.

        The accepted one is asked first: without it fresh boots of the other are no pair.
        """
        if len(self.ref) < pairs:
            got = self._ask("ref", pairs - len(self.ref))
            self.ref = np.vstack([self.ref, got]) if self.ref.size else got
        if len(self.ref):
            self.boot(min(pairs, len(self.ref)))
        return min(len(self.ref), len(self.fresh))

    def _ask(self, kind: Further, count: int) -> Floats:
        got = self.measurer(self.target, kind, count)
        self.cost += COST[kind] * len(got)
        self.wanted += count - len(got)
        return got[:, self.columns] if len(got) else got


def robust_mean(boots: Floats, boot_variance: Floats, clip_sd: float) -> Floats:
    """The mean over boots, each drawn in to `clip_sd` from their median: one that went wrong among
    three or more moves it little. The median itself wastes a third of what they know."""
    centre = np.median(boots, axis=0)
    reach = clip_sd * np.sqrt(boot_variance)
    return np.asarray(np.clip(boots, centre - reach, centre + reach).mean(axis=0))


def boot_spread(boots: Floats, boot_variance: Floats, clip_sd: float) -> tuple[Floats, Floats]:
    """What boots of one night say about the variance between them: squares and freedom, a series.

    A boot that went wrong is not how boots are, and would hide what the night itself varies by:
    one beyond `clip_sd` from the median is left out.
    """
    nothing = np.zeros_like(boot_variance)
    if len(boots) < 2:
        return nothing, nothing
    usual = np.abs(boots - np.median(boots, axis=0)) <= clip_sd * np.sqrt(boot_variance)
    count = np.maximum(usual.sum(axis=0), 1)
    mean = np.where(usual, boots, 0.0).sum(axis=0) / count
    squares = np.where(usual, (boots - mean) ** 2, 0.0).sum(axis=0)
    return np.asarray(squares), np.asarray(count - 1, dtype=np.float64)
