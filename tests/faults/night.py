"""A `nightbench run` that is to be ended at a bad moment, and what the history then says of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from scene import Scene

from nightbench.cli.prefect_access import PrefectAccess
from nightbench.home.paths import Home
from nightbench.serving.supervise.supervisor_client import wait_until

NIGHTBENCH = [sys.executable, "-m", "nightbench.cli.main"]
SHORT = {"temperature": 0, "max_tokens": 8}
LONG = {"temperature": 0, "max_tokens": 300, "ignore_eos": True}

# What a run prints when it is there.
BOOTING = r"^boot "
ASKING = r"^samples .*[1-9]\d*/"
LOADING = r"^requests .*c2"
STOPPING = r"^teardown "


class Night:
    """A run in a home of its own, engines and models borrowed.

    `checkout` is the source tree it runs from, this one where it is not given.
    """

    def __init__(
        self,
        scene: Scene,
        engine_home: Home,
        *,
        prefect: PrefectAccess | None = None,
        name: str = "home",
        checkout: Path | None = None,
    ) -> None:
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
        self.env |= (prefect or PrefectAccess("")).environment()
        if checkout is not None:
            self.env["PYTHONPATH"] = f"{checkout / 'src'}{os.pathsep}{checkout}"
        self.output = scene.folder / f"{name}.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **changes: object) -> subprocess.Popen[bytes]:
        """Begin it; `changes` replace parts of the suite."""
        suite = self.home / "faults.yaml"
        suite.write_text(yaml.safe_dump(self.suite() | changes))
        return self._begin(str(suite))

    def resume(self) -> subprocess.Popen[bytes]:
        """Begin what goes on where the last one ended."""
        return self._begin("--resume", "latest")

    def _begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        # A background shell has SIGINT ignored, and a child would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*NIGHTBENCH, "run", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.home,
                start_new_session=True,
            )
        return self.process

    def suite(self) -> dict[str, Any]:
        """A few samples, a short level, and one that takes as long as a test needs it to."""
        prompts = [{"question": f"Question {n}: what comes next?"} for n in range(200)]
        path = self.scene.folder / "prompts.jsonl"
        path.write_text("".join(f"{json.dumps(prompt)}\n" for prompt in prompts))
        target = self.scene.target().model_dump(mode="json", exclude_unset=True)
        load = {"workload": {"kind": "openqa", "path": str(path)}}
        return {
            "name": "faults",
            "targets": [target],
            "accuracy": [
                {"benchmark": "starter", "max_concurrency": 4, "limit": 8, "generation": SHORT}
            ],
            "load": [
                load
                | {"name": "short", "max_concurrency": 1, "num_prompts": 4, "generation": SHORT},
                load
                | {"name": "long", "max_concurrency": 2, "num_prompts": 10, "generation": LONG},
            ],
        }

    def running(self) -> subprocess.Popen[bytes]:
        """Its process."""
        assert self.process is not None, "it was not started"
        return self.process

    def has_said(self, pattern: str) -> bool:
        """Whether its output says so."""
        return bool(re.search(pattern, self.output.read_text(), re.MULTILINE))

    def wait_for(self, pattern: str, timeout_s: float = 600) -> None:
        """Until its output says so; it must not end before."""

        def said() -> bool:
            assert self.running().poll() is None, self.output.read_text()
            self.scene.remember()
            return self.has_said(pattern)

        assert wait_until(said, timeout_s, sleep=_seldom), self.output.read_text()
        self.scene.remember()

    def wait_to_end(self, timeout_s: float = 600) -> None:
        """Until it has ended well; what it starts meanwhile is remembered."""

        def ended() -> bool:
            self.scene.remember()
            return self.running().poll() is not None

        assert wait_until(ended, timeout_s, sleep=_seldom), self.output.read_text()
        assert self.running().returncode == 0, self.output.read_text()

    def kill(self) -> None:
        """Whatever of it is left."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def files_with(self, text: str) -> list[Path]:
        """Everything it left with `text` in it; the suite itself is the person's own file."""
        everything = [path for path in self.home.rglob("*") if path.is_file()]
        left = [self.output, *(path for path in everything if path.name != "faults.yaml")]
        return [path for path in left if text.encode() in path.read_bytes()]

    def nightbench(self, *arguments: str) -> str:
        """The output of another command in its home."""
        done = subprocess.run(
            [*NIGHTBENCH, *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def landed(self, **tables: str) -> dict[str, list[dict[str, Any]]]:
        """What is in the history once everything is landed: columns asked of each table."""
        self.nightbench("land")
        selects = [
            f"(SELECT list(t) FROM (SELECT {columns} FROM {table}) AS t) AS {table}"
            for table, columns in tables.items()
        ]
        answer = self.nightbench("sql", f"SELECT {', '.join(selects)}", "--format", "json")
        row: dict[str, list[dict[str, Any]] | None] = json.loads(answer)[0]
        return {table: rows or [] for table, rows in row.items()}


def _seldom(_: float) -> None:
    """To look 20 times a second for half a minute is a fifth of what a boot costs two cores."""
    time.sleep(0.5)
