"""Measured levels as JSON and as one Parquet file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.terminal_text import escaped_controls

if TYPE_CHECKING:
    from nightbench.load.measure import MeasuredLevel


def level_json(measured: MeasuredLevel) -> dict[str, Any]:
    """A level by the key names of docs/metrics.md; `intervals` by metric and statistic."""
    fields = {name: _plain(value) for name, value in asdict(measured.level).items()}
    intervals: dict[str, dict[str, Any]] = {}
    for row in measured.intervals:
        ends = [row.ci_low, row.ci_high] if row.estimable else None
        intervals.setdefault(row.metric, {})[row.statistic] = ends
    return fields | {"intervals": intervals, "notes": list(measured.notes)}


def write_json(levels: Sequence[MeasuredLevel], path: Path) -> None:
    """Write {"levels": [...]}."""
    report = {"levels": [level_json(measured) for measured in levels]}
    text = escaped_controls(json.dumps(report, indent=2, ensure_ascii=False))
    path.write_text(text + "\n", encoding="utf-8")


def write_requests(levels: Sequence[MeasuredLevel], path: Path) -> None:
    """The requests of all levels as one Parquet file."""
    import pyarrow.parquet as pq

    from nightbench.load.summarize.requests_file import schema

    with pq.ParquetWriter(path, schema(), compression="zstd") as writer:
        for measured in levels:
            for batch in pq.ParquetFile(measured.requests_path).iter_batches():
                writer.write_batch(batch)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no inf: a request rate of "inf"
    return value
