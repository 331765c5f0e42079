"""LMDeploy's and SGLang's own parsers over what we plan: without the gigabytes they run on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nightbench.engines import target_engine
from nightbench.home.paths import Home
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.suite.models import Target
from tests.engines.unpacking import unpacked

pytestmark = [pytest.mark.engine, pytest.mark.build, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("parse_with_own_parser.py")
Understand = Callable[[Target], dict[str, str]]


@pytest.fixture
def understand(engine_home: Home, engine_environment: EngineEnvironment) -> Understand:
    def parse(target: Target) -> dict[str, str]:
        kind = target.engine.kind
        launch = target_engine.plan_launch(
            target, model_path="/m", host="127.0.0.1", port=8123, api_key="k3y", flavour="cuda"
        )
        words = launch.argv[1:] if kind == "lmdeploy" else launch.argv[3:]
        done = subprocess.run(
            [str(engine_environment.python), "-W", "ignore", str(SCRIPT), kind, *words],
            env={"PATH": os.defpath, "PYTHONPATH": str(unpacked(kind, engine_home))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return parse


def target(engine: dict[str, object]) -> Target:
    return Target.model_validate(
        {"name": "t", "model": "/m", "served_model_name": "served", "engine": engine}
    )


def test_lmdeploy_itself_understands_what_we_plan(understand: Understand) -> None:
    args = {"session-len": 8192, "cache-max-entry-count": 0.5, "trust-remote-code": True}
    understood = understand(target({"kind": "lmdeploy", "tensor_parallel_size": 4, "args": args}))
    expected = {
        "model_path": "/m",
        "model_name": "served",
        "server_name": "127.0.0.1",
        "server_port": "8123",
        "backend": "turbomind",
        "tp": "4",
        "session_len": "8192",
        "cache_max_entry_count": "0.5",
        "trust_remote_code": "True",
        "api_keys": "None",
    }
    assert expected.items() <= understood.items()


def test_sglang_itself_understands_what_we_plan(understand: Understand) -> None:
    args = {"mem-fraction-static": 0.8, "disable-radix-cache": True, "context-length": 8192}
    understood = understand(
        target(
            {
                "kind": "sglang",
                "tensor_parallel_size": 4,
                "pipeline_parallel_size": 2,
                "data_parallel_size": 3,
                "args": args,
            }
        )
    )
    expected = {
        "model_path": "/m",
        "served_model_name": "served",
        "host": "127.0.0.1",
        "port": "8123",
        "tp_size": "4",
        "pp_size": "2",
        "dp_size": "3",
        "mem_fraction_static": "0.8",
        "disable_radix_cache": "True",
        "context_length": "8192",
        "api_key": "None",
    }
    assert expected.items() <= understood.items()


def test_what_an_engine_does_not_know_is_refused_by_its_own_parser(
    understand: Understand,
) -> None:
    with pytest.raises(AssertionError, match="session-length"):
        understand(target({"kind": "lmdeploy", "args": {"session-length": 1}}))
