"""SwanLab keeps the newest runs of a project on this machine, and they are all it lists."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightbench.dashboards import swanlab_mirror, swanlab_places
from nightbench.dashboards.mirror_ledger import MirrorLedger
from nightbench.dashboards.swanlab_retention import (
    DrawnExperiment,
    drawn_in,
    remove_old,
    superfluous,
)
from nightbench.history.ingest import land
from nightbench.home.paths import Home
from nightbench.suite.models import SwanlabSettings
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night

SHAPE = Shape(levels=(1, 8), telemetry=2)
LEVELS = SwanlabSettings(level_experiment="{target}-parallel{max_concurrency}")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
NIGHTS = 3


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Nights that landed and are shown, drawn once: that takes longer than all else here."""
    home = Home(tmp_path_factory.mktemp("mirrored") / "home")
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
    land(home)
    runs = [run_id_of(night) for night in range(NIGHTS)]
    swanlab_mirror.mirror_runs(home, runs, LEVELS, mode="local")
    return home


@pytest.fixture
def home(mirrored: Home, tmp_path: Path) -> Home:
    """A copy of it."""
    home = Home(tmp_path / "home")
    shutil.copytree(mirrored.root, home.root)
    (home.history / "history.duckdb").unlink()
    land(home)  # its views say where the facts are
    return home


def store(home: Home) -> Path:
    return swanlab_places.store_of(home, "nightbench")


def listed(home: Home, text: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(store(home) / "runs.swanlab")) as database:
        return database.execute(text).fetchall()


def names(home: Home) -> set[str]:
    return {name for (name,) in listed(home, "SELECT name FROM experiment")}


def folders(home: Home) -> set[str]:
    return {path.name for path in store(home).glob("run-*")}


def test_old_runs_leave_the_disk_and_the_list_together(home: Home) -> None:
    before = folders(home)
    assert len(before) == NIGHTS * 3 + 1  # a target and two levels a night, and the series
    removed = remove_old(home, 1)
    assert len(removed) == 2 * 3
    assert folders(home) == before - set(removed)
    assert {folder for (folder,) in listed(home, "SELECT run_id FROM experiment")} == folders(home)
    assert {"starter 2026-01-03 00:00", "starter over nights"} <= names(home)
    assert not {"starter 2026-01-01 00:00", "starter 2026-01-02 00:00"} & names(home)
    for table in ("tag", "chart", "namespace"):
        orphans = f"SELECT id FROM {table} WHERE experiment_id NOT IN (SELECT id FROM experiment)"
        assert listed(home, orphans) == []
    assert remove_old(home, 1) == ()


def test_a_comparison_goes_with_the_last_of_what_it_compared(home: Home) -> None:
    comparisons = "SELECT name FROM chart WHERE project_id IS NOT NULL"
    before = set(listed(home, comparisons))
    with closing(sqlite3.connect(store(home) / "runs.swanlab")) as database, database:
        # As if the metric had been measured in the first night only.
        database.execute(
            "DELETE FROM source WHERE tag_id IN (SELECT tag.id FROM tag JOIN experiment"
            " ON experiment_id = experiment.id WHERE tag.name = 'load/openqa/failed'"
            " AND experiment.description NOT LIKE ?)",
            (f"run {run_id_of(0)}%",),
        )
    remove_old(home, 1)
    assert before - set(listed(home, comparisons)) == {("load/openqa/failed",)}


def test_what_was_removed_is_not_drawn_again_until_more_is_kept(home: Home) -> None:
    remove_old(home, 1)
    assert swanlab_mirror.mirror_pending(home, mode="local", limit=1) == 0
    assert len(names(home)) == 3 + 1
    assert swanlab_mirror.mirror_pending(home, mode="local", limit=2) == 1
    assert "starter 2026-01-02 00:00" in names(home)


def test_the_next_night_finds_its_place_after_a_removal(home: Home) -> None:
    remove_old(home, 1)
    spool_night(home.spool, NIGHTS, SHAPE)
    land(home)
    swanlab_mirror.mirror_run(home, run_id_of(NIGHTS), LEVELS, mode="local")
    assert "starter 2026-01-04 00:00" in names(home)
    statuses = {status for (status,) in listed(home, "SELECT status FROM experiment")}
    assert statuses == {1}


def test_offline_a_series_keeps_what_was_drawn_last(home: Home) -> None:
    shutil.rmtree(home.dashboards)
    for night in range(2):
        swanlab_mirror.mirror_run(home, run_id_of(night), SwanlabSettings(), mode="offline")
    assert len(folders(home)) == 2 * 2
    assert len(remove_old(home, 1)) == 2
    assert len(folders(home)) == 2
    assert not (store(home) / "runs.swanlab").exists()
    ledger = MirrorLedger.read(swanlab_places.ledger_path(home))
    assert ledger.mirrored == {"offline": [run_id_of(1)]}


def test_a_folder_whose_row_is_gone_already_goes_too(home: Home) -> None:
    with closing(sqlite3.connect(store(home) / "runs.swanlab")) as database, database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM experiment WHERE name LIKE 'starter 2026-01-01%'")
    assert len(remove_old(home, NIGHTS - 1)) == 3
    assert len(folders(home)) == (NIGHTS - 1) * 3 + 1


def test_what_is_named_otherwise_is_a_person_s(tmp_path: Path) -> None:
    (tmp_path / "run-mine").mkdir()
    (tmp_path / "notes").mkdir()
    assert drawn_in(tmp_path) == []
    assert drawn_in(tmp_path / "nowhere") == []


def test_a_folder_that_does_not_say_its_run_stays_until_it_is_drawn_again(tmp_path: Path) -> None:
    (tmp_path / "run-20260101_000000-abc").mkdir()
    config = tmp_path / "run-20260102_000000-abd" / "files" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("run_id: {")
    drawn = drawn_in(tmp_path)
    assert [one.run_id for one in drawn] == [None, None]
    assert superfluous(drawn, 1, NOW) == ()
    again = [*drawn, DrawnExperiment("run-20260103_000000-abc", "abc", "r")]
    assert superfluous(again, 1, NOW) == ("run-20260101_000000-abc",)


def test_runs_dated_ahead_do_not_push_out_true_ones() -> None:
    def drawn(run_id: str, number: int) -> DrawnExperiment:
        return DrawnExperiment(f"run-20260101_0000{number:02d}-k{number}", f"k{number}", run_id)

    ahead = [drawn(f"2099010{n}T000000Z-s-00000{n}", n) for n in range(1, 4)]
    true = [drawn(run_id_of(n), 10 + n) for n in range(3)]
    assert set(superfluous([*ahead, *true], 3, NOW)) == {one.folder for one in ahead}
