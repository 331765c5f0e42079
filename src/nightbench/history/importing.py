"""Results that other tools left on disk, as rows of the history.

They are marked: the run's trigger is `import`, and their measurement keys begin with `imported:`,
so that no series mixes them with what nightbench measured. Numbers are taken as the tool reports
them; its definitions are its own (docs/metrics.md has ours), and what it does not say stays null.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightbench.errors import DataError
from nightbench.history.tables import Row
from nightbench.records import AccuracyResult, LoadLevel

KEY_PREFIX = "imported:"
FORMATS = ("vllm-bench", "evalscope", "evalscope-perf")
Document = Mapping[str, Any]

_LOAD_STATISTICS = ("mean", "median", "p90", "p95", "p99")
_LOAD_FAMILIES = ("ttft", "ttfat", "tpot", "itl", "icl", "e2el", "queue")
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


@dataclass(frozen=True, slots=True)
class Imported:
    """What one file of another tool says."""

    source: Path
    model: str
    measured_at: datetime
    rows: tuple[Row, ...]


def read_results(tool: str, path: Path) -> list[Imported]:
    """Everything a tool left under a file or folder.

    Raises:
        DataError: nothing of that tool is there, or a file is not what it should be.
    """
    patterns = {
        "vllm-bench": "*.json",
        "evalscope": "reports/**/*.json",
        "evalscope-perf": "benchmark_summary.json",
    }
    readers = {
        "vllm-bench": _vllm_bench,
        "evalscope": _evalscope,
        "evalscope-perf": _evalscope_perf,
    }
    files = [path] if path.is_file() else sorted(path.rglob(patterns[tool]))
    if not files:
        raise DataError(
            f"there are no results of {tool} in {path}", hint=f"Expected {patterns[tool]} in it."
        )
    return [_read(readers[tool], file, tool) for file in files]


def _read(reader: Any, file: Path, tool: str) -> Imported:
    try:
        imported: Imported = reader(file, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} is not a result of {tool}: {error!r}",
            hint="Say --from as the tool it is from.",
        ) from error
    return imported


def _vllm_bench(file: Path, result: Document) -> Imported:
    measured_at = _vllm_date(str(result["date"]))
    duration_s, completed = float(result["duration"]), int(result["completed"])
    numbers = {
        f"{statistic}_{family}_ms": _number(result.get(f"{statistic}_{family}_ms"))
        for family in _LOAD_FAMILIES
        for statistic in _LOAD_STATISTICS
    }
    level = _load_level(
        workload=str(result.get("label") or "vllm-bench"),
        key=_key("vllm-bench", result, ("model_id", "num_prompts", "request_rate", "burstiness")),
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


def _evalscope_perf(file: Path, summary: Document) -> Imported:
    folder = file.parent
    measured_at = _modified(file)
    arguments = _beside(folder / "benchmark_args.json")
    percentiles = _percentiles(_beside(folder / "benchmark_percentile.json"))
    numbers: dict[str, float | None] = {
        f"{statistic}_{family}_ms": None
        for family in _LOAD_FAMILIES
        for statistic in _LOAD_STATISTICS
    }
    for family, names in _PERF_FAMILIES.items():
        numbers[f"mean_{family}_ms"] = _first(summary, _PERF_MEANS[family])
        for statistic, label in (("median", "50%"), ("p90", "90%"), ("p95", "95%"), ("p99", "99%")):
            numbers[f"{statistic}_{family}_ms"] = _first(percentiles.get(label, {}), names)
    completed = _whole(summary, ("Success Requests", "Succeed requests"))
    total = _whole(summary, ("Total Requests", "Total requests"))
    level = _load_level(
        workload=str(arguments.get("dataset") or "evalscope-perf"),
        key=_key("evalscope-perf", arguments, ("model", "dataset", "number", "parallel", "rate")),
        measured_at=measured_at,
        max_concurrency=_whole(summary, ("Concurrency", "Number of concurrency")),
        request_rate=None,
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
        numbers=numbers,
    )
    return Imported(file, str(arguments.get("model") or "unknown"), measured_at, (level,))


def _evalscope(file: Path, report: Document) -> Imported:
    measured_at = _modified(file)
    metric = report["metrics"][0]
    benchmark = str(report["dataset_name"])
    # Reports of schema 2 (evalscope 1.14) call the metric by its identity, older ones by its name.
    name = metric["identity"]["name"] if "identity" in metric else metric["name"]
    key = _key("evalscope", {"dataset": benchmark, "metric": name}, ("dataset", "metric"))
    parts = [("all", metric)] + [
        (str(subset["name"]), subset)
        for category in metric["categories"]
        for subset in category["subsets"]
        if not subset.get("is_aggregate")
    ]
    rows = tuple(_accuracy(benchmark, name, part, key, measured_at) for name, part in parts)
    return Imported(file, str(report["model_name"]), measured_at, rows)


def _accuracy(
    benchmark: str, subset: str, part: Document, key: str, measured_at: datetime
) -> AccuracyResult:
    from nightbench.stats import wilson_interval

    num, score = int(part["num"]), float(part["score"])
    ci_low, ci_high = wilson_interval(score * num, num)
    return AccuracyResult(
        benchmark=benchmark,
        subset=subset,
        measurement_key=key,
        started_at=measured_at,
        duration_s=0.0,
        num_samples=num,
        num_questions=num,
        repeats=1,
        num_failed=0,
        num_correct=score * num,
        accuracy=score,
        ci_low=ci_low,
        ci_high=ci_high,
        accuracy_strict=score,
        disagreements=0,
        extraction_failed=0,
        truncated=0,
        max_concurrency=0,
        prompt_tokens=0,
        completion_tokens=0,
        data_digest="",
        valid=True,
        invalid_reasons=[],
    )


def _load_level(
    *,
    key: str,
    measured_at: datetime,
    max_concurrency: int | None,
    request_rate: float | None,
    duration_s: float,
    completed: int,
    numbers: Mapping[str, Any],
    **rest: Any,
) -> LoadLevel:
    mean_e2el_ms = numbers["mean_e2el_ms"]
    busy_s = completed * (mean_e2el_ms or 0.0) / 1000
    level = f"c{max_concurrency}" if request_rate is None else f"r{request_rate:g}"
    return LoadLevel(
        level=level,
        measurement_key=key,
        started_at=measured_at,
        max_concurrency=max_concurrency,
        request_rate=request_rate,
        completed=completed,
        duration_s=duration_s,
        cached_tokens=None,
        steady_output_throughput=None,
        goodput=None,
        mean_concurrency=busy_s / duration_s if duration_s > 0 else 0.0,
        littles_law_ratio=None,
        client_lag_p50_ms=None,
        client_lag_p99_ms=None,
        client_lag_max_ms=None,
        client_cpu_s=None,
        coalesced_reads=0,
        stamp_source="user",
        valid=True,
        invalid_reasons=[],
        **numbers,
        **rest,
    )


def _key(tool: str, document: Document, names: tuple[str, ...]) -> str:
    asked = json.dumps({name: document.get(name) for name in names}, sort_keys=True, default=str)
    return f"{KEY_PREFIX}{tool}:{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def _vllm_date(text: str) -> datetime:
    """`20261121-081500`, in the time zone of the machine that ran it: taken as ours."""
    return datetime.strptime(text, "%Y%m%d-%H%M%S").astimezone(UTC)


def _modified(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _rate(value: object) -> float | None:
    """`inf` is how vLLM says that max_concurrency alone drives: a closed loop."""
    rate = float(str(value))
    return rate if math.isfinite(rate) else None


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
