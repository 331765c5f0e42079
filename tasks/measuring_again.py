"""What looks wrong is measured again the same night: on the same boot, then on fresh ones; what has
changed, in turns with the accepted configuration.

How often is the judge's to say (nightbench.verdicts). Nothing here fails a target: it was measured
already, and what cannot be measured again is said, and judged without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect.logging import get_run_logger

from nightbench.errors import NightbenchError, NoHistory, TeardownFailed
from nightbench.history.reading import History, open_history
from nightbench.home.paths import Home
from nightbench.load.plan.levels import Level
from nightbench.load.plan.workloads import Prompts
from nightbench.night.allowance import Allowance, allowance_s
from nightbench.night.budget import NightClock, TimeIsOver
from nightbench.night.controls import Control, NoControl
from nightbench.night.judging import settings_from
from nightbench.night.run import Night, skipped_fact
from nightbench.night.screening import level_values, screen
from nightbench.records import FurtherValue, LoadLevel
from nightbench.serving.server import Server
from nightbench.suite.models import LoadSpec, Target
from nightbench.verdicts.measured import Again, LevelValue, RanTarget
from nightbench.verdicts.measured_now import Wanted
from nightbench.verdicts.measuring import Further, pair_order
from tasks.bridging import ask_as_before
from tasks.controls import Controls
from tasks.level_again import measure_level_again
from tasks.recording import TargetRecorder
from tasks.serving import served

Loads = Sequence[tuple[LoadSpec, Sequence[Level], Prompts]]
LAUNCHES_OF_A_BOOT = 2  # a boot that failed is tried once more
_CALLED: dict[Further, str] = {
    "rep": "measuring again on the same server",
    "fresh": "measuring again on fresh boots",
    "ref": "measuring against the accepted configuration",
}


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
        self._bridges: list[LevelValue] = []
        self._counts: dict[Further, int] = {"rep": 0, "fresh": 0, "ref": 0}
        self._tonight: RanTarget | None = None
        self._controls: Controls | None = None
        self._paired: list[list[Again]] = []  # fresh boots of pairs that nobody has asked for yet
        self._boots_wanted = self._boots = self._pairs = 0
        self._allowance = Allowance(allowance_s(night.suite), clock)
        self._said: set[str] = set()

    def on_this_boot(self, server: Server) -> None:
        """Screen what was measured; repeat it on this server where the judge wants that."""
        row = server.row()
        if not self._levels or (row is None and not self._target.is_attached):
            return
        self._tonight = self._recorder.as_ran(self._night, server)
        facts = self._recorder.facts_now(server)
        self._controls = Controls(self._night, self._target, self._recorder, facts)
        levels = [row for row in self._recorder.measured if isinstance(row, LoadLevel)]
        measuring_s = sum(level.duration_s for level in levels)
        boot_s = (row.boot_s if row is not None else None) or 0.0
        self._allowance.expect("rep", measuring_s)
        for kind in ("fresh", "ref"):
            self._allowance.expect(kind, measuring_s + boot_s)
        self._bridges = ask_as_before(
            self._night,
            server,
            self._recorder,
            self._allowance,
            metrics=self._settings.metrics,
            on_skip=self._say_skipped,
        )
        # The same prompts again: where nobody can tell what the server's cache makes of them, only
        # a fresh boot is the same measurement.
        told = all(level.cached_tokens is not None for level in levels)
        repeats = told or self._target.is_attached

        def live(_: History, wanted: Wanted) -> list[list[Again]]:
            if wanted.kind != "rep":
                self._boots_wanted += wanted.count
                return []
            count = wanted.count if repeats else 0
            return [self._repeat(server) for _ in range(count) if self._has_time_for("rep")]

        self._judge(live)

    def on_fresh_boots(self) -> None:
        """Boot afresh as often as it takes to tell, once the first server is gone."""
        if not self._boots_wanted or self._target.is_attached:
            return

        def live(history: History, wanted: Wanted) -> list[list[Again]]:
            if wanted.kind == "ref":
                return self._in_turns(history, wanted)
            return self._fresh(wanted.count) if wanted.kind == "fresh" else []

        self._judge(live)

    def _judge(self, live: Callable[[History, Wanted], list[list[Again]]]) -> None:
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
                    bridges=self._bridges,
                    live=lambda wanted: live(history, wanted),
                )
        except TeardownFailed:
            raise  # its hardware is not free: that is no matter of judging
        except NoHistory:
            return  # the first night has nothing to be held against
        except NightbenchError as error:
            self._say_skipped("measuring again", error)
        except Exception:  # noqa: BLE001 - what was measured stands, whatever judging meets
            get_run_logger().warning("nothing was measured again", exc_info=True)

    def _repeat(self, server: Server) -> list[Again]:
        with self._allowance.spent_on("rep"):
            return self._measure(server, "rep", self._clock)

    def _fresh(self, count: int) -> list[list[Again]]:
        """What pairs have left over first."""
        found, self._paired = self._paired[:count], self._paired[count:]
        while len(found) < count and self._has_time_for("fresh"):
            found.append(self._boot("fresh", None))
        return found

    def _in_turns(self, history: History, wanted: Wanted) -> list[list[Again]]:
        """Pairs of the accepted configuration and tonight's, A B B A: those of the former. What a
        pair lacks is said."""
        assert self._controls is not None  # noqa: S101
        found: list[list[Again]] = []
        try:
            while len(found) < wanted.count and self._has_time_for("ref", "fresh"):
                control = self._controls.look_up(history, wanted.accepted_run)
                for kind in pair_order(self._pairs):
                    (found if kind == "ref" else self._paired).append(self._boot(kind, control))
                self._pairs += 1
        except TeardownFailed:
            raise
        except NightbenchError as error:
            self._say_skipped(_CALLED["ref"], error)
        return found

    def _boot(self, kind: Further, control: Control | None) -> list[Again]:
        """A boot of tonight's configuration (fresh) or the accepted one (ref), measured."""
        assert self._controls is not None  # noqa: S101
        self._boots += 1
        launch = 1 + LAUNCHES_OF_A_BOOT * self._boots
        with self._allowance.spent_on(kind) as clock:
            if kind == "ref" and control is not None:
                with self._controls.boot(control, clock, launch) as server:
                    return self._measure(server, kind, clock)
            base_dir = self._night.base_dir
            with served(self._target, base_dir, self._recorder, clock, launch=launch) as server:
                return self._measure(server, kind, clock)

    def _measure(self, server: Server, kind: Further, clock: NightClock) -> list[Again]:
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
                over=clock.over,
            )
            found += [
                self._as_again(row, kind, row.value) for row in rows if row.valid and row.value
            ]
        self._measured += found
        return found

    def _has_time_for(self, *kinds: Further) -> bool:
        reason = self._allowance.why_not(*kinds)
        if reason is not None:
            self._say_skipped(_CALLED[kinds[0]], reason)
        return reason is None

    def _say_skipped(self, what: str, why: NightbenchError | str) -> None:
        """Among what was skipped, once a night."""
        reason = why if isinstance(why, str) else why.message.splitlines()[0]
        if isinstance(why, TimeIsOver):
            reason = "its share of the night's time was over before the server was up"
        if isinstance(why, NoControl):
            get_run_logger().info("%s: no control: %s", self._target.name, reason)
        else:
            get_run_logger().warning("%s: %s was skipped: %s", self._target.name, what, reason)
        if what not in self._said:
            self._said.add(what)
            self._recorder.keep(skipped_fact(what, reason))

    def _as_again(self, row: FurtherValue, kind: Further, value: float) -> Again:
        return Again(
            run_id=self._night.run_id,
            target=self._target.name,
            kind=kind,
            number=row.number,
            workload=row.workload,
            level=row.level,
            metric=row.metric,
            value=value,
        )
