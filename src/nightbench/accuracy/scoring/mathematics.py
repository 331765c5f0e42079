"""Scoring of mathematical answers, in a process with a deadline."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nightbench.accuracy.benchmark import Question, Score, ScoreReply
from nightbench.accuracy.scoring.math_answers import read_answer
from nightbench.accuracy.scoring.strict_mathematics import read_final_answer
from nightbench.accuracy.scoring.worker_process import exchange, started_to_stay
from nightbench.data.loading import Record
from nightbench.errors import BadInput
from nightbench.secrets.child_env import FOR_PYTHON, environment_for

DEADLINE_S = 10.0
_MAX_REPLY_CHARS = 1_000_000
_MOST_ANSWER_BYTES = 16_000_000  # a reply as JSON escapes it, and some


@contextmanager
def math_scorer() -> Iterator[ScoreReply]:
    """A scorer of mathematical replies; its process lives as long as the context.

    Raises BadInput where Math-Verify is not installed.
    """
    _require_math_verify()
    with contextlib.closing(_Worker()) as worker:

        def score(question: Question, reply: str) -> Score:
            reply = reply[-_MAX_REPLY_CHARS:]
            extracted = worker.call("read", reply) or None
            strict = read_final_answer(reply)
            return Score(
                extracted=str(extracted) if extracted else None,
                extracted_strict=strict,
                correct=bool(extracted and worker.call("same", str(extracted), question.gold)),
                correct_strict=bool(strict and worker.call("same", strict, question.gold)),
            )

        yield score


def competition_record(record: Record) -> Question:
    """MATH: `problem` and a worked `solution` whose box is the answer."""
    _require_math_verify()
    solution = str(record["solution"])
    return Question(text=str(record["problem"]), gold=read_answer(solution), solution=solution)


def _require_math_verify() -> None:
    if importlib.util.find_spec("math_verify") is None:
        raise BadInput(
            "Math-Verify is not installed: mathematical answers cannot be compared",
            hint="pip install math-verify",
        )


class _Worker:
    """A `math_worker` process that is started when first asked, and again after a deadline."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def call(self, *call: str) -> object:
        """The worker's answer, or None where it had none in time."""
        with self._one_at_a_time:
            return self._call(call)

    def _call(self, call: tuple[str, ...]) -> object:
        self._process = process = self._process or started_to_stay(_start)
        line = exchange(
            process,
            json.dumps(call).encode() + b"\n",
            most_bytes=_MOST_ANSWER_BYTES,
            within_s=self._deadline_s,
            one_line=True,
        )
        if line is None:
            self.close()
            return None
        answer: object = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process and wait for it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "nightbench.accuracy.scoring.math_worker", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment_for(FOR_PYTHON),
    )
