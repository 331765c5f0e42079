"""SwanLab's cloud: what is shown there, and what its outages cost. The cloud is a stand-in."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import swanlab_cloud
from swanlab_cloud import Cloud

from nightbench.dashboards import swanlab_mirror
from nightbench.dashboards.swanlab_child import run_child
from nightbench.dashboards.swanlab_places import log_path
from nightbench.errors import DashboardError
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from nightbench.suite.models import SwanlabSettings
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night

SHAPE = Shape(levels=(1, 8), telemetry=2)
SETTINGS = SwanlabSettings()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
    land(home)
    return home


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with swanlab_cloud.running() as cloud:
        monkeypatch.setenv("SWANLAB_MODE", "cloud")
        monkeypatch.setenv("SWANLAB_API_HOST", cloud.url)
        monkeypatch.setenv("SWANLAB_WEB_HOST", cloud.url)
        monkeypatch.setenv("SWANLAB_API_KEY", swanlab_cloud.KEY)
        yield cloud


def shown(cloud: Cloud) -> dict[str, str]:
    return {cloud.names[key]: state for key, state in cloud.states.items()}


def test_a_run_and_its_series_are_shown_and_finished(home: Home, cloud: Cloud) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS)
    assert shown(cloud) == {
        "starter 2026-01-01 00:00": "FINISHED",
        "starter over nights": "FINISHED",
    }
    steps = {step for _, metric, step in cloud.points if metric == "load/openqa/output_throughput"}
    assert steps == {1, 8}


def test_the_next_night_goes_on_with_the_series(home: Home, cloud: Cloud) -> None:
    for night in range(2):
        swanlab_mirror.mirror_run(home, run_id_of(night), SETTINGS)
    assert len(shown(cloud)) == 3
    steps = {step for _, metric, step in cloud.points if metric == "nights/accuracy/starter"}
    assert steps == {0, 1}


def test_without_a_key_it_says_what_to_set(
    home: Home, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWANLAB_API_KEY")
    with pytest.raises(
        DashboardError, match=r"login to its cloud failed.*SWANLAB_API_KEY.*no API key was"
    ):
        swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS)
    assert cloud.states == {}


def test_a_key_that_is_refused_is_said_and_not_repeated(
    home: Home, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWANLAB_API_KEY", "hunter2")
    with pytest.raises(DashboardError, match="login to its cloud failed") as told:
        swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS)
    assert "hunter2" not in str(told.value)
    assert cloud.states == {}


@pytest.mark.usefixtures("cloud")
def test_a_cloud_that_is_not_there_holds_up_no_landing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = nobody.getsockname()[1]
        monkeypatch.setenv("SWANLAB_API_HOST", f"http://127.0.0.1:{port}")
        with pytest.raises(DashboardError):
            swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, timeout_s=3)
        spool_night(home.spool, 2, SHAPE)
        assert len(land(home).landed) == 2


@pytest.mark.parametrize("broken", ["POST /house/metrics", "PUT /project"])
def test_what_an_outage_left_out_is_shown_by_the_next_maintenance(
    home: Home, cloud: Cloud, broken: str
) -> None:
    cloud.refused = {broken}
    with pytest.raises(DashboardError, match="did not finish within"):
        swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, timeout_s=8)
    cloud.refused = set()
    assert swanlab_mirror.mirror_pending(home) == 2
    assert set(shown(cloud).values()) == {"FINISHED"}
    with open_history(home) as history:
        levels = history.sql("SELECT count(*) FROM load_levels").rows[0][0]
    drawn = {p for p in cloud.points if p[1] == "load/openqa/output_throughput"}
    assert len(drawn) == levels
    assert swanlab_mirror.mirror_pending(home) == 0


def test_the_key_is_in_no_file_that_the_mirror_leaves(
    home: Home, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swanlab_cloud, "KEY", "swan-Canary9fQ2xZ7mLp4vT8")
    monkeypatch.setenv("SWANLAB_API_KEY", swanlab_cloud.KEY)
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS)
    assert "FINISHED" in shown(cloud).values()
    files = [path for path in home.root.rglob("*") if path.is_file()]
    assert [path for path in files if b"Canary9fQ2x" in path.read_bytes()] == []


def test_what_a_child_prints_is_logged_without_secrets(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWANLAB_API_KEY", "swan-Canary9fQ2xZ7mLp4vT8")
    monkeypatch.setenv("OTHER_API_KEY", "other-Canary9fQ2xZ7mLp4vT8")
    script = "import os, sys; sys.exit('said ' + repr(dict(os.environ)))"
    with pytest.raises(DashboardError, match="said"):
        run_child(home, [sys.executable, "-c", script], "", 30)
    log = log_path(home).read_text()
    assert "'SWANLAB_API_KEY': '***'" in log
    assert "Canary" not in log
    assert "OTHER_API_KEY" not in log, "it is not even given to the child"
