"""Canary keys end up nowhere but where they are needed; and the search for them finds them."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.security.canaries import all_commands, play, prepare, report, short_commands
from tests.security.canary_scene import KINDS
from tests.security.looking import Watch, search


@pytest.mark.timeout(240)
def test_canaries_through_eval_and_load_are_found_nowhere(tmp_path: Path) -> None:
    scene = prepare(tmp_path)
    files = play(scene, short_commands)
    assert scene.leaks == [], report(scene, files)
    assert [code for _, code, _ in scene.ran] == [0, 1, 0, 0]
    assert len(scene.canaries) >= 8


@pytest.mark.fault
@pytest.mark.timeout(900)
def test_canaries_through_every_command_and_a_night_are_found_nowhere(tmp_path: Path) -> None:
    scene = prepare(tmp_path)
    files = play(scene, all_commands)
    assert scene.leaks == [], report(scene, files)


def test_the_search_finds_a_canary_in_any_file_and_spelling(tmp_path: Path) -> None:
    scene = prepare(tmp_path)
    key = scene.canaries[KINDS[0]]
    (tmp_path / "out" / "part").write_text(key[5:18])
    (tmp_path / "out" / "base64").write_bytes(base64.b64encode(b"user:" + key.encode()))
    pq.write_table(pa.table({"error": [key] * 100}), tmp_path / "out" / "packed.parquet")
    (scene.inputs / "typed").write_text(key)
    search(scene)
    assert {where for _, where, _ in scene.leaks} == {
        "out/part",
        "out/base64",
        "out/packed.parquet",
    }


def test_the_watch_finds_a_canary_on_a_command_line_and_in_an_environment(tmp_path: Path) -> None:
    scene = prepare(tmp_path)
    typed, given = scene.canaries[KINDS[0]], scene.canaries[KINDS[1]]
    child = f"import time; time.sleep(60)  # {typed}"
    start = f"import subprocess; subprocess.run({[sys.executable, '-c', child]!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", start], env={"X": given}, cwd=tmp_path, start_new_session=True
    )
    deadline = time.monotonic() + 30
    with Watch(scene, process.pid):
        while len({where for _, where, _ in scene.leaks}) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert {(kind, where) for kind, where, _ in scene.leaks} == {
        (KINDS[0], "a command line"),
        (KINDS[1], "an environment"),
    }
