"""Every option of `nightbench load` that changes a request, by what the server received."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service import Service, service

from nightbench.cli.main import main


@pytest.fixture
def server() -> Iterator[Service]:
    with service() as running:
        yield running


def load(server: Service, *argv: str) -> None:
    base = ("load", "--base-url", server.url, "--num-prompts", "2")
    how = () if "--rate" in argv or "--max-concurrency" in argv else ("--max-concurrency", "1")
    assert main([*base, *how, *argv]) == 0


@pytest.mark.parametrize(
    ("argv", "sent"),
    [
        (["--max-tokens", "7"], {"max_tokens": 7}),
        (["--min-tokens", "5"], {"min_tokens": 5}),
        (["--temperature", "0.5"], {"temperature": 0.5}),
        (["--top-p", "0.9"], {"top_p": 0.9}),
        (["--top-k", "20"], {"top_k": 20}),
        (["--frequency-penalty", "0.1"], {"frequency_penalty": 0.1}),
        (["--presence-penalty", "0.2"], {"presence_penalty": 0.2}),
        (["--n-choices", "3"], {"n": 3}),
        (["--ignore-eos"], {"ignore_eos": True}),
        (["--stop", "a", "--stop", "b"], {"stop": ["a", "b"]}),
        (["--stop-token-ids", "1,2"], {"stop_token_ids": [1, 2]}),
        (["--logprobs"], {"logprobs": True}),
        (["--extra-body", '{"seed": 4}'], {"seed": 4}),
        (["--model", "m"], {"model": "m"}),
        ([], {"model": "m"}),  # as the server lists it
    ],
)
def test_a_sampling_parameter_is_in_every_body(
    server: Service, argv: list[str], sent: dict[str, Any]
) -> None:
    load(server, "--prompt", "hi", *argv)
    assert len(server.bodies) == 2
    for body in server.bodies:
        assert sent.items() <= body.items()
        assert body["messages"] == [{"role": "user", "content": "hi"}]
        assert body["stream"] is True


def test_headers_and_the_key_are_sent(server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    load(server, "--api-key-env", "MY_KEY", "--header", "X-Team=nights", "--header", "X-B=1=2")
    for headers in server.headers:
        assert headers["authorization"] == "Bearer s3cret"
        assert (headers["x-team"], headers["x-b"]) == ("nights", "1=2")


def test_a_template_is_the_body_with_model_and_prompt_filled_in(
    server: Service, tmp_path: Path
) -> None:
    template = {"model": "%m", "messages": [{"role": "system", "content": "q: %p"}], "x": [1]}
    (tmp_path / "t.json").write_text(json.dumps(template))
    load(server, "--prompt", "hi", "--query-template", f"@{tmp_path}/t.json")
    expected = {"model": "m", "messages": [{"role": "system", "content": "q: hi"}], "x": [1]}
    assert all(expected.items() <= body.items() for body in server.bodies)


def test_plain_completions_get_a_plain_prompt(server: Service) -> None:
    load(server, "--prompt", "hi", "--endpoint", "/completions")
    assert set(server.paths) == {"/v1/completions"}
    assert all(body["prompt"] == "hi" and "messages" not in body for body in server.bodies)


def test_whole_answers_are_asked_for_without_a_stream(server: Service) -> None:
    load(server, "--prompt", "hi", "--no-stream")
    assert all("stream" not in body for body in server.bodies)


def test_a_rate_of_minus_one_sends_all_at_once(server: Service) -> None:
    load(server, "--prompt", "hi", "--rate", "-1", "--num-prompts", "12")
    assert server.most_at_once > 4
    server.most_at_once = 0
    load(server, "--prompt", "hi", "--rate", "-1", "--max-concurrency", "2", "--num-prompts", "12")
    assert server.most_at_once == 2


# ---------------------------------------------------------------- data sets


def sent(server: Service) -> list[str]:
    return sorted(body["messages"][0]["content"] for body in server.bodies)


def write_longalpaca(path: Path) -> str:
    records = [{"instruction": f"one{n}", "output": "o", "file": "f"} for n in "ab"]
    path.write_text(json.dumps(records))
    return f"longalpaca:{path}"


def write_sharegpt(path: Path) -> str:
    records = [
        {
            "id": name,
            "conversations": [
                {"from": "system", "value": "be kind"},
                {"from": "human", "value": f"one{name}"},
                {"from": "gpt", "value": "yes"},
                {"from": "human", "value": "more"},
            ],
        }
        for name in "ab"
    ]
    path.write_text(json.dumps(records))
    return f"sharegpt:{path}"


def write_openqa(path: Path) -> str:
    path.write_text('{"question": "onea"}\n{"question": "oneb"}\n')
    return f"openqa:{path}"


def write_lines(path: Path) -> str:
    path.write_text("onea\noneb\n")
    return f"line_by_line:{path}"


def write_function(path: Path) -> str:
    path = path.with_name("mine.py")
    path.write_text("def prompts():\n    for n in 'ab':\n        yield f'one{n}'\n")
    return f"{path}:prompts"


@pytest.mark.parametrize(
    "write", [write_longalpaca, write_sharegpt, write_openqa, write_lines, write_function]
)
def test_a_data_sets_prompts_are_what_is_sent(server: Service, write: Any, tmp_path: Path) -> None:
    load(server, "--dataset", write(tmp_path / "data.json"))
    assert sent(server) == ["onea", "oneb"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_any_column_of_any_records_is_a_data_set(
    server: Service, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"mine.{suffix}"
    rows = [{"id": "1", "what to ask": "onea"}, {"id": "2", "what to ask": "oneb"}]
    if suffix == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    load(server, "--dataset", f"custom:{path}", "--column", "what to ask")
    assert sent(server) == ["onea", "oneb"]


@pytest.mark.parametrize(
    ("content", "dataset", "problem"),
    [
        ('{"instruction": "x"}', "longalpaca", "expected a JSON list"),
        ('[{"output": "x"}]', "longalpaca", 'record 1: expected text in "instruction"'),
        ('[{"conversations": [{"from": "gpt", "value": "x"}]}]', "sharegpt", "from"),
        ("[", "sharegpt", "not JSON"),
        ('{"a": 1}', "custom", "needs column"),
        ("def f():\n    return [1]\n", "py:f", "returned int, expected text prompts"),
        ("def f():\n    raise OSError('gone')\n", "py:f", "failed: OSError: gone"),
        ("import nothing_of_that_name\n", "py:f", "fails on import"),
        ("", "py:f", "has no function f"),
    ],
)
def test_a_data_set_that_is_none_is_named_with_what_was_expected(
    server: Service,
    *,
    content: str,
    dataset: str,
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind, _, function = dataset.partition(":")
    path = tmp_path / ("d.py" if kind == "py" else "d.json")
    path.write_text(content)
    given = f"{path}:{function}" if kind == "py" else f"{kind}:{path}"
    argv = ["load", "--base-url", server.url, "--max-concurrency", "1", "--num-prompts", "1"]
    assert main([*argv, "--dataset", given]) == 2
    assert problem in capsys.readouterr().err
    assert server.bodies == []


def test_only_prompts_of_the_lengths_asked_for_are_sent(server: Service, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a\nbbb\ncccc\nddddddd\n")
    load(
        server,
        *("--dataset", f"line_by_line:{tmp_path}/p.txt"),
        *("--min-prompt-length", "2", "--max-prompt-length", "4"),
    )
    assert sent(server) == ["bbb", "cccc"]


def test_with_a_tokenizer_lengths_are_tokens(server: Service, tmp_path: Path) -> None:
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": {"[U]": 0, "a": 1}, "unk_token": "[U]"},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "p.txt").write_text("a\na a\naaaaaaaa aaa\na a a\n")
    load(
        server,
        *("--dataset", f"line_by_line:{tmp_path}/p.txt", "--tokenizer", str(tmp_path)),
        *("--min-prompt-length", "2", "--max-prompt-length", "2"),
    )
    assert sent(server) == ["a a", "aaaaaaaa aaa"]


def test_random_prompts_have_as_many_words_as_asked(server: Service) -> None:
    load(server, "--dataset", "random:9")
    assert {len(prompt.split()) for prompt in sent(server)} == {9}


# ---------------------------------------------------------------- answers and results


PARSER = """
def parse(event):
    delta = {"content": event.get("token", "")}
    usage = {"prompt_tokens": 5, "completion_tokens": event["n"]} if "n" in event else None
    end = "stop" if "n" in event else None
    return {"choices": [{"delta": delta, "finish_reason": end}], "usage": usage}
