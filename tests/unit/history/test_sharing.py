"""Which part of a history a group may read, and that a pass over it is cheap and can be killed."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from nightbench.history import sharing
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night

SHAPE = Shape(targets=("one", "two"), levels=(1,), telemetry=1)
OWN = str(os.getegid())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two nights of two targets, the first one merged."""
    home = Home(tmp_path / "home", group=OWN)
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
    land(home)
    return home


def modes(home: Home) -> dict[str, int]:
    """Every path of the history with its permissions."""
    paths = [home.history, *home.history.rglob("*")]
    return {str(p.relative_to(home.root)): stat.S_IMODE(p.stat().st_mode) for p in paths}


def wanted(path: str) -> int:
    """What a path of an open history should have."""
    if path == "history/history.duckdb" or path.endswith(".parquet"):
        return 0o640
    return 0o600 if Path(path).suffix or path.endswith("lock") else 0o750


def test_the_copy_and_the_facts_are_open_and_all_else_is_not(home: Home) -> None:
    found = modes(home)
    assert found == {path: wanted(path) for path in found}
    assert {"history/landing.duckdb", "history/landing.lock"} <= found.keys()
    assert any(path.endswith("manifest.json") for path in found)
    assert any(path.endswith("merged.json") for path in found)


def test_what_was_open_before_there_were_groups_is_put_right(home: Home) -> None:
    for path in (home.history, *home.history.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    places = HistoryPlaces.of(home)
    assert sharing.share(places)
    found = modes(home)
    assert found == {path: wanted(path) for path in found}
    for path in (home.history, *home.history.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert sharing.share(replace(places, group=""))
    assert set(modes(home).values()) == {0o600, 0o700}


def test_a_folder_whose_opening_was_cut_off_is_opened_by_the_next_landing(home: Home) -> None:
    [merged] = home.history.glob("nights/*/+merged-0001")
    facts = sorted(merged.glob("*.parquet"))
    merged.chmod(0o700)
    facts[-1].chmod(0o600)
    spool_night(home.spool, 2, SHAPE)
    land(home)
    assert stat.S_IMODE(facts[-1].stat().st_mode) == 0o640
    assert stat.S_IMODE(merged.stat().st_mode) == 0o750


def test_a_landed_folder_is_opened_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[object] = []
    for name in ("chmod", "chown"):
        monkeypatch.setattr(os, name, lambda path, *_: changed.append(path))
    assert not sharing.share(HistoryPlaces.of(home))
    assert changed == []


def test_a_rebuilt_history_is_as_open_as_it_was(home: Home) -> None:
    before = modes(home)
    rebuild(home)
    assert modes(home) == before


def test_a_folder_that_is_being_made_is_not_opened(home: Home) -> None:
    [night] = home.history.glob("nights/*01-02")
    (night / "+merged-0007.new").mkdir(mode=0o700)
    sharing.share(HistoryPlaces.of(home))
    assert stat.S_IMODE((night / "+merged-0007.new").stat().st_mode) == 0o700
