"""A rehearsal that is interrupted ends in order, and touches nothing of the real nights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nightbench.cli import rehearse_command
from nightbench.cli.main import main
from nightbench.cli.rehearse_command import _environment, _own_home
from nightbench.errors import NightbenchError
from nightbench.home.paths import Home

# What it starts takes a while to end, and says so at its very end.
CHILD = """
import signal, sys, time
print("up", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    print("ended in order", flush=True)
    sys.exit(130)
"""
PARENT = f"""
import os, sys
from nightbench.cli.rehearse_command import run_to_its_end
try:
    run_to_its_end([sys.executable, "-c", {CHILD!r}], os.environ)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_it_runs_is_interrupted_once_and_waited_for(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, how)
        said = process.stdout.read()
    assert said == "ended in order\ninterrupted\n"


def test_its_home_has_a_history_of_its_own_and_the_engines_that_are_here(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    own = Home(_own_home(home, tmp_path / "work"))
    assert own.engines.resolve() == home.engines
    assert own.models.resolve() == home.models
    assert own.history != home.history
    assert not own.history.exists()


def test_it_reaches_nobody(tmp_path: Path) -> None:
    given = {
        "NIGHTBENCH_ALERT_URL": "mailto://x",
        "SWANLAB_API_KEY": "k",
        "PREFECT_API_URL": "http://team/api",
        "NIGHTBENCH_HOME": "/real",
        "PATH": "/bin",
    }
    assert _environment(given, tmp_path) == {
        "PATH": "/bin",
        "NIGHTBENCH_HOME": str(tmp_path),
        "SWANLAB_MODE": "local",
    }


def test_what_the_night_will_lack_is_said_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))
    said: list[str] = []

    def about_to_build(*_: object) -> None:
        said.append(" ".join(capsys.readouterr().out.split()))
        raise NightbenchError("far enough")

    monkeypatch.setattr(rehearse_command, "_stage", about_to_build)
    assert main(["rehearse", "glm-4.5-air", "starter"]) == 1
    (before,) = said
    assert "model /models/ZhipuAI/GLM-4.5-Air: put it there" in before
    assert "engine vllm==0.33.0: not built yet" in before
    assert "starter SmolLM2-135M-Instruct under vLLM" in before
