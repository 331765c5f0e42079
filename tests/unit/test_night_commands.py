"""The commands of a night: drained before, given back after, and never for longer than they may."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from nightbench.night.commands import NightCommandFailed, NightContext, run_command
from nightbench.suite.models import NightCommand


def context(folder: Path, status: str | None = None) -> NightContext:
    return NightContext(
        run_id="20260708T180000Z-s-abc",
        night="2026-07-09",
        suite="s",
        base_dir=folder,
        status=status,
    )


def python(code: str, timeout: float = 20.0) -> NightCommand:
    return NightCommand(argv=(sys.executable, "-c", code), timeout=timeout)


def test_a_command_runs_in_the_suites_folder_and_is_told_of_which_night(tmp_path: Path) -> None:
    code = (
        "import os, pathlib; pathlib.Path('said').write_text(' '.join(os.environ['NIGHTBENCH_' + n]"
        " for n in ('RUN_ID', 'NIGHT', 'SUITE', 'STATUS')))"
    )
    run_command(python(code), context(tmp_path, "cancelled"), os.environ)
    assert (tmp_path / "said").read_text() == "20260708T180000Z-s-abc 2026-07-09 s cancelled"


def test_a_command_that_fails_says_how_with_the_tail_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(NightCommandFailed, match="failed with exit code 3") as failed:
        run_command(python("print('\\x1b[31mno such node'); exit(3)"), context(tmp_path), {})
    assert failed.value.hint == "\ufffd[31mno such node"


def test_a_command_that_is_not_there_could_not_be_started(tmp_path: Path) -> None:
    missing = NightCommand(argv=("no-such-command",))
    with pytest.raises(NightCommandFailed, match="`no-such-command` could not be started"):
        run_command(missing, context(tmp_path), {"PATH": os.environ["PATH"]})


def test_a_command_is_ended_with_its_children_when_its_time_is_over(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, pathlib; child = subprocess.Popen(['sleep', '600']);"
        "pathlib.Path('child').write_text(str(child.pid)); child.wait()"
    )
    with pytest.raises(NightCommandFailed, match=r"was stopped after its timeout of 1\.5 s"):
        run_command(python(code, timeout=1.5), context(tmp_path), os.environ)
    child = int((tmp_path / "child").read_text())
    give_up = time.monotonic() + 20
    while psutil.pid_exists(child) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not psutil.pid_exists(child)


def test_a_cancelled_night_does_not_wait_and_the_command_goes_on(tmp_path: Path) -> None:
    code = "import time, pathlib; time.sleep(1); pathlib.Path('given-back').touch()"
    run_command(python(code), context(tmp_path), os.environ, wait_s=0.1)
    give_up = time.monotonic() + 30
    while not (tmp_path / "given-back").exists():
        assert time.monotonic() < give_up
        time.sleep(0.05)
