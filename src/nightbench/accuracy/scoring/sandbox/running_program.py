"""The process that runs a model's program, and calls its function as it is told to.

It never sees the tests, nor what they expect: it is sent the program, then arguments, and answers
with what came of them. All that a program can do in here, it can do to its own answers only.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from nightbench.accuracy.scoring.sandbox.confinement import CANNOT_CONFINE, confine
from nightbench.accuracy.scoring.sandbox.plain_values import decode, encode


def main() -> None:
    """Confine this process, read a program, say when it has run, then answer calls."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if not confine():
        os._exit(CANNOT_CONFINE)
    job = json.loads(calls.readline())
    sys.path[:] = [path for path in sys.path if path != job["library"]]
    namespace: dict[str, Any] = {}  # as EvalScope: no __main__ runs
    code = compile(job["program"], "<reply>", "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102
    _say(answers, ["ran"])
    for line in calls:
        _say(answers, _called(namespace.get(job["entry_point"]), json.loads(line)))


def _called(function: Any, arguments: Any) -> list[Any]:
    """What a call returned, and what became of its arguments; or what it raised."""
    positional, named = decode(arguments[0]), decode(arguments[1])
    try:
        value = encode(function(*positional, **named))
        return ["returned", value, encode(positional)]
    except Exception as error:  # noqa: BLE001 - the tests say what is to be raised
        return ["raised", type(error).__name__, str(error)[:200]]


def _say(answers: int, answer: list[Any]) -> None:
    text = json.dumps(answer).encode() + b"\n"
    with contextlib.suppress(BrokenPipeError):
        while text:
            text = text[os.write(answers, text) :]
