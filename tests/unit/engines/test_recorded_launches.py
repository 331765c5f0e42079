"""Targets are started as they were recorded when engines were not yet one object each.

`recorded_launches.json` has targets of the suites that shipped and of docs/engines.md, and what
became of each. A digest that changes would begin a new series for everybody.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from nightbench.engines import target_engine
from nightbench.engines.adapter import Flavour
from nightbench.errors import BadInput
from nightbench.night.run import config_digest
from nightbench.suite.models import Target

RECORDED = json.loads(Path(__file__).with_name("recorded_launches.json").read_text("utf-8"))


def named(recorded: dict[str, Any]) -> str:
    return str(recorded["target"]["name"])


def launch(target: Target, flavour: Flavour) -> dict[str, Any]:
    try:
        planned = target_engine.plan_launch(
            target,
            model_path="/m",
            host="127.0.0.1",
            port=81,
            api_key="k3y",
            flavour=flavour,
            cores=tuple(range(16)),
            store="/s",
        )
    except BadInput as error:
        return {"refused": str(error)}
    kept = ("argv", "env", "ready_path", "counters_path", "version_path")
    return {name: value for name, value in asdict(planned).items() if name in kept}


@pytest.mark.parametrize("recorded", RECORDED, ids=named)
def test_a_target_is_started_as_it_was(recorded: dict[str, Any]) -> None:
    target = Target.model_validate(recorded["target"])
    now = {
        "target": recorded["target"],
        "digest": config_digest(target),
        "command": target_engine.display_command(target),
        "num_gpus": target_engine.num_gpus(target),
        "num_ranks": target_engine.num_ranks(target),
        "served_name": target_engine.served_name(target),
        "cpu": launch(target, "cpu"),
        "cuda": launch(target, "cuda"),
    }
    assert json.loads(json.dumps(now)) == recorded


def test_every_kind_of_ours_is_recorded() -> None:
    kinds = {recorded["target"]["engine"]["kind"] for recorded in RECORDED}
    assert kinds == {"vllm", "lmdeploy", "sglang", "ollama", "command", "remote"}
