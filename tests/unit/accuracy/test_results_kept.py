"""What `nightbench eval` and `score` leave behind, whatever happens to who reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.accuracy.conftest import ChatServer, completion

REFUSED = json.dumps({"error": {"message": "Use 'max_completion_tokens' instead."}}).encode()


def run_eval(server: ChatServer, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "nightbench.cli.main", "eval", "--benchmark", "starter"),
        *("--base-url", server.endpoint.base_url, "--model", "m", "--limit", "4", *more),
    ]


def said(argv: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, " ".join(done.stderr.split())


def test_where_every_request_is_refused_it_fails_with_the_servers_words(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.answer = lambda body: (400, REFUSED, {})
    results, samples = tmp_path / "r.json", tmp_path / "s.jsonl"

    code, table, error = said(
        run_eval(chat_server, "--json", str(results), "--samples", str(samples))
    )

    assert code == 1
    assert "none of 4 requests succeeded: HTTP 400: Use 'max_completion_tokens'" in error
    assert "4 failed" in table
    assert json.loads(results.read_text())["num_failed"] == 4
    assert len(samples.read_text().splitlines()) == 4


def test_where_some_are_refused_the_servers_words_are_said_too(chat_server: ChatServer) -> None:
    answers = iter([(400, REFUSED, {})])
    chat_server.answer = lambda body: next(answers, completion("答案：B"))

    code, _, error = said(run_eval(chat_server))

    assert code == 0
    assert "1 of 4 requests failed" in error
    assert "max_completion_tokens" in error


@pytest.mark.parametrize("option", ["--json", "--samples"])
@pytest.mark.parametrize("place", ["nowhere/o.json", "."])
def test_a_file_that_cannot_be_written_is_refused_before_the_first_question(
    option: str, place: str, chat_server: ChatServer, tmp_path: Path
) -> None:
    code, _, error = said(run_eval(chat_server, option, str(tmp_path / place)))

    assert code == 2
    assert "cannot be written" in error
    assert chat_server.requests == []
    assert list(tmp_path.iterdir()) == []


def test_one_file_for_results_and_answers_is_refused(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    same = str(tmp_path / "x")

    code, _, error = said(run_eval(chat_server, "--json", same, "--samples", same))

    assert (code, chat_server.requests) == (2, [])
    assert "both name" in error


def test_a_closed_pipe_loses_nothing(chat_server: ChatServer, tmp_path: Path) -> None:
    results, samples = tmp_path / "r.json", tmp_path / "s.jsonl"
    read_end, write_end = os.pipe()
    os.close(read_end)

    argv = run_eval(chat_server, "--json", str(results), "--samples", str(samples))
    subprocess.run(argv, stdout=write_end, stderr=subprocess.DEVNULL, check=False)
    os.close(write_end)

    assert json.loads(results.read_text())["num_samples"] == 4
    assert len(samples.read_text().splitlines()) == 4


def test_results_of_before_stay_until_there_are_new_ones(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    results = tmp_path / "r.json"
    results.write_text("old")

    code, _, _ = said(run_eval(chat_server, "--json", str(results), "--subsets", "XQ"))

    assert code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert results.read_text() == "old"


def test_results_may_go_down_a_pipe(chat_server: ChatServer) -> None:
    code, out, _ = said(run_eval(chat_server, "--json", "/dev/stdout"))

    assert code == 0
    assert '"num_samples": 4' in out


def test_score_knows_before_it_scores_that_its_file_cannot_be_written(tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    replies.write_text(json.dumps({"reply": "答案：B", "gold": "B"}))
    score = [sys.executable, "-m", "nightbench.cli.main", "score", "--benchmark", "iquiz"]

    code, out, error = said(
        [*score, "--replies", str(replies), "--json", str(tmp_path / "nowhere" / "o.json")]
    )

    assert code == 2
    assert "cannot be written" in error
    assert out == ""
