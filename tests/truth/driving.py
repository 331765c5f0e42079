"""One level against the reference server, as most tests here drive it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nightbench.load.measure import MeasuredLevel, measure_level
from nightbench.load.plan.levels import Level, plan_levels
from nightbench.load.plan.workloads import Prompts, read_prompts
from nightbench.suite.models import LoadSpec
from tests.truth.reference import ReferenceServer


def planned(**fields: Any) -> tuple[Level, Prompts]:
    """The one level of a load, with its prompts."""
    spec = LoadSpec.model_validate(
        {
            "name": "w",
            "workload": {"kind": "random", "random_input_len": 5},
            "generation": {"max_tokens": 8},
            "timeouts_s": {"connect": 2, "first_token": 0.5, "between_tokens": 0.4, "total": 3},
        }
        | fields
    )
    (level,) = plan_levels(spec)
    return level, read_prompts(spec.workload, level.prompts_needed, spec.seed, Path())


def drive(
    server: ReferenceServer, work_dir: Path, *, how: dict[str, Any] | None = None, **fields: Any
) -> MeasuredLevel:
    """Forget what the server recorded, then measure; `how` goes to `measure_level`."""
    level, prompts = planned(**fields)
    server.reset()
    return measure_level(level, prompts, server.endpoint, work_dir=work_dir, **(how or {}))


def requests_of(measured: MeasuredLevel) -> list[dict[str, Any]]:
    """The rows of the level's requests."""
    rows: list[dict[str, Any]] = pq.read_table(measured.requests_path).to_pylist()
    return rows
