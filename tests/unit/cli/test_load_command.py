"""The command line of `nightbench load`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pytest

from nightbench.cli import load_arguments, load_command
from nightbench.cli.endpoint_argument import endpoint_of
from nightbench.errors import BadInput, DataError


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    load_command.add_parser(parser.add_subparsers())
    base = ("load", "--base-url", "http://127.0.0.1:9", "--model", "m")
    return parser.parse_args([*base, *argv])


def test_levels_and_their_size_are_read() -> None:
    spec = load_arguments.spec_of(parsed("--max-concurrency", "5,10", "--num-prompts", "7"))
    assert spec.max_concurrency == (5, 10)
    assert spec.num_prompts == 7


def test_a_rate_of_inf_is_a_level() -> None:
    spec = load_arguments.spec_of(parsed("--request-rate", "2.5,inf", "--num-prompts", "7"))
    assert spec.request_rate == (2.5, math.inf)


def test_a_hundred_prompts_are_asked_where_nothing_is_said() -> None:
    assert load_arguments.spec_of(parsed("--max-concurrency", "5")).num_prompts == 100


def test_a_duration_bounds_a_level_instead() -> None:
    spec = load_arguments.spec_of(parsed("--max-concurrency", "5", "--duration", "30"))
    assert (spec.num_prompts, spec.duration_s) == (None, 30)


def test_only_what_was_given_is_sent() -> None:
    spec = load_arguments.spec_of(parsed("--max-concurrency", "1"))
    assert spec.generation.body() == {}
    given = parsed(
        *("--max-concurrency", "1", "--max-tokens", "9", "--temperature", "0", "--ignore-eos"),
        *("--stop", "a", "--stop", "b", "--n-choices", "2", "--extra-body", '{"guided": 1}'),
    )
    assert load_arguments.spec_of(given).generation.body() == {
        "max_tokens": 9,
        "temperature": 0.0,
        "ignore_eos": True,
        "stop": ("a", "b"),
        "n": 2,
        "guided": 1,
    }


@pytest.mark.parametrize(
    ("argv", "kind", "path"),
    [
        (["--dataset", "openqa:q.jsonl"], "openqa", "q.jsonl"),
        (["--dataset", "line_by_line:C:/x"], "line_by_line", "C:/x"),
        (["--dataset", "random:64"], "random", None),
        (["--prompt", "hello"], "prompt", None),
        ([], "random", None),
    ],
)
def test_prompts_come_from_where_it_is_said(argv: list[str], kind: str, path: str | None) -> None:
    workload = load_arguments.spec_of(parsed("--max-concurrency", "1", *argv)).workload
    assert (workload.kind, workload.path) == (kind, path)


def test_a_prompt_can_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("from a file")
    spec = load_arguments.spec_of(
        parsed("--max-concurrency", "1", "--prompt", f"@{tmp_path}/p.txt")
    )
    assert spec.workload.prompt == "from a file"


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--dataset", "sharegpt"], "needs path"),
        (["--dataset", "random:many"], "random:TOKENS"),
        (["--dataset", "nonsense:x"], "workload"),
        (["--num-prompts", "0"], "num_prompts"),
        (["--prompt", "a", "--dataset", "random:5"], "exclude each other"),
        (["--temperature", "-1"], "temperature"),
        (["--prompt", "@/nowhere/at/all"], "cannot be read"),
    ],
)
def test_bad_input_is_said_before_anything_is_sent(argv: list[str], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        load_arguments.spec_of(parsed("--max-concurrency", "1", *argv))


@pytest.mark.parametrize(
    "argv", [["--num-prompts", "3"], ["--max-concurrency", "2", "--rate", "5"]]
)
def test_neither_a_rate_nor_a_concurrency_or_both_are_refused(argv: list[str]) -> None:
    with pytest.raises(BadInput, match="exactly one of max_concurrency and request_rate"):
        load_arguments.spec_of(parsed(*argv))


def test_a_rate_of_minus_one_is_no_rate() -> None:
    assert load_arguments.spec_of(parsed("--rate", "-1")).request_rate == (math.inf,)
    beside = load_arguments.spec_of(parsed("--rate", "-1", "--max-concurrency", "5"))
    assert (beside.max_concurrency, beside.request_rate) == ((5,), None)


def test_a_url_without_a_path_gets_v1() -> None:
    assert endpoint_of(parsed("--max-concurrency", "1")).base_url.endswith(":9/v1")


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    args = parsed("--max-concurrency", "1", "--api-key-env", "SOME_KEY", "--header", "X-A=b=c")
    with pytest.raises(BadInput, match="SOME_KEY"):
        endpoint_of(args)
    monkeypatch.setenv("SOME_KEY", "s3cret")
    headers = endpoint_of(args).request_headers()
    assert headers == {"Authorization": "Bearer s3cret", "X-A": "b=c"}


def test_too_few_questions_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "one?"}\n')
    args = parsed("--max-concurrency", "1", "--dataset", f"openqa:{tmp_path}/q.jsonl")
    with pytest.raises(DataError, match="holds 1 prompts; 100 are asked for"):
        load_command.run(args)
