"""The engine looks at its arguments before anything is leased, and what comes of it."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from nightbench.errors import ArgumentsRefused
from nightbench.progress import Progress, ignore
from nightbench.serving.provision import preflight
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.suite.models import Target

PROBLEM = {"message": "there is no such tool parser", "option": "--tool-call-parser"}


def target(**args: object) -> Target:
    engine = {"kind": "vllm", "args": args, "env": {"SEEN": "yes"}}
    return Target.model_validate({"name": "t", "model": "/m", "engine": engine})


def environment(folder: Path) -> EngineEnvironment:
    """One whose Python is ours."""
    return EngineEnvironment(
        key="k",
        flavour="cpu",
        executable=folder / "bin" / "vllm",
        python=Path(sys.executable),
        cache=folder / "cache",
    )


def script(folder: Path, *lines: str) -> Path:
    path = folder / "script.py"
    path.write_text("\n".join(["import json, os, sys, time", *lines]) + "\n")
    return path


def answering(folder: Path, **answer: object) -> Path:
    whole = {"version": "0.32.0", "problems": [], "unchecked": []} | answer
    return script(folder, f"print({json.dumps(json.dumps(whole))})")


def test_the_engine_is_given_the_words_of_its_command_and_its_environment(tmp_path: Path) -> None:
    told = script(
        tmp_path,
        "asked = json.load(sys.stdin)",
        "said = [' '.join(asked['words']), os.environ['SEEN'], os.environ['HF_HUB_OFFLINE']]",
        "print(json.dumps(dict(version='1', problems=[], unchecked=said)))",
    )
    checked = preflight.check(target(dtype="half"), environment(tmp_path), None, script=told)
    assert checked.unchecked == ("/m --dtype half --host 127.0.0.1 --port 8000", "yes", "1")


def test_a_refusal_names_the_nearest_that_exists(tmp_path: Path) -> None:
    problem = PROBLEM | {"value": "glm46", "choices": ["glm45", "glm47", "hermes"]}
    told = answering(tmp_path, problems=[problem])
    (line,) = preflight.check(target(), environment(tmp_path), None, script=told).refused
    assert line == (
        "engine.args.tool-call-parser: there is no such tool parser: glm46 (vllm 0.32.0); "
        "nearest: glm47, glm45"
    )


def test_a_refusal_of_what_is_known_to_have_gone_names_what_took_its_place(tmp_path: Path) -> None:
    problem = PROBLEM | {"value": "glm4_moe", "choices": ["granite4", "glm45"]}
    told = answering(tmp_path, problems=[problem])
    (line,) = preflight.check(target(), environment(tmp_path), None, script=told).refused
    assert line.endswith("it is gone since 0.10.1: write glm45")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("raise SystemExit('it broke')",), "the engine's check failed: it broke"),
        (("print('no json')",), "the engine's check failed: exit code 0"),
        (("time.sleep(60)",), "did not finish within"),
    ],
)
def test_a_check_that_cannot_be_made_refuses_nothing_and_says_why(
    tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    checked = preflight.check(
        target(), environment(tmp_path), None, script=script(tmp_path, *lines), within_s=2
    )
    assert checked.refused == ()
    assert checked.engine == ""
    assert said in checked.unchecked[0]


def test_what_the_check_started_is_gone_after_its_time(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    told = script(
        tmp_path,
        "import subprocess",
        "child = subprocess.Popen(['sleep', '600'])",
        f"open({str(mark)!r}, 'w').write(str(child.pid))",
        "time.sleep(600)",
    )
    preflight.check(target(), environment(tmp_path), None, script=told, within_s=2)
    state = Path(f"/proc/{mark.read_text()}/stat")
    for _ in range(100):  # what was killed may have to run once more to end
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError(state.read_text())


def test_what_was_accepted_is_not_asked_again_of_the_same_environment(tmp_path: Path) -> None:
    ask = partial(preflight.check, script=answering(tmp_path))
    asked: list[Progress] = []
    for args in ({"dtype": "half"}, {"dtype": "half"}, {"dtype": "float"}):
        preflight.require_accepted(
            target(**args), environment(tmp_path), "/m", asked.append, ask=ask
        )
    assert len(asked) == 2


def test_what_could_not_be_asked_is_asked_again(tmp_path: Path) -> None:
    ask = partial(preflight.check, script=script(tmp_path, "raise SystemExit(1)"))
    asked: list[Progress] = []
    for _ in range(2):
        preflight.require_accepted(target(), environment(tmp_path), "/m", asked.append, ask=ask)
    assert len(asked) == 2


def test_what_is_refused_is_an_error_that_says_all_of_it_every_time(tmp_path: Path) -> None:
    problem = PROBLEM | {"value": "glm46", "choices": []}
    told = answering(tmp_path, problems=[problem, {**problem, "value": "other"}])
    ask = partial(preflight.check, script=told)
    for _ in range(2):
        with pytest.raises(ArgumentsRefused, match=r"(?s)glm46.*other.*plan --check") as refused:
            preflight.require_accepted(target(), environment(tmp_path), "/m", ignore, ask=ask)
        assert refused.value.exit_code == 2


def test_an_engine_without_arguments_of_its_own_is_not_asked(tmp_path: Path) -> None:
    for engine in (
        {"kind": "command", "argv": ["s", "{port}"]},
        {"kind": "remote", "base_url": "http://h/v1"},
        {"kind": "vllm", "environment": {"image": "vllm/vllm-openai:v0.33.0"}},
    ):
        asked = Target.model_validate({"name": "t", "model": "/m", "engine": engine})
        assert not preflight.is_checkable(asked)
