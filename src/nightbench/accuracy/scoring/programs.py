"""Scoring of replies that are programs, by running their tests in a sandbox."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightbench.accuracy.benchmark import Question, Score, ScoreReply
from nightbench.accuracy.scoring.code_blocks import program_of
from nightbench.accuracy.scoring.worker_process import exchange
from nightbench.data.loading import Record
from nightbench.errors import BadInput

WALL_LIMIT_S = 4.0  # EvalScope's; the interpreter's own start comes on top
START_ALLOWANCE_S = 2.0
_RUNNER = Path(__file__).with_name("sandboxed_python.py")
_BLOCK = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_INSTRUCTION = (
    "Read the following function signature and docstring, and fully implement the function "
    "described. Your response should only contain the code for this function.\n"
)


@contextmanager
def code_scorer() -> Iterator[ScoreReply]:
    """A scorer that runs programs, no more at once than there are cores.

    Raises BadInput where this machine cannot confine a program.
    """
    if not run_confined("pass"):
        raise BadInput(
            "this machine cannot confine a program (seccomp on Linux is needed)",
            hint="Leave the benchmark out, or run it on another machine.",
        )
    slots = threading.Semaphore(os.cpu_count() or 1)

    def score(question: Question, reply: str) -> Score:
        code = first_block(reply)
        strict = program_of(reply, entry_point_of(question))
        with slots:
            passed = run_confined(whole_program(question, code))
            same = strict == code
            passed_strict = passed if same else run_confined(whole_program(question, strict))
        return Score(
            extracted=code or None,
            extracted_strict=strict or None,
            correct=passed,
            correct_strict=passed_strict,
        )

    yield score


def humaneval_record(record: Record) -> Question:
    """HumanEval: `prompt`, `test`, `entry_point`; `solution` keeps what a reply is run with."""
    check = f"{record['test']}\ncheck({record['entry_point']})"
    return Question(
        text=_INSTRUCTION + str(record["prompt"]),
        gold=str(record.get("canonical_solution") or ""),
        solution=check,
        choices=(str(record["prompt"]),),
    )


def whole_program(question: Question, code: str) -> str:
    """The prompt's own code, the reply's, and the tests."""
    (prompt,) = question.choices
    return f"{prompt}{code}\n{question.solution}"


def first_block(reply: str) -> str:
    """EvalScope's extraction: the first fenced block, else the whole reply."""
    match = _BLOCK.search(reply)
    return match.group(1) if match else reply


def entry_point_of(question: Question) -> str:
    """The name of the function that a question asks for: what its tests are called with."""
    return question.solution.rpartition("check(")[2].rstrip(") \n")


def run_confined(program: str, *, wall_limit_s: float = WALL_LIMIT_S) -> bool:
    """Whether `program` runs to its end, within the limits of `sandboxed_python`.

    It is ended when this returns, and with this process, however that ends.
    """
    secret = secrets.token_hex(16).encode()
    text = secret + b"\n" + program.encode("utf-8", "replace")
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", _RUNNER, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    with process:
        try:
            within_s = wall_limit_s + START_ALLOWANCE_S
            said = exchange(process, text, most_bytes=len(secret), within_s=within_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return said == secret
