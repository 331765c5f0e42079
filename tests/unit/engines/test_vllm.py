"""vLLM's command line, environment, log and counters."""

from __future__ import annotations

import shlex

import pytest

from nightbench.engines import vllm
from nightbench.engines.vllm import VllmEngine
from nightbench.errors import BadInput

GLM = VllmEngine.model_validate(
    {
        "kind": "vllm",
        "tensor_parallel_size": 4,
        "args": {
            "tool-call-parser": "glm45",
            "reasoning-parser": "glm45",
            "enable-auto-tool-choice": True,
        },
    }
)


def engine(**fields: object) -> VllmEngine:
    return VllmEngine.model_validate({"kind": "vllm", **fields})


def test_the_command_shown_is_the_one_people_typed_before() -> None:
    assert shlex.join(vllm.command(GLM, "/models/ZhipuAI/GLM-4.5-Air", "glm-4.5-air")) == (
        "vllm serve /models/ZhipuAI/GLM-4.5-Air --tensor-parallel-size 4 "
        "--tool-call-parser glm45 --reasoning-parser glm45 --enable-auto-tool-choice "
        "--served-model-name glm-4.5-air"
    )


def test_the_command_started_is_the_one_shown_with_its_address() -> None:
    started = vllm.argv(GLM, "/m", "glm", "127.0.0.1", 8123)
    assert started[-4:] == ("--host", "127.0.0.1", "--port", "8123")
    assert started[:-4] == vllm.command(GLM, "/m", "glm")


def test_false_is_spelled_no_and_lists_are_spread() -> None:
    args = {"enable_prefix_caching": False, "allowed-origins": ["a", "b"], "seed": 3}
    assert vllm.argv(engine(args=args), "/m", None, "h", 1)[3:-4] == (
        *("--no-enable-prefix-caching", "--allowed-origins", "a", "b", "--seed", "3"),
    )


@pytest.mark.parametrize("key", ["api-key", "api_key", "--port", "host", "served-model-name"])
def test_what_nightbench_sets_itself_is_refused_in_args(key: str) -> None:
    with pytest.raises(BadInput, match="cannot be set in a suite"):
        vllm.argv(engine(args={key: "x"}), "/m", None, "h", 1)


def test_the_suites_variables_win_over_ours() -> None:
    env = vllm.env(engine(env={"VLLM_CPU_KVCACHE_SPACE": "8"}), flavour="cpu")
    assert env["VLLM_CPU_KVCACHE_SPACE"] == "8"
    assert env["VLLM_TARGET_DEVICE"] == "cpu"
    assert "VLLM_TARGET_DEVICE" not in vllm.env(engine(), flavour="cuda")


def test_a_model_larger_than_a_node_is_run_by_rays_executor_and_leases_this_nodes_share() -> None:
    ray = {"address": "10.0.0.1:6379", "num_gpus_here": 8}
    large = engine(tensor_parallel_size=8, pipeline_parallel_size=2, ray=ray)
    assert vllm.command(large, "/m", None)[3:] == (
        *("--tensor-parallel-size", "8", "--pipeline-parallel-size", "2"),
        *("--distributed-executor-backend", "ray"),
    )
    assert vllm.env(large, flavour="cuda")["RAY_ADDRESS"] == "10.0.0.1:6379"
    assert large.num_gpus == 8
    with pytest.raises(BadInput, match="distributed-executor-backend"):
        vllm.command(engine(ray=ray, args={"distributed-executor-backend": "mp"}), "/m", None)


def test_ranks_on_a_cpu_share_the_cores_evenly() -> None:
    assert vllm.omp_binding([0, 1], 2) == "0|1"
    assert vllm.omp_binding([2, 3, 6, 7, 8], 2) == "2,3|6,7"


def test_more_ranks_than_cores_are_refused() -> None:
    with pytest.raises(BadInput, match="needs 4 cores"):
        vllm.omp_binding([0, 1], 4)


@pytest.mark.parametrize(
    ("line", "label", "seconds"),
    [
        (
            "(Worker pid=3) INFO cpu_model_runner.py:68] Starting to load model /m...",
            "loading weights",
            None,
        ),
        ("INFO default_loader.py:501] Loading weights took 1.90 seconds", "warming up", 1.9),
        (
            "init engine (profile, create kv cache, warmup model) took 6.49 s",
            "opening the API",
            6.49,
        ),
    ],
)
def test_the_log_tells_how_far_a_boot_is(line: str, label: str, seconds: float | None) -> None:
    sign = vllm.boot_sign(line)
    assert sign is not None
    assert (sign.label, sign.seconds) == (label, seconds)


def test_disabling_compilation_is_no_sign_of_compiling() -> None:
    assert vllm.boot_sign("Enforce eager set, disabling torch.compile, CUDAGraphs") is None


METRICS = """\
# HELP vllm:num_requests_running Number of requests
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 144.0
vllm:generation_tokens_total{engine="0",model_name="m"} 28.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 0.0
process_cpu_seconds_total 3.0
"""


def test_counters_are_summed_over_engines_and_missing_ones_left_out() -> None:
    counters = vllm.parse_counters(METRICS)
    assert counters.requests_running == 3
    assert counters.readings()["kv_cache_usage_ratio"] == 0.25
    assert "preemptions" not in counters.readings()


def test_the_signature_moves_with_a_step_and_not_with_an_abort() -> None:
    before = vllm.parse_counters(METRICS).signature
    stepped = METRICS.replace('model_name="m"} 28.0', 'model_name="m"} 29.0')
    aborted = METRICS.replace('"abort",model_name="m"} 0.0', '"abort",model_name="m"} 9.0')
    assert vllm.parse_counters(stepped).signature != before
    assert vllm.parse_counters(aborted).signature == before
