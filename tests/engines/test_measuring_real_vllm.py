"""Real vLLM, measured: our counts are the server's own, and the anchor stands well above chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.accuracy.evaluate import evaluate
from nightbench.load.levels import plan_levels
from nightbench.load.measure import measure_level
from nightbench.load.workloads import read_prompts
from nightbench.records import AccuracySample
from nightbench.resources import suites_dir
from nightbench.serving.server import Server
from nightbench.suite import AccuracySpec, LoadSpec
from nightbench.suite_file import read_suite

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

STARTER = read_suite(suites_dir() / "starter.yaml")


def test_a_levels_tokens_are_those_the_server_counted(
    smollm2_server: Server, tmp_path: Path
) -> None:
    shipped = STARTER.suite.load[0]
    spec = LoadSpec.model_validate(shipped.model_dump() | {"max_concurrency": 3, "num_prompts": 6})
    (level,) = plan_levels(spec)
    prompts = read_prompts(spec.workload, level.prompts_needed, spec.seed, STARTER.base_dir)
    before = smollm2_server.read_counters()
    measured = measure_level(level, prompts, smollm2_server.endpoint, work_dir=tmp_path).level
    after = smollm2_server.read_counters()
    assert (measured.completed, measured.failed) == (6, 0)
    assert measured.completion_tokens == 6 * 32
    warm_up_tokens = spec.warmup_prompts * 32
    assert after["generation_tokens"] - before["generation_tokens"] == 6 * 32 + warm_up_tokens
    assert measured.peak_concurrency == 3
    assert measured.mean_ttft_ms is not None
    assert measured.mean_tpot_ms is not None
    assert measured.mean_e2el_ms == pytest.approx(
        measured.mean_ttft_ms + 31 * measured.mean_tpot_ms, rel=0.001
    )


def test_the_anchor_is_answered_right_by_the_real_model(smollm2_server: Server) -> None:
    samples: list[AccuracySample] = []
    spec = AccuracySpec.model_validate(
        {
            "benchmark": "starter",
            "subsets": ["anchor"],
            "max_concurrency": 8,
            "generation": {"temperature": 0},
        }
    )
    overall = evaluate(
        spec, smollm2_server.endpoint, base_dir=STARTER.base_dir, on_sample=samples.append
    )[0]
    assert overall.valid, overall.invalid_reasons
    assert overall.num_samples == len(samples) >= 40
    assert overall.ci_low > 0.6, f"{overall.accuracy:.1%}"
    assert overall.extraction_failed == 0


def test_completions_are_asked_of_the_real_model_too(
    smollm2_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "mine.jsonl").write_text(
        '{"query": "One, two, three, four,", "response": "five"}\n'
        '{"query": "Monday, Tuesday, Wednesday,", "response": "Thursday"}\n'
    )
    samples: list[AccuracySample] = []
    spec = AccuracySpec.model_validate(
        {
            "benchmark": "qa",
            "api": "completions",
            "data": "mine.jsonl",
            "generation": {"temperature": 0, "max_tokens": 8},
        }
    )
    overall = evaluate(spec, smollm2_server.endpoint, base_dir=tmp_path, on_sample=samples.append)[
        0
    ]
    assert overall.valid, overall.invalid_reasons
    assert [sample.correct for sample in samples] == [True, True], samples
    assert all(sample.finish_reason == "length" for sample in samples)
    # What a chat template would add is not there: the prompt is the text alone.
    assert all(sample.prompt_tokens and sample.prompt_tokens < 10 for sample in samples)
