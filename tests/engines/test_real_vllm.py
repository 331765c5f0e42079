"""Real vLLM, asked: its answers are what the weights say, and what we count is what it counts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from asking import MAX_TOKENS, ask

from nightbench.accuracy.evaluate import evaluate
from nightbench.errors import BadInput
from nightbench.home.paths import Home
from nightbench.load.drive.jobs import GeneratorOptions
from nightbench.load.measure import measure_level
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.workloads import read_prompts
from nightbench.load.prefix_cache import TEMPLATE_TOKENS, read_cache_counters
from nightbench.records import AccuracySample, LoadLevel
from nightbench.resources import suites_dir
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.server import Server, serve
from nightbench.serving.supervise.launcher import Options
from nightbench.suite.file import read_suite
from nightbench.suite.models import AccuracySpec, LoadSpec, Target

RunInEngine = Callable[..., str]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

LONG = " ".join(f"number {number}" for number in range(70))  # two blocks of its cache
STARTER = read_suite(suites_dir() / "starter.yaml")
PROMPTS = [
    "What is the capital of France?",
    "What is 2 + 2?",
    "Name three colors.",
    "Write one sentence about the sea.",
    "What is the opposite of hot?",
    "Who wrote Hamlet?",
    "How many days are in a week?",
    "What do bees make?",
    "Translate 'good morning' into French.",
    "What is the largest planet?",
    "Is water wet? Answer yes or no.",
    "Count from one to five.",
    "What is the boiling point of water in Celsius?",
    "Finish the sentence: The early bird",
    "Which animal says meow?",
    "What is the square root of 81?",
    "Give a synonym for happy.",
    "In which country is Kyoto?",
    "What is H2O?",
    "How many legs has a spider?",
    "What color is a ripe banana?",
    "Name a prime number above 10.",
]


def test_greedy_answers_are_those_of_the_same_weights_in_transformers(
    smollm2_server: Server, run_in_engine: RunInEngine, builtin_model: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        ours = list(pool.map(lambda prompt: ask(smollm2_server, prompt), PROMPTS))
    said = run_in_engine(
        "greedy_reference.py",
        *(str(builtin_model), str(MAX_TOKENS)),
        stdin=json.dumps(PROMPTS),
    )
    assert dict(zip(PROMPTS, ours, strict=True)) == dict(
        zip(PROMPTS, json.loads(said), strict=True)
    )


def test_the_key_is_asked_for_and_shown_to_nobody(smollm2_server: Server) -> None:
    endpoint = smollm2_server.endpoint
    refused = httpx.get(f"{endpoint.base_url}/models", trust_env=False)
    row = smollm2_server.row()
    assert refused.status_code == 401
    assert row is not None
    assert endpoint.api_key
    assert endpoint.api_key not in repr(row)
    assert endpoint.api_key not in repr(endpoint)
    seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert endpoint.api_key not in seen.stdout
    assert endpoint.api_key not in Path(row.log_path or "").read_text(errors="replace")


def test_a_boot_is_timed_and_its_facts_are_there(smollm2_server: Server) -> None:
    row = smollm2_server.row()
    assert row is not None
    assert row.boot_s
    assert row.boot_weights_s
    assert row.boot_first_answer_s
    assert row.boot_process_s
    assert row.boot_process_s < row.boot_s
    facts = {fact.name: fact.value for fact in smollm2_server.provenance()}
    assert facts["engine_version"].startswith("0.")
    assert "digest_config.json" in facts


def test_its_own_counters_move_when_it_is_asked(smollm2_server: Server) -> None:
    before = smollm2_server.read_counters()["generation_tokens"]
    ask(smollm2_server, PROMPTS[0])
    assert smollm2_server.read_counters()["generation_tokens"] > before
    assert smollm2_server.trouble() is None


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


def test_a_port_that_is_taken_is_said_before_anything_starts(
    engine_home: Home,
    private_machine: Machine,
    smollm2: Target,
    smollm2_server: Server,
    tmp_path: Path,
) -> None:
    taken = int(smollm2_server.endpoint.root_url.rsplit(":", 1)[1])
    elsewhere = replace(private_machine, leases=tmp_path)
    with (
        pytest.raises(BadInput, match=f"port {taken} is taken by pid"),
        serve(
            smollm2,
            engine_home,
            base_dir=tmp_path,
            run_dir=tmp_path / "run",
            machine=elsewhere,
            options=Options(port=taken),
        ),
    ):
        pytest.fail("it must not start")


def level_of(
    server: Server, folder: Path, questions: list[str], *, watched: bool = True
) -> LoadLevel:
    """One stream of these questions."""
    (folder / "questions.jsonl").write_text(
        "".join(json.dumps({"question": question}) + "\n" for question in questions)
    )
    spec = LoadSpec.model_validate(
        {
            "name": "cache",
            "workload": {"kind": "openqa", "path": "questions.jsonl"},
            "max_concurrency": 1,
            "num_prompts": len(questions),
            "generation": {"max_tokens": 2, "temperature": 0, "ignore_eos": True},
        }
    )
    (level,) = plan_levels(spec)
    prompts = read_prompts(spec.workload, level.prompts_needed, spec.seed, folder)
    options = GeneratorOptions(watch_prefix_cache=watched)
    return measure_level(level, prompts, server.endpoint, work_dir=folder, options=options).level


def test_a_prefix_that_prompts_share_makes_the_level_invalid(
    smollm2_server: Server, tmp_path: Path
) -> None:
    shared = [f"{LONG} and the question is {letter}" for letter in "abcdef"]
    level = level_of(smollm2_server, tmp_path, shared)
    assert level.completed == 6
    assert level.invalid_reasons == ["prefix_cache_hits"]
    # Every whole block of the text, by all but the first request.
    assert level.cached_tokens is not None
    assert level.cached_tokens > 0.4 * level.prompt_tokens


def test_prompts_that_share_nothing_find_an_empty_cache_unless_nobody_empties_it(
    smollm2_server: Server, tmp_path: Path
) -> None:
    apart = [f"{letter} {LONG}" for letter in "abcdef"]
    first, again = (level_of(smollm2_server, tmp_path, apart) for _ in range(2))
    for level in (first, again):
        assert level.invalid_reasons == []
        assert level.cached_tokens is not None
        assert level.cached_tokens <= 5 * TEMPLATE_TOKENS
    before = read_cache_counters(smollm2_server.endpoint)
    assert level_of(smollm2_server, tmp_path, apart, watched=False).cached_tokens is None
    after = read_cache_counters(smollm2_server.endpoint)
    assert before is not None
    assert after is not None
    assert after.hits - before.hits > 0.4 * again.prompt_tokens
