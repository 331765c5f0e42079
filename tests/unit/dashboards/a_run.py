"""Rows of a run that was never made, for pages and messages about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from nightbench.history.run_results import RunResults, TargetResults
from nightbench.records import AccuracyResult, LoadLevel
from tests.benchmarks import synthetic_nights as made_up
from tests.benchmarks.synthetic_nights import Shape

RUN_ID = "20260101T000000Z-starter-000000"
_ROWS = list(made_up.rows_of(0, "starter", Shape(levels=(1,))))
_LEVEL = next(row for row in _ROWS if isinstance(row, LoadLevel))
ACCURACY = next(row for row in _ROWS if isinstance(row, AccuracyResult))


def level(max_concurrency: int, **changes: Any) -> LoadLevel:
    """A level; `changes` replace its values."""
    place = {"max_concurrency": max_concurrency, "level": f"c{max_concurrency}"}
    return replace(_LEVEL, **(place | changes))


def target(name: str = "smollm2", **changes: Any) -> TargetResults:
    """A target that went well, or did not: `changes` replace values of its row."""
    row = made_up.target_row(0, name, status="completed", ended_at=None)
    went_well = changes.get("status", "completed") == "completed"
    return TargetResults(
        target=name,
        hardware_class="AMD EPYC x2",
        row=replace(row, **changes),
        servers=(replace(made_up.server_row(0), log_path="/srv/logs/server.log"),),
        accuracy=(ACCURACY,) if went_well else (),
        levels=(level(1), level(4)) if went_well else (),
    )


def run(*targets: TargetResults, **changes: Any) -> RunResults:
    """A run of these targets; `changes` replace values of its row."""
    ended_at = made_up.began(0) + timedelta(minutes=72)
    row = made_up.run_row(0, Shape(), status="completed", ended_at=ended_at)
    return RunResults(run_id=RUN_ID, row=replace(row, **changes), targets=targets)
