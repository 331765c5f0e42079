"""A program passes by answering right, and in no other way; and it reads nothing of its user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.scoring import programs
from nightbench.accuracy.scoring.programs import (
    ProgramTest,
    code_scorer,
    confinement,
    humaneval_record,
)
from nightbench.accuracy.scoring.sandbox.plain_values import Opaque, decode, encode

PROMPT = 'from typing import List\n\n\ndef add(a: int, b: int) -> int:\n    """The sum."""\n'
TEST = (
    "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(2, 2) == 4\n"
    "    assert candidate(5, 2) == 7\n"
)
WAYS = {
    "alone": (),
    **({"bubblewrap": tuple(programs._bubblewrap())} if confinement() == "bubblewrap" else {}),
}


def asked(test: str = TEST, prompt: str = PROMPT, entry_point: str = "add") -> Question:
    return humaneval_record({"prompt": prompt, "test": test, "entry_point": entry_point})


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to confine a program that there is here."""
    monkeypatch.setattr(programs, "_bubblewrap", lambda: list(WAYS[request.param]))
    return str(request.param)


def passed(code: str, question: Question | None = None) -> bool:
    return programs.passes(question or asked(), code)


def test_right_passes_and_wrong_does_not(way: str) -> None:
    assert passed("    return a + b")
    assert passed("def add(a, b):\n    return a + b\n")
    assert not passed("    return a - b")
    assert not passed("    return 3")