"""


@pytest.mark.parametrize("stream", [True, False])
def test_answers_of_another_shape_are_read_by_a_parser_of_ones_own(
    server: Service, stream: bool, tmp_path: Path
) -> None:
    tokens = [{"token": "one"}, {"token": " two"}, {"n": 2}]
    server.foreign = tokens if stream else [{"token": "one two", "n": 2}]
    (tmp_path / "mine.py").write_text(PARSER)
    out = tmp_path / "o.json"
    load(
        server,
        *("--prompt", "hi", "--response-parser", f"{tmp_path}/mine.py:parse"),
        *([] if stream else ["--no-stream"]),
        *("--json", str(out)),
    )
    (level,) = json.loads(out.read_text())["levels"]
    assert (level["completed"], level["failed"]) == (2, 0)
    assert level["completion_tokens"] == 4
    assert level["prompt_tokens"] == 10


def test_a_parser_that_fails_fails_the_request_and_says_so(server: Service, tmp_path: Path) -> None:
    server.foreign = [{"token": "one"}]
    (tmp_path / "mine.py").write_text("def parse(event):\n    return event['nothing']\n")
    rows = tmp_path / "r.parquet"
    load(
        server,
        *("--prompt", "hi", "--response-parser", f"{tmp_path}/mine.py:parse"),
        *("--requests", str(rows)),
    )
    import pyarrow.parquet as pq

    errors = pq.read_table(rows, columns=["error_kind", "error"]).to_pylist()
    assert {row["error_kind"] for row in errors} == {"malformed"}
    assert "the response parser: KeyError: 'nothing'" in errors[0]["error"]


def test_a_parser_that_is_not_there_is_said_before_anything_is_sent(
    server: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["load", "--base-url", server.url, "--max-concurrency", "1", "--prompt", "hi"]
    assert main([*argv, "--response-parser", f"{tmp_path}/none.py:parse"]) == 2
    assert "none.py does not exist" in capsys.readouterr().err
    assert server.bodies == []


def test_results_carry_the_name_they_are_given(server: Service, tmp_path: Path) -> None:
    out = tmp_path / "o.json"
    load(server, "--prompt", "hi", "--name", "qwen3-night", "--json", str(out))
    (level,) = json.loads(out.read_text())["levels"]
    assert level["workload"] == "qwen3-night"
