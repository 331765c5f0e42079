"""Nights that never were, with known answers: nodes, targets, series and their noise.

One measurement of one level, in log per cent of badness, is

    offset + what the node does that night (AR 0.3, a weekend) + what the target alone does
    + the boot (skewed) + the level (slightly skewed) + an outlier + the effect to be found

A target has three metrics of four levels. Judged are its primary series, one of these twelve, and
one composite a metric.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.fleet import Layout, Night
from nightbench.verdicts.measuring import Further

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Effect = Callable[[int], float]

METRICS, LEVELS = 3, 4
JUDGED = METRICS + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How nights vary; standard deviations in per cent."""

    night: float = 1.0
    within: float = 0.4
    boot: float = 0.9
    own_share: float = 0.0  # of the night's variance that the target shares with nobody
    correlation: float = 0.3
    weekend: float = 0.6  # of `night`: on two nights of seven
    outliers: float = 0.02
    missing: float = 0.03
    boot_skew: float = 1.0
    level_skew: float = 0.5


@dataclass(slots=True)
class World:
    """Nodes of like targets. `effect` (log per cent) hits the first target of each node."""

    nodes: int
    noise: Noise
    seed: int
    targets_per_node: int = 6
    night: int = -1
    rng: np.random.Generator = field(init=False)
    node_state: Floats = field(init=False)
    own_state: Floats = field(init=False)
    boots_now: Floats = field(init=False)
    shift_now: Floats = field(init=False)
    effect_now: Floats = field(init=False)
    cost: dict[str, int] = field(default_factory=lambda: {"rep": 0, "fresh": 0, "ref": 0})
    asked: dict[str, set[tuple[int, int]]] = field(
        default_factory=lambda: {"rep": set(), "fresh": set(), "ref": set()}
    )

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.node_state = self.rng.standard_normal(self.nodes)
        self.own_state = self.rng.standard_normal(self.targets)

    @property
    def targets(self) -> int:
        """How many there are on all nodes."""
        return self.nodes * self.targets_per_node

    @property
    def hit(self) -> NDArray[np.int64]:
        """The targets that the effect hits."""
        return np.arange(0, self.targets, self.targets_per_node)

    def layout(self) -> Layout:
        """The judged series: of each target the primary one, then a composite a metric."""
        target = np.repeat(np.arange(self.targets), JUDGED)
        kind = np.tile(np.arange(JUDGED), self.targets)
        node = target // self.targets_per_node
        return Layout(
            series_target=target,
            series_group=node * JUDGED + kind,
            group_node=np.repeat(np.arange(self.nodes), JUDGED),
        )

    def next_night(self, effect: float, provenance: NDArray[np.int64]) -> Night:
        """One more night; provenance 0 is accepted everywhere."""
        self.night += 1
        noise, rng = self.noise, self.rng
        rho = noise.correlation
        fresh = np.sqrt(1 - rho**2)
        self.node_state = rho * self.node_state + fresh * rng.standard_normal(self.nodes)
        self.own_state = rho * self.own_state + fresh * rng.standard_normal(self.targets)
        weekend = noise.weekend * noise.night * (self.night % 7 in (5, 6))
        shared = np.repeat(self.node_state, self.targets_per_node) * np.sqrt(1 - noise.own_share)
        own = self.own_state * np.sqrt(noise.own_share)
        self.shift_now = noise.night * (shared + own) - weekend
        self.effect_now = np.zeros(self.targets)
        self.effect_now[self.hit] = effect
        self.boots_now = self._boots(self.targets)
        values = self._levels(self.targets, self.boots_now)
        values += (self.shift_now + self.effect_now)[:, None]
        values[rng.random(self.targets) < noise.missing] = np.nan
        return Night(
            badness=values.ravel(),
            se=self._errors(),
            provenance=provenance,
            accepted=np.zeros(self.targets, dtype=np.int64),
        )

    def measure(self, target: int, kind: Further, count: int) -> Floats:
        """A measurer that has all the time in the world, and counts what it was asked."""
        self.cost[kind] += count
        self.asked[kind].add((self.night, target))
        boots = self._boots(count)
        if kind == "rep":
            boots = np.full(count, self.boots_now[target])
        effect = 0.0 if kind == "ref" else self.effect_now[target]
        return self._levels(count, boots) + self.shift_now[target] + effect

    def _boots(self, count: int) -> Floats:
        """Boot parts; one of a hundred went wrong and stays wrong while the server is up."""
        parts = self.noise.boot * _skewed(self.rng, self.noise.boot_skew, (count,))
        return parts + self._outliers(count)

    def _levels(self, count: int, boots: Floats) -> Floats:
        """The judged series of `count` measurements on those boots."""
        skew, within = self.noise.level_skew, self.noise.within
        raw = within * _skewed(self.rng, skew, (count, METRICS, LEVELS))
        raw += (boots + self._outliers(count))[:, None, None]
        return np.concatenate([raw[:, :1, -1], raw.mean(axis=2)], axis=1)

    def _outliers(self, count: int) -> Floats:
        hit = self.rng.random(count) < self.noise.outliers / 2
        return np.where(hit, self.rng.uniform(3.0, 12.0, count), 0.0)

    def _errors(self) -> Floats:
        composite = self.noise.within / np.sqrt(LEVELS)
        return np.tile([self.noise.within] + [composite] * METRICS, self.targets)


def _skewed(rng: np.random.Generator, skew: float, shape: tuple[int, ...]) -> Floats:
    """Mean 0, variance 1 and that skew: a gamma, standardised."""
    k = 4.0 / skew**2
    return np.asarray((rng.standard_gamma(k, shape) - k) / np.sqrt(k))
