"""llama.cpp beside vLLM, and one vLLM beside another: real engines, one suite each."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightbench.accuracy.comparison import compare
from nightbench.accuracy.evaluate import evaluate
from nightbench.engines import target_engine
from nightbench.home.paths import Home
from nightbench.load.measure import measure_level
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.workloads import read_prompts
from nightbench.records import AccuracySample
from nightbench.resources import suites_dir
from nightbench.serving.hardware import processor
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.provision import environments, recipes
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.serving.server import serve
from nightbench.suite.file import find_suite, read_suite
from nightbench.suite.models import AccuracySpec

pytestmark = [pytest.mark.engine, pytest.mark.build, pytest.mark.timeout(1800)]

ANCHOR = AccuracySpec.model_validate(
    {
        "benchmark": "starter",
        "subsets": ["anchor"],
        "max_concurrency": 4,
        "generation": {"temperature": 0},
    }
)


def test_two_engines_answer_one_model_alike(
    engine_home: Home, builtin_model: Path, private_machine: Machine, tmp_path: Path
) -> None:
    """vLLM has the weights in float32, llama.cpp quantised to 4 bits: many words differ, what is
    right hardly does."""
    suite = read_suite(find_suite("compare-engines"))
    samples: dict[str, list[AccuracySample]] = {}
    for target in suite.suite.targets:
        answers = samples.setdefault(target.name, [])
        with serve(
            target.model_copy(update={"boot_timeout_s": 900}),
            engine_home,
            base_dir=suite.base_dir,
            run_dir=tmp_path / target.name,
            machine=private_machine,
            on_progress=print,
        ) as server:
            overall = evaluate(
                ANCHOR, server.endpoint, base_dir=suite.base_dir, on_sample=answers.append
            )[0]
            level = plan_levels(suite.suite.load[0])[0]
            prompts = read_prompts(
                suite.suite.load[0].workload, level.prompts_needed, 0, suite.base_dir
            )
            measured = measure_level(
                level, prompts, server.endpoint, work_dir=tmp_path / f"{target.name}-load"
            ).level
            facts = {fact.name: fact.value for fact in server.provenance()}
        assert (measured.completed, measured.failed) == (8, 0)
        assert overall.valid, overall.invalid_reasons
        assert overall.ci_low > 0.5, f"{target.name}: {overall.accuracy:.1%}"
        assert facts["engine_version"]
        assert facts["weights"]
    before, after = samples.values()
    compared = compare(before, after, rng=random.Random(0))
    print(compared)
    assert compared.num_questions == overall.num_samples
    assert {sample.reply for sample in before} != {sample.reply for sample in after}
    assert abs(compared.difference) < 0.15
    assert compared.p_value > 0.01


def test_what_was_compiled_here_is_not_used_by_another_processor(
    engine_home: Home, private_machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp as the test before built it; the other processor is this one without a feature."""
    ours = environments.build(
        recipes.load("llama-cpp-python"), engine_home, on_progress=lambda _: None
    )
    (target,) = [
        target
        for target in read_suite(find_suite("compare-engines")).suite.targets
        if target.engine.kind == "command"
    ]
    wanted = target_engine.environment_of(target)
    assert wanted is not None

    def found() -> EngineEnvironment | None:
        return environments.existing(wanted, engine_home, has_gpu=False, kind="command")

    assert found() == ours
    text = Path("/proc/cpuinfo").read_text().replace(" sse2", "").replace(" asimd", "")
    elsewhere = processor.digest_of(text, platform.machine())
    monkeypatch.setattr(processor, "digest", lambda: elsewhere)
    assert found() is None, "there, it is built anew"


SERIES = """
SELECT measurement_key, hardware_class, count(DISTINCT target) AS targets
FROM {table} GROUP BY ALL
"""


def test_two_versions_of_vllm_land_two_series_that_can_be_compared(
    engine_home: Home, builtin_model: Path, tmp_path: Path
) -> None:
    suite = yaml.safe_load((suites_dir() / "two-vllm-versions.yaml").read_text())
    suite["accuracy"] = [{"benchmark": "starter", "subsets": ["anchor"], "limit": 16}]
    prompts = suites_dir() / suite["load"][0]["workload"]["path"]
    suite["load"][0] |= {"max_concurrency": [2], "num_prompts": 4, "warmup_prompts": 1}
    suite["load"][0]["workload"]["path"] = str(prompts)
    suite["targets"][0]["boot_timeout_s"] = 900
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(suite))
    home = tmp_path / "home"
    home.mkdir()
    for part in ("engines", "models"):
        (home / part).symlink_to((engine_home.root / part).resolve())
    env = os.environ | {"NIGHTBENCH_HOME": str(home), "NIGHTBENCH_LEASES": str(tmp_path / "leases")}
    (tmp_path / "leases").mkdir()

    def nightbench(*argv: str) -> str:
        command = [sys.executable, "-m", "nightbench.cli.main", *argv]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def rows(query: str) -> list[dict[str, Any]]:
        return list(json.loads(nightbench("sql", query, "--format", "json")))

    nightbench("run", str(tmp_path / "two.yaml"))
    targets = rows("SELECT target, engine_version, status FROM targets ORDER BY target")
    assert [(row["status"], row["engine_version"][:6]) for row in targets] == [
        ("completed", "0.31.0"),
        ("completed", "0.32.0"),
    ]
    for table in ("accuracy_results", "load_levels"):
        for series in rows(SERIES.format(table=table)):
            assert series["targets"] == 2, f"{table}: both were asked the same: {series}"
