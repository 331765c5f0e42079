"""The SwanLab mirror, killed: nothing is left "running", and the next one draws what is missing."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from nightbench.cli.passwords import kept
from nightbench.cli.prefect_access import basic
from nightbench.dashboards import swanlab_mirror
from nightbench.errors import DashboardError
from nightbench.history.ingest import land
from nightbench.home.paths import Home
from nightbench.suite.models import SwanlabSettings
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night

SHAPE = Shape(levels=(1, 2, 4, 8), telemetry=200)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
    land(home)
    return home


def statuses(home: Home) -> dict[str, int]:
    store = swanlab_mirror.store_of(home, "nightbench") / "runs.swanlab"
    if not store.exists():
        return {}
    connection = sqlite3.connect(store)
    found = connection.execute("SELECT name, status FROM experiment").fetchall()
    connection.close()
    return dict(found)


def test_a_mirror_killed_at_random_moments_leaves_nothing_running(home: Home) -> None:
    rng = random.Random(6)
    for _ in range(6):
        with suppress(DashboardError):
            runs = [run_id_of(night) for night in range(3)]
            timeout_s = rng.uniform(0.5, 6)
            swanlab_mirror.mirror_runs(
                home, runs, SwanlabSettings(), mode="local", timeout_s=timeout_s
            )
        assert set(statuses(home).values()) <= {1}
    swanlab_mirror.mirror_pending(home, mode="local")
    swanlab_mirror.mirror_run(home, run_id_of(2), SwanlabSettings(), mode="local")
    expected = {f"starter 2026-01-0{n} 00:00" for n in (1, 2, 3)} | {"starter over nights"}
    assert statuses(home) == dict.fromkeys(expected, 1)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_mirror_and_parent_left_behind_is_gone_when_the_dashboard_is_served(
    home: Home, how: signal.Signals, code: int
) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SwanlabSettings(), mode="local")
    store = swanlab_mirror.store_of(home, "nightbench") / "runs.swanlab"
    connection = sqlite3.connect(store)
    with connection:
        connection.execute("UPDATE experiment SET status = 0 WHERE name LIKE 'starter 2%'")
    connection.close()
    watch = subprocess.Popen(
        [sys.executable, "-m", "nightbench.cli.main", "watch", "--port", "0"],
        env=os.environ | {"NIGHTBENCH_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    url = watch.stdout.readline().split()[2]
    assert url.startswith("http://127.0.0.1:")
    auth = basic(kept(home.dashboards / "watch" / "password"))
    shown = httpx.get(f"{url}/api/v1/project", auth=auth, trust_env=False).text
    assert "starter over nights" in shown
    assert statuses(home) == {"starter over nights": 1}
    watch.send_signal(how)
    assert watch.wait(60) == code
    watch.stdout.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, timeout=2, trust_env=False)
