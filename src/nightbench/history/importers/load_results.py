"""Load results of vllm bench serve and evalscope perf, as levels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightbench.history.importers.imported import Document, Imported, imported_key, modified
from nightbench.metrics import VALUE, level_columns
from nightbench.records import LoadLevel, kinds_of

# Our names are vLLM's: what it reports of these is taken as it is.
_STATISTICS = tuple(column.name for column in level_columns() if column.metric.statistics != VALUE)
_MAY_BE_NULL = tuple(name for name, (_, may_be) in kinds_of(LoadLevel).items() if may_be)
# evalscope perf: what it reports, under today's names and those of older versions (seconds).
_PERF_FAMILIES = {
    "ttft": (("TTFT (ms)", 1.0), ("TTFT (s)", 1000.0)),
    "tpot": (("TPOT (ms)", 1.0), ("TPOT (s)", 1000.0)),
    "itl": (("ITL (ms)", 1.0), ("ITL (s)", 1000.0)),
    "e2el": (("Latency (s)", 1000.0),),
}
_PERF_MEANS = {
    "ttft": (("Avg TTFT (ms)", 1.0), ("Average time to first token (s)", 1000.0)),
    "tpot": (("Avg TPOT (ms)", 1.0), ("Average time per output token (s)", 1000.0)),
    "itl": (("Avg ITL (ms)", 1.0), ("Average inter-token latency (s)", 1000.0)),
    "e2el": (("Avg Latency (s)", 1000.0), ("Average latency (s)", 1000.0)),
}


def vllm_bench(file: Path, result: Document) -> Imported:
    """What `vllm bench serve --save-result` writes."""
    measured_at = _vllm_date(str(result["date"]))
    duration_s, completed = float(result["duration"]), int(result["completed"])
    numbers = {name: _number(result.get(name)) for name in _STATISTICS}
    latencies_s = result.get("latencies")  # there without any metric asked for; e2el is not
    if numbers["mean_e2el_ms"] is None and latencies_s:
        numbers["mean_e2el_ms"] = 1000 * sum(latencies_s) / len(latencies_s)
    level = _load_level(
        workload=str(result.get("label") or "vllm-bench"),
        key=imported_key(
            "vllm-bench", result, ("model_id", "num_prompts", "request_rate", "burstiness")
        ),
        measured_at=measured_at,
        max_concurrency=_count(result.get("max_concurrency")),
        request_rate=_rate(result["request_rate"]),
        num_prompts=int(result["num_prompts"]),
        completed=completed,
        failed=int(result.get("failed", int(result["num_prompts"]) - completed)),
        duration_s=duration_s,
        prompt_tokens=int(result["total_input_tokens"]),
        completion_tokens=int(result["total_output_tokens"]),
        request_throughput=float(result["request_throughput"]),
        output_throughput=float(result["output_throughput"]),
        total_token_throughput=float(result["total_token_throughput"]),
        peak_concurrency=int(_number(result.get("max_concurrent_requests")) or 0),
        numbers=numbers,
    )
    return Imported(file, str(result["model_id"]), measured_at, (level,))


def evalscope_perf(file: Path, summary: Document) -> Imported:
    """benchmark_summary.json of evalscope perf, with the files beside it."""
    folder = file.parent
    measured_at = modified(file)
    arguments = _beside(folder / "benchmark_args.json")
    percentiles = _percentiles(_beside(folder / "benchmark_percentile.json"))
    completed = _whole(summary, ("Success Requests", "Succeed requests"))
    total = _whole(summary, ("Total Requests", "Total requests"))
    level = _load_level(
        workload=str(arguments.get("dataset") or "evalscope-perf"),
        key=imported_key(
            "evalscope-perf", arguments, ("model", "dataset", "number", "parallel", "rate")
        ),
        measured_at=measured_at,
        max_concurrency=_whole(summary, ("Concurrency", "Number of concurrency")),
        request_rate=_positive(summary.get("Request Rate (req/s)")),
        num_prompts=total,
        completed=completed,
        failed=_whole(summary, ("Failed Requests", "Failed requests")),
        duration_s=_some(summary, ("Test Duration (s)", "Time taken for tests (s)")),
        prompt_tokens=round(
            completed * _some(summary, ("Avg Input Tokens", "Average input tokens per request"))
        ),
        completion_tokens=round(
            completed * _some(summary, ("Avg Output Tokens", "Average output tokens per request"))
        ),
        request_throughput=_some(summary, ("Req Throughput (req/s)", "Request throughput (req/s)")),
        output_throughput=_some(
            summary, ("Output Throughput (tok/s)", "Output token throughput (tok/s)")
        ),
        total_token_throughput=_some(
            summary, ("Total Throughput (tok/s)", "Total token throughput (tok/s)")
        ),
        peak_concurrency=0,
        numbers=_perf_numbers(summary, percentiles),
    )
    return Imported(file, str(arguments.get("model") or "unknown"), measured_at, (level,))


def _perf_numbers(
    summary: Document, percentiles: Mapping[str, Document]
) -> dict[str, float | None]:
    """The latency statistics that it reports, in milliseconds."""
    numbers: dict[str, float | None] = {}
    for family, names in _PERF_FAMILIES.items():
        numbers[f"mean_{family}_ms"] = _first(summary, _PERF_MEANS[family])
        for statistic, label in (("median", "50%"), ("p90", "90%"), ("p95", "95%"), ("p99", "99%")):
            numbers[f"{statistic}_{family}_ms"] = _first(percentiles.get(label, {}), names)
    return numbers


def _load_level(
    *,
    key: str,
    measured_at: datetime,
    max_concurrency: int | None,
    request_rate: float | None,
    duration_s: float,
    completed: int,
    numbers: dict[str, float | None],
    **rest: Any,
) -> LoadLevel:
    mean_e2el_ms = numbers["mean_e2el_ms"]
    busy_s = completed * (mean_e2el_ms or 0.0) / 1000
    level = f"c{max_concurrency}" if request_rate is None else f"r{request_rate:g}"
    fields: dict[str, Any] = dict.fromkeys(_MAY_BE_NULL)
    fields |= {
        "level": level,
        "measurement_key": key,
        "started_at": measured_at,
        "max_concurrency": max_concurrency,
        "request_rate": request_rate,
        "completed": completed,
        "duration_s": duration_s,
        "mean_concurrency": busy_s / duration_s if duration_s > 0 else 0.0,
        "coalesced_reads": 0,
        "stamp_source": "user",
        "valid": True,
        "invalid_reasons": [],
    }
    return LoadLevel(**(fields | numbers | rest))


def _vllm_date(text: str) -> datetime:
    """`20261121-081500`, in the time zone of the machine that ran it: taken as ours."""
    return datetime.strptime(text, "%Y%m%d-%H%M%S").astimezone(UTC)


def _rate(value: object) -> float | None:
    """`inf` is how vLLM says that max_concurrency alone drives: a closed loop."""
    rate = float(str(value))
    return rate if math.isfinite(rate) else None


def _positive(value: object) -> float | None:
    """A rate of evalscope, which says -1 (and once nothing) where concurrency alone drives."""
    rate = _number(value)
    return rate if rate is not None and rate > 0 else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _beside(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _percentiles(rows: Any) -> dict[str, Document]:
    """evalscope's percentile rows by their label; the label's column was once called Percentile."""
    return {str(row.get("Percentiles", row.get("Percentile"))): row for row in rows or ()}


def _first(document: Document, names: tuple[tuple[str, float], ...]) -> float | None:
    for name, factor in names:
        value = _number(document.get(name))
        if value is not None:
            return value * factor
    return None


def _some(document: Document, names: tuple[str, ...]) -> float:
    value = _first(document, tuple((name, 1.0) for name in names))
    if value is None:
        raise KeyError(names[0])
    return value


def _whole(document: Document, names: tuple[str, ...]) -> int:
    return round(_some(document, names))
