"""Logs of runs long past go, and what killed processes left; nothing that is still needed does."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightbench.history.spool.writer import Spool, SpoolIdentity, recover
from nightbench.home.cleanup import tidy
from nightbench.home.kept_runs import moment_in
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import FIRST_NIGHT, run_id_of, target_row

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=2)  # what a test makes now was not touched for a day by then


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Five runs with logs and with what a killed load generator leaves."""
    home = Home(tmp_path / "home")
    for night in range(5):
        write(home.logs / run_id_of(night) / "starter" / "server-1" / "server.log", "ready")
        for name in ("c1.bodies", "c1.ends", "c1.0.raw", "c1.offsets", "c1.parquet"):
            write(home.logs / run_id_of(night) / "starter" / "load" / name, "x" * 10)
    return home


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def logs(home: Home) -> list[str]:
    return sorted(path.name for path in home.logs.iterdir())


def test_the_logs_of_the_newest_runs_stay_without_raw_load(home: Home) -> None:
    done = tidy(home, 2, LATER)
    assert logs(home) == [run_id_of(3), run_id_of(4)]
    assert done.log_runs == [run_id_of(0), run_id_of(1), run_id_of(2)]
    left = {path.name for path in home.logs.rglob("*") if path.is_file()}
    assert left == {"server.log", "c1.parquet"}
    assert (done.num_files, done.num_bytes) == (3 * 6 + 2 * 4, 3 * (5 * 10 + 5) + 2 * 4 * 10)
    assert tidy(home, 2, LATER).num_files == 0


def test_nothing_that_was_touched_within_a_day_goes(home: Home) -> None:
    assert tidy(home, 1, NOW).num_files == 0
    assert len(logs(home)) == 5


def test_a_clock_that_was_set_back_removes_nothing(home: Home) -> None:
    assert tidy(home, 1, NOW - timedelta(days=4000)).num_files == 0
    assert len(logs(home)) == 5


def test_a_run_that_has_not_landed_keeps_everything(home: Home) -> None:
    identity = SpoolIdentity(run_id=run_id_of(0), target="starter", night=FIRST_NIGHT)
    with Spool.open(home.spool, identity) as spool:
        spool.append(target_row(0, "starter", status="completed", ended_at=None))
        tidy(home, 1, LATER)
    assert logs(home) == [run_id_of(0), run_id_of(4)]
    assert (home.logs / run_id_of(0) / "starter" / "load" / "c1.0.raw").exists()
    tidy(home, 1, LATER)  # sealed, and not landed
    assert run_id_of(0) in logs(home)


def test_a_server_that_a_person_runs_keeps_its_log(home: Home) -> None:
    with subprocess.Popen(["sleep", "60"]) as server:
        running, ended = (f"serve-20250101-000000-{pid}" for pid in (server.pid, 2**22 + 1))
        for name in (running, ended):
            write(home.logs / name / "server-1" / "server.log", "ready")
        tidy(home, 1, LATER)
        server.kill()
    assert logs(home) == [run_id_of(4), running]


def test_what_is_no_run_s_is_a_person_s(home: Home) -> None:
    write(home.logs / "notes" / "today.txt", "look at this")
    (home.logs / "20200101T000000Z-link-000000").symlink_to(home.logs / "notes")
    assert moment_in("20200101T000000Z-link-000000") is not None
    tidy(home, 1, LATER)
    assert {"notes", "20200101T000000Z-link-000000"} <= set(logs(home))
    assert (home.logs / "notes" / "today.txt").exists()


def test_a_link_among_the_logs_is_removed_and_not_what_it_leads_to(home: Home) -> None:
    kept = write(home.root / "models" / "weights", "w")
    (home.logs / run_id_of(0) / "models").symlink_to(kept.parent)
    (home.logs / run_id_of(0) / "starter" / "load" / "c9.raw").symlink_to(kept)
    tidy(home, 1, LATER)
    assert logs(home) == [run_id_of(4)]
    assert kept.read_text() == "w"


def test_leftovers_of_the_spool_go_and_rows_never(home: Home) -> None:
    never_opened = write(home.spool / "r1" / ".starter.77.new" / "lock", "").parent
    write(never_opened / "identity.json", "{}")
    with_rows = write(home.spool / "r2" / ".starter.78.new" / "targets.jsonl", "{}").parent
    broken = write(home.spool / "r3" / "starter.broken" / "targets.jsonl", "{}").parent
    (home.spool / "r4").mkdir()
    identity = SpoolIdentity(run_id="r5", target="starter", night=FIRST_NIGHT)
    abandoned = Spool.open(home.spool, identity)
    abandoned.append(target_row(0, "starter", status="completed", ended_at=None))
    abandoned.abandon()
    assert tidy(home, 9, NOW).leftovers == []
    done = tidy(home, 9, LATER)
    assert never_opened in done.leftovers
    assert sorted(path.name for path in home.spool.iterdir()) == ["r2", "r3", "r5"]
    assert with_rows.exists()
    assert broken.exists()
    assert len(recover(home.spool)) == 1


def test_what_a_killed_question_spilled_goes(home: Home) -> None:
    spilled = write(home.history / "history.duckdb.tmp" / "duckdb_temp_block-1.block", "x" * 99)
    assert tidy(home, 9, NOW).leftovers == []
    assert spilled.parent in tidy(home, 9, LATER).leftovers
    assert not spilled.exists()


def test_a_home_without_anything_is_tidy(tmp_path: Path) -> None:
    assert tidy(Home(tmp_path / "home"), 1, LATER).num_files == 0
    assert not (tmp_path / "home").exists()
