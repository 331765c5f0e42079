"""Merging nights, retiring facts, rebuilding: the rows stay the same rows."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightbench.errors import HistoryError
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.history.store import Retention
from nightbench.history.tables import TABLES
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import FIRST_NIGHT, Shape, run_id_of, spool_night

SHAPE = Shape(targets=("starter", "other"))
NAMES = [table.name for table in TABLES] + ["landings"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def digests(home: Home) -> dict[str, object]:
    """Count and order-free digest of every table's rows, but for when a folder landed."""
    columns = {"landings": "* EXCLUDE (landed_at)"}
    with open_history(home) as history:
        return {
            name: history.sql(
                "SELECT count(*), sum(hash(t))"
                f" FROM (SELECT {columns.get(name, '*')} FROM {name}) AS t"
            ).rows
            for name in NAMES
        }


def land_nights(home: Home, nights: range) -> None:
    for night in nights:
        spool_night(home.spool, night, SHAPE)
        land(home)


def files_of(home: Home, night: int) -> list[str]:
    places = HistoryPlaces.of(home)
    root = places.night(FIRST_NIGHT + timedelta(days=night))
    return sorted(str(p.relative_to(root)) for p in root.rglob("load_requests.parquet"))


def later() -> datetime:
    return datetime.now(UTC) + timedelta(days=2)


def test_a_night_that_is_over_is_merged_and_its_rows_are_the_same(home: Home) -> None:
    land_nights(home, range(1))
    before = digests(home)
    spool_night(home.spool, 1, SHAPE)
    report = land(home)
    assert report.merged == [FIRST_NIGHT]
    with open_history(home) as history:
        paths = history.sql("SELECT path FROM fact_files WHERE night = '2026-01-01'").rows
    assert all("/+merged-0001/" in str(path) for (path,) in paths)
    merged = digests(home)
    assert merged.keys() == before.keys()
    rebuild(home)
    assert digests(home) == merged


def test_merging_changes_no_row(home: Home, tmp_path: Path) -> None:
    unmerged = Home(tmp_path / "unmerged")
    for night in (1, 0):  # the older night lands last and is merged; alone, a night never is
        spool_night(home.spool, night, SHAPE)
        land(home)
    for night in range(2):
        spool_night(unmerged.spool, night, SHAPE)
    report = land(unmerged)
    assert report.merged == [FIRST_NIGHT]
    assert digests(home) == digests(unmerged)


def test_folders_that_were_merged_go_after_the_grace_period(home: Home) -> None:
    land_nights(home, range(2))
    assert len(files_of(home, 0)) == 3
    spool_night(home.spool, 2, SHAPE)
    land(home, now=later)
    assert files_of(home, 0) == ["+merged-0001/load_requests.parquet"]
    before = digests(home)
    rebuild(home)
    assert digests(home) == before


def test_a_reader_of_the_time_before_still_reads_its_files(home: Home) -> None:
    land_nights(home, range(1))
    with open_history(home) as reader:
        land_nights(home, range(1, 3))
        assert reader.sql("SELECT count(*) FROM load_requests").rows == ((24,),)


def test_a_late_folder_joins_its_merged_night(home: Home) -> None:
    land_nights(home, range(2))
    spool_night(home.spool, 0, Shape(targets=("late",)))
    shutil.rmtree(home.spool / run_id_of(0) / "_run.sealed")
    land(home)
    assert "+merged-0002/load_requests.parquet" in files_of(home, 0)
    with open_history(home) as history:
        found = history.sql(
            "SELECT target, count(*) FROM load_requests WHERE night = '2026-01-01'"
            " GROUP BY target ORDER BY target"
        ).rows
    assert found == (("late", 12), ("other", 12), ("starter", 12))
    before = digests(home)
    rebuild(home)
    assert digests(home) == before


def test_a_merge_that_was_killed_before_its_transaction_is_made_good(home: Home) -> None:
    land_nights(home, range(1))
    spool_night(home.spool, 1, SHAPE)
    land(home)
    before = digests(home)
    # As if the lander had died between the rename of the merged folder and the transaction:
    places = HistoryPlaces.of(home)
    shutil.copytree(
        places.night(FIRST_NIGHT) / "+merged-0001", places.night(FIRST_NIGHT) / "+merged-0002"
    )
    rebuild(home)
    assert digests(home) == before


def test_chunk_times_go_after_their_retention_and_nothing_else(home: Home) -> None:
    land_nights(home, range(3))
    spool_night(home.spool, 3, SHAPE)
    land(home, retention=Retention({"load_chunks": 2}))
    with open_history(home) as history:
        nights = history.sql("SELECT DISTINCT night FROM load_chunks ORDER BY night").rows
        requests = history.sql("SELECT count(DISTINCT night) FROM load_requests").rows
    assert nights == tuple((FIRST_NIGHT + timedelta(days=n),) for n in (2, 3))
    assert requests == ((4,),)
    before = digests(home)
    rebuild(home)
    assert digests(home) == before
    spool_night(home.spool, 4, SHAPE)
    land(home, retention=Retention({"load_chunks": 2}), now=later)
    places = HistoryPlaces.of(home)
    assert not list(places.night(FIRST_NIGHT).glob("+merged-*/load_chunks.parquet"))
    before = digests(home)
    rebuild(home)
    assert digests(home) == before


def test_the_history_is_made_again_without_its_database(home: Home) -> None:
    land_nights(home, range(3))
    before = digests(home)
    for path in home.history.glob("*.duckdb*"):
        path.unlink()
    report = rebuild(home)
    assert report.folders == 9
    assert digests(home) == before
    assert land(home).landed == []


def test_a_rebuild_that_would_lose_rows_is_refused(home: Home) -> None:
    land_nights(home, range(1))
    before = digests(home)
    places = HistoryPlaces.of(home)
    damaged = places.kept(FIRST_NIGHT, run_id_of(0), "starter") / "load_levels.parquet"
    damaged.write_bytes(b"")
    with pytest.raises(HistoryError, match="not rebuilt, the history is unchanged"):
        rebuild(home)
    assert digests(home)["load_levels"] == before["load_levels"]
    assert len(rebuild(home, without_damaged=True).damaged) == 1


def test_a_night_that_cannot_be_merged_is_said_and_does_not_stop_landing(home: Home) -> None:
    land_nights(home, range(1))
    places = HistoryPlaces.of(home)
    (places.kept(FIRST_NIGHT, run_id_of(0), "starter") / "load_levels.parquet").write_bytes(b"")
    spool_night(home.spool, 1, SHAPE)
    report = land(home)
    assert len(report.landed) == 3
    assert any("2026-01-01 could not be compacted" in f.detail for f in report.findings)
