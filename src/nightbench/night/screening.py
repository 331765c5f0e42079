"""A target that has just been measured, before its run lands: is anything to be measured again?

It is judged as its run will be in the end, but without the neighbours that are still to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from nightbench.history.reading import History
from nightbench.history.sql_files import query, statement
from nightbench.night.judging import (
    open_before,
    read_accepted,
    read_again,
    read_bridges,
    read_ran,
    read_values,
)
from nightbench.records import LoadInterval, LoadLevel, ProvenanceRow, TargetRow
from nightbench.stats import Z_95
from nightbench.verdicts.differences import provenance_digest
from nightbench.verdicts.horizon import within_horizon
from nightbench.verdicts.measured import Again, LevelValue, RanTarget, Settings
from nightbench.verdicts.measured_now import Live
from nightbench.verdicts.night_replay import Judged, judge_run


def screen(
    history: History,
    tonight: RanTarget,
    values: Sequence[LevelValue],
    settings: Settings,
    *,
    again: Sequence[Again],
    bridges: Sequence[LevelValue] = (),
    live: Live,
) -> Judged | None:
    """What would be said of the target now; `live` is asked for what it takes to tell. None where
    there is no night before this one."""
    found = history.sql(statement("newest_run_of_target"), target=tonight.target).rows
    if not found:
        return None
    before = str(found[0][0])
    earlier = (row for row in read_ran(history, before) if row.began < tonight.began)
    ran = [*earlier, tonight]
    ran = within_horizon(ran, tonight.run_id, open_before(history, before))
    first = ran[0].run_id
    said = judge_run(
        ran,
        [*read_values(history, before, settings, first=first), *values],
        read_accepted(history),
        settings,
        again=[*read_again(history, before, first=first), *again],
        bridges=[*read_bridges(history, before, first=first), *bridges],
        live=live,
    )
    return next((judged for judged in said if judged.target == tonight.target), None)


def ran_tonight(
    *,
    run_id: str,
    began: datetime,
    night_of: object,
    name: str,
    hardware_class: str | None,
    row: TargetRow,
    facts: Iterable[ProvenanceRow],
) -> RanTarget:
    """The target as the history will have it."""
    known = {fact.name: fact.value for fact in facts}
    return RanTarget(
        run_id=run_id,
        began=began.astimezone(UTC).replace(tzinfo=None),
        night=night_of,  # type: ignore[arg-type]
        target=name,
        hardware_class=hardware_class,
        node=known.get("host", ""),
        provenance=provenance_digest(
            known,
            counted_facts(),
            engine_kind=row.engine_kind,
            engine_version=row.engine_version,
            config_digest=row.config_digest,
        ),
        status="completed",
    )


def counted_facts() -> frozenset[str]:
    """The facts that may change a number."""
    parameters = {one.name: one for one in query("judged_targets").parameters}
    return frozenset((parameters["facts"].default or "").split(","))


def level_values(
    run_id: str,
    target: str,
    rows: Sequence[LoadLevel | LoadInterval],
    metrics: Sequence[str],
) -> list[LevelValue]:
    """Rows as they are spooled, as the values that are judged."""
    errors = {
        (row.workload, row.level, f"{row.statistic}_{row.metric}"): row
        for row in rows
        if isinstance(row, LoadInterval)
    }
    return [
        LevelValue(
            run_id=run_id,
            target=target,
            workload=row.workload,
            level=row.level,
            measurement_key=row.measurement_key,
            metric=metric,
            value=getattr(row, metric),
            se=_error(errors.get((row.workload, row.level, metric))),
            valid=row.valid,
            invalid_reasons=tuple(row.invalid_reasons),
        )
        for row in rows
        if isinstance(row, LoadLevel)
        for metric in metrics
    ]


def _error(interval: LoadInterval | None) -> float | None:
    if interval is None or not interval.estimable:
        return None
    if interval.ci_low is None or interval.ci_high is None or interval.ci_low <= 0:
        return None
    return (interval.ci_high - interval.ci_low) / (2 * Z_95)
