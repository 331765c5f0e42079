"""One run, read back from the history: what its targets came to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from nightbench.errors import BadInput
from nightbench.history.reading import History
from nightbench.records import AccuracyResult, LoadLevel, RunRow, ServerRow, TargetRow

Record = TypeVar("Record", RunRow, TargetRow, ServerRow, AccuracyResult, LoadLevel)


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

    def overall_accuracy(self) -> list[tuple[str, str, float]]:
        """(target, benchmark, accuracy over all of it)."""
        return [
            (target.target, result.benchmark, result.accuracy)
            for target in self.targets
            for result in target.accuracy
            if result.subset == "all"
        ]


def read_run(history: History, run_id: str) -> RunResults:
    """Everything summarised of a run. Raises BadInput where the history has no such run."""
    targets = list(_read(history, "run_targets", run_id, TargetRow))
    if not targets:
        raise BadInput(
            f"the history has no run {run_id}", hint="`nightbench history` lists those there are."
        )
    runs = [row for _, row in _read(history, "run_row", run_id, RunRow)]
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
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Which target a row lies at; landing added it."""

    target: str
    hardware_class: str | None


def _read(
    history: History, query: str, run_id: str, record: type[Record]
) -> Iterator[tuple[_Place, Record]]:
    result = history.rows(query, run_id=run_id)
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
