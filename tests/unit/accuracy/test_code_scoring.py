from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from nightbench.accuracy.client import Ask
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.replies import Reply
from nightbench.accuracy.scoring.code_blocks import program_of
from nightbench.accuracy.scoring.programs import first_block, run_confined
from nightbench.accuracy.scoring.sandbox.confinement import DENIED, MACHINES
from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput
from nightbench.records import AccuracySample
from nightbench.suite.models import AccuracySpec
from tests.unit.accuracy.hub_records import FOLDERS

NOWHERE = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")


def test_a_program_that_ends_well_passes_and_one_that_does_not_fails() -> None:
    assert run_confined("import math, collections, re\nassert math.gcd(4, 6) == 2")
    assert not run_confined("assert 1 == 2")
    assert not run_confined("def broken(:")


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(0)",
        "import os; os._exit(0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os\nwhile True: os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import threading; threading.Thread(target=print).start()",
        "x = bytearray(10 * 1024**3)",
        "import socket; socket.socket()",
        "import socket; socket.create_connection(('127.0.0.1', 1))",
        "open('here', 'w')",
        "open('/tmp/there', 'a')",
        "import os; os.mkdir('folder')",
        "import ctypes; assert ctypes.CDLL(None).syscall(0x40000000 + 41, 2, 1, 0) >= 0",
        "import resource; resource.prlimit(1, resource.RLIMIT_CPU)",
        "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 10)",
        "import os; os.utime('/tmp')",
        "import fcntl, os; fcntl.fcntl(os.pipe()[0], 8, os.getppid())",
        "def f(n): return f(n + 1)\nf(0)",
    ],
)
def test_what_a_program_has_no_use_for_fails_it_and_nothing_else(program: str) -> None:
    assert not run_confined(program)


def test_a_program_may_read_files_and_use_pipes() -> None:
    assert run_confined("import json, os; assert open(json.__file__).read(); os.pipe()")


@pytest.mark.parametrize(
    ("column", "header"),
    [
        (1, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (2, "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_calls_have_the_numbers_of_the_kernels_headers(column: int, header: str) -> None:
    if not Path(header).exists():
        pytest.skip("Linux' headers are not installed (linux-libc-dev)")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\n", Path(header).read_text()))
    calls = [call.split(":") for call in DENIED.split()]
    machine = MACHINES["x86_64" if column == 1 else "aarch64"]

    assert {call[0]: call[column] for call in calls if call[column]} == {
        call[0]: defined[call[0]] for call in calls if call[column]
    }
    assert (str(machine.openat), str(machine.fcntl)) == (defined["openat"], defined["fcntl"])
    if column == 1:
        assert all(call[column] for call in calls)
    else:  # calls of old, which aarch64 never had
        assert not {call[0] for call in calls if not call[column]} & set(defined)


def test_each_of_these_programs_fails_its_own_sample_and_no_other(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    wrong = [
        "import os\nwhile True: os.fork()",
        "while True: pass",
        "x = bytearray(10 * 1024**3)",
        f"import os; os.remove({str(precious)!r})",
        "import socket; socket.socket()",
    ]
    records = [humaneval_row(n) for n in range(2 * len(wrong))]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "openai_humaneval.jsonl").write_text(lines)
    samples: list[AccuracySample] = []

    async def send(ask: Ask) -> Reply:
        number = int(ask.prompt.partition("add_")[2].partition("(")[0])
        await asyncio.sleep(0)
        program = wrong[number // 2] if number % 2 else "pass"
        return Reply(text=f"```python\n    return a + b\n\n{program}\n```")

    spec = AccuracySpec(benchmark="humaneval", data=".", allow_code_execution=True)
    evaluate(spec, NOWHERE, base_dir=tmp_path, on_sample=samples.append, send=send)

    right = {sample.sample_id for sample in samples if sample.correct}
    assert right == {f"openai_humaneval/{n}" for n in range(0, 2 * len(wrong), 2)}
    assert precious.read_text() == "kept"


def humaneval_row(number: int) -> dict[str, str]:
    """A record in the hub's format, whose right answer is a sum."""
    return {
        "task_id": f"HumanEval/{number}",
        "prompt": f'def add_{number}(a, b):\n    """The sum."""\n',
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        "entry_point": f"add_{number}",
    }


def test_an_endless_loop_is_ended() -> None:
    started_s = time.monotonic()

    assert not run_confined("while True: pass", wall_limit_s=0.5)
    assert time.monotonic() - started_s < 10


def test_no_file_of_ours_can_be_deleted_changed_or_renamed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    name = str(target)
    for attempt in (
        f"import os; os.remove({name!r})",
        f"import os; os.rename({name!r}, {name!r} + '2')",
        f"import os; os.truncate({name!r}, 0)",
        f"import os; os.chmod({name!r}, 0)",
        f"open({name!r}, 'w')",
        f"open({name!r}, 'r+').write('x')",
        f"import shutil; shutil.rmtree({str(tmp_path)!r})",
    ):
        assert not run_confined(attempt)
    assert target.read_text() == "kept"
    assert target.stat().st_mode & 0o777 != 0


def test_no_other_process_can_be_signalled() -> None:
    assert not run_confined(f"import os; os.kill({os.getpid()}, 15)")


def test_nothing_reaches_a_listening_socket() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        port = listening.getsockname()[1]
        run_confined(f"import socket; socket.create_connection(('127.0.0.1', {port}))")
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_the_first_block_is_evalscopes_and_the_last_that_defines_the_function_is_ours() -> None:
    reply = "```python\na = 1\n```\nBetter:\n```\na = 2\n```\n```\nprint(a)\n```"

    assert (first_block(reply), program_of(reply, "a")) == ("a = 1\n", "a = 2\n")
    assert first_block("    return 1") == program_of("    return 1", "a") == "    return 1"


def test_humaneval_is_asked_and_judged_by_its_tests(tmp_path: Path) -> None:
    folder = next(folder for folder in FOLDERS if folder.benchmark == "humaneval").write(tmp_path)
    spec = AccuracySpec(benchmark="humaneval", data=".", allow_code_execution=True)
    samples: list[AccuracySample] = []

    async def send(ask: Ask) -> Reply:
        await asyncio.sleep(0)
        right = "add_0" in ask.prompt
        return Reply(text=f"```python\n    return a {'+' if right else '-'} b + 0\n```")

    results = evaluate(spec, NOWHERE, base_dir=folder, on_sample=samples.append, send=send)

    assert {sample.sample_id: sample.correct for sample in samples} == {
        "openai_humaneval/0": True,
        "openai_humaneval/1": False,
    }
    assert results[0].accuracy == 0.5


def test_nothing_is_run_unless_the_suite_allows_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="runs programs written by the model") as refused:
        evaluate(
            AccuracySpec(benchmark="humaneval", data="."),
            NOWHERE,
            base_dir=tmp_path,
            on_sample=print,
        )

    assert "allow_code_execution" in refused.value.hint
