"""Real vLLM's prefix cache: its counters are read right, it is emptied between levels, and prompts
that share a prefix on purpose are found out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightbench.home import Home
from nightbench.load.levels import plan_levels
from nightbench.load.measure import GeneratorOptions, Measured, measure_level
from nightbench.load.prefix_cache import read_cache_counters
from nightbench.load.workloads import read_prompts
from nightbench.serving.machine import Machine
from nightbench.serving.server import Server, serve
from nightbench.suite import LoadSpec
from tests.conftest import REPOSITORY, SMOLLM2

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

# vLLM caches whole blocks: 128 tokens each on a CPU.
LONG = " ".join(f"number {number}" for number in range(150))
ENGINE = SMOLLM2.engine.model_copy(update={"env": {"VLLM_SERVER_DEV_MODE": "1"}})


@pytest.fixture(scope="module")
def server(
    engine_home: Home,
    builtin_model: Path,
    private_machine: Machine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A vLLM that lets its cache be emptied: in its development mode alone."""
    with serve(
        SMOLLM2.model_copy(update={"engine": ENGINE}),
        engine_home,
        base_dir=REPOSITORY,
        run_dir=tmp_path_factory.mktemp("prefix-cache"),
        machine=private_machine,
        on_progress=print,
    ) as server:
        yield server


def measured(
    server: Server, folder: Path, questions: list[str], *, watched: bool = True, **fields: Any
) -> Measured:
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
        | fields
    )
    (level,) = plan_levels(spec)
    prompts = read_prompts(spec.workload, level.prompts_needed, spec.seed, folder)
    options = GeneratorOptions(watch_prefix_cache=watched)
    return measure_level(level, prompts, server.endpoint, work_dir=folder, options=options)


def test_a_prefix_that_prompts_share_makes_the_level_invalid(
    server: Server, tmp_path: Path
) -> None:
    shared = [f"{LONG} and the question is {letter}" for letter in "abcdef"]
    level = measured(server, tmp_path, shared).level
    assert level.completed == 6
    assert level.invalid_reasons == ["prefix_cache_hits"]
    # Whole blocks of the common text, found by all but the first.
    assert level.cached_tokens is not None
    assert level.cached_tokens % (5 * 128) == 0
    assert level.cached_tokens > 0.5 * level.prompt_tokens


def test_prompts_that_share_nothing_are_a_valid_level(server: Server, tmp_path: Path) -> None:
    apart = [f"{letter} {LONG}" for letter in "abcdef"]
    level = measured(server, tmp_path, apart).level
    assert level.invalid_reasons == []
    assert level.cached_tokens == 0


def test_the_same_prompts_again_find_an_empty_cache_unless_nobody_empties_it(
    server: Server, tmp_path: Path
) -> None:
    apart = [f"{letter} again {LONG}" for letter in "abcdef"]
    assert measured(server, tmp_path, apart).level.cached_tokens == 0
    assert measured(server, tmp_path, apart).level.cached_tokens == 0
    before = read_cache_counters(server.endpoint)
    assert measured(server, tmp_path, apart, watched=False).level.cached_tokens is None
    after = read_cache_counters(server.endpoint)
    assert before is not None
    assert after is not None
    assert after.hits - before.hits >= 6 * 2 * 128
