"""What was measured, night after night, as verdicts take it: plain rows, oldest run first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from nightbench.suite.verdicts import PRIMARY
from nightbench.verdicts.series import log_pct

_MS = {"ttft": 1.0, "ttfat": 1.0, "e2el": 1.0, "tpot": 0.1, "itl": 0.1, "icl": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class RanTarget:
    """One target in one run. `provenance`: a digest of all that may change its numbers."""

    run_id: str
    began: datetime  # the run, in UTC without a zone
    night: date
    target: str
    hardware_class: str | None
    node: str
    provenance: str
    status: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelValue:
    """One metric of one load level. `se`: its standard error, None where nobody knows it."""

    run_id: str
    target: str
    workload: str
    level: str
    measurement_key: str
    metric: str
    value: float | None
    se: float | None
    valid: bool
    invalid_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """One metric of one level measured again in that run, and valid. `number` counts from 1."""

    run_id: str
    target: str
    kind: Literal["rep", "fresh", "ref"]
    number: int
    workload: str
    level: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """That a person took a target's change for its new level. It counts from the first run that
    began afterwards, so that a night which is judged again is judged as it was."""

    target: str
    made_at: datetime  # in UTC without a zone
    hardware_class: str | None = None  # None: wherever it runs
    benchmark: str | None = None  # of a benchmark's event; None: of its speed


@dataclass(frozen=True, slots=True, kw_only=True)
class MinEffect:
    """From which change on a metric is spoken of: in per cent, and in ms where it is a time."""

    pct: float = 2.0
    ms: float = 0.0

    def log_pct_at(self, level: float) -> float:
        """In log per cent, for values around `level`."""
        return log_pct(max(self.pct, 100.0 * self.ms / level if level > 0 else 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is judged, and from which size. A primary metric is a column of load_levels, judged over
    all levels of a workload, or METRIC@LEVEL for one of them."""

    primary: tuple[str, ...] = PRIMARY
    min_effect: Mapping[str, MinEffect] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns that are needed."""
        return tuple(dict.fromkeys(spec.partition("@")[0] for spec in self.primary))

    def min_effect_of(self, metric: str) -> MinEffect:
        """The suite's, or 2 % and, for a time, what a stop watch can tell."""
        if metric in self.min_effect:
            return self.min_effect[metric]
        known = [ms for part, ms in _MS.items() if part in metric.split("_")]
        return MinEffect(ms=known[0] if known else 0.0)
