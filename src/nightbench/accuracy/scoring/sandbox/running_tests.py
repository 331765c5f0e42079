"""The process that holds the tests and calls a program that runs in another.

What comes back is plain data (`plain_values.py`); nothing of the program is ever run in here.
Whether the tests held is said by a secret that the program's process is never told.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from typing import Any

from nightbench.accuracy.scoring.sandbox.confinement import CANNOT_CONFINE, confine
from nightbench.accuracy.scoring.sandbox.plain_values import decode, encode

_MOST_ANSWER_BYTES = 64_000_000
_PART_BYTES = 65536


def main(to_program: int, from_program: int) -> None:
    """Confine this process, have the program run, hold the tests against it, say if they held.

    Reads a line of JSON: `program`, `prompt`, `tests`, `entry_point`, `secret`, `library`.
    """
    job = json.loads(sys.stdin.readline())
    verdict = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if not confine():
        os._exit(CANNOT_CONFINE)
    program = Program(to_program, from_program)
    program.start({name: job[name] for name in ("program", "entry_point", "library")})
    namespace = _prompts_own(job["prompt"])
    namespace[job["entry_point"]] = program
    code = compile(job["tests"], "<tests>", "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102
    os.write(verdict, job["secret"].encode())


class Program:
    """A program's function, as the tests call it."""

    def __init__(self, to_program: int, from_program: int) -> None:
        self._to, self._from = to_program, from_program
        self._heard = bytearray()

    def start(self, job: dict[str, str]) -> None:
        """Have it run. Raises EOFError where it does not run to its end."""
        self._say(job)
        if self._answer() != ["ran"]:
            raise EOFError("the program did not finish")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._say([encode(list(arguments)), encode(named)])
        kind, *parts = self._answer()
        if kind == "raised":
            raise _raised(str(parts[0]), str(parts[1]))
        value, after = decode(parts[0]), decode(parts[1])
        for before, now in zip(arguments, after, strict=True):
            _put_back(before, now)
        return value

    def _say(self, what: Any) -> None:
        text = json.dumps(what).encode() + b"\n"
        while text:
            text = text[os.write(self._to, text) :]

    def _answer(self) -> list[Any]:
        while b"\n" not in self._heard[-_PART_BYTES:]:
            part = os.read(self._from, _PART_BYTES)
            self._heard += part
            if not part or len(self._heard) > _MOST_ANSWER_BYTES:
                raise EOFError("the program exited or wrote too much")
        line, _, rest = bytes(self._heard).partition(b"\n")
        self._heard = bytearray(rest)
        answer: list[Any] = json.loads(line)
        return answer


def _prompts_own(prompt: str) -> dict[str, Any]:
    """What the question itself imports and defines, for tests that use it."""
    namespace: dict[str, Any] = {}
    for text in (prompt, f"{prompt}\n    pass\n"):
        try:
            exec(compile(text, "<prompt>", "exec", dont_inherit=True), namespace)  # noqa: S102
        except SyntaxError:
            continue
        break
    return namespace


def _raised(name: str, message: str) -> Exception:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except TypeError:  # UnicodeDecodeError wants five
            pass
    return RuntimeError(f"{name}: {message}")


def _put_back(before: Any, now: Any) -> None:
    """What the function did to a list or mapping it was given."""
    if type(before) is not type(now):
        return
    if isinstance(before, list | bytearray):
        before[:] = now
    elif isinstance(before, dict | set):
        before.clear()
        before.update(now)
