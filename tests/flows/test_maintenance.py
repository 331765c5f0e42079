"""Maintenance notices what nobody saw at night."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from house import House

from nightbench.home.paths import Home

pytestmark = pytest.mark.timeout(300)

MAINTENANCE = """
import os
from datetime import timedelta
from nightbench.cli.prefect_api import prefect_settings
from nightbench.home.paths import Home

os.environ.update(prefect_settings(Home.from_env()))
from flows.maintenance import maintenance
from tasks import missed_nights, prefect_retention
from tasks.reporting import flush_logs

missed_nights.SILENCE = timedelta(seconds=float(os.environ["SILENCE_S"]))
prefect_retention.retentions = lambda: (prefect_retention.Retention("past", 3, 5),)
maintenance()
flush_logs()
"""
SILENCE_S = 12  # Prefect's server may take seconds to write an event down, on a busy machine more


class Maintained(House):
    """A house, and the Prefect server it shares."""

    def ask(self, path: str, body: object) -> Any:
        """Prefect's API."""
        url = f"{self.access.url}{path}"
        for _ in range(20):
            answer = httpx.post(url, json=body, auth=self.auth, trust_env=False, timeout=30)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.5)  # its database was busy; Prefect's own client asks again too
        answer.raise_for_status()
        return answer.json()

    def maintenance(self) -> str:
        """Run it; what it has logged."""
        done = subprocess.run(
            [sys.executable, "-c", MAINTENANCE],
            env=self.env | {"SILENCE_S": str(SILENCE_S)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        wanted = {"sort": "START_TIME_DESC", "flows": {"name": {"any_": ["maintenance"]}}}
        [run] = self.ask("/flow_runs/filter", wanted | {"limit": 1})
        lines = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
        return "\n".join(line["message"] for line in lines)

    def flow_run(self, state: str, flow: str = "benchmark-target") -> str:
        """A flow run in a state, with nobody behind it."""
        flow_id = self.ask("/flows/", {"name": flow})["id"]
        created = self.ask("/flow_runs/", {"flow_id": flow_id, "state": {"type": state}})
        return str(created["id"])

    def runs_of(self, flow: str) -> set[str]:
        """The flow runs that Prefect remembers."""
        found = self.ask("/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}})
        return {str(run["id"]) for run in found}

    @contextmanager
    def alive(self, run: str) -> Iterator[None]:
        """A flow run is heard of every second."""
        stopped = threading.Event()

        def beat() -> None:
            while not stopped.wait(1):
                event = {
                    "id": str(uuid4()),
                    "occurred": datetime.now(UTC).isoformat(),
                    "event": "prefect.flow-run.heartbeat",
                    "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
                }
                with suppress(httpx.TransportError):  # one may be lost: the next is a second away
                    httpx.post(
                        f"{self.access.url}/events", json=[event], auth=self.auth, trust_env=False
                    )

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def state(self, run: str) -> str:
        """Its state."""
        found = self.ask("/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return str(found[0]["state"]["type"])

    def schedule_nights(self, cron: str) -> None:
        """A deployment of nights that is switched on."""
        flow = self.ask("/flows/", {"name": "nightly"})
        schedule = {"active": True, "schedule": {"cron": cron, "timezone": "UTC"}}
        self.ask(
            "/deployments/",
            {
                "name": "nightly",
                "flow_id": flow["id"],
                "parameters": {"suite": "mine"},
                "schedules": [schedule],
            },
        )

    def seen_since(self, cron: str, since: datetime) -> None:
        """Maintenance has seen this schedule switched on since then."""
        row = {"cron": cron, "timezone": "UTC", "since": since.isoformat(), "told": None}
        file = self.folder / "home" / "prefect" / "schedules-seen.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps([row]), encoding="utf-8")


@pytest.fixture
def maintained(house: House) -> Maintained:
    return Maintained(house.folder, house.access)


def test_a_silent_run_is_marked_and_one_that_is_heard_of_is_not(maintained: Maintained) -> None:
    states = ["RUNNING", "PENDING", "SCHEDULED", "RUNNING"]
    dead, stuck, waiting, living = (maintained.flow_run(state) for state in states)
    with maintained.alive(living):
        time.sleep(SILENCE_S)
        said = maintained.maintenance()
    assert f"({dead}) crashed: no heartbeat from its process" in said
    assert [maintained.state(run) for run in (dead, stuck, waiting, living)] == [
        "CRASHED",
        "CRASHED",
        "SCHEDULED",
        "RUNNING",
    ]


def test_the_logs_of_old_runs_go(maintained: Maintained) -> None:
    logs = maintained.folder / "home" / "logs"
    runs = [f"2026010{day}T020000Z-mine-00000{day}" for day in range(1, 4)]
    three_days_ago = time.time() - 3 * 24 * 3600
    for run in runs:
        server = logs / run / "target" / "server-1"
        server.mkdir(parents=True)
        (server / "server.log").write_text("ready", encoding="utf-8")
        for path in (server.parent, server.parent.parent):
            os.utime(path, (three_days_ago, three_days_ago))
    maintained.env["NIGHTBENCH_KEEP_LOG_RUNS"] = "1"
    assert "removed the logs of 2 runs and 0 leftovers: 2 files" in maintained.maintenance()
    assert [path.name for path in logs.iterdir()] == runs[-1:]


def test_a_night_that_was_due_and_did_not_begin_is_told_once(maintained: Maintained) -> None:
    due = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    cron = f"{due.minute} {due.hour} * * *"
    maintained.schedule_nights(cron)
    maintained.seen_since(cron, due - timedelta(days=3))
    line = f"the night of {due:%Y-%m-%d %H:%M} UTC was due and did not begin"
    assert line in maintained.maintenance()
    assert "was due and did not begin" not in maintained.maintenance()


def began_days_ago(prefect_home: Home, days_ago: dict[str, int]) -> None:
    """Prefect is told that these runs began so long ago."""
    with closing(sqlite3.connect(prefect_home.prefect / "prefect.db", timeout=30)) as db, db:
        for run, days in days_ago.items():
            began = f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d %H:%M:%S.%f}"
            changed = db.execute("UPDATE flow_run SET start_time = ? WHERE id = ?", [began, run])
            assert changed.rowcount == 1


def test_prefect_forgets_what_is_long_past_but_not_what_is_to_run_nor_the_newest(
    maintained: Maintained, prefect_home: Home
) -> None:
    long_past = [maintained.flow_run("COMPLETED", "past") for _ in range(9)]
    recent = [maintained.flow_run(state, "past") for state in ("COMPLETED", "FAILED")]
    waiting = maintained.flow_run("SCHEDULED", "past")
    days = {run: 400 - at for at, run in enumerate(long_past)} | {recent[0]: 2, recent[1]: 1}
    began_days_ago(prefect_home, days | {waiting: 500})
    assert "deleted 6 old flow runs from Prefect" in maintained.maintenance()
    assert maintained.runs_of("past") == {*long_past[6:], *recent, waiting}
    # A clock that has jumped: all of them are long past, and as many stay.
    began_days_ago(prefect_home, dict.fromkeys([*long_past[6:], *recent], 4000))
    assert "old flow runs from Prefect" not in maintained.maintenance()


def test_a_server_that_others_have_started_is_left_to_them(
    maintained: Maintained, prefect_home: Home
) -> None:
    runs = [maintained.flow_run("COMPLETED", "past") for _ in range(7)]
    began_days_ago(prefect_home, dict.fromkeys(runs, 400))
    del maintained.env["NIGHTBENCH_OWN_PREFECT"]
    assert "old flow runs from Prefect" not in maintained.maintenance()
    assert set(runs) <= maintained.runs_of("past")
