"""Load results of vllm bench serve and evalscope perf, as levels."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightbench.history.importers.imported import (
    IMPOSSIBLE,
    Document,
    Imported,
    dated,
    imported_key,
    named_model,
)
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
# What is asked: files that differ in any of it are no series.
_VLLM_ASKED = (
    *("model_id", "endpoint_type", "label", "num_prompts", "request_rate", "burstiness"),
    "max_concurrency",
)
_PERF_ASKED = (
    *("model", "api", "dataset", "dataset_path", "prompt", "number", "parallel", "rate"),
    *("max_tokens", "min_tokens", "max_prompt_length", "min_prompt_length", "prefix_length"),
    *("temperature", "top_p", "top_k", "stream", "query_template"),
)
_RISING = ("median", "p90", "p95", "p99")
_ROUNDING = 1e-6
FAILURE_SHARE = 0.01  # as for our own levels


def vllm_bench(file: Path, result: Document) -> Imported:
    """What `vllm bench serve --save-result` writes."""
    measured_at = _vllm_date(str(result["date"]))
    duration_s, completed = float(result["duration"]), int(result["completed"])
    max_concurrency = _count(result.get("max_concurrency"))
    numbers = {name: _number(result.get(name)) for name in _STATISTICS}
    latencies_s = result.get("latencies")  # there without any metric asked for; e2el is not
    if numbers["mean_e2el_ms"] is None and completed and latencies_s:
        numbers["mean_e2el_ms"] = 1000 * sum(latencies_s) / len(latencies_s)
    level = _load_level(
        workload=str(result.get("label") or "vllm-bench"),
        key=imported_key("vllm-bench", result, _VLLM_ASKED),
        measured_at=measured_at,
        max_concurrency=max_concurrency,
        request_rate=_rate(result["request_rate"], max_concurrency),
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
    return Imported(file, named_model(result["model_id"]), measured_at, (level,))


def evalscope_perf(file: Path, summary: Document) -> Imported:
    """benchmark_summary.json of evalscope perf, with the files beside it."""
    folder = file.parent
    arguments = _beside(folder / "benchmark_args.json")
    measured_at = dated(file, arguments.get("outputs_dir"))
    percentiles = _percentiles(_beside(folder / "benchmark_percentile.json"))
    completed = _whole(summary, ("Success Requests", "Succeed requests"))
    total = _whole(summary, ("Total Requests", "Total requests"))
    level = _load_level(
        workload=str(arguments.get("dataset") or "evalscope-perf"),
        key=imported_key("evalscope-perf", arguments, _PERF_ASKED),
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
    model = named_model(arguments.get("model") or "unknown")
    return Imported(file, model, measured_at, (level,))


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
    mean_e2el_ms = numbers["mean_e2el_ms"] or 0.0
    busy_s = completed * mean_e2el_ms / 1000 if math.isfinite(mean_e2el_ms) else 0.0
    reasons = _reasons(
        completed=completed,
        duration_s=duration_s,
        max_concurrency=max_concurrency,
        request_rate=request_rate,
        numbers=numbers,
        rest=rest,
    )
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
        "valid": not reasons,
        "invalid_reasons": reasons,
    }
    return LoadLevel(**(fields | numbers | rest))


def _reasons(
    *,
    completed: int,
    duration_s: float,
    max_concurrency: int | None,
    request_rate: float | None,
    numbers: Mapping[str, Any],
    rest: Mapping[str, Any],
) -> list[str]:
    """Why a level is not to be compared: the reasons are those of our own levels, and one more."""
    failed, num_prompts = rest["failed"], rest["num_prompts"]
    impossible = (
        completed + failed > num_prompts,
        completed > 0 and not duration_s > 0,
        max_concurrency is not None and max_concurrency < 1,
        request_rate is not None and not request_rate > 0,
        any(not _in_order(numbers, family) for family in _PERF_FAMILIES),
    )
    reasons = []
    if completed == 0 or failed > FAILURE_SHARE * max(num_prompts, 1):
        reasons.append("failures")
    return [*reasons, IMPOSSIBLE] if any(impossible) else reasons


def _in_order(numbers: Mapping[str, Any], family: str) -> bool:
    """Whether no percentile is above a higher one, but for how they were rounded."""
    known = [numbers[f"{statistic}_{family}_ms"] for statistic in _RISING]
    rising = [value for value in known if value is not None]
    return all(low <= high * (1 + _ROUNDING) for low, high in itertools.pairwise(rising))


def _vllm_date(text: str) -> datetime:
    """`20261121-081500`, in the time zone of the machine that ran it: taken as ours."""
    return datetime.strptime(text, "%Y%m%d-%H%M%S").astimezone(UTC)


def _rate(value: object, max_concurrency: int | None) -> float | None:
    """`inf` is how vLLM says that max_concurrency alone drives, a closed loop; without one it sends
    everything at once."""
    rate = float(str(value))
    if math.isnan(rate):
        raise ValueError(f"request_rate is {value}")
    return None if math.isinf(rate) and max_concurrency is not None else rate


def _positive(value: object) -> float | None:
    """A rate of evalscope, which says -1 (and once nothing) where concurrency alone drives."""
    rate = _number(value)
    return rate if rate is not None and rate > 0 else None


def _number(value: object) -> float | None:
    """None where nothing is said; what is said and is no number is none that `plausible` takes."""
    if value is None:
        return None
    return float(value) if isinstance(value, int | float) and not _is_flag(value) else math.nan


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


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
