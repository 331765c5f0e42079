"""`nightbench run` ended at bad moments: its engine goes too, and what was measured is landed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from scene import Scene

from nightbench.home import Home
from nightbench.serving.supervision import wait_until

pytestmark = [pytest.mark.fault, pytest.mark.engine, pytest.mark.timeout(400)]

NIGHTBENCH = [sys.executable, "-m", "nightbench.cli.main"]
LONG = {"temperature": 0, "max_tokens": 300, "ignore_eos": True}
BOOTING = r"^boot "
SHORT = {"temperature": 0, "max_tokens": 8}
LONG_ACCURACY = [{"benchmark": "starter", "max_concurrency": 2, "generation": LONG}]
ASKING = r"^samples .*[1-9]\d*/"
LOADING = r"^requests .*c2"


class Night:
    """A `nightbench run` in a home and with leases of its own, engines and models borrowed."""

    def __init__(self, scene: Scene, engine_home: Home, name: str = "home") -> None:
        self.scene = scene
        self.home = home = scene.folder / name
        home.mkdir()
        (home / "engines").symlink_to(engine_home.engines)
        (home / "models").symlink_to(engine_home.models)
        self.env = os.environ | {
            "NIGHTBENCH_HOME": str(home),
            "NIGHTBENCH_LEASES": str(scene.leases),
            "PYTHONUNBUFFERED": "1",
        }
        self.output = scene.folder / f"{name}.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **changes: object) -> subprocess.Popen[bytes]:
        """Begin it; `changes` replace parts of the suite."""
        suite = self.home / "faults.yaml"
        suite.write_text(yaml.safe_dump(self.suite() | changes))
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*NIGHTBENCH, "run", str(suite)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.scene.folder,
                start_new_session=True,
            )
        return self.process

    def suite(self) -> dict[str, Any]:
        prompts = [{"question": f"Question {n}: what comes next?"} for n in range(200)]
        path = self.scene.folder / "prompts.jsonl"
        path.write_text("".join(f"{json.dumps(prompt)}\n" for prompt in prompts))
        target = self.scene.target().model_dump(mode="json", exclude_unset=True)
        return {
            "name": "faults",
            "targets": [target],
            "accuracy": [
                {"benchmark": "starter", "max_concurrency": 4, "limit": 8, "generation": SHORT}
            ],
            "load": [
                {
                    "name": "chat",
                    "workload": {"kind": "openqa", "path": str(path)},
                    "max_concurrency": [1, 2],
                    "num_prompts": 12,
                    "generation": LONG,
                }
            ],
        }

    def wait_for(self, pattern: str, timeout_s: float = 240) -> None:
        """Until the run's output says so; it must not end before."""
        assert self.process is not None

        def said() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output.read_text()
            self.scene.remember()
            return bool(re.search(pattern, self.output.read_text(), re.MULTILINE))

        assert wait_until(said, timeout_s), self.output.read_text()
        self.scene.remember()

    def wait_to_end(self, timeout_s: float = 300) -> int:
        """Its exit code."""
        assert self.process is not None
        code = self.process.wait(timeout_s)
        assert code == 0, self.output.read_text()
        return code

    def files_with(self, text: str) -> list[Path]:
        """Everything it left with `text` in it; the suite itself is the person's own file."""
        everything = [path for path in self.home.rglob("*") if path.is_file()]
        left = [self.output, *(path for path in everything if path.name != "faults.yaml")]
        return [path for path in left if text.encode() in path.read_bytes()]

    def nightbench(self, *arguments: str) -> str:
        done = subprocess.run(
            [*NIGHTBENCH, *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.scene.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def landed(self, table: str, columns: str = "count(*) AS n") -> list[dict[str, Any]]:
        """What a dead run has left, once it is landed."""
        self.nightbench("land")
        sql = f"SELECT {columns} FROM {table}"
        rows: list[dict[str, Any]] = json.loads(self.nightbench("sql", sql, "--format", "json"))
        return rows


@pytest.fixture
def night(scene: Scene, engine_home: Home) -> Iterator[Night]:
    night = Night(scene, engine_home)
    yield night
    if night.process is not None and night.process.poll() is None:
        os.killpg(night.process.pid, signal.SIGKILL)
        night.process.wait()
    scene.assert_all_gone()


def sigkill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def sigterm(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def ctrl_c_twice(process: subprocess.Popen[bytes]) -> None:
    """To the whole group, as a terminal does."""
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.3)  # a person's second press
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    process.wait(30)


End = Callable[[subprocess.Popen[bytes]], None]


def test_sigkill_during_boot(night: Night) -> None:
    process = night.start()
    night.wait_for(BOOTING)
    sigkill(process)
    night.scene.assert_all_gone()
    assert [row["status"] for row in night.landed("targets", "status")] == ["crashed"]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param(sigkill, "crashed", id="SIGKILL"),
        pytest.param(ctrl_c_twice, "cancelled", id="Ctrl-C twice"),
    ],
)
def test_an_end_during_accuracy_keeps_the_samples(night: Night, end: End, status: str) -> None:
    process = night.start(accuracy=LONG_ACCURACY)
    night.wait_for(ASKING)
    end(process)
    night.scene.assert_all_gone()
    assert night.landed("accuracy_samples")[0]["n"] > 0
    assert [row["status"] for row in night.landed("targets", "status")] == [status]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param(sigkill, "crashed", id="SIGKILL"),
        pytest.param(sigterm, "cancelled", id="SIGTERM"),
    ],
)
def test_an_end_during_load_keeps_the_level_before(night: Night, end: End, status: str) -> None:
    process = night.start()
    night.wait_for(LOADING)
    end(process)
    night.scene.assert_all_gone()
    assert "c1" in [row["level"] for row in night.landed("load_levels", "level")]
    assert night.landed("accuracy_results")[0]["n"] > 0
    assert [row["status"] for row in night.landed("targets", "status")] == [status]


