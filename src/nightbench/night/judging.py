"""A run is judged: its history is read, replayed, and what comes of it is kept as rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from nightbench.history.clock import Now, utc_now
from nightbench.history.reading import History
from nightbench.history.run_results import read_facts, read_run, read_verdicts
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.history.sql_files import statement
from nightbench.night.changed_facts import changed_between
from nightbench.night.judging_answers import judge_benchmarks
from nightbench.records import AnnotationRow, VerdictRow
from nightbench.suite.verdicts import VerdictSettings
from nightbench.verdicts.horizon import within_horizon
from nightbench.verdicts.measured import (
    Acceptance,
    Again,
    LevelValue,
    MinEffect,
    RanTarget,
    Settings,
)
from nightbench.verdicts.night_replay import Judged, judge_run
from nightbench.verdicts.wording import ACCEPTED_ITSELF, sentence

FACT = "verdicts"  # of a run: what its suite says about verdicts, as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is said about a run. `remarks`: the configurations that are accepted by themselves."""

    rows: list[VerdictRow]
    remarks: list[AnnotationRow]


def judge(history: History, run_id: str, *, now: Now = utc_now) -> Judgement:
    """What is to be said about a run, given all runs before it. Nothing is written.

    The same history gives the same rows, whenever it is asked; only `judged_at` is now.
    """
    settings = settings_of(history, run_id)
    ran = read_ran(history, run_id)
    judged_by = within_horizon(ran, run_id, open_before(history, run_id))
    values = read_values(history, run_id, settings, first=judged_by[0].run_id if ran else None)
    loaded = {value.target for value in values}
    accepted = read_accepted(history)
    again = read_again(history, run_id, first=judged_by[0].run_id if ran else None)
    bridges = read_bridges(history, run_id, first=judged_by[0].run_id if ran else None)
    verdicts = judge_run(judged_by, values, accepted, settings, again=again, bridges=bridges)
    # A target that is never put under load has no verdict on it.
    completed = {row.target for row in ran if row.run_id == run_id and row.status == "completed"}
    due = [one for one in verdicts if one.target in loaded or one.target not in completed]
    moment = now()
    rows = [_row(history, judged, run_id, ran, moment) for judged in due]
    rows += judge_benchmarks(history, run_id, ran, accepted, moment)
    rows.sort(key=lambda row: (row.target, row.metric == "accuracy", row.name))
    remarks = [_accepted_itself(one, moment) for one in due if one.accepted_itself]
    return Judgement(rows=rows, remarks=remarks)


def keep(
    history: History, spool: Path, run_id: str, judged: Judgement, *, now: Now = utc_now
) -> Path | None:
    """Spool a run's verdicts, ready to land; None where the history says the same already."""
    before, rows = read_verdicts(history, run_id), judged.rows
    said = {str(row[0]) for row in history.sql(statement("accepted_itself"), run_id=run_id).rows}
    if not rows or _timeless(before) == _timeless(rows):
        return None
    name = f"_judged-{now():%Y%m%dT%H%M%S%f}" if before else "_judged"
    night = history.sql(statement("night_of_run"), run_id=run_id).rows[0][0]
    identity = SpoolIdentity(run_id=run_id, target=name, night=night)  # type: ignore[arg-type]
    with Spool.open(spool, identity, now=now) as kept:
        for row in rows:
            kept.append(row)
        for remark in judged.remarks:
            if remark.target not in said:
                kept.append(remark)
    return kept.folder


def _accepted_itself(judged: Judged, moment: datetime) -> AnnotationRow:
    return AnnotationRow(
        target=judged.target,
        hardware_class=judged.hardware_class,
        kind="accepted by itself",
        reason=ACCEPTED_ITSELF,
        author="nightbench",
        made_at=moment,
    )


def _timeless(rows: Sequence[VerdictRow]) -> list[VerdictRow]:
    moment = datetime.min  # noqa: DTZ901 - compared with itself alone
    return [replace(row, judged_at=moment) for row in rows]


def settings_of(history: History, run_id: str) -> Settings:
    """What the run's suite says about verdicts."""
    said = read_facts(history, run_id).get(FACT)
    return settings_from(VerdictSettings.model_validate_json(said) if said else VerdictSettings())


def settings_from(wanted: VerdictSettings) -> Settings:
    """The suite's words, as those who judge want them."""
    effects = {
        metric: MinEffect(pct=effect.pct, ms=effect.ms)
        for metric, effect in wanted.min_effect.items()
    }
    return Settings(primary=wanted.primary, min_effect=effects)


