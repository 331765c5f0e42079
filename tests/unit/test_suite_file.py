"""Reading suites: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.errors import BadInput, SuiteError
from nightbench.night.run import config_digest
from nightbench.resources import suites_dir
from nightbench.suite.file import find_suite, read_suite
from nightbench.suite.models import Target
from nightbench.untrusted.limits import AnswerLimits

TARGET = "{name: a, model: /m, engine: {kind: vllm}}"


def problems(tmp_path: Path, text: str) -> str:
    file = tmp_path / "suite.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        read_suite(file)
    assert str(file) in str(caught.value)
    return "\n".join(caught.value.problems)


def test_every_suite_that_ships_is_valid() -> None:
    files = sorted(suites_dir().glob("*.yaml"))
    assert {"starter", "glm-4.5-air"} <= {read_suite(file).suite.name for file in files}


def test_a_misspelt_key_is_named_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    text = (
        "name: x\n"
        "targets:\n"
        "  - name: a\n"
        "    model: /m\n"
        "    engine: {kind: vllm, tensor_paralel_size: 2}\n"
    )
    assert problems(tmp_path, text) == (
        "line 5: targets[0].engine.tensor_paralel_size: unknown key; "
        "did you mean tensor_parallel_size?"
    )


def test_a_remote_target_has_no_tensor_parallel_size(tmp_path: Path) -> None:
    engine = '{kind: remote, base_url: "http://h/v1", tensor_parallel_size: 2}'
    found = problems(tmp_path, f"name: x\ntargets: [{{name: a, engine: {engine}}}]\n")
    assert "targets[0].engine.tensor_parallel_size: unknown key here" in found


def test_an_unknown_engine_is_refused_with_the_kinds_there_are(tmp_path: Path) -> None:
    found = problems(tmp_path, "name: x\ntargets: [{name: a, engine: {kind: vlm}}]\n")
    assert "expected one of vllm, lmdeploy, sglang, ollama, command, remote" in found


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ("max_concurrency: 1, request_rate: 2", "exactly one of max_concurrency and request_rate"),
        ("num_prompts: 1", "exactly one of max_concurrency and request_rate"),
        ("max_concurrency: 1, duration_s: 5", "exactly one of num_prompts and duration_s"),
        ("max_concurrency: [1, 0]", "max_concurrency[1]: expected greater than 0 (it is 0)"),
    ],
)
def test_a_load_is_driven_in_exactly_one_way(tmp_path: Path, levels: str, expected: str) -> None:
    load = f"{{name: l, workload: {{kind: prompt, prompt: hi}}, num_prompts: 4, {levels}}}"
    load = load.replace("num_prompts: 4, num_prompts", "num_prompts")
    assert expected in problems(tmp_path, f"name: x\ntargets: [{TARGET}]\nload: [{load}]\n")


def test_two_targets_of_one_name_are_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, f"name: x\ntargets: [{TARGET}, {TARGET}]\n")
    assert "targets: expected distinct names, a appears twice" in found


def test_a_key_that_is_there_twice_is_refused_with_its_place(tmp_path: Path) -> None:
    assert problems(tmp_path, "name: x\nname: y\n") == (
        "line 2, column 1: the key 'name' appears twice"
    )


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, f"name: x\ntime_budget: 5 hours\nslow: {{}}\ntargets: [{TARGET}]\n")
    assert "time_budget: expected a duration such as 90s, 15m or 5h" in found
    assert "slow: unknown key; did you mean slo?" in found


@pytest.mark.parametrize("text", ["", "- a\n", "name: [\n", "name: x\n"])
def test_what_is_no_suite_at_all_is_refused_without_a_traceback(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_a_matrix_makes_one_target_per_combination(tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(
        'name: x\nmatrix: {engine.environment.requirement: ["vllm==1", "vllm==2"]}\n'
        f"targets: [{TARGET}]\n",
        encoding="utf-8",
    )
    targets = read_suite(file).suite.targets
    assert [target.name for target in targets] == ["a-vllm-1", "a-vllm-2"]
    assert "vllm==2" in targets[1].model_dump_json()


@pytest.mark.parametrize(
    ("how", "fits"),
    [("request_rate: 0.5", True), ("request_rate: [0.5, 3]", False), ("max_concurrency: 1", False)],
)
def test_a_load_asks_an_api_no_oftener_than_it_may_be_asked(
    tmp_path: Path, how: str, fits: bool
) -> None:
    engine = '{kind: remote, base_url: "http://h/v1", requests_per_second: 2}'
    load = f"{{name: l, workload: {{kind: prompt, prompt: hi}}, num_prompts: 4, {how}}}"
    text = f"name: x\ntargets: [{{name: a, engine: {engine}}}]\nload: [{load}]\n"
    if fits:
        (tmp_path / "suite.yaml").write_text(text)
        assert read_suite(tmp_path / "suite.yaml")
    else:
        expected = "load l: a allows 2 requests per second: expected request_rate of at most 2"
        assert expected in problems(tmp_path, text)


def test_durations_are_seconds(tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(f"name: x\ntime_budget: 5h\ntargets: [{TARGET}]\n", encoding="utf-8")
    assert read_suite(file).suite.time_budget == 5 * 3600


def test_a_suite_that_ships_is_found_by_its_name_and_others_are_listed() -> None:
    assert find_suite("starter") == suites_dir() / "starter.yaml"
    with pytest.raises(BadInput, match=r"glm-4\.5-air, .*starter"):
        find_suite("startre")


@pytest.mark.parametrize(
    "engine",
    [
        '{kind: remote, base_url: "https://me:canary-pass@h/v1"}',
        '{kind: remote, base_url: "https://canarytoken@h/v1"}',
        '{kind: ollama, base_url: "http://me:canary-pass@h"}',
        '{kind: remote, base_url: "https://h/v1?api-key=canary-pass"}',
        '{kind: remote, base_url: "ftp://h/canary-pass"}',
        '{kind: vllm, environment: {requirement: "vllm==1", '
        'extra_index_url: "https://me:canary-pass@h/simple"}}',
        "{kind: remote, base_url: 'http://h/v1', api_key_env: sk-canary-1234}",
        "{kind: command, argv: ['{port}'], pass_env: ['A=canary-pass']}",
        "{kind: command, argv: ['{port}', --api-key, sk-canary-1234]}",
        "{kind: command, argv: ['{port}', --hf_token=sk-canary-1234]}",
        "{kind: command, argv: ['{port}', 'https://h/v1?a=b&access_token=sk-canary-1234']}",
        "{kind: command, argv: ['{port}', 'https://me:canary-pass@h/v1']}",
        "{kind: vllm, args: {hf_token: sk-canary-1234}}",
        "{kind: vllm, args: {x: ['https://me:canary-pass@h']}}",
        "{kind: sglang, args: {admin-api-key: sk-canary-1234}}",
        '{kind: vllm, environment: {requirement: "vllm @ git+https://me:canary-pass@h/x"}}',
        '{kind: vllm, environment: {requirement: "vllm @ https://h/x?token=sk-canary-1234"}}',
        "{kind: remote, base_url: 'http://h/v1', headers: {Authorization: [canary-pass]}}",
    ],
)
def test_a_secret_in_a_suite_is_refused_and_not_repeated(tmp_path: Path, engine: str) -> None:
    found = problems(tmp_path, f"name: x\ntargets: [{{name: a, engine: {engine}}}]\n")
    assert "canary" not in found
    assert "targets[0].engine" in found


@pytest.mark.parametrize(
    "engine",
    [
        "{kind: command, argv: ['{port}', --api-key, EMPTY, --tokenizer, meta/Llama-3.1-8B]}",
        "{kind: command, argv: ['{port}', --api-key, '{served_model_name}', --token, --x1y2z3]}",
        "{kind: command, argv: ['{port}', --ssl-keyfile, /etc/k3y.pem, --api-key-env, MY_KEY_1]}",
        "{kind: vllm, args: {kv_key_dtype: fp8_e5m2, long-prefill-token-threshold: 12345678}}",
        '{kind: vllm, environment: {requirement: "vllm @ git+ssh://git@h/x@v0.33.0"}}',
    ],
)
def test_what_only_looks_like_a_key_is_none(tmp_path: Path, engine: str) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(f"name: x\ntargets: [{{name: a, model: /m, engine: {engine}}}]\n")
    assert read_suite(file).suite.targets[0].name == "a"


def test_a_digest_of_a_configuration_is_what_it_was_before_variables_were_handed_on(
    tmp_path: Path,
) -> None:
    def digest(fields: str) -> str:
        file = tmp_path / "suite.yaml"
        file.write_text(f"name: x\ntargets: [{{name: a, model: /m, engine: {{{fields}}}}}]\n")
        return config_digest(read_suite(file).suite.targets[0])

    plain = digest("kind: vllm")
    assert plain == "375922d6826c3a60"
    assert digest("kind: vllm, pass_env: []") == plain
    assert digest("kind: vllm, pass_env: [A]") != plain


def test_limits_are_megabytes_of_what_a_server_may_answer(tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(f"name: x\ntargets: [{TARGET[:-1]}, limits: {{answer_mb: 0.5}}}}]\n")
    limits = read_suite(file).suite.targets[0].limits.in_bytes()
    assert limits == AnswerLimits(answer_bytes=500_000)
    for wrong in ("0", "-1", ".inf", ".nan", "x"):
        text = f"name: x\ntargets:\n- {TARGET[:-1]}, limits: {{answer_mb: {wrong}}}}}\n"
        assert "line 3: targets[0].limits.answer_mb: " in problems(tmp_path, text)


def test_a_part_of_a_target_may_be_said_once_and_merged(tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(
        "name: x\n"
        "targets:\n"
        "- {name: a, model: /m, engine: &engine {kind: vllm, args: {seed: 1}}}\n"
        "- {name: b, model: /m, engine: {<<: *engine, tensor_parallel_size: 2}}\n"
    )
    first, second = read_suite(file).suite.targets
    assert first.engine.kind == second.engine.kind == "vllm"
    assert second.engine.args == {"seed": 1}


def test_a_matrix_makes_no_more_targets_than_may_be(tmp_path: Path) -> None:
    axes = ", ".join(f"engine.env.A{n}: [a, b, c, d, e, f, g, h, i, j]" for n in range(9))
    found = problems(tmp_path, f"name: x\nmatrix: {{{axes}}}\ntargets: [{TARGET}]\n")
    assert found == "matrix: it expands to 1,000,000,000 targets, more than 1,000"
    deep = ".".join("a" * 100)
    found = problems(tmp_path, f"name: x\nmatrix: {{{deep}: [1]}}\ntargets: [{TARGET}]\n")
    assert "a key of more than 50 parts" in found


def test_of_thousands_of_problems_the_first_are_told(tmp_path: Path) -> None:
    keys = "".join(f"key{n}: 1\n" for n in range(3000))
    found = problems(tmp_path, f"name: x\ntargets: [{TARGET}]\n{keys}").splitlines()
    assert found[0] == "line 3: key0: unknown key"
    assert found[-1] == "and 2900 more"
    long = problems(tmp_path, f"name: {'y ' * 50_000}\ntargets: [{TARGET}]\n")
    assert len(long) < 1000


def test_aliases_that_stand_for_gigabytes_are_refused_with_their_line(tmp_path: Path) -> None:
    lines = ["name: x", "a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    found = problems(tmp_path, "\n".join(lines))
    assert found.startswith("line 7, column 10: more than 20,000 values")


def test_what_a_suite_says_of_keys_is_not_in_its_representation() -> None:
    engine = {"kind": "remote", "base_url": "http://h/v1", "headers": {"X-Key": "canary"}}
    ours = {"kind": "command", "argv": ["{port}"], "env": {"X_KEY": "canary"}}
    targets = [Target.model_validate({"name": "a", "engine": one}) for one in (engine, ours)]
    assert "canary" not in repr(targets)
