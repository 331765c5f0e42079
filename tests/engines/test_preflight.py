"""Real engines look at wrong suites: refused, with the right word; and take what is right.

vLLM is whole. SGLang's and LMDeploy's wheels are real, what they run on is stood in for: see
`check_with_stand_ins.py`; LMDeploy's registries are those of the real mmengine.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from nightbench.errors import ArgumentsRefused
from nightbench.home.paths import Home
from nightbench.night.planning import known_refusals
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.provision import preflight
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.serving.provision.preflight import Ask
from nightbench.serving.server import serve
from nightbench.suite.file import find_suite, read_suite
from nightbench.suite.models import Target
from tests.engines.unpacking import fetched, unpacked

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
Wrong = tuple[dict[str, object], str]
VLLM: dict[str, Wrong] = {
    "unknown parser": (
        {"tool-call-parser": "glm46", "enable-auto-tool-choice": True},
        "no such tool parser: glm46 .*nearest: glm47, glm45",
    ),
    "option that has gone": (
        {"enable-reasoning": True},
        "enable-reasoning.*reasoning-parser alone",
    ),
    "wrong choice": ({"dtype": "float33"}, "dtype.*no such choice.*nearest: float32"),
    "conflict": ({"enable-log-outputs": True}, "enable-log-outputs requires --enable-log-requests"),
    "option of another version": (
        {"max-seq-len-to-capture": 8192},
        "max-seq-len-to-capture.*write max-cudagraph-capture-size",
    ),
}
SGLANG: dict[str, Wrong] = {
    "unknown parser": ({"tool-call-parser": "glm46"}, "tool-call-parser.*nearest: glm47, glm45"),
    "option that has gone": ({"enable-ep-moe": True}, "enable-ep-moe.*write ep-size"),
    "wrong choice": ({"dtype": "float33"}, "dtype.*no such choice.*nearest: float32"),
    "conflict": (
        {"enable-response-store": True, "disaggregation-mode": "prefill"},
        "enable-response-store is not supported with --disaggregation-mode",
    ),
    "option of another version": (
        {"enable-deepep-moe": True},
        "enable-deepep-moe.*write moe-a2a-backend: deepep",
    ),
}
LMDEPLOY: dict[str, Wrong] = {
    "unknown parser": ({"tool-call-parser": "glm45"}, "tool parser: glm45 .*write glm47"),
    "option that has gone": ({"qos-config-path": "q"}, "qos-config-path.*write nothing"),
    "wrong choice": ({"model-format": "awqq"}, "model-format.*no such choice.*nearest: awq"),
    "conflict": (
        {"kv-transfer-config": '{"kv_connector": "a", "kv_role": "kv_both"}'},
        "kv-transfer-config is supported only by the PyTorch engine",
    ),
    "option of another version": ({"instance-num": 8}, "instance-num.*write max-batch-size"),
}


def target(kind: str, **args: object) -> Target:
    return Target.model_validate(
        {"name": "t", "model": "/m", "engine": {"kind": kind, "args": args}}
    )


@pytest.fixture(scope="module")
def asking(
    engine_home: Home,
    engine_environment: EngineEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Ask]:
    """How each engine is asked."""
    ways: dict[str, Ask] = {"vllm": preflight.check}
    for tool, more in (("sglang", ()), ("lmdeploy", ("mmengine-lite==0.10.7",))):
        folders = [unpacked(tool, engine_home), *(fetched(name, engine_home) for name in more)]
        words = [str(HERE / "check_with_stand_ins.py"), tool, str(preflight.SCRIPT)]
        script = tmp_path_factory.mktemp(tool) / "check.py"
        argv = [*words, *map(str, folders)]
        script.write_text(
            f"import runpy, sys\nsys.argv = {argv!r}\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        )
        ways[tool] = partial(preflight.check, script=script)
    return ways


CASES = [
    pytest.param(kind, *wrong, id=f"{kind}: {what}", marks=marks)
    for kind, cases, marks in (
        ("vllm", VLLM, ()),
        ("sglang", SGLANG, pytest.mark.build),
        ("lmdeploy", LMDEPLOY, pytest.mark.build),
    )
    for what, wrong in cases.items()
]


@pytest.mark.parametrize(("kind", "args", "right"), CASES)
def test_a_wrong_suite_is_refused_with_the_right_word(
    request: pytest.FixtureRequest,
    engine_environment: EngineEnvironment,
    kind: str,
    args: dict[str, object],
    right: str,
) -> None:
    ask = preflight.check if kind == "vllm" else request.getfixturevalue("asking")[kind]
    checked = ask(target(kind, **args), engine_environment, None)
    print(checked)
    assert len(checked.refused) == 1
    with pytest.raises(ArgumentsRefused, match=right):
        raise preflight.refusal(target(kind), checked.refused)


@pytest.mark.build
@pytest.mark.parametrize("kind", ["sglang", "lmdeploy"])
def test_what_is_right_is_accepted(
    asking: dict[str, Ask], engine_environment: EngineEnvironment, kind: str
) -> None:
    args = {"sglang": {"context-length": 8192}, "lmdeploy": {"session-len": 8192}}[kind]
    checked = asking[kind](target(kind, **args), engine_environment, None)
    assert (checked.refused, checked.engine.split()[0]) == ((), kind)


@pytest.mark.parametrize("suite", ["glm-4.5-air", "qwen3-8b", "starter"])
def test_vllm_accepts_the_suites_that_ship(
    engine_environment: EngineEnvironment, suite: str
) -> None:
    (shipped, *_) = read_suite(find_suite(suite)).suite.targets
    checked = preflight.check(shipped, engine_environment, None)
    assert checked.refused == ()
    assert checked.engine.startswith("vllm 0.")
    assert known_refusals(shipped) == ()


def test_what_the_models_own_config_rules_out_is_refused(
    engine_environment: EngineEnvironment, builtin_model: Path
) -> None:
    long = target("vllm", **{"max-model-len": 1_000_000})
    checked = preflight.check(long, engine_environment, str(builtin_model))
    assert any("max_model_len" in line for line in checked.refused), checked
    fits = preflight.check(
        target("vllm", **{"max-model-len": 4096}), engine_environment, str(builtin_model)
    )
    assert (fits.refused, fits.unchecked) == ((), ())


def test_nothing_is_leased_for_arguments_that_are_refused(
    engine_home: Home, builtin_model: Path, private_machine: Machine, tmp_path: Path
) -> None:
    wrong = target("vllm", dtype="float33").model_copy(update={"model": str(builtin_model)})
    machine = replace(private_machine, leases=tmp_path / "leases")
    with (
        pytest.raises(ArgumentsRefused, match="float32"),
        serve(wrong, engine_home, base_dir=tmp_path, run_dir=tmp_path, machine=machine),
    ):
        pass
    assert not (tmp_path / "leases").exists()
