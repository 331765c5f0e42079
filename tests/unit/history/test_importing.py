"""Results of other tools become nights, marked, and are never mixed with ours."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightbench.cli import import_command
from nightbench.dashboards.curves import experiments_over_nights
from nightbench.errors import DataError
from nightbench.history.importers.imported import Imported
from nightbench.history.importers.importing import read_each
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from nightbench.records import AccuracyResult, LoadLevel
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night

# What the tools themselves wrote, a few requests each against the reference server: vLLM 0.32,
# evalscope 1.14. The dictionaries below are such files, shortened, with numbers to tell apart.
REAL = Path(__file__).parent / "foreign"

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


def read_results(tool: str, path: Path) -> list[Imported]:
    """All of it, where nothing is wrong with any."""
    results, problems = read_each(tool, path)
    if problems:
        raise problems[0]
    return results


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


def test_a_real_file_of_vllm_bench_is_read_whole() -> None:
    level = only_level("vllm-bench", REAL / "vllm-bench-concurrency.json")
    assert (level.level, level.request_rate, level.num_prompts, level.completed) == (
        "c4", None, 12, 12,
    )  # fmt: skip
    assert level.mean_ttft_ms == pytest.approx(32.54, abs=0.01)
    assert level.p95_ttft_ms is None  # vLLM reports p99 alone unless asked
    assert level.mean_e2el_ms == pytest.approx(32.54 + 11 * 5.01, rel=0.02)
    assert level.mean_concurrency == pytest.approx(4, rel=0.1)
    rate = only_level("vllm-bench", REAL / "vllm-bench-rate.json")
    assert (rate.level, rate.request_rate, rate.max_concurrency) == ("r20", 20.0, None)


def test_a_real_report_of_evalscope_is_read_whole() -> None:
    (imported,) = read_results("evalscope", REAL / "evalscope-reports")
    rows = {r.subset: r for r in imported.rows if isinstance(r, AccuracyResult)}
    assert imported.model == "m"
    assert {name: (r.benchmark, r.num_samples, r.accuracy) for name, r in rows.items()} == {
        "all": ("general_mcq", 6, 0.0),
        "iq": ("general_mcq", 3, 0.0),
        "eq": ("general_mcq", 3, 0.0),
    }


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


def test_real_files_of_evalscope_perf_are_a_level_each() -> None:
    found = read_results("evalscope-perf", REAL / "evalscope-perf")
    levels = [imported.rows[0] for imported in found]
    assert all(isinstance(level, LoadLevel) for level in levels)
    assert [
        (i.model, lv.workload, lv.level, lv.completed) for i, lv in zip(found, levels, strict=True)
    ] == [
        ("m", "openqa", "c2", 8),
        ("m", "openqa", "c4", 12),
    ]
    first = levels[0]
    assert (first.mean_ttft_ms, first.p95_ttft_ms, first.mean_e2el_ms) == (32.62, 45.2524, 88.8)
    assert (first.prompt_tokens, first.completion_tokens) == (118, 96)
    assert first.mean_concurrency == pytest.approx(2, rel=0.05)


def test_a_rate_of_evalscope_perf_is_an_open_loop(tmp_path: Path) -> None:
    summary = PERF | {"Request Rate (req/s)": 2.5}
    level = only_level("evalscope-perf", write(tmp_path / "benchmark_summary.json", summary))
    assert (level.level, level.request_rate) == ("r2.5", 2.5)


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


def test_what_was_imported_under_our_targets_name_stays_out_of_what_is_drawn_and_compared(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    for night in range(2):
        spool_night(home.spool, night, Shape())
    report = REPORT | {"dataset_name": "starter"}  # as our benchmark is called
    sources = {
        "vllm-bench": write(tmp_path / "r.json", VLLM | {"label": "openqa", "max_concurrency": 4}),
        "evalscope": write(tmp_path / "reports" / "m" / "starter.json", report),
    }
    for tool, path in sources.items():
        (imported,) = read_results(tool, path)
        import_command.spool(home, tool, imported, "starter")
    land(home)
    with open_history(home) as history:
        (series,) = experiments_over_nights(history, ["starter"])
        changes = history.query("provenance_changes", target="starter", nights=10_000)
        flipped = history.query("flips", target="starter")
        before = history.rows(
            "previous_run", run_id=run_id_of(1), target="starter", benchmark="starter"
        ).rows
        theirs = history.sql("SELECT run_id FROM runs WHERE suite = 'imported-vllm-bench'").rows
        compared = history.query("compare", a=run_id_of(1), b=theirs[0][0])
    assert {p.step for p in series.points} == {0, 1}
    assert changes.empty
    assert set(flipped["run_id"]) <= {run_id_of(1)}
    assert before == ((run_id_of(0),),)
    assert len(compared) > 0
    assert compared["imported"].all()
    assert not compared["same_question"].any()


def imported(tmp_path: Path, *documents: dict[str, object]) -> Home:
    """A home after `nightbench import` of these, and nothing else."""
    from nightbench.cli.main import main

    for number, document in enumerate(documents):
        write(tmp_path / "results" / f"{number}.json", VLLM | document)
    assert main(["import", "--from", "vllm-bench", str(tmp_path / "results")]) == 0
    return Home(tmp_path / "home")


@pytest.fixture
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("_own_home")
def test_models_whose_names_are_alike_are_targets_of_their_own(tmp_path: Path) -> None:
    models = ["Qwen/Qwen3-8B", "unsloth/Qwen3-8B", "Qwen--Qwen3-8B", "a b", "a-b", "模型", "x" * 99]
    home = imported(tmp_path, *({"model_id": model} for model in models))
    with open_history(home) as history:
        rows = history.sql("SELECT DISTINCT target, model FROM targets").rows
    assert {model for _, model in rows} == set(models)
    assert len({target for target, _ in rows}) == len(models)
    assert ("imported-Qwen--Qwen3-8B", "Qwen/Qwen3-8B") in rows


def test_results_of_two_models_are_not_one_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nightbench.cli.main import main

    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))
    for model in ("a/m", "b/m"):
        write(tmp_path / "results" / f"{model[0]}.json", VLLM | {"model_id": model})
    given = ["import", "--from", "vllm-bench", str(tmp_path / "results"), "--target", "mine"]
    assert main(given) == 2
    assert "2 models" in capsys.readouterr().err


@pytest.mark.usefixtures("_own_home")
def test_plain_results_of_vllm_bench_send_everything_at_once(tmp_path: Path) -> None:
    home = imported(tmp_path, {"max_concurrency": None})
    with open_history(home) as history:
        rows = history.sql("SELECT level, request_rate, valid FROM load_levels").rows
    assert rows == (("rinf", float("inf"), True),)


def test_two_concurrencies_are_two_measurements(tmp_path: Path) -> None:
    levels = [
        only_level("vllm-bench", write(tmp_path / f"{n}.json", VLLM | {"max_concurrency": n}))
        for n in (4, 8)
    ]
    assert levels[0].measurement_key != levels[1].measurement_key


@pytest.mark.parametrize(
    ("said", "reasons"),
    [
        ({"completed": 0, "failed": 100}, ["failures"]),
        ({"completed": 98, "failed": 2}, ["failures"]),
        ({"mean_ttft_ms": float("nan")}, ["impossible_values"]),
        ({"mean_ttft_ms": -1.0}, ["impossible_values"]),
        ({"p99_ttft_ms": "fast"}, ["impossible_values"]),
        ({"median_tpot_ms": 31.0}, ["impossible_values"]),
        ({"completed": 101, "failed": 0}, ["impossible_values"]),
        ({"duration": 0.0}, ["impossible_values"]),
        ({"max_concurrency": 0}, ["impossible_values"]),
        ({}, []),
    ],
)
def test_what_failed_or_cannot_be_is_invalid(
    tmp_path: Path, said: dict[str, object], reasons: list[str]
) -> None:
    level = only_level("vllm-bench", write(tmp_path / "r.json", VLLM | said))
    assert (level.valid, level.invalid_reasons) == (not reasons, reasons)


@pytest.mark.parametrize("score", [75.0, -0.1, float("nan")])
def test_a_score_that_is_no_share_is_none(tmp_path: Path, score: float) -> None:
    metric = REPORT["metrics"][0] | {"score": score}
    write(tmp_path / "reports" / "m" / "iquiz.json", REPORT | {"metrics": [metric]})
    with pytest.raises(DataError, match="expected 0 to 1"):
        read_results("evalscope", tmp_path)


def test_an_accuracy_over_no_questions_is_invalid(tmp_path: Path) -> None:
    metric = REPORT["metrics"][0] | {"num": 0, "categories": []}
    write(tmp_path / "reports" / "m" / "iquiz.json", REPORT | {"metrics": [metric]})
    ((row,),) = (one.rows for one in read_results("evalscope", tmp_path))
    assert isinstance(row, AccuracyResult)
    assert (row.valid, row.invalid_reasons) == (False, ["no_samples"])


@pytest.mark.parametrize("model", [None, "", 7, {"a": 1}])
def test_a_result_that_names_no_model_is_none(tmp_path: Path, model: object) -> None:
    with pytest.raises(DataError, match="the model is"):
        read_results("vllm-bench", write(tmp_path / "r.json", VLLM | {"model_id": model}))


def test_nights_of_evalscope_have_the_date_of_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    write(tmp_path / "outputs" / "20260103_040506" / "reports" / "glm" / "iquiz.json", REPORT)
    write(tmp_path / "20260104_010203" / "m" / "parallel_5" / "benchmark_summary.json", PERF)
    (report,) = read_results("evalscope", tmp_path)
    (perf,) = read_results("evalscope-perf", tmp_path)
    moved = read_results("evalscope-perf", REAL / "evalscope-perf")
    assert report.measured_at == datetime(2026, 1, 3, 4, 5, 6, tzinfo=UTC)
    assert perf.measured_at == datetime(2026, 1, 4, 1, 2, 3, tzinfo=UTC)
    assert {one.measured_at for one in moved} == {datetime(2026, 11, 21, 14, 27, 45, tzinfo=UTC)}
    monkeypatch.undo()
    time.tzset()


def test_a_folder_named_like_a_result_and_a_link_to_nothing_stop_no_import(tmp_path: Path) -> None:
    write(tmp_path / "a.json", VLLM)
    (tmp_path / "b.json").mkdir()
    (tmp_path / "c.json").symlink_to("nothing")
    results, problems = read_each("vllm-bench", tmp_path)
    assert len(results) == 1
    assert ["c.json is not a result" in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("completed", 2**66),
        ("completed", -1),
        ("total_output_tokens", 1e308),
        ("duration", float("nan")),
        ("output_throughput", float("inf")),
        ("num_prompts", 1e400),
        ("date", "00010101-000000"),
    ],
)
def test_a_result_whose_numbers_are_absurd_is_none(
    tmp_path: Path, name: str, value: object
) -> None:
    path = write(tmp_path / "r.json", VLLM | {name: value})
    with pytest.raises(DataError, match="is not a result of vllm-bench"):
        read_results("vllm-bench", path)


def test_a_number_that_may_be_missing_is_missing_where_it_is_absurd(tmp_path: Path) -> None:
    absurd = {"mean_ttft_ms": -1e300, "p99_ttft_ms": float("nan"), "max_concurrency": 2**66}
    level = only_level("vllm-bench", write(tmp_path / "r.json", VLLM | absurd))
    assert (level.mean_ttft_ms, level.p99_ttft_ms, level.max_concurrency) == (None, None, None)
    assert level.median_ttft_ms == 100.0


def test_one_bad_file_of_many_is_named_and_the_others_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nightbench.cli.main import main

    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))
    write(tmp_path / "results" / "a.json", VLLM)
    write(tmp_path / "results" / "b.json", VLLM | {"completed": 2**66})
    write(tmp_path / "results" / "c.json", VLLM | {"completed": 98})
    assert main(["import", "--from", "vllm-bench", str(tmp_path / "results")]) == 1
    said = capsys.readouterr()
    assert "imported 2 results" in said.out
    assert "b.json is not a result of vllm-bench" in said.err
    with open_history(Home(tmp_path / "home")) as history:
        assert history.sql("SELECT count(*) FROM load_levels").rows == ((2,),)
    assert main(["import", "--from", "vllm-bench", str(tmp_path), "--target", "../../x"]) == 2