FORGERIES = {
    "exits": "    return 0\nimport sys\nsys.exit(0)",
    "exits when called": "    import sys\n    sys.exit(0)",
    "leaves at once": "    import os\n    os._exit(0)",
    "its own check": "    return 0\ndef check(candidate): pass",
    "its own assert": "    return 0\nAssertionError = ValueError\n__debug__",
    "patched builtins": (
        "    return 0\nimport builtins\nbuiltins.AssertionError = type('A', (Exception,), {})\n"
        "builtins.compile = lambda *a, **k: (lambda: 0).__code__\n"
        "builtins.exec = lambda *a, **k: None\n"
    ),
    "equal to everything": (
        "    class Any:\n        __eq__ = lambda self, other: True\n"
        "        __ne__ = lambda self, other: False\n        __hash__ = None\n    return Any()"
    ),
    "a number equal to everything": (
        "    class Any(int):\n        __eq__ = lambda self, other: True\n"
        "        __hash__ = int.__hash__\n    return Any(0)"
    ),
    "frames": (
        "    return 0\nimport sys, os\nframe = sys._getframe()\nwhile frame:\n"
        "    for value in list(frame.f_locals.values()):\n"
        "        for fd in range(64):\n"
        "            for text in (value, str(value).encode()):\n"
        "                try: os.write(fd, text if isinstance(text, bytes) else b'')\n"
        "                except (OSError, TypeError): pass\n"
        "    frame = frame.f_back\n"
    ),
    "everything there is": (
        "    return 0\nimport gc, os\nfor value in gc.get_objects():\n"
        "    if isinstance(value, dict) and 'secret' in value:\n"
        "        for fd in range(64):\n"
        "            try: os.write(fd, str(value['secret']).encode())\n"
        "            except OSError: pass\n"
    ),
    "answers early": (
        "    return 0\nimport os\nfor fd in range(64):\n"
        '    try: os.write(fd, b\'["ran"]\\n\' * 9 + b\'["returned", ["bool", true], '
        '["list", []]]\\n\' * 9)\n    except OSError: pass\n'
    ),
    "answers with an object": "    return object()",
    "reads the tests": (
        "    import os, re\n    for name in os.listdir('/proc'):\n        if name.isdigit():\n"
        "            text = open(f'/proc/{name}/cmdline', 'rb').read()\n    return 3"
    ),
    "raises nothing": "    raise SystemExit",
    "a generator": "    yield 3",
    "recursive": "    value = []\n    value.append(value)\n    return value",
    "the future": "    return 3\nfrom __future__ import annotations",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_pass_cannot_be_forged(forgery: str, way: str) -> None:
    assert not passed(FORGERIES[forgery])


def test_a_forged_pass_is_none_by_either_reading() -> None:
    with code_scorer() as score:
        points = score(asked(), FORGERIES["equal to everything"])

    assert (points.correct, points.correct_strict) == (False, False)


def test_a_program_does_not_inherit_the_runners_future() -> None:
    code = "    return a + b\nassert add.__annotations__['a'] is int\n"

    assert passed(code)


def test_a_file_of_the_users_cannot_be_read(tmp_path: Path, way: str) -> None:
    secret = tmp_path / "key"
    secret.write_text("secret")
    here = Path(__file__)

    assert not passed(f"    return a + b\nopen({str(secret)!r}).read()\n")
    assert not passed(f"    return a + b\nimport os; os.listdir({str(tmp_path)!r})\n")
    assert not passed(f"    return a + b\nopen({str(here)!r}).read()\n")
    assert not passed("    return a + b\nopen('/etc/passwd').read()\n")
    assert not passed("    return a + b\nimport os; open(f'/proc/{os.getppid()}/environ').read()\n")
    assert passed("    return a + b\nimport json, decimal, random, zoneinfo, unicodedata, heapq\n")


WITHOUT_LANDLOCK = """
import sys
from nightbench.accuracy.scoring.sandbox import confinement
confinement.read_only_python = lambda: False
assert confinement.confine()
import json, random, sqlite3
open(json.__file__).read()
for attempt in sys.argv[1:]:
    try:
        exec(attempt)
    except PermissionError:
        continue
    raise SystemExit(attempt)
"""


def test_where_there_is_no_landlock_python_itself_refuses(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("secret")
    attempts = [
        f"open({str(secret)!r})",
        f"import os; os.open({str(secret)!r}, 0)",
        f"import pathlib; pathlib.Path({str(tmp_path)!r}, 'x', '..', 'key').read_bytes()",
        f"import os; os.listdir({str(tmp_path)!r})",
        f"import os; list(os.scandir({str(tmp_path)!r}))",
        "open('/proc/self/environ')",
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LANDLOCK, *attempts],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_tests_may_use_what_the_question_defines_and_see_what_became_of_arguments() -> None:
    prompt = 'def double(x):\n    return 2 * x\n\n\ndef first(xs):\n    """Take the first off."""\n'
    test = (
        "def check(candidate):\n    xs = [double(2), 5]\n    assert candidate(xs) == 4\n"
        "    assert xs == [5]\n    try:\n        candidate([])\n        assert False\n"
        "    except IndexError:\n        pass\n"
    )

    assert passed("    return xs.pop(0)\n", asked(test, prompt, "first"))
    assert not passed("    return xs[0]\n", asked(test, prompt, "first"))


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            True,
            0,
            -(10**30),
            1.5,
            float("inf"),
            2j,
            "é\0\ud800",
            b"\xff",
            (1, [2, {3: {4}}]),
        ),
        *({"a": None}, frozenset({1}), range(2, 9, 3), [True, 1, 1.0]),
    ],
)
def test_plain_values_arrive_as_they_are(value: object) -> None:
    arrived = decode(encode(value))

    assert arrived == value
    assert repr(arrived) == repr(value)


def test_what_is_no_plain_value_equals_nothing_but_keeps_its_truth() -> None:
    arrived = decode(encode(object()))

    assert isinstance(arrived, Opaque)
    assert arrived != arrived.__class__("object", truth=True)
    assert arrived
    assert list(decode(encode(iter([1, 2])))) == [1, 2]


def test_a_job_without_tests_is_a_program_that_runs_to_its_end() -> None:
    assert programs._holds(ProgramTest(program="x = 1"), 4.0)
