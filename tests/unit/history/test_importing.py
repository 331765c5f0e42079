"""Results of other tools become nights, marked, and are never mixed with ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightbench.cli import import_command
from nightbench.errors import DataError
from nightbench.history.importing import read_results
from nightbench.history.landing import land
from nightbench.history.reading import open_history
from nightbench.home import Home
from nightbench.records import AccuracyResult, LoadLevel
from tests.benchmarks.synthetic_nights import Shape, spool_night

# As `vllm bench serve --save-result` of vLLM 0.32 writes it, shortened.
VLLM = {
    "date": "20261121-081500", "endpoint_type": "openai-chat", "backend": "openai-chat",
    "label": None, "model_id": "glm-4.5-air", "tokenizer_id": "t", "num_prompts": 100,
    "request_rate": "inf", "burstiness": 1.0, "max_concurrency": 20, "duration": 50.0,
    "completed": 99, "failed": 1, "total_input_tokens": 3200, "total_output_tokens": 10000,
    "request_throughput": 1.98, "output_throughput": 200.0, "total_token_throughput": 264.0,
    "max_concurrent_requests": 20, "mean_ttft_ms": 120.5, "median_ttft_ms": 100.0,
    "p99_ttft_ms": 300.0, "mean_tpot_ms": 20.0, "median_tpot_ms": 19.0, "p99_tpot_ms": 30.0,
    "mean_itl_ms": 20.0, "mean_e2el_ms": 2000.0,
}  # fmt: skip
# As evalscope perf 1.14 writes it, shortened.
PERF = {
    "Test Duration (s)": 40.0, "Concurrency": 5, "Total Requests": 100, "Success Requests": 100,
    "Failed Requests": 0, "Req Throughput (req/s)": 2.5, "Output Throughput (tok/s)": 250.0,
    "Total Throughput (tok/s)": 320.0, "Avg Latency (s)": 2.0, "Avg TTFT (ms)": 80.0,
    "Avg TPOT (ms)": 19.0, "Avg ITL (ms)": 19.5, "Avg Input Tokens": 28.0,
    "Avg Output Tokens": 100.0,
}  # fmt: skip
PERF_PERCENTILES = [
    {"Percentiles": "50%", "TTFT (ms)": 75.0, "TPOT (ms)": 18.5, "Latency (s)": 1.9},
    {"Percentiles": "95%", "TTFT (ms)": 140.0, "TPOT (ms)": 22.0, "Latency (s)": 2.4},
]
# As evalscope wrote it before 1.0: seconds, other names.
OLD_PERF = {
    "Time taken for tests (s)": 40.0, "Number of concurrency": 5, "Total requests": 100,
    "Succeed requests": 100, "Failed requests": 0, "Request throughput (req/s)": 2.5,
    "Output token throughput (tok/s)": 250.0, "Total token throughput (tok/s)": 320.0,
    "Average latency (s)": 2.0, "Average time to first token (s)": 0.08,
    "Average time per output token (s)": 0.019, "Average input tokens per request": 28.0,
    "Average output tokens per request": 100.0,
}  # fmt: skip
REPORT = {
    "name": "glm@iquiz", "dataset_name": "iquiz", "model_name": "glm-4.5-air",
    "metrics": [
        {
            "name": "mean_acc", "num": 120, "score": 0.75,
            "categories": [
                {
                    "name": ["default"], "num": 120, "score": 0.75,
                    "subsets": [
                        {"name": "IQ", "num": 40, "score": 0.6},
                        {"name": "EQ", "num": 80, "score": 0.825},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def only_level(tool: str, path: Path) -> LoadLevel:
    (imported,) = read_results(tool, path)
    (row,) = imported.rows
    assert isinstance(row, LoadLevel)
    return row


def test_a_result_of_vllm_bench_is_a_level(tmp_path: Path) -> None:
    level = only_level("vllm-bench", write(tmp_path / "r.json", VLLM))
    assert (level.level, level.max_concurrency, level.request_rate) == ("c20", 20, None)
    assert (level.completed, level.failed, level.num_prompts) == (99, 1, 100)
    assert (level.mean_ttft_ms, level.p99_tpot_ms, level.p95_ttft_ms) == (120.5, 30.0, None)
    assert level.mean_concurrency == pytest.approx(99 * 2.0 / 50)


def test_a_rate_of_vllm_bench_is_an_open_loop(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", VLLM | {"request_rate": 2.5, "max_concurrency": None})
    level = only_level("vllm-bench", path)
    assert (level.level, level.request_rate, level.max_concurrency) == ("r2.5", 2.5, None)


def test_a_result_of_evalscope_perf_is_a_level(tmp_path: Path) -> None:
    summary = write(tmp_path / "parallel_5_number_100" / "benchmark_summary.json", PERF)
    write(summary.with_name("benchmark_percentile.json"), PERF_PERCENTILES)
    write(summary.with_name("benchmark_args.json"), {"model": "glm", "dataset": "openqa"})
    level = only_level("evalscope-perf", tmp_path)
    assert (level.workload, level.level, level.completion_tokens) == ("openqa", "c5", 10_000)
    assert (level.mean_ttft_ms, level.p95_ttft_ms, level.p95_e2el_ms) == (80.0, 140.0, 2400.0)


def test_seconds_of_older_evalscope_become_milliseconds(tmp_path: Path) -> None:
    path = write(tmp_path / "benchmark_summary.json", OLD_PERF)
    level = only_level("evalscope-perf", path)
    assert level.mean_ttft_ms == pytest.approx(80.0)
    assert level.output_throughput == 250.0


def test_a_report_of_evalscope_is_an_accuracy_with_its_subsets(tmp_path: Path) -> None:
    write(tmp_path / "reports" / "glm" / "iquiz.json", REPORT)
    (imported,) = read_results("evalscope", tmp_path)
    scores = {r.subset: r.accuracy for r in imported.rows if isinstance(r, AccuracyResult)}
    assert scores == {"all": 0.75, "IQ": 0.6, "EQ": 0.825}


def test_a_report_of_schema_2_names_its_metric_by_identity(tmp_path: Path) -> None:
    metric = {key: value for key, value in REPORT["metrics"][0].items() if key != "name"}
    metric["identity"] = {"name": "accuracy", "aggregation": "mean", "dimensions": {}}
    write(tmp_path / "reports" / "m" / "iquiz.json", REPORT | {"metrics": [metric]})
    (imported,) = read_results("evalscope", tmp_path)
    assert len(imported.rows) == 3


@pytest.mark.parametrize("tool", ["vllm-bench", "evalscope", "evalscope-perf"])
def test_a_file_of_something_else_is_named(tmp_path: Path, tool: str) -> None:
    path = write(tmp_path / "x.json", {"what": "ever"})
    with pytest.raises(DataError, match=f"is not a result of {tool}"):
        read_results(tool, path)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results of evalscope in"):
        read_results("evalscope", tmp_path)


def test_imported_nights_have_series_of_their_own_and_land_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    spool_night(home.spool, 0, Shape())
    path = write(tmp_path / "r.json", VLLM)
    for landed in (True, False):
        (imported,) = read_results("vllm-bench", path)
        assert import_command.spool(home, "vllm-bench", imported, "starter") is landed
        assert land(home).damaged == []
    with open_history(home) as history:
        triggers = history.sql("SELECT trigger FROM runs ORDER BY started_at").rows
        latest = history.sql("SELECT DISTINCT name, max(night) OVER () FROM latest").rows
        trend = history.sql(
            "SELECT DISTINCT imported, name FROM nightly_trend WHERE kind = 'load' ORDER BY ALL"
        ).rows
        capacities = history.sql("SELECT DISTINCT workload FROM capacity").rows
    assert triggers == (("schedule",), ("import",))
    assert {name for name, _ in latest} == {"openqa", "starter"}
    assert trend == ((False, "openqa"), (True, "vllm-bench"))
    assert capacities == (("openqa",),)