def read_ran(history: History, run_id: str) -> list[RanTarget]:
    """Every target of every run up to this one, on its machines; also those it never began."""
    found = history.rows("judged_targets", run_id=run_id)
    names = found.columns
    ran = [RanTarget(**dict(zip(names, row, strict=True))) for row in found.rows]  # type: ignore[arg-type]
    known = {row.target: row for row in ran if row.run_id == run_id}
    like = next(iter(known.values()), None) or _of_a_run_without_targets(history, run_id)
    planned = json.loads(read_facts(history, run_id).get("targets", "[]"))
    never = [
        replace(
            like,
            target=name,
            hardware_class=None,
            status="never begun",
            error="it was not started",
        )
        for name in planned
        if name not in known
    ]
    return [*ran, *never]


def _of_a_run_without_targets(history: History, run_id: str) -> RanTarget:
    row = read_run(history, run_id).row
    began = row.started_at.replace(tzinfo=None) if row is not None else datetime.min  # noqa: DTZ901
    return RanTarget(
        run_id=run_id,
        began=began,
        night=history.sql(statement("night_of_run"), run_id=run_id).rows[0][0],  # type: ignore[arg-type]
        target="",
        hardware_class=None,
        node="",
        provenance="",
        status="never begun",
    )


def open_before(history: History, run_id: str) -> dict[str, date]:
    found = history.sql(statement("open_before"), run_id=run_id).rows
    return {str(target): since for target, since in found if isinstance(since, date)}


def read_values(
    history: History, run_id: str, settings: Settings, *, first: str | None = None
) -> list[LevelValue]:
    """The judged metrics of every load level of those runs, from the run `first` on."""
    metrics = ",".join(settings.metrics)
    found = history.rows("judged_series", run_id=run_id, first=first, metrics=metrics)
    return [
        LevelValue(
            run_id=str(run),
            target=str(target),
            workload=str(workload),
            level=str(level),
            measurement_key=str(key),
            metric=str(metric),
            value=None if value is None else float(str(value)),
            se=None if se is None else float(str(se)),
            valid=bool(valid),
            invalid_reasons=tuple(reasons),  # type: ignore[arg-type]
        )
        for run, target, workload, level, key, metric, value, se, valid, reasons in found.rows
    ]


def read_again(history: History, run_id: str, *, first: str | None = None) -> list[Again]:
    """What was measured again in those runs."""
    found = history.rows("judged_further", run_id=run_id, first=first)
    return [
        Again(**dict(zip(found.columns, row, strict=True)))  # type: ignore[arg-type]
        for row in found.rows
    ]


def read_bridges(history: History, run_id: str, *, first: str | None = None) -> list[LevelValue]:
    """What was asked as before in those of these runs that asked something else."""
    found = history.sql(statement("judged_bridges"), run_id=run_id, first=first)
    return [
        LevelValue(se=None, valid=True, **dict(zip(found.columns, row, strict=True)))  # type: ignore[arg-type]
        for row in found.rows
    ]


def read_accepted(history: History) -> list[Acceptance]:
    """What people have accepted, oldest first."""
    found = history.sql(statement("acceptances"))
    return [
        Acceptance(**dict(zip(found.columns, row, strict=True)))  # type: ignore[arg-type]
        for row in found.rows
    ]


def _row(
    history: History, judged: Judged, run_id: str, ran: Sequence[RanTarget], moment: datetime
) -> VerdictRow:
    """What is kept of a verdict."""
    tonight = next(row.night for row in ran if row.run_id == run_id)
    change = judged.change
    changed = changed_between(history, judged.target, judged.before_run, judged.since_run)
    is_open = judged.open_kind or ("recovered" if judged.word == "recovered" else None)
    return VerdictRow(
        target=judged.target,
        hardware_class=judged.hardware_class,
        measurement_key="",
        name=change.workload if change else "",
        subset_or_level=" to ".join(dict.fromkeys((change.levels[0], change.levels[-1])))
        if change and change.levels
        else "",
        metric=change.metric if change else "",
        verdict=judged.word,
        value=change.value if change else None,
        baseline=change.value / (1.0 + change.relative) if change and change.value else None,
        relative_change=change.relative if change else None,
        since=judged.since,
        detail=sentence(judged, tonight, changed),
        judged_at=moment,
        node=judged.node,
        size_pct=change.size_pct if change else judged.node_pct,
        lo_pct=change.lo_pct if change else None,
        hi_pct=change.hi_pct if change else None,
        event=_event(judged) if is_open else None,
        event_kind=judged.open_kind,
        notice=judged.notice,
        is_new=judged.new,
        more_nights=judged.more_nights,
        touched=list(judged.touched),
        changed=changed or None,
    )


def _event(judged: Judged) -> str:
    subject = f"node-{judged.node}" if judged.open_kind == "node" else judged.target
    return f"{subject}-{judged.since:%Y%m%d}" if judged.since else subject
