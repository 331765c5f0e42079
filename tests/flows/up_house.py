"""A house in which `nightbench up` runs: its Prefect server, its worker, and what is clicked."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from house import NIGHTBENCH, House

from nightbench.cli.prefect_access import PrefectAccess, known_auth
from nightbench.history.spool.writer import sealed_folders
from nightbench.home.paths import Home
from nightbench.serving.probing import free_port

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Node:
    """Another node's `nightbench up --join`."""

    output: Path

    def said(self) -> str:
        """What it has printed."""
        return self.output.read_text(encoding="utf-8")


class UpHouse(House):
    """`nightbench up` in a home of its own; suites are chosen from the house's folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder)
        del self.env["PREFECT_API_URL"]
        self.home = Home(folder / "home")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.suites = folder / "suites"
        self.suites.mkdir(exist_ok=True)
        self.env["NIGHTBENCH_SUITES"] = str(self.suites)
        self.output = folder / "up.txt"
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def write_suite(self, name: str = "reference", **changes: Any) -> None:
        """A suite that can be chosen by its name; `changes` replace its parts."""
        text = self.suite(**changes).read_text(encoding="utf-8")
        suite = yaml.safe_load(text) | {"name": name}
        for load in suite["load"]:
            load["workload"]["path"] = str(self.folder / "prompts.jsonl")
        (self.suites / f"{name}.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")

    def up(self) -> None:
        """Start it, and wait until it says that all is there."""
        # A background shell has SIGINT ignored, and a child would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*NIGHTBENCH, "up", "--port", str(self.port), *self.arguments],
                env=self.env,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.until(lambda: "Ctrl-C stops all" in self.said(), 300, still=self.process)
        self.access = PrefectAccess(self.url, known_auth(self.home, self.env))

    @contextmanager
    def join(self, pool: str, suites: Path | None = None) -> Iterator[Node]:
        """Another node that works for this server; it shares home and leases with it, and where it
        has none of its own, the folder of suites."""
        output = self.folder / f"{pool}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*NIGHTBENCH, "up", "--join", self.url.removesuffix("/api"), "--pool", pool],
                env=self.env
                | self.access.environment()
                | {"NIGHTBENCH_SUITES": str(suites or self.suites)},
                cwd=self.folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Node(output)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(90) == 0

    def down(self) -> int:
        """Ctrl-C; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)

    def said(self) -> str:
        """What `up` has printed."""
        return self.output.read_text(encoding="utf-8")

    @staticmethod
    def until(
        condition: Callable[[], Any],
        timeout_s: float,
        *,
        still: subprocess.Popen[bytes] | None = None,
    ) -> float:
        """Wait until it holds; the seconds that took."""
        began = time.monotonic()
        while not condition():
            assert still is None or still.poll() is None, "it has ended"
            assert time.monotonic() - began < timeout_s, f"not within {timeout_s} s"
            time.sleep(0.1)
        return time.monotonic() - began

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Prefect's API."""
        for _ in range(20):
            answer = httpx.request(
                method,
                f"{self.url}{path}",
                json=body,
                auth=self.auth,
                timeout=30,
                trust_env=False,
            )
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # SQLite was busy
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def answers(self) -> bool:
        """Whether Prefect's server does."""
        try:
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment by `flow/deployment`."""
        found: dict[str, Any] = self.ask("GET", f"/deployments/name/{name}")
        return found

    def click(self, name: str, **parameters: Any) -> str:
        """Run a deployment, as the UI's button does; the flow run's id."""
        created = self.ask(
            "POST",
            f"/deployments/{self.deployment(name)['id']}/create_flow_run",
            {"parameters": parameters, "state": {"type": "SCHEDULED"}},
        )
        return str(created["id"])

    def cancel(self, run: str) -> None:
        """Cancel a flow run, as the UI's button does."""
        self.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    def state(self, run: str) -> str:
        """The state of a flow run, as the UI shows it."""
        return str(self.ask("GET", f"/flow_runs/{run}")["state"]["type"])

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Flow runs, the newest first."""
        body = {"sort": "START_TIME_DESC", "flow_runs": filters} if filters else {}
        found: list[dict[str, Any]] = self.ask("POST", "/flow_runs/filter", body)
        return found

    def until_scheduled(self, deployment: str) -> str:
        """The id of a run that the schedule of a deployment has planned."""
        found: list[str] = []

        def there() -> bool:
            wanted = {
                "deployment_id": {"any_": [deployment]},
                "state": {"name": {"any_": ["Scheduled"]}},
            }
            found[:] = [str(run["id"]) for run in self.runs(**wanted)]
            return bool(found)

        self.until(there, 150)
        return found[0]

    def make_late(self, run: str) -> None:
        """While nobody is up: a run was due an hour ago."""
        with closing(sqlite3.connect(self.home.prefect / "prefect.db")) as database, database:
            changed = database.execute(
                "UPDATE flow_run SET expected_start_time = datetime('now', '-1 hour'), "
                "next_scheduled_start_time = datetime('now', '-1 hour') WHERE id = ?",
                [run],
            )
            assert changed.rowcount == 1

    def logs(self, run: str) -> str:
        """What a flow run, its tasks included, has logged."""
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200}
        lines = self.ask("POST", "/logs/filter", wanted | {"sort": "TIMESTAMP_ASC"})
        return "\n".join(line["message"] for line in lines)

    def wait_for(self, run: str, *states: str, timeout_s: float = 240) -> float:
        """Until a flow run is in one of the states; the seconds that took."""

        def there() -> bool:
            now = self.state(run)
            assert now in states or now not in FINAL, f"it is {now}: {self.logs(run)}"
            return now in states

        return self.until(there, timeout_s)

    def wait_for_log(self, run: str, text: str, timeout_s: float = 180) -> None:
        """Until a flow run, or one below it, has logged this."""

        def there() -> bool:
            assert self.state(run) not in FINAL, self.logs(run)
            return any(text in self.logs(one) for one in self.family(run))

        self.until(there, timeout_s)

    def family(self, run: str) -> list[str]:
        """A flow run and those it started."""
        below = self.runs(parent_flow_run_id={"any_": [run]})
        return [run, *(str(one["id"]) for one in below)]

    def flow_process(self, run: str) -> psutil.Process:
        """The process a flow run lives in."""
        for process in psutil.process_iter():
            try:
                environ = process.environ()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if environ.get("PREFECT__FLOW_RUN_ID") == run:
                return process
        raise AssertionError(f"no process of {run}")

    def process_of(self, part: str) -> psutil.Process:
        """The `worker`, or the `server`."""
        words = {"worker": ["worker", "start"], "server": ["prefect.server.api.server:create_app"]}
        assert self.process is not None
        for process in psutil.Process(self.process.pid).children():
            if set(words[part]) <= set(process.cmdline()):
                return process
        raise AssertionError(f"there is no {part}")

    def engines(self) -> list[str]:
        """The served models of this house, and what stands over them: they work in its folder."""
        logs = str(self.home.logs)
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(logs):
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def leased(self) -> list[str]:
        """The leases that are held now."""
        from nightbench.serving.hardware import reaper

        leases = Path(self.env["NIGHTBENCH_LEASES"])
        return [state.resource for state in reaper.states(leases) if state.held]

    def open_folders(self) -> list[Path]:
        """Spool folders that are still being written, or should no longer be."""
        return sorted(self.home.spool.glob("*/*.open"))

    def sealed(self) -> list[Path]:
        """Spool folders that wait to be landed."""
        return sealed_folders(self.home.spool)

    def end(self) -> None:
        """Whatever happened, nothing of this house lives on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for process in psutil.process_iter():
            try:
                if str(self.folder) in process.environ().get("NIGHTBENCH_HOME", ""):
                    os.kill(process.pid, signal.SIGKILL)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
