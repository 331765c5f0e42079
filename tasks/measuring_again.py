"""What looks wrong is measured again the same night: on the same boot, then on fresh ones.

How often is the judge's to say (nightbench.verdicts). Nothing here fails a target: it was measured
already, and what cannot be measured again is judged without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from prefect.logging import get_run_logger

from nightbench.errors import NightbenchError, TeardownFailed
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from nightbench.load.plan.levels import Level
from nightbench.load.plan.workloads import Prompts
from nightbench.night.budget import NightClock
from nightbench.night.judging import settings_from
from nightbench.night.run import Night, skipped_fact
from nightbench.night.screening import level_values, screen
from nightbench.records import HOST_STARVED, FurtherValue, LoadLevel, marked_invalid_for
from nightbench.serving.server import Server
from nightbench.suite.models import LoadSpec, Slo, Target
from nightbench.verdicts.measured import Again, RanTarget
from nightbench.verdicts.measuring import Further
from tasks.measuring import measured_on
from tasks.recording import TargetRecorder
from tasks.redacting import step
from tasks.reporting import log
from tasks.serving import served

Loads = Sequence[tuple[LoadSpec, Sequence[Level], Prompts]]
LAUNCHES_OF_A_BOOT = 2  # a boot that failed is tried once more


class MeasuringAgain:
    """One target's further measurements of one night, within the share of its time."""

    def __init__(
        self,
        night: Night,
        target: Target,
        recorder: TargetRecorder,
        loads: Loads,
        clock: NightClock,
    ) -> None:
        self._night, self._target, self._recorder = night, target, recorder
        self._clock = clock
        self._settings = settings_from(night.suite.verdicts)
        self._levels = [(level, prompts) for _, levels, prompts in loads for level in levels]
        self._measured: list[Again] = []
        self._counts: dict[Further, int] = {"rep": 0, "fresh": 0, "ref": 0}
        self._tonight: RanTarget | None = None
        self._boots_wanted = 0
        self._left_s = _allowance_s(night)
        self._took_s: dict[Further, float] = {}

    def on_this_boot(self, server: Server) -> None:
        """Screen what was measured; repeat it on this server where the judge wants that."""
        row = server.row()
        if not self._levels or (row is None and not self._target.is_attached):
            return
        self._tonight = self._recorder.as_ran(self._night, server)
        levels = [row for row in self._recorder.measured if isinstance(row, LoadLevel)]
        self._took_s["rep"] = sum(level.duration_s for level in levels)
        boot_s = row.boot_s if row is not None else None
        self._took_s["fresh"] = self._took_s["rep"] + (boot_s or 0.0)
        # The same prompts again: where nobody can tell what the server's cache makes of them, only
        # a fresh boot is the same measurement.
        told = all(level.cached_tokens is not None for level in levels)
        repeats = told or self._target.is_attached

        def live(_: str, kind: Further, count: int) -> list[list[Again]]:
            if kind == "fresh":
                self._boots_wanted += count
            wanted = count if kind == "rep" and repeats else 0
            return [self._repeat(server) for _ in range(wanted) if self._has_time_for("rep")]

        self._judge(live)

    def on_fresh_boots(self) -> None:
        """Boot afresh as often as it takes to tell, once the first server is gone."""
        if not self._boots_wanted or self._target.is_attached:
            return

        def live(_: str, kind: Further, count: int) -> list[list[Again]]:
            found = []
            for _number in range(count if kind == "fresh" else 0):
                if not self._has_time_for("fresh"):
                    break
                found.append(self._on_a_fresh_boot())
            return found

        self._judge(live)

    def _judge(self, live: Callable[[str, Further, int], list[list[Again]]]) -> None:
        assert self._tonight is not None  # noqa: S101
        rows = self._recorder.measured
        try:
            values = level_values(
                self._night.run_id, self._target.name, rows, self._settings.metrics
            )
            with open_history(Home.from_env()) as history:
                screen(
                    history,
                    self._tonight,
                    values,
                    self._settings,
                    again=list(self._measured),
                    live=live,
                )
        except TeardownFailed:
            raise  # its hardware is not free: that is no matter of judging
        except NightbenchError as error:
            get_run_logger().warning("nothing was measured again: %s", error)
        except Exception:  # noqa: BLE001 - what was measured stands, whatever judging meets
            get_run_logger().warning("nothing was measured again", exc_info=True)

    def _on_a_fresh_boot(self) -> list[Again]:
        launch = 1 + LAUNCHES_OF_A_BOOT * (1 + self._counts["fresh"])
        began = time.monotonic()
        try:
            with served(
                self._target, self._night.base_dir, self._recorder, self._clock, launch=launch
            ) as server:
                return self._measure(server, "fresh")
        finally:
            self._spend(began, "fresh")

    def _measure(self, server: Server, kind: Further) -> list[Again]:
        """Every level that was measured tonight, once more."""
        self._counts[kind] += 1
        known = {(r.workload, r.level) for r in self._recorder.measured if isinstance(r, LoadLevel)}
        found: list[Again] = []
        for level, prompts in self._levels:
            if (level.workload, level.label) not in known:
                continue
            rows = measure_level_again(
                level,
                prompts,
                server,
                self._recorder,
                kind=kind,
                number=self._counts[kind],
                metrics=self._settings.metrics,
                slo=self._night.suite.slo,
                over=self._clock.over,
            )
            found += [self._as_again(row) for row in rows if row.valid and row.value is not None]
        self._measured += found
        return found

    def _repeat(self, server: Server) -> list[Again]:
        began = time.monotonic()
        try:
            return self._measure(server, "rep")
        finally:
            self._spend(began, "rep")

    def _spend(self, began: float, kind: Further) -> None:
        took_s = time.monotonic() - began
        self._took_s[kind] = took_s
        if self._left_s is not None:
            self._left_s = max(0.0, self._left_s - took_s)

    def _has_time_for(self, kind: Further) -> bool:
        needed_s = self._took_s.get(kind, 0.0)
        left = [left for left in (self._left_s, self._clock.left_s()) if left is not None]
        if not left or needed_s < min(left):
            return True
        reason = f"{needed_s:.0f} s are needed, {min(left):.0f} s were left for it"
        self._recorder.keep(skipped_fact(f"measuring again ({kind})", reason))
        get_run_logger().warning("%s was not measured again: %s", self._target.name, reason)
        return False

    def _as_again(self, row: FurtherValue) -> Again:
        return Again(
            run_id=self._night.run_id,
            target=self._target.name,
            kind="rep" if row.kind == "rep" else "fresh",
            number=row.number,
            workload=row.workload,
            level=row.level,
            metric=row.metric,
            value=row.value or 0.0,
        )


