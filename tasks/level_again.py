"""A level measured once more: no level of the night, only what is judged of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

from nightbench.load.plan.levels import Level
from nightbench.load.plan.workloads import Prompts
from nightbench.records import HOST_STARVED, FurtherValue, marked_invalid_for
from nightbench.serving.server import Server
from nightbench.suite.models import Slo
from nightbench.verdicts.measuring import Further
from tasks.measuring import measured_on
from tasks.recording import TargetRecorder
from tasks.redacting import step
from tasks.reporting import log


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
    kind: Further | Literal["old"],
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
