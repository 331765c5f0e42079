"""Real vLLM: it takes our command lines, answers what the weights say, and goes without a trace."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from nightbench.engines import dispatch
from nightbench.errors import BadInput
from nightbench.home import Home
from nightbench.records import ServerRow
from nightbench.serving import probing, processes, reaper
from nightbench.serving.launching import Options
from nightbench.serving.machine import Machine
from nightbench.serving.server import Server, serve
from nightbench.suite import Target
from nightbench.suite_file import find_suite, read_suite

RunInEngine = Callable[..., str]
TinyLlama = Callable[[int], Path]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

MAX_TOKENS = 16
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


def ask(server: Server, prompt: str) -> str:
    """A greedy answer through the API."""
    reply = httpx.post(
        f"{server.endpoint.base_url}/chat/completions",
        headers=server.endpoint.request_headers(),
        json={
            "model": server.endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
        },
        timeout=120,
        trust_env=False,
    )
    reply.raise_for_status()
    return str(reply.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("suite", ["glm-4.5-air", "qwen3-8b", "starter"])
def test_vllm_itself_understands_what_we_plan(run_in_engine: RunInEngine, suite: str) -> None:
    target = read_suite(find_suite(suite)).suite.targets[0]
    planned = dispatch.plan_launch(
        target,
        model_path=target.model,
        host="127.0.0.1",
        port=8123,
        api_key="k",
        flavour="cpu",
        cores=(0, 1, 2, 3),
    )
    said = run_in_engine("parse_serve_arguments.py", *planned.argv[2:])
    understood = json.loads(said)
    assert understood["model_tag"] == target.model
    assert understood["served_model_name"] == [target.served_model_name]
    assert understood["port"] == 8123
    assert understood["tensor_parallel_size"] == dispatch.num_gpus(target)


def test_vllm_itself_understands_a_model_larger_than_a_node(run_in_engine: RunInEngine) -> None:
    engine = {
        "kind": "vllm",
        "tensor_parallel_size": 8,
        "pipeline_parallel_size": 2,
        "data_parallel_size": 2,
        "ray": {"address": "10.0.0.1:6379"},
        "args": {"enable-prefix-caching": False, "max-model-len": 8192},
    }
    planned = dispatch.plan_launch(
        Target.model_validate({"name": "t", "model": "/m", "engine": engine}),
        model_path="/m",
        host="127.0.0.1",
        port=8123,
        api_key="k",
        flavour="cuda",
    )
    understood = json.loads(run_in_engine("parse_serve_arguments.py", *planned.argv[2:]))
    expected = {
        "tensor_parallel_size": 8,
        "pipeline_parallel_size": 2,
        "data_parallel_size": 2,
        "distributed_executor_backend": "ray",
        "enable_prefix_caching": False,
        "max_model_len": 8192,
    }
    assert expected.items() <= understood.items()


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


def test_tensor_parallel_2_boots_answers_and_leaves_nothing(
    engine_home: Home,
    tiny_llama: TinyLlama,
    private_machine: Machine,
    tmp_path: Path,
) -> None:
    model = tiny_llama(64)
    target = Target.model_validate(
        {
            "name": "tiny-tp2",
            "model": str(model),
            "boot_timeout_s": 300,
            "engine": {
                "kind": "vllm",
                "tensor_parallel_size": 2,
                "args": {"dtype": "float32", "enforce-eager": True, "max-model-len": 512},
                "env": {"VLLM_CPU_KVCACHE_SPACE": "1"},
            },
        }
    )
    rows: list[ServerRow] = []
    machine = replace(private_machine, leases=tmp_path)
    with serve(
        target,
        engine_home,
        base_dir=tmp_path,
        run_dir=tmp_path / "run",
        machine=machine,
        on_progress=print,
        on_row=rows.append,
    ) as server:
        held = [state for state in reaper.states(tmp_path) if state.held]
        tree = {pid: processes.stat_of(pid) for state in held for pid in state.living}
        assert server.endpoint.model == str(model)
        assert ask(server, "Hello") is not None
        assert len(tree) >= 6, "guard, supervisor, init, API, engine core, two workers"
        leaving_at = time.monotonic()
    assert time.monotonic() - leaving_at < 15
    assert [row.exit_reason for row in rows] == ["stopped"]
    assert rows[0].teardown_clean
    assert not [pid for pid, stat in tree.items() if stat and processes.is_same(pid, stat[1])]
    assert not any(state.held for state in reaper.states(tmp_path))
    assert not probing.is_listening("127.0.0.1", int(rows[0].base_url.split(":")[2].split("/")[0]))
