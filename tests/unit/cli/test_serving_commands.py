"""serve, reap, doctor and engines, as they are typed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nightbench.cli import doctor_command
from nightbench.cli.main import main
from nightbench.serving import processes
from nightbench.serving.hardware import lease_files, reaper
from nightbench.serving.provision import recipes
from nightbench.serving.supervise.supervisor_client import wait_until

LAUNCH = "0123456789abcdef"
SMALL_SERVER = Path(__file__).parents[1] / "serving" / "small_server.py"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and leases of its own."""
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NIGHTBENCH_LEASES", str(tmp_path / "leases"))
    return tmp_path


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    mark = {processes.LAUNCH_VARIABLE: LAUNCH}
    return subprocess.Popen(["sleep", "1000"], env=os.environ | mark)


def leave_behind(place: Path, process: subprocess.Popen[bytes]) -> None:
    stat = processes.stat_of(process.pid)
    assert stat is not None
    written = {
        "launch_id": LAUNCH,
        "subject": "glm",
        "port": 8123,
        "boot_id": processes.boot_id(),
        "processes": [[process.pid, stat[1]]],
    }
    (place / "leases").mkdir(exist_ok=True)
    lease_files.leave(place / "leases", "core-0", written)


def test_doctor_says_what_is_there_and_what_was_left_behind(
    place: Path, sleeper: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 0
    assert str(place / "home") in capsys.readouterr().out
    leave_behind(place, sleeper)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"left behind: {sleeper.pid}" in out
    assert "nightbench reap" in out
    assert sleeper.poll() is None, "doctor changes nothing"
    assert main(["reap"]) == 0
    assert f"ended {sleeper.pid}" in capsys.readouterr().out
    assert sleeper.wait(10) == -signal.SIGKILL
    assert main(["reap"]) == 0
    assert "nothing left behind" in capsys.readouterr().out


def test_doctor_names_who_has_the_usual_ports(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as listener, socket.socket() as closed:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        closed.bind(("127.0.0.1", 0))
        taken, free = listener.getsockname()[1], closed.getsockname()[1]
        monkeypatch.setattr(doctor_command, "USUAL_PORTS", {taken: "the one", free: "the other"})
        assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"taken by {os.getpid()} (the one)" in out
    assert "free (the other)" in out
    assert list(place.glob("home/*")) == [], "doctor changes nothing"


def test_engines_lists_recipes_and_what_is_built_and_removes(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = place / "home" / "engines" / recipes.load("vllm-cpu").key
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "vllm").touch()
    facts = {"root": str(root), "flavour": "cpu", "version": "0.32.0+cpu", "torch_version": "2.13"}
    (root / "ready.json").write_text(json.dumps(facts))
    assert main(["engines"]) == 0
    out = capsys.readouterr().out
    assert f"{root.name}  vllm 0.32.0+cpu, torch 2.13" in out
    assert "vllm-cuda  not built" in out
    assert main(["engines", "remove", root.name]) == 0
    assert not root.exists()
    assert main(["engines", "remove", root.name]) == 2
    assert main(["engines", "remove", "../home"]) == 2
    assert main(["engines", "build", "vllm-tpu"]) == 2


def write_suite(place: Path, *names: str) -> Path:
    engine = {"kind": "command", "argv": [sys.executable, str(SMALL_SERVER), "{port}"]}
    suite = {"name": "s", "targets": [{"name": name, "engine": engine} for name in names]}
    path = place / "suite.yaml"
    path.write_text(yaml.safe_dump(suite))
    return path


def test_serve_wants_to_know_which_of_several(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = write_suite(place, "a", "b")
    assert main(["serve", str(suite)]) == 2
    assert "Give --target: a, b" in capsys.readouterr().err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_serve_serves_until_it_is_told_to_stop(place: Path, signum: signal.Signals) -> None:
    suite = write_suite(place, "a")
    output = place / "out.txt"
    with (
        output.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", "nightbench.cli.main", "serve", str(suite)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(os.environ),
        ) as serving,
    ):
        assert wait_until(lambda: "Ctrl-C stops it" in output.read_text(), 30), output.read_text()
        serving.send_signal(signum)
        assert serving.wait(20) == 130
    text = output.read_text()
    assert re.search(r"small is ready at http://127.0.0.1:\d+/v1", text)
    assert "Traceback" not in text
    assert reaper.states(place / "leases") == []