def _allowance_s(night: Night) -> float | None:
    """The seconds that each target of a night may be measured again for; None: no budget, no end
    but the judge's own (a repeat and four boots)."""
    suite = night.suite
    if suite.time_budget is None:
        return None
    return suite.verdicts.reserve * suite.time_budget / len(suite.targets)


@step(
    name="measure again",
    task_run_name="{recorder.target.name}: {level.workload} {level.label} again ({kind} {number})",
)
def measure_level_again(
    level: Level,
    prompts: Prompts,
    server: Server,
    recorder: TargetRecorder,
    *,
    kind: Further,
    number: int,
    metrics: Sequence[str],
    slo: Slo,
    over: Callable[[], str | None],
) -> list[FurtherValue]:
    """Measure one level once more, and keep what is judged of it."""
    began = datetime.now(UTC)
    measured, starved = measured_on(
        server, level, prompts, recorder, slo=slo, over=over, keep_requests=False
    )
    row = marked_invalid_for(measured.level, (HOST_STARVED if starved else None,))
    said = "valid" if row.valid else f"NOT VALID: {', '.join(row.invalid_reasons)}"
    log(f"{row.workload} {row.level} again: {row.output_throughput:,.1f} tokens/s, {said}")
    rows = [
        FurtherValue(
            kind=kind,
            number=number,
            workload=row.workload,
            level=row.level,
            measurement_key=row.measurement_key,
            metric=metric,
            value=getattr(row, metric),
            valid=row.valid,
            measured_at=began,
        )
        for metric in metrics
    ]
    recorder.keep_all(rows)
    return rows
