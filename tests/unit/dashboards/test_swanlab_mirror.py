"""The SwanLab mirror: drawn from the history, rebuilt at will, never in a run's way."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from nightbench.dashboards import swanlab_mirror, swanlab_places
from nightbench.dashboards.curves import (
    Point,
    experiments_of_run,
    experiments_over_nights,
    level_points,
)
from nightbench.dashboards.mirror_ledger import MirrorLedger
from nightbench.errors import DashboardError
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.suite.models import SwanlabSettings
from tests.benchmarks.synthetic_nights import (
    FIRST_NIGHT,
    Shape,
    run_id_of,
    spool_night,
    target_row,
)

SHAPE = Shape(levels=(1, 8), telemetry=2)
SETTINGS = SwanlabSettings()
TEMPLATE = "{served_model_name}-number{num_prompts}-parallel{max_concurrency}"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
    land(home)
    return home


def experiments(home: Home) -> list[tuple[str, int]]:
    """Name and status (1 finished, 0 running, -1 crashed) of what the local dashboard shows."""
    store = swanlab_mirror.store_of(home, "nightbench") / "runs.swanlab"
    with sqlite3.connect(store) as connection:
        found = connection.execute("SELECT name, status FROM experiment ORDER BY name").fetchall()
    connection.close()
    return found


def curve(home: Home, name: str, metric: str) -> list[tuple[int, float]]:
    """One curve as SwanLab's local store keeps it."""
    store = swanlab_mirror.store_of(home, "nightbench")
    with sqlite3.connect(store / "runs.swanlab") as connection:
        run, folder = connection.execute(
            "SELECT e.run_id, t.folder FROM experiment e JOIN tag t ON t.experiment_id = e.id"
            " WHERE e.name = ? AND t.name = ?",
            (name, metric),
        ).fetchone()
    connection.close()
    lines = [
        line
        for file in (store / run / "logs" / folder).glob("*.log")
        for line in file.read_text().splitlines()
    ]
    return [(point["index"], point["data"]) for point in map(json.loads, lines)]


def test_a_run_is_an_experiment_per_target_with_curves_over_concurrency(home: Home) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    shown = dict(experiments(home))
    assert shown == {
        "starter 2026-01-01 00:00": 1,
        "starter over nights": 1,
    }
    drawn = curve(home, "starter 2026-01-01 00:00", "load/openqa/output_throughput")
    with open_history(home) as history:
        measured = history.sql(
            "SELECT max_concurrency, output_throughput FROM load_levels"
            " WHERE run_id = $run_id AND target = 'starter' ORDER BY 1",
            run_id=run_id_of(0),
        ).rows
    assert drawn == list(measured)


def test_mirroring_again_puts_nothing_twice(home: Home) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    once = experiments(home)
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    assert experiments(home) == once


def test_levels_have_experiments_named_as_the_suite_says(home: Home) -> None:
    settings = SwanlabSettings(level_experiment=TEMPLATE)
    swanlab_mirror.mirror_run(home, run_id_of(0), settings, mode="local")
    names = [name for name, _ in experiments(home)]
    assert {"starter-number4-parallel1", "starter-number4-parallel8"} <= set(names)


def test_what_an_outage_left_out_is_shown_later_as_its_suite_wanted(home: Home) -> None:
    settings = SwanlabSettings(level_experiment=TEMPLATE)
    swanlab_mirror.mirror_run(home, run_id_of(1), settings, mode="local")
    assert swanlab_mirror.mirror_pending(home, mode="local") == 1
    assert swanlab_mirror.mirror_pending(home, mode="local") == 0
    names = [name for name, _ in experiments(home)]
    assert "starter 2026-01-01 00:00" in names
    assert sum(name.startswith("starter-number4-parallel8") for name in names) == 2


def test_a_deleted_dashboard_is_made_again(home: Home) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    assert swanlab_mirror.resync(home, mode="local") == 2
    names = [name for name, _ in experiments(home)]
    assert names.count("starter over nights") == 1
    assert {f"starter 2026-01-0{n} 00:00" for n in (1, 2)} <= set(names)


def test_a_mirror_that_hangs_is_ended_and_leaves_nothing_running(home: Home) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    with pytest.raises(DashboardError, match="did not finish within"):
        swanlab_mirror.mirror_run(home, run_id_of(1), SETTINGS, mode="local", timeout_s=0.05)
    assert all(status == 1 for _, status in experiments(home))


