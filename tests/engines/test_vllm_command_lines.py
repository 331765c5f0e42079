"""vLLM's own parser understands the command lines that we plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from nightbench.engines import target_engine
from nightbench.suite.file import find_suite, read_suite
from nightbench.suite.models import Target

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

SUITES = ["glm-4.5-air", "qwen3-8b", "starter"]
TARGETS = {suite: read_suite(find_suite(suite)).suite.targets[0] for suite in SUITES} | {
    "larger than a node": Target.model_validate(
        {
            "name": "t",
            "model": "/m",
            "engine": {
                "kind": "vllm",
                "tensor_parallel_size": 8,
                "pipeline_parallel_size": 2,
                "data_parallel_size": 2,
                "ray": {"address": "10.0.0.1:6379"},
                "args": {"enable-prefix-caching": False, "max-model-len": 8192},
            },
        }
    )
}


def planned(target: Target, flavour: str) -> list[str]:
    """What follows `vllm serve`."""
    launch = target_engine.plan_launch(
        target,
        model_path=target.model,
        host="127.0.0.1",
        port=8123,
        api_key="k",
        flavour=flavour,
        cores=(0, 1, 2, 3) if flavour == "cpu" else None,
    )
    return launch.argv[2:]


@pytest.fixture(scope="module")
def understood(run_in_engine: Callable[..., str]) -> dict[str, dict[str, Any]]:
    """What vLLM makes of each target's words: one start of it for all, since that takes longest."""
    words = {
        name: planned(target, "cpu" if name in SUITES else "cuda")
        for name, target in TARGETS.items()
    }
    said: dict[str, dict[str, Any]] = json.loads(
        run_in_engine("parse_serve_arguments.py", stdin=json.dumps(words))
    )
    return said


@pytest.mark.parametrize("suite", SUITES)
def test_vllm_understands_what_we_plan(understood: dict[str, dict[str, Any]], suite: str) -> None:
    target = TARGETS[suite]
    assert understood[suite]["model_tag"] == target.model
    assert understood[suite]["served_model_name"] == [target.served_model_name]
    assert understood[suite]["port"] == 8123
    assert understood[suite]["tensor_parallel_size"] == target_engine.num_gpus(target)


def test_vllm_understands_a_model_larger_than_a_node(
    understood: dict[str, dict[str, Any]],
) -> None:
    expected = {
        "tensor_parallel_size": 8,
        "pipeline_parallel_size": 2,
        "data_parallel_size": 2,
        "distributed_executor_backend": "ray",
        "enable_prefix_caching": False,
        "max_model_len": 8192,
    }
    assert expected.items() <= understood["larger than a node"].items()
