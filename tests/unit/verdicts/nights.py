"""Small fleets of nights for the tests of verdicts: one node, quiet neighbours, a known noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nightbench.verdicts.fleet import Fleet, Layout, Night
from nightbench.verdicts.judge import Verdict, judge_night
from nightbench.verdicts.measuring import Further
from nightbench.verdicts.series import log_pct

Effect = Callable[[int, int], float]  # (target, night) -> plain per cent


def _nothing_further(target: int, kind: Further, count: int) -> np.ndarray:
    return np.empty((0, 0))


class Bench:
    """One node with some targets of one series each; every night and boot is drawn from a seed."""

    def __init__(
        self,
        effect: Effect = lambda target, night: 0.0,
        *,
        targets: int = 6,
        provenance: Effect = lambda target, night: 0,
        accepted: Effect = lambda target, night: 0,
        node: Callable[[int], float] = lambda night: 0.0,
        missing: Callable[[int, int], bool] = lambda target, night: False,
        measures_again: bool = True,
        min_effect: np.ndarray | None = None,
        seed: int = 1,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.effect, self.provenance, self.accepted = effect, provenance, accepted
        self.node, self.missing, self.measures_again = node, missing, measures_again
        self.targets = targets
        layout = Layout(
            series_target=np.arange(targets),
            series_group=np.zeros(targets, dtype=np.int64),
            group_node=np.zeros(1, dtype=np.int64),
            min_effect=min_effect,
        )
        self.accepts: dict[int, int] = {}  # night -> the target whose open event is accepted
        self.fleet = Fleet(layout)
        self.verdicts: list[list[Verdict]] = []
        self.asked: list[tuple[int, int, Further, int]] = []
        self.night = -1

    def run(self, nights: int) -> list[list[Verdict]]:
        """So many more nights; the verdicts of all so far."""
        for _ in range(nights):
            self.night += 1
            self.shift = self.rng.standard_normal() + log_pct(self.node(self.night))
            self.boots = 0.8 * self.rng.standard_normal(self.targets)
            values = np.array([self._value(t, self.boots[t]) for t in range(self.targets)])
            gone = [self.missing(t, self.night) for t in range(self.targets)]
            night = Night(
                badness=np.where(gone, np.nan, values + 460.0),
                se=np.full(self.targets, 0.4),
                provenance=self._each(self.provenance),
                accepted=self._each(self.accepted),
                accepts=np.arange(self.targets) == self.accepts.get(self.night, -1),
            )
            measurer = self._measure if self.measures_again else _nothing_further
            self.verdicts.append(judge_night(self.fleet, night, measurer))
        return self.verdicts

    def words(self, target: int) -> list[str]:
        """The target's verdicts, night by night."""
        return [v.word for night in self.verdicts for v in night if v.target == target]

    def nights_of(self, target: int, word: str) -> list[int]:
        """The nights on which the target's verdict was that."""
        return [night for night, given in enumerate(self.words(target)) if given == word]

    def last(self, target: int) -> Verdict:
        """The target's newest verdict."""
        return next(v for v in self.verdicts[-1] if v.target == target)

    def _each(self, of: Effect) -> np.ndarray:
        return np.array([of(t, self.night) for t in range(self.targets)], dtype=np.int64)

    def _value(self, target: int, boot: float, effect: float | None = None) -> float:
        pct = self.effect(target, self.night) if effect is None else effect
        return self.shift + boot + 0.4 * self.rng.standard_normal() + log_pct(pct)

    def _measure(self, target: int, kind: Further, count: int) -> np.ndarray:
        self.asked.append((self.night, target, kind, count))
        values = []
        for _ in range(count):
            boot = self.boots[target] if kind == "rep" else 0.8 * self.rng.standard_normal()
            values.append(self._value(target, boot, 0.0 if kind == "ref" else None))
        return np.array(values).reshape(count, 1) + 460.0


def step(size: float, since: int, *, until: int = 10**6, who: Sequence[int] = (0,)) -> Effect:
    """An effect on some targets from one night to another."""
    return lambda target, night: size if target in who and since <= night < until else 0.0
