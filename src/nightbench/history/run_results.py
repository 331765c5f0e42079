"""One run, read back from the history: what its targets came to, and what was answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from nightbench.errors import BadInput
from nightbench.history.reading import History
from nightbench.history.sql_files import statement
from nightbench.records import (
    AccuracyResult,
    AccuracySample,
    LoadLevel,
    RunRow,
    ServerRow,
    TargetRow,
    VerdictRow,
)

Record = TypeVar(
    "Record", RunRow, TargetRow, ServerRow, AccuracyResult, AccuracySample, LoadLevel, VerdictRow
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What was not begun because the night's time was over; `stage` None for a whole target."""

    target: str
    stage: str | None
    reason: str

    def __str__(self) -> str:
        what = f"{self.target}: {self.stage}" if self.stage else self.target
        return f"{what} was skipped: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResults:
    """What one target came to; `accuracy` has the benchmarks as a whole and their subsets."""

    target: str
    hardware_class: str | None
    row: TargetRow
    servers: tuple[ServerRow, ...]
    accuracy: tuple[AccuracyResult, ...]
    levels: tuple[LoadLevel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """What a run came to."""

    run_id: str
    row: RunRow | None  # None while the run itself has not been sealed
    targets: tuple[TargetResults, ...]
    resumed_from: str | None = None  # the run whose answers it took over
    skipped: tuple[Skipped, ...] = ()
    verdicts: tuple[VerdictRow, ...] = ()  # none where it has not been judged

    def overall_accuracy(self) -> list[tuple[str, str, float]]:
        """(target, benchmark, accuracy over all of it)."""
        return [
            (target.target, result.benchmark, result.accuracy)
            for target in self.targets
            for result in target.accuracy
            if result.subset == "all"
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSample:
    """One answer, and where it was given."""

    target: str
    hardware_class: str | None
    sample: AccuracySample


def read_samples(
    history: History, run_id: str, *, target: str | None = None, benchmark: str | None = None
) -> list[KeptSample]:
    """The answers of a run, in the order of their ids; none where they are past retention."""
    read = _read(history, "run_samples", run_id, AccuracySample, target=target, benchmark=benchmark)
    return [
        KeptSample(target=place.target, hardware_class=place.hardware_class, sample=sample)
        for place, sample in read
    ]


def read_facts(history: History, run_id: str) -> dict[str, str]:
    """What the run was asked to do, by name (see `nightbench.night.run.run_facts`)."""
    return {str(name): str(value) for name, value in history.rows("run_facts", run_id=run_id).rows}


def read_run(history: History, run_id: str) -> RunResults:
    """Everything summarised of a run. Raises BadInput where the history has no such run."""
    targets = list(_read(history, "run_targets", run_id, TargetRow))
    runs = [row for _, row in _read(history, "run_row", run_id, RunRow)]
    if not targets and not runs:
        raise BadInput(f"the history has no run {run_id}", hint="`nightbench history` lists them.")
    servers = list(_read(history, "run_servers", run_id, ServerRow))
    accuracy = list(_read(history, "run_accuracy", run_id, AccuracyResult))
    levels = list(_read(history, "run_levels", run_id, LoadLevel))
    return RunResults(
        run_id=run_id,
        row=runs[0] if runs else None,
        targets=tuple(
            TargetResults(
                target=place.target,
                hardware_class=place.hardware_class,
                row=row,
                servers=tuple(r for p, r in servers if p.target == place.target),
                accuracy=tuple(r for p, r in accuracy if p.target == place.target),
                levels=tuple(r for p, r in levels if p.target == place.target),
            )
            for place, row in targets
        ),
        resumed_from=read_facts(history, run_id).get("resumed_from"),
        skipped=tuple(
            Skipped(
                target=str(target), stage=None if stage is None else str(stage), reason=str(why)
            )
            for target, stage, why in history.sql(statement("run_skipped"), run_id=run_id).rows
        ),
        verdicts=tuple(read_verdicts(history, run_id)),
    )


def read_verdicts(history: History, run_id: str) -> list[VerdictRow]:
    """What was decided about a run the last time it was judged."""
    return [row for _, row in _read(history, "run_verdicts", run_id, VerdictRow)]


def scheduled_nights(history: History, since: datetime) -> list[datetime]:
    """When the nights that began by themselves began, in UTC.

    A night's date is that of its time zone, which may be the day before it is in UTC.
    """
    found = history.sql(statement("scheduled_nights"), since=since.date() - timedelta(days=1)).rows
    return [_as_recorded(row[0]) for row in found]


def stage_times(history: History, target: str) -> dict[str, float]:
    """The seconds that the boot and the stages of a target took in the last nights, by name."""
    found = history.rows("stage_times", target=target).rows
    return {str(stage): float(str(seconds)) for stage, seconds in found}


@dataclass(frozen=True, slots=True)
class _Place:
    """Which target a row lies at; landing added it."""

    target: str
    hardware_class: str | None


def _read(
    history: History, query: str, run_id: str, record: type[Record], **params: str | None
) -> Iterator[tuple[_Place, Record]]:
    result = history.rows(query, run_id=run_id, **params)
    names = [field.name for field in fields(record)]
    for values in result.rows:
        row = dict(zip(result.columns, values, strict=True))
        hardware_class = row.get("hardware_class")
        place = _Place(
            str(row.get("target", "")), None if hardware_class is None else str(hardware_class)
        )
        yield place, record(**{name: _as_recorded(row[name]) for name in names})


def _as_recorded(value: Any) -> Any:
    """The database keeps times of day as UTC without a zone; records carry the zone."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value
