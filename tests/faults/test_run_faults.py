"""`nightbench run` ended at bad moments: its engine goes too, and what was measured is landed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from night import ASKING, BOOTING, LOADING, LONG, STOPPING, Night
from scene import Scene

from nightbench.cli.prefect_access import PrefectAccess
from nightbench.home.paths import Home
from nightbench.serving import processes
from nightbench.serving.supervise.supervisor_client import wait_until

pytestmark = [pytest.mark.fault, pytest.mark.engine, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parents[2]
WAITING = "waiting: cores are leased by"
LONG_ACCURACY = [{"benchmark": "starter", "max_concurrency": 2, "generation": LONG}]


def sigkill(night: Night) -> None:
    process = night.running()
    process.kill()
    process.wait()


def sigterm(night: Night) -> None:
    process = night.running()
    process.terminate()
    process.wait(30)


def ctrl_c_twice(night: Night) -> None:
    """To the whole group, as a terminal does; the second while the first is being obeyed."""
    process = night.running()
    os.killpg(process.pid, signal.SIGINT)
    wait_until(lambda: process.poll() is not None or night.has_said(STOPPING), 20)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    process.wait(30)


End = Callable[[Night], None]


def test_a_killed_prefect_server_touches_no_measurement_and_a_night_leaves_no_secret(
    night_with_its_own_prefect: Night,
) -> None:
    """Its own Prefect server is started again; its database is one of the places to look in."""
    night = night_with_its_own_prefect
    night.env |= {"HF_TOKEN": "canary-hub-5c1d2a", "SWANLAB_MODE": "local"}
    suite = night.suite()
    suite["targets"][0]["engine"]["env"] |= {"UPSTREAM_API_KEY": "canary-env-7d41c0e9"}
    process = night.start(**suite)
    night.wait_for(LOADING)
    secrets = ["canary-hub-5c1d2a", "canary-env-7d41c0e9", key_of(night.scene)]
    command_lines = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    (server,) = prefect_servers(process)
    os.kill(server, signal.SIGKILL)
    assert wait_until(lambda: prefect_servers(process) not in ([], [server]), 60)
    (again,) = prefect_servers(process)
    night.wait_to_end()
    night.scene.assert_all_gone()
    assert processes.stat_of(again) is None

    landed = night.landed(
        runs="*", targets="*", servers="*", provenance="*", load_levels="level, valid, completed"
    )
    assert [row["status"] for row in landed["targets"]] == ["completed"]
    assert {row["level"]: row["completed"] for row in landed["load_levels"]} == {"c1": 4, "c2": 10}
    assert (night.home / "history" / "history.duckdb").exists()
    assert (night.home / "prefect" / "prefect.db").exists()
    assert night.files_with("benchmark-target"), "nothing was searched"
    assert list(night.home.rglob("*swan*")), "SwanLab was not updated"
    for secret in secrets:
        assert secret not in command_lines
        assert night.files_with(secret) == []
        assert secret not in str(landed)


def test_sigkill_during_boot(night: Night) -> None:
    night.start()
    night.wait_for(BOOTING)
    assert wait_until(
        lambda: bool(night.scene.called("VLLM::EngineCore")), 600, sleep=lambda _: time.sleep(0.2)
    )
    assert not night.has_said(ASKING)
    sigkill(night)
    night.scene.assert_all_gone()
    landed = night.landed(targets="status", servers="boot_s")
    assert landed == {"targets": [{"status": "crashed"}], "servers": []}


def test_ctrl_c_twice_during_accuracy_keeps_the_samples(night: Night) -> None:
    """As SIGKILL does, which test_resumed_answers.py sends at half of them."""
    night.start(accuracy=LONG_ACCURACY)
    night.wait_for(ASKING)
    ctrl_c_twice(night)
    night.scene.assert_all_gone()
    landed = night.landed(targets="status", accuracy_samples="correct")
    assert landed["targets"] == [{"status": "cancelled"}]
    assert len(landed["accuracy_samples"]) > 0


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param(sigkill, "crashed", id="SIGKILL"),
        pytest.param(sigterm, "cancelled", id="SIGTERM"),
    ],
)
def test_an_end_during_load_keeps_the_level_before(night: Night, end: End, status: str) -> None:
    night.start()
    night.wait_for(LOADING)
    end(night)
    night.scene.assert_all_gone()
    landed = night.landed(targets="status", load_levels="level", accuracy_results="subset")
    assert landed["targets"] == [{"status": status}]
    assert {"level": "c1"} in landed["load_levels"]
    assert len(landed["accuracy_results"]) > 0


def test_a_dead_engine_ends_the_level_and_the_night_goes_on_to_its_end(night: Night) -> None:
    process = night.start()
    night.wait_for(LOADING)
    os.kill(night.scene.called("VLLM::EngineCore")[0], signal.SIGKILL)
    assert process.wait(60) == 1
    night.scene.assert_all_gone()
    text = night.output.read_text()
    assert "Traceback" not in text
    assert "tiny died" in text, text
    landed = night.landed(
        targets="status",
        servers="exit_reason, teardown_clean",
        load_levels="level, invalid_reasons",
    )
    assert landed["targets"] == [{"status": "failed"}]
    assert landed["servers"] == [{"exit_reason": "died", "teardown_clean": True}]
    reasons = {row["level"]: str(row["invalid_reasons"]) for row in landed["load_levels"]}
    assert "server_died" not in reasons["c1"]
    assert "server_died" in reasons["c2"]


def prefect_servers(run: subprocess.Popen[bytes]) -> list[int]:
    """The Prefect servers of a run: itself, not the supervisors that carry its argv."""
    found = []
    for pid in processes.descendants(run.pid):
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"prefect.server.api.server" in argv and b"supervisor.py" not in argv:
            found.append(pid)
    return found


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


def checkout(folder: Path) -> Path:
    """A copy of the sources, as another clone of the project has them."""
    for part in ("src", "flows", "tasks", "sql", "deployments", "infra"):
        shutil.copytree(
            REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


def test_two_runs_from_two_checkouts_that_want_the_same_cores_follow_each_other(
    scene: Scene, engine_home: Home, prefect_server: PrefectAccess
) -> None:
    nights = [
        Night(
            scene,
            engine_home,
            prefect=prefect_server,
            name=name,
            checkout=checkout(scene.folder / f"checkout-{name}"),
        )
        for name in ("one", "two")
    ]
    try:
        for night in nights:
            night.start(load=[])
        assert wait_until(lambda: any(night.has_said(WAITING) for night in nights), 300)
        theirs = str(scene.folder / "checkout-")
        assert wait_until(lambda: bool(scene.called(theirs)), 60), "it runs from other sources"
        for night in nights:
            night.wait_to_end()
    finally:
        for night in nights:
            night.kill()
    assert [night.has_said(WAITING) for night in nights].count(True) == 1
    spans = []
    for night in nights:
        landed = night.landed(servers="started_at, stopped_at", accuracy_results="num_samples")
        spans += [
            (datetime.fromisoformat(row["started_at"]), datetime.fromisoformat(row["stopped_at"]))
            for row in landed["servers"]
        ]
        assert sum(row["num_samples"] for row in landed["accuracy_results"]) >= 8
    first, second = sorted(spans)
    # The lease is free a moment before the first run writes down that its engine is gone.
    assert first[1] <= second[0] + timedelta(seconds=1), "they did not follow each other"
    scene.assert_all_gone()