def test_a_dead_engine_ends_the_level_and_the_night_goes_on_to_its_end(night: Night) -> None:
    process = night.start()
    night.wait_for(LOADING)
    os.kill(night.scene.called("VLLM::EngineCore")[0], signal.SIGKILL)
    assert process.wait(60) == 1
    night.scene.assert_all_gone()
    text = night.output.read_text()
    assert "Traceback" not in text
    assert "tiny died" in text
    assert [row["exit_reason"] for row in night.landed("servers", "exit_reason")] == ["died"]
    assert [row["status"] for row in night.landed("targets", "status")] == ["failed"]
    levels = {row["level"]: row for row in night.landed("load_levels", "level, invalid_reasons")}
    assert "server_died" not in str(levels["c1"]["invalid_reasons"])
    assert "server_died" in str(levels["c2"]["invalid_reasons"])


def test_two_runs_that_want_the_same_cores_follow_each_other_and_keep_their_secrets(
    scene: Scene, engine_home: Home
) -> None:
    canary = "canary-7d41c0e9"
    nights = [Night(scene, engine_home, name) for name in ("one", "two")]
    target = nights[0].suite()["targets"][0]
    target["engine"]["env"] |= {"UPSTREAM_API_KEY": canary}
    for night in nights:
        night.start(targets=[target], load=[])
    nights[0].wait_for(r"^(samples|lease) ")
    key = key_of(scene)
    command_lines = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert [night.wait_to_end() for night in nights] == [0, 0]

    spans = sorted(
        (row["started_at"], row["stopped_at"])
        for night in nights
        for row in night.landed("servers", "started_at, stopped_at")
    )
    assert spans[0][1] <= spans[1][0], "they did not follow each other"
    assert any("waiting" in night.output.read_text() for night in nights)
    for night in nights:
        assert night.landed("accuracy_results")[0]["n"] > 0
        for secret in (canary, key):
            assert secret not in command_lines
            assert night.files_with(secret) == []
            for table in ("servers", "provenance", "targets", "runs"):
                assert secret not in str(night.landed(table, "*"))
    scene.assert_all_gone()


def key_of(scene: Scene) -> str:
    """The key of the server that is up, as its own environment holds it."""
    for pid in scene.remember():
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for entry in environ:
            if entry.startswith(b"VLLM_API_KEY="):
                return entry.partition(b"=")[2].decode()
    raise AssertionError("no process has the key in its environment")