def test_what_a_killed_mirror_left_running_is_taken_away(home: Home) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    store = swanlab_mirror.store_of(home, "nightbench") / "runs.swanlab"
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE experiment SET status = 0 WHERE name LIKE 'starter 2%'")
    connection.close()
    swanlab_mirror.settle(home, "nightbench")
    assert "starter 2026-01-01 00:00" not in dict(experiments(home))
    assert all(status == 1 for _, status in experiments(home))


def test_a_run_that_has_not_landed_is_said(home: Home) -> None:
    with pytest.raises(DashboardError, match="nope is not in the history"):
        swanlab_mirror.mirror_run(home, "nope", SETTINGS, mode="local")


def test_a_series_that_an_interruption_left_out_is_drawn_by_the_next_mirror(home: Home) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(1), SETTINGS, mode="local")
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    store = swanlab_mirror.store_of(home, "nightbench") / "runs.swanlab"
    # As if it had been killed while it drew the series, after the run itself:
    ledger = MirrorLedger.read(swanlab_places.ledger_path(home))
    ledger.add("local", run_id_of(0), project="nightbench", targets=["starter"])
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE experiment SET status = 0 WHERE name LIKE '%over nights'")
    connection.close()
    swanlab_mirror.settle(home, "nightbench")
    assert "starter over nights" not in dict(experiments(home))
    assert swanlab_mirror.mirror_pending(home, mode="local") == 0
    assert dict(experiments(home))["starter over nights"] == 1
    assert swanlab_mirror.mirror_pending(home, mode="local") == 0
    assert MirrorLedger.read(ledger.path).projects_behind("local") == ()


def test_a_target_without_numbers_has_no_series_and_holds_up_nothing(home: Home) -> None:
    identity = SpoolIdentity(run_id="r9", target="failed", night=FIRST_NIGHT)
    with Spool.open(home.spool, identity) as spool:
        row = target_row(0, "failed", status="failed", ended_at=None)
        spool.append(row)
    land(home)
    swanlab_mirror.mirror_run(home, "r9", SETTINGS, mode="local")
    ledger = MirrorLedger.read(swanlab_places.ledger_path(home))
    assert ledger.projects_behind("local") == ()


def test_swanlab_prints_nothing_of_its_own(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="local")
    assert capfd.readouterr() == ("", "")


def test_offline_mode_needs_no_network(home: Home) -> None:
    swanlab_mirror.mirror_run(home, run_id_of(0), SETTINGS, mode="offline")
    kept = list(swanlab_mirror.store_of(home, "nightbench").glob("run-*/*.swanlab"))
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({}, "local"),
        ({"SWANLAB_API_KEY": "k"}, "online"),
        ({"SWANLAB_API_KEY": "k", "SWANLAB_MODE": "offline"}, "offline"),
        ({"SWANLAB_MODE": "cloud"}, "online"),
        ({"SWANLAB_MODE": "disabled"}, "disabled"),
    ],
)
def test_the_environment_says_where_to_show(environ: dict[str, str], mode: str) -> None:
    assert swanlab_mirror.mode_of(environ) == mode


def test_the_series_over_nights_has_a_point_per_night(home: Home) -> None:
    with open_history(home) as history:
        series = {e.group: e for e in experiments_over_nights(history, ["starter"])}
    steps = [p.step for p in series["starter"].points if p.metric == "nights/accuracy/starter"]
    assert steps == [0, 1]
    metrics = {point.metric for point in series["starter"].points}
    assert {"nights/capacity/openqa", "nights/output_throughput/openqa/c8"} <= metrics


def test_an_experiment_carries_the_run_and_what_ran_it(home: Home) -> None:
    with open_history(home) as history:
        config = dict(experiments_of_run(history, run_id_of(1))[0].config)
    assert config["run_id"] == run_id_of(1)
    assert config["engine_version"] == "0.32.0"


def test_rates_are_drawn_apart_from_concurrencies() -> None:
    level = dict.fromkeys(swanlab_mirror_metrics(), 1.0) | {
        "workload": "w", "request_rate": 2.5, "max_concurrency": None,
    }  # fmt: skip
    assert Point("load_by_rate_x100/w/goodput", 250, 1.0) in level_points(level)
    assert level_points(level | {"request_rate": float("inf")}) == []


def swanlab_mirror_metrics() -> tuple[str, ...]:
    from nightbench.dashboards.curves import LEVEL_METRICS

    return LEVEL_METRICS


def test_a_damaged_ledger_only_means_mirroring_again(tmp_path: Path) -> None:
    path = tmp_path / "swanlab.json"
    path.write_text("{")
    ledger = MirrorLedger.read(path)
    assert not ledger.has("local", "r")
    ledger.add("local", "r", project="p", targets=["t"])
    assert MirrorLedger.read(path).has("local", "r")
