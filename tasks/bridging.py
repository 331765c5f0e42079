"""Where tonight asks something else, the server is asked as the run before asked, too: then the
series goes on. Nothing here fails a target: it was measured already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from prefect.logging import get_run_logger

from nightbench.errors import NightbenchError, NoHistory
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from nightbench.night.allowance import Allowance
from nightbench.night.asked_before import AskedBefore, asked_before
from nightbench.night.run import Night
from nightbench.records import FurtherValue, LoadLevel
from nightbench.serving.server import Server
from nightbench.verdicts.measured import LevelValue
from tasks.level_again import measure_level_again
from tasks.recording import TargetRecorder


def ask_as_before(
    night: Night,
    server: Server,
    recorder: TargetRecorder,
    allowance: Allowance,
    *,
    metrics: Sequence[str],
    on_skip: Callable[[str, NightbenchError | str], None],
) -> list[LevelValue]:
    """Each workload that asks something else tonight, asked as the run before did; what cannot be,
    or has no time, is said."""
    found: list[LevelValue] = []
    for workload, levels in _by_workload(recorder).items():
        what = f"asking {workload} as before"
        try:
            before = _look_up(night, server, recorder, levels)
            if before is None:
                continue
            allowance.expect("old", before.took_s)
            reason = allowance.why_not("old")
            if reason is not None:
                on_skip(what, reason)
                continue
            with allowance.spent_on("old") as clock:
                rows = _ask(night, before, server, recorder, over=clock.over, metrics=metrics)
        except NoHistory:
            return []  # the first night asks nothing else than before
        except NightbenchError as error:
            on_skip(what, error)
        except Exception:  # noqa: BLE001 - what was measured stands, whatever is met here
            get_run_logger().warning("%s was skipped", what, exc_info=True)
        else:
            found += [_as_value(night, recorder, row) for row in rows if row.valid and row.value]
    return found


def _by_workload(recorder: TargetRecorder) -> dict[str, list[LoadLevel]]:
    found: dict[str, list[LoadLevel]] = defaultdict(list)
    for row in recorder.measured:
        if isinstance(row, LoadLevel):
            found[row.workload].append(row)
    return found


def _look_up(
    night: Night, server: Server, recorder: TargetRecorder, levels: Sequence[LoadLevel]
) -> AskedBefore | None:
    with open_history(Home.from_env()) as history:
        return asked_before(
            history,
            recorder.target,
            server.hardware_class,
            levels,
            run_id=night.run_id,
            tonight_file=night.suite_file,
        )


def _ask(
    night: Night,
    before: AskedBefore,
    server: Server,
    recorder: TargetRecorder,
    *,
    over: Callable[[], str | None],
    metrics: Sequence[str],
) -> list[FurtherValue]:
    return [
        row
        for level in before.levels
        for row in measure_level_again(
            level,
            before.prompts,
            server,
            recorder,
            kind="old",
            number=1,
            metrics=metrics,
            slo=night.suite.slo,
            over=over,
        )
    ]


def _as_value(night: Night, recorder: TargetRecorder, row: FurtherValue) -> LevelValue:
    return LevelValue(
        run_id=night.run_id,
        target=recorder.target.name,
        workload=row.workload,
        level=row.level,
        measurement_key=row.measurement_key,
        metric=row.metric,
        value=row.value,
        se=None,
        valid=True,
    )
