"""What every store of the history keeps to: today's files, and a second one that is 150 lines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from nightbench.errors import HistoryError
from nightbench.history.clock import no_uptime, utc_now
from nightbench.history.ingest import LandingReport, land
from nightbench.history.locks import held
from nightbench.history.open_store import open_store
from nightbench.history.reading import History
from nightbench.history.run_results import read_run
from nightbench.history.spool.folders import sealed_folders
from nightbench.history.store import HistoryStore, Retention, WriterTerms
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import FIRST_NIGHT, Shape, run_id_of, spool_night
from tests.unit.history.json_lines_store import JsonLines

SHAPE = Shape(targets=("starter", "other"), levels=(1,), requests=3, samples=2)
SUMMARISED, BULKY = ("runs", "targets", "load_levels"), ("load_requests", "load_chunks")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(params=["files", "json lines"])
def store(request: pytest.FixtureRequest, home: Home) -> HistoryStore:
    make: dict[str, Callable[[], HistoryStore]] = {
        "files": lambda: open_store(home),
        "json lines": lambda: JsonLines(home.history),
    }
    return make[request.param]()


@contextmanager
def reading(store: HistoryStore) -> Iterator[History]:
    with History(store.read()) as history:
        yield history


def take_in(home: Home, store: HistoryStore, **kept: int) -> LandingReport:
    retention = Retention(kept) if kept else Retention()
    return land(home, store=store, retention=retention, deadline_s=0.2, reader_grace_s=0)


def counts(store: HistoryStore) -> dict[str, int]:
    with reading(store) as history:
        return {
            table: int(str(history.sql(f"SELECT count(*) FROM {table}").rows[0][0]))
            for table in (*SUMMARISED, *BULKY)
        }


def expected(nights: int) -> dict[str, int]:
    targets, requests = 2 * nights, 6 * nights
    return {
        "runs": nights,
        "targets": targets,
        "load_levels": targets,
        "load_requests": requests,
        "load_chunks": requests,
    }


def test_before_anything_was_committed_there_is_nothing_to_read(store: HistoryStore) -> None:
    assert store.is_empty()
    with pytest.raises(HistoryError):
        store.read()


def test_what_was_committed_is_read_once(home: Home, store: HistoryStore) -> None:
    spool_night(home.spool, 0, SHAPE)
    report = take_in(home, store)
    assert (len(report.landed), report.damaged, report.published) == (3, [], True)
    assert counts(store) == expected(1)
    assert list(home.spool.glob("*/*")) == []
    with reading(store) as history:
        run = read_run(history, run_id_of(0))
        newest = history.sql("SELECT DISTINCT run_id FROM latest").rows
    assert sorted(target.target for target in run.targets) == ["other", "starter"]
    assert newest == ((run_id_of(0),),)


def test_what_comes_twice_is_in_once(home: Home, store: HistoryStore, tmp_path: Path) -> None:
    spool_night(home.spool, 0, SHAPE)
    shutil.copytree(home.spool, tmp_path / "again")
    take_in(home, store)
    shutil.copytree(tmp_path / "again", home.spool, dirs_exist_ok=True)
    report = take_in(home, store)
    assert (report.landed, len(report.already)) == ([], 3)
    assert counts(store) == expected(1)
    assert list(home.spool.glob("*/*")) == []


def test_what_was_committed_by_who_died_before_publishing_is_read_after_the_next_landing(
    home: Home, store: HistoryStore
) -> None:
    spool_night(home.spool, 0, SHAPE)
    terms = WriterTerms(deadline_s=0.2, reader_grace_s=0, now=utc_now, uptime=no_uptime)
    with store.write(terms) as writer:
        writer.stage(sealed_folders(home.spool))
        writer.commit()
    spool_night(home.spool, 1, SHAPE)
    report = take_in(home, store)
    assert (len(report.landed), report.damaged, report.published) == (3, [], True)
    assert counts(store) == expected(2)


def test_where_nothing_waits_nothing_is_done(home: Home, store: HistoryStore) -> None:
    assert not take_in(home, store).published
    spool_night(home.spool, 0, SHAPE)
    take_in(home, store)
    assert not take_in(home, store).published


def test_a_damaged_folder_stays_out_and_the_others_come_in(home: Home, store: HistoryStore) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    cut = folders[0] / "load_levels.parquet"
    cut.write_bytes(cut.read_bytes()[:-10])
    report = take_in(home, store)
    assert [one.folder for one in report.damaged] == [folders[0]]
    assert len(report.landed) == 2
    assert folders[0].exists()


def test_what_expires_is_bulky_and_of_the_oldest_nights(home: Home, store: HistoryStore) -> None:
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
        take_in(home, store, load_chunks=1)
    assert counts(store) == expected(3) | {"load_chunks": expected(1)["load_chunks"]}


def test_made_again_it_says_the_same(home: Home, store: HistoryStore) -> None:
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
        take_in(home, store)
    report = store.rebuild()
    assert (report.folders, report.damaged) == (6, ())
    assert counts(store) == expected(2)
    assert not take_in(home, store).landed


def test_with_nothing_kept_there_is_nothing_to_rebuild(store: HistoryStore) -> None:
    with pytest.raises(HistoryError):
        store.rebuild()


def test_a_reader_keeps_what_it_opened(home: Home, store: HistoryStore) -> None:
    spool_night(home.spool, 0, SHAPE)
    take_in(home, store)
    with reading(store) as before:
        spool_night(home.spool, 1, SHAPE)
        take_in(home, store)
        assert before.sql("SELECT count(*) FROM runs").rows == ((1,),)
    assert counts(store)["runs"] == 2


def test_it_knows_which_runs_it_holds(home: Home, store: HistoryStore) -> None:
    spool_night(home.spool, 0, SHAPE)
    assert not store.holds(FIRST_NIGHT, run_id_of(0))
    take_in(home, store)
    assert store.holds(FIRST_NIGHT, run_id_of(0))
    assert not store.holds(FIRST_NIGHT + timedelta(days=1), run_id_of(1))


def test_one_writer_at_a_time(home: Home, store: HistoryStore) -> None:
    spool_night(home.spool, 0, SHAPE)
    take_in(home, store)
    spool_night(home.spool, 1, SHAPE)
    (lock,) = home.history.glob("*.lock")
    with held(lock, deadline_s=1), pytest.raises(HistoryError, match=f"pid {os.getpid()}"):
        take_in(home, store)
    assert len(take_in(home, store).landed) == 3


def test_a_person_is_told_of_its_state(home: Home, store: HistoryStore) -> None:
    spool_night(home.spool, 0, SHAPE)
    take_in(home, store)
    said = store.condition(utc_now())
    assert [name for name, _ in said] == ["history"], "nothing is wrong with it"
    assert "cannot be read" not in said[0][1]
