"""Made-up rows of nights for the tests of what a history says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from nightbench.verdicts.measured import Acceptance, Again, LevelValue, RanTarget, Settings
from nightbench.verdicts.night_replay import Judged, judge_run

BEGAN = datetime(2026, 1, 1, 2)  # noqa: DTZ001 - as the history has it
LEVELS = ("c1", "c5", "c20")
Kind = Literal["rep", "fresh", "ref"]


class Rows:
    """A history of some targets with one workload; `slow` is (target, night) -> plain per cent."""

    def __init__(
        self,
        slow: Callable[[str, int], float] = lambda target, night: 0.0,
        *,
        targets: Sequence[str] = ("a", "b", "c", "d"),
        noise: float = 0.8,
        provenance: Callable[[str, int], str] = lambda target, night: "p0",
        key: Callable[[str, int], str] = lambda target, night: "k",
        valid: Callable[[str, int, str], bool] = lambda target, night, level: True,
        missing: Callable[[str, int], bool] = lambda target, night: False,
        reasons: tuple[str, ...] = ("failures",),
        seed: int = 7,
    ) -> None:
        self.slow, self.targets, self.noise = slow, targets, noise
        self.provenance, self.key, self.valid, self.missing = provenance, key, valid, missing
        self.reasons = reasons
        self.rng = np.random.default_rng(seed)
        self.ran: list[RanTarget] = []
        self.values: list[LevelValue] = []
        self.accepted: list[Acceptance] = []
        self.again: list[Again] = []
        self.bridges: list[LevelValue] = []
        self.shared = 0.0
        self.night = -1

    def judge(self, nights: int, settings: Settings | None = None) -> list[dict[str, Judged]]:
        """So many more nights, each judged when it came: the verdicts by target."""
        said = []
        for _ in range(nights):
            self.add()
            verdicts = judge_run(
                self.ran, self.values, self.accepted, settings, bridges=self.bridges
            )
            said.append({judged.target: judged for judged in verdicts})
        return said

    def add(self, nights: int = 1) -> None:
        """So many more nights."""
        for _ in range(nights):
            self.night += 1
            self.shared = self.noise * self.rng.standard_normal()
            for target in self.targets:
                self._target(target, self.shared)

    def measure_again(self, target: str, kind: Kind, pct: float, count: int = 1) -> None:
        """So many further measurements of the newest night, by that much slower than usual."""
        for number in range(1, count + 1):
            off = self.shared + 0.4 * self.rng.standard_normal()
            slow = (1.0 + pct / 100.0) * float(np.exp(off / 100.0))
            for place, level in enumerate(LEVELS):
                for metric, value in self._values(place, slow):
                    self.again.append(
                        Again(
                            run_id=f"run{self.night:04}",
                            target=target,
                            kind=kind,
                            number=number,
                            workload="chat",
                            level=level,
                            metric=metric,
                            value=value,
                        )
                    )

    def bridge(self, target: str, key: str, pct: float = 0.0) -> None:
        """The newest night of a target asked by an older key, too, that much slower than usual."""
        slow = (1.0 + pct / 100.0) * float(np.exp(self.shared / 100.0))
        for place, level in enumerate(LEVELS):
            for metric, value in self._values(place, slow):
                self.bridges.append(
                    LevelValue(
                        run_id=f"run{self.night:04}",
                        target=target,
                        workload="chat",
                        level=level,
                        measurement_key=f"{key}-{level}",
                        metric=metric,
                        value=value,
                        se=None,
                        valid=True,
                    )
                )

    def accept(self, target: str) -> None:
        """A person takes what is open for the new level, an hour after the newest night."""
        when = BEGAN + timedelta(days=self.night, hours=1)
        self.accepted.append(Acceptance(target=target, made_at=when))

    def _target(self, target: str, shared: float) -> None:
        missing = self.missing(target, self.night)
        self.ran.append(
            RanTarget(
                run_id=f"run{self.night:04}",
                began=BEGAN + timedelta(days=self.night),
                night=(BEGAN + timedelta(days=self.night)).date(),
                target=target,
                hardware_class=None if missing else "gpu x1",
                node="node1",
                provenance=self.provenance(target, self.night),
                status="failed" if missing else "completed",
                error="exited before it was ready" if missing else None,
            )
        )
        if not missing:
            worse = 1.0 + self.slow(target, self.night) / 100.0
            off = shared + self.noise * self.rng.standard_normal()
            for number, level in enumerate(LEVELS):
                self._level(target, level, number, worse, off)

    @staticmethod
    def _values(number: int, slow: float) -> tuple[tuple[str, float], ...]:
        return (
            ("output_throughput", 350.0 * (number + 1) / slow),
            ("median_ttft_ms", 50.0 * (number + 1) * slow),
            ("median_tpot_ms", 20.0 * slow),
        )

    def _level(self, target: str, level: str, number: int, worse: float, off: float) -> None:
        slow = worse * float(np.exp((off + 0.3 * self.rng.standard_normal()) / 100.0))
        for metric, value in self._values(number, slow):
            valid = self.valid(target, self.night, level)
            self.values.append(
                LevelValue(
                    run_id=f"run{self.night:04}",
                    target=target,
                    workload="chat",
                    level=level,
                    measurement_key=f"{self.key(target, self.night)}-{level}",
                    metric=metric,
                    value=value if valid else value * 3,
                    se=0.004 * value,
                    valid=valid,
                    invalid_reasons=() if valid else self.reasons,
                )
            )
