"""A house for whole nights: a home of its own, and the real command line in it.

The served model is the project's reference server, so that a night takes seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import yaml

from nightbench.cli.prefect_access import PrefectAccess, basic

NIGHTBENCH = [sys.executable, "-m", "nightbench.cli.main"]
REFERENCE_SERVER = Path(__file__).parents[1] / "truth" / "server.py"
PROMPTS = "".join(json.dumps({"question": f"What is {n} and one?"}) + "\n" for n in range(300))


class House:
    """A home of its own, and the commands in it."""

    def __init__(self, folder: Path, prefect: PrefectAccess | None = None) -> None:
        self.folder = folder
        self.access = prefect or PrefectAccess("")
        self.env = os.environ | {
            "NIGHTBENCH_HOME": str(folder / "home"),
            "NIGHTBENCH_LEASES": str(folder / "leases"),
            "SWANLAB_MODE": "local",
        }
        self.env |= self.access.environment()
        (folder / "prompts.jsonl").write_text(PROMPTS, encoding="utf-8")

    @property
    def auth(self) -> tuple[str, str] | None:
        """What Prefect's API asks for."""
        return basic(self.access.auth)

    def suite(self, **changes: Any) -> Path:
        """A suite file; `changes` replace its parts."""
        server = [sys.executable, str(REFERENCE_SERVER), "--port={port}", "--ttft-ms=20"]
        target = {
            "name": "reference",
            "served_model_name": "truth",
            "engine": {"kind": "command", "argv": server},
            "boot_timeout_s": 30,
        }
        load = {
            "name": "chat",
            "workload": {"kind": "openqa", "path": "prompts.jsonl"},
            "max_concurrency": [2, 4],
            "num_prompts": 20,
            "generation": {"max_tokens": 10},
        }
        accuracy = {"benchmark": "starter", "limit": 10, "generation": {"max_tokens": 4}}
        suite = {"name": "test", "targets": [target], "accuracy": [accuracy], "load": [load]}
        path = self.folder / "suite.yaml"
        path.write_text(yaml.safe_dump(suite | changes), encoding="utf-8")
        return path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*NIGHTBENCH, *arguments],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command in a session of its own, as a terminal would."""
        # A background shell has SIGINT ignored, and a child would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return subprocess.Popen(
            [*NIGHTBENCH, *arguments],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def sql(self, text: str) -> list[dict[str, Any]]:
        """What the history answers."""
        answer = self("sql", text, "--format", "json")
        assert answer.returncode == 0, answer.stderr
        rows: list[dict[str, Any]] = json.loads(answer.stdout)
        return rows

    def prefect(self, text: str) -> list[tuple[Any, ...]]:
        """What Prefect's own database says."""
        with sqlite3.connect(self.folder / "home" / "prefect" / "prefect.db") as database:
            return database.execute(text).fetchall()

    def living(self) -> list[str]:
        """The processes that were started for this home and still live."""
        mine = str(self.folder)
        found = []
        for process in psutil.process_iter():
            try:
                if mine in process.environ().get("NIGHTBENCH_HOME", ""):
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found
