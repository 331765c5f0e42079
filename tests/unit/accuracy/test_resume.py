from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nightbench.accuracy.sample_files import read_samples
from nightbench.errors import DataError
from tests.unit.accuracy.conftest import ChatServer, completion


def run_eval(server: ChatServer, samples: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "nightbench.cli.main", "eval", "--benchmark", "starter"),
        *("--base-url", server.endpoint.base_url, "--model", "m", "--max-concurrency", "3"),
        *("--samples", str(samples), *more),
    ]


def test_a_killed_eval_picks_up_at_the_missing_samples_and_asks_nothing_twice(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    samples, results = tmp_path / "s.jsonl", tmp_path / "r.json"
    half, killed = threading.Event(), threading.Event()
    lock = threading.Lock()
    answered: list[str] = []

    def answer(body: dict[str, object]) -> tuple[int, bytes, dict[str, str]]:
        prompt = json.dumps(body["messages"])
        with lock:
            answered.append(prompt)
            if len(answered) == 64:
                half.set()
        if len(answered) > 64:
            killed.wait(30)
        return completion("Paris. 答案：B")

    chat_server.answer = answer  # type: ignore[assignment]
    process = subprocess.Popen(run_eval(chat_server, samples), stderr=subprocess.DEVNULL)
    assert half.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed.set()
    with samples.open("a") as file:
        file.write('{"benchmark": "sta')  # what a crash may leave
    before = read_samples(samples)
    asked_before = len(answered)

    subprocess.run(
        run_eval(chat_server, samples, "--resume", "--json", str(results)),
        check=True,
        capture_output=True,
    )

    after = read_samples(samples)
    again = answered[asked_before:]
    assert 0 < len(before) < 128
    assert len({(s.sample_id, s.repeat) for s in after}) == len(after) == 128
    assert len(again) == 128 - len(before)
    assert {s.sample_id: s for s in after[: len(before)]} == {s.sample_id: s for s in before}
    resumed = json.loads(results.read_text())
    assert resumed["num_samples"] == 128
    assert resumed["num_correct"] == sum(s.correct for s in after)


def test_ctrl_c_ends_it_at_once_and_keeps_what_was_answered(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    samples = tmp_path / "s.jsonl"
    some, over = threading.Event(), threading.Event()
    lock = threading.Lock()
    asked = 0

    def answer(body: dict[str, object]) -> tuple[int, bytes, dict[str, str]]:
        nonlocal asked
        with lock:
            asked += 1
            mine = asked
        if mine > 5:
            some.set()
            over.wait(60)
        return completion("答案：B")

    chat_server.answer = answer  # type: ignore[assignment]
    process = subprocess.Popen(
        run_eval(chat_server, samples), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert some.wait(60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    over.set()

    assert process.returncode == 130
    assert "Traceback" not in said
    assert len(read_samples(samples)) >= 3


def test_a_file_of_something_else_is_not_resumed_from(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n')

    with pytest.raises(DataError, match="line 1: not a sample"):
        read_samples(path)


def test_an_answer_that_was_asked_otherwise_is_refused_by_name(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    samples = tmp_path / "s.jsonl"
    settings = ["--limit", "2", "--temperature", "0.7"]
    subprocess.run(run_eval(chat_server, samples, *settings), check=True, capture_output=True)
    written = samples.read_text()
    for changed, said in (
        (["--temperature", "0"], "temperature was 0.7 and is 0.0"),
        (["--model", "other"], "model was 'm' and is 'other'"),
        (["--api", "completions"], "api was 'chat' and is 'completions'"),
        (["--max-tokens", "9"], "max_tokens was None and is 9"),
        (["--max-concurrency", "5"], "max_concurrency was 3 and is 5"),
        (["--system-prompt", "short"], "system_prompt was None and is 'short'"),
    ):
        argv = run_eval(chat_server, samples, *settings, *changed, "--resume")
        refused = subprocess.run(argv, capture_output=True, text=True, check=False)

        assert refused.returncode == 2, refused.stderr
        assert said in " ".join(refused.stderr.split())
        assert samples.read_text() == written
    assert len(chat_server.requests) == 2


def test_what_is_asked_again_is_not_in_the_file_twice(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    samples = tmp_path / "s.jsonl"
    answers = iter([400, 200, 400])

    def answer(body: dict[str, object]) -> tuple[int, bytes, dict[str, str]]:
        status = next(answers, 200)
        return (status, b"{}", {}) if status != 200 else completion("答案：B")

    chat_server.answer = answer  # type: ignore[assignment]
    argv = run_eval(chat_server, samples, "--limit", "3")
    subprocess.run(argv, check=True, capture_output=True)
    assert sum(s.reply is None for s in read_samples(samples)) == 2

    subprocess.run([*argv, "--resume"], check=True, capture_output=True)

    after = read_samples(samples)
    assert len({s.sample_id for s in after}) == len(after) == 3
    assert all(s.reply is not None for s in after)
    assert len(chat_server.requests) == 5
