from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nightbench.cli import eval_command
from nightbench.errors import BadInput, EndpointError
from tests.unit.accuracy.conftest import ChatServer, chat_server, completion

__all__ = ["chat_server"]


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    eval_command.add_parser(parser.add_subparsers())
    return parser.parse_args(["eval", "--model", "m", "--benchmark", "starter", *argv])


def test_results_and_samples_are_written(
    chat_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat_server.answer = lambda body: completion("Paris. 答案：B\x1b[2J")
    results, samples = tmp_path / "r.json", tmp_path / "s.jsonl"

    code = eval_command.run(
        parsed(
            *("--base-url", chat_server.endpoint.base_url, "--limit", "30"),
            *("--temperature", "0", "--max-tokens", "8", "--seed", "3"),
            *("--json", str(results), "--samples", str(samples)),
        )
    )

    written = json.loads(results.read_text())
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert code == 0
    assert written["benchmark"] == "starter"
    assert written["num_samples"] == len(rows) == 30
    assert {"accuracy", "ci_low", "ci_high", "extraction_failed", "truncated"} <= set(written)
    assert [row["subset"] for row in written["subsets"]] == ["anchor", "IQ", "EQ"]
    assert written["num_correct"] == sum(row["correct"] for row in rows)
    assert chat_server.requests[0]["max_tokens"] == 8
    assert chat_server.requests[0]["seed"] == 3
    shown = capsys.readouterr()
    assert "starter" in shown.out
    assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--base-url", "localhost"], "not the URL of a server"),
        (["--base-url", "http://x/v1", "--max-concurrency", "0"], "--max-concurrency 0"),
        (["--base-url", "http://x/v1", "--temperature", "-1"], "--temperature -1"),
        (["--base-url", "http://x/v1", "--header", "novalue"], "NAME=VALUE"),
        (["--base-url", "http://x/v1", "--api-key-env", "NO_SUCH_KEY_HERE"], "is not set"),
        (["--base-url", "http://x/v1", "--samples", "/nowhere/s"], "cannot be written"),
        (
            ["--base-url", "http://x/v1", "--api", "completions", "--system-prompt", "x"],
            "need api: chat",
        ),
    ],
)
def test_bad_input_is_one_clear_message(argv: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        eval_command.run(parsed(*argv))


def test_a_hub_that_is_not_reached_names_the_local_way_at_once(tmp_path: Path) -> None:
    argv = ["--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--benchmark", "gsm8k"]
    done = subprocess.run(
        [sys.executable, "-m", "nightbench.cli.main", "eval", *argv],
        env=dict(os.environ, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "openai/gsm8k could not be read" in done.stderr
    assert "--data FOLDER" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_is_not_there_says_what_to_check() -> None:
    with pytest.raises(EndpointError) as refused:
        eval_command.run(parsed("--base-url", "http://127.0.0.1:9/v1"))

    assert "Is the server running" in refused.value.hint
