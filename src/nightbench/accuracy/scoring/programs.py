"""Scoring of replies that are programs, by running their tests in a sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nightbench
from nightbench.accuracy.benchmark import Question, Score, ScoreReply
from nightbench.accuracy.scoring.code_blocks import program_of
from nightbench.accuracy.scoring.sandbox.confinement import landlock_version, readable
from nightbench.accuracy.scoring.worker_process import exchange
from nightbench.data.loading import Record
from nightbench.errors import BadInput

WALL_LIMIT_S = 4.0  # EvalScope's; the interpreter's own start comes on top
START_ALLOWANCE_S = 2.0
_LIBRARY = str(Path(nightbench.__file__).resolve().parents[1])
_PYTHON = (
    *(sys.executable, "-I", "-B", "-c"),
    f"import runpy, sys; sys.path.append({_LIBRARY!r}); "
    "runpy.run_module('nightbench.accuracy.scoring.sandbox', alter_sys=False)",
)
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
    if confinement() is None:
        raise BadInput(
            "this machine cannot confine a program (seccomp on Linux is needed)",
            hint="Remove the benchmark, or run it on another machine.",
        )
    slots = threading.Semaphore(os.cpu_count() or 1)

    def score(question: Question, reply: str) -> Score:
        code = first_block(reply)
        strict = program_of(reply, entry_point_of(question))
        with slots:
            passed = passes(question, code)
            passed_strict = passed if strict == code else passes(question, strict)
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


def first_block(reply: str) -> str:
    """EvalScope's extraction: the first fenced block, else the whole reply."""
    match = _BLOCK.search(reply)
    return match.group(1) if match else reply


def entry_point_of(question: Question) -> str:
    """The name of the function that a question asks for: what its tests are called with."""
    return question.solution.rpartition("check(")[2].rstrip(") \n")


def run_confined(program: str, *, wall_limit_s: float = WALL_LIMIT_S) -> bool:
    """Whether `program` runs to its end, within the limits of `sandbox`.

    It is ended when this returns, and with this process, however that ends.
    """
    return _holds(ProgramTest(program=program), wall_limit_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTest:
    """A program, and the tests that call its `entry_point`; `prompt` is what they may use too."""

    program: str
    prompt: str = ""
    tests: str = ""
    entry_point: str = ""


def passes(question: Question, code: str) -> bool:
    """Whether a reply's code passes the tests of its question."""
    (prompt,) = question.choices
    job = ProgramTest(
        program=f"{prompt}{code}\n",
        prompt=prompt,
        tests=question.solution,
        entry_point=entry_point_of(question),
    )
    return _holds(job, WALL_LIMIT_S)


@cache
def confinement() -> str | None:
    """What keeps programs from reading what is not theirs: `bubblewrap`, `landlock` or, where there
    is neither, `audit hook`; None where this machine cannot confine a program at all."""
    if shutil.which("bwrap") and _holds(ProgramTest(program="pass"), WALL_LIMIT_S, _bubblewrap()):
        return "bubblewrap"
    if not _holds(ProgramTest(program="pass"), WALL_LIMIT_S, ()):
        return None
    return "landlock" if landlock_version() else "audit hook"


def _holds(job: ProgramTest, wall_limit_s: float, wrapper: Sequence[str] | None = None) -> bool:
    """Whether the program ran to its end and every test held."""
    if wrapper is None:
        wrapper = _bubblewrap() if confinement() == "bubblewrap" else ()
    secret = secrets.token_hex(16)
    said = json.dumps(asdict(job) | {"secret": secret, "library": _LIBRARY}) + "\n"
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with ExitStack() as stack:
        try:
            starter = "0" if wrapper else str(os.getpid())
            program = [*wrapper, *_PYTHON, starter, "program"]
            stack.enter_context(_started(program, stdin=to_read, stdout=from_write))
            judge = stack.enter_context(
                _started(
                    [*_PYTHON, str(os.getpid()), "judge", str(to_write), str(from_read)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=(to_write, from_read),
                )
            )
        finally:
            for descriptor in (to_read, to_write, from_read, from_write):
                os.close(descriptor)
        within_s = wall_limit_s + START_ALLOWANCE_S
        heard = exchange(
            judge, said.encode("utf-8", "replace"), most_bytes=len(secret), within_s=within_s
        )
    return heard == secret.encode()


@contextmanager
def _started(argv: Sequence[str | Path], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, which is ended with the context."""
    with subprocess.Popen(
        argv,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        **how,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _bubblewrap() -> list[str]:
    """A machine with Python and the system's libraries, no processes, no network and no files."""
    shown = [*readable(), str(Path(_LIBRARY) / "nightbench")]
    bound = [
        word for path in shown if not path.startswith("/dev/") for word in ("--ro-bind", path, path)
    ]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--clearenv"),
        *("--setenv", "LANG", "C.UTF-8", "--setenv", "OMP_NUM_THREADS", "1"),
        *("--dev", "/dev", "--tmpfs", "/tmp", *bound, "--chdir", "/", "--"),  # noqa: S108
    ]
