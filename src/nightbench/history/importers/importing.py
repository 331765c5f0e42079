"""Results that other tools left on disk, as rows of the history.

They are marked: the run's trigger is `import`, and their measurement keys begin with `imported:`,
so that no series mixes them with what nightbench measured. Numbers are taken as the tool reports
them; its definitions are its own (docs/metrics.md has ours), and what it does not say stays null.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nightbench.errors import DataError
from nightbench.history.importers.imported import (
    Document,
    Imported,
    dated,
    imported_key,
    named_model,
    plausible,
)
from nightbench.history.importers.load_results import evalscope_perf, vllm_bench
from nightbench.history.spool.identity import FIRST_NIGHT, LAST_NIGHT
from nightbench.records import AccuracyResult

# What reading somebody's JSON as something else ends in.
_NO_RESULT = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(OverflowError, ZeroDivisionError, RecursionError),
)


def read_each(tool: str, path: Path) -> tuple[list[Imported], list[DataError]]:
    """Everything a tool left under a file or folder, and what of it is not what it should be.

    Raises:
        DataError: nothing of that tool is there.
    """
    patterns = {
        "vllm-bench": "*.json",
        "evalscope": "reports/**/*.json",
        "evalscope-perf": "benchmark_summary.json",
    }
    readers = {
        "vllm-bench": vllm_bench,
        "evalscope": _evalscope,
        "evalscope-perf": evalscope_perf,
    }
    folder = sorted(file for file in path.rglob(patterns[tool]) if not file.is_dir())
    files = folder if path.is_dir() else [path]
    if not files:
        raise DataError(
            f"there are no results of {tool} in {path}", hint=f"Expected {patterns[tool]} in it."
        )
    results, problems = [], []
    for file in files:
        try:
            results.append(_read(readers[tool], file, tool))
        except DataError as error:
            problems.append(error)
    return results, problems


def _read(reader: Any, file: Path, tool: str) -> Imported:
    try:
        if not file.is_file():
            raise ValueError("not a regular file")
        imported: Imported = reader(file, json.loads(file.read_text(encoding="utf-8")))
        if not FIRST_NIGHT <= imported.measured_at.date() <= LAST_NIGHT:
            raise ValueError(f"measured at {imported.measured_at}")
        return replace(imported, rows=tuple(plausible(row) for row in imported.rows))
    except _NO_RESULT as error:
        raise DataError(
            f"{file} is not a result of {tool}: {error!r}",
            hint="Set --from to the tool that wrote it.",
        ) from error


def _evalscope(file: Path, report: Document) -> Imported:
    measured_at = dated(file)
    metric = report["metrics"][0]
    benchmark = str(report["dataset_name"])
    # Reports of schema 2 (evalscope 1.14) call the metric by its identity, older ones by its name.
    name = metric["identity"]["name"] if "identity" in metric else metric["name"]
    key = imported_key("evalscope", {"dataset": benchmark, "metric": name}, ("dataset", "metric"))
    parts = [("all", metric)] + [
        (str(subset["name"]), subset)
        for category in metric["categories"]
        for subset in category["subsets"]
        if not subset.get("is_aggregate")
    ]
    rows = tuple(_accuracy(benchmark, name, part, key, measured_at) for name, part in parts)
    return Imported(file, named_model(report["model_name"]), measured_at, rows)


def _accuracy(
    benchmark: str, subset: str, part: Document, key: str, measured_at: datetime
) -> AccuracyResult:
    from nightbench.stats import wilson_interval

    num, score = int(part["num"]), float(part["score"])
    if not 0 <= score <= 1:
        raise ValueError(f"the score of {subset} is {score}: expected 0 to 1")
    reasons = [] if num > 0 else ["no_samples"]
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
        valid=not reasons,
        invalid_reasons=reasons,
    )
