"""Landing: no row lost, none twice, a clear message for each trouble."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import nightbench.history
from nightbench.errors import BadInput, HistoryError
from nightbench.history import ingest
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.history.spool import checked_json
from nightbench.history.spool.writer import Spool, recover
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import (
    FIRST_NIGHT,
    Shape,
    rows_of,
    run_id_of,
    spool_judgement,
    spool_night,
)

SHAPE = Shape(targets=("starter", "other"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def count(home: Home, table: str) -> int:
    with open_history(home) as history:
        return int(str(history.sql(f"SELECT count(*) FROM {table}").rows[0][0]))


def counts(home: Home) -> dict[str, int]:
    names = ("runs", "targets", "load_levels", "load_requests", "load_chunks", "accuracy_samples")
    return {name: count(home, name) for name in names}


def expected(nights: int, shape: Shape = SHAPE) -> dict[str, int]:
    targets = nights * len(shape.targets)
    requests = targets * len(shape.levels) * shape.requests
    return {
        "runs": nights,
        "targets": targets,
        "load_levels": targets * len(shape.levels),
        "load_requests": requests,
        "load_chunks": requests,
        "accuracy_samples": targets * shape.samples,
    }


def test_what_was_spooled_can_be_asked_for(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    report = land(home)
    assert (len(report.landed), report.damaged, report.findings) == (3, [], [])
    assert counts(home) == expected(1)
    assert list(home.spool.iterdir()) == []


def test_a_second_run_adds_and_overwrites_nothing(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    spool_night(home.spool, 1, SHAPE)
    land(home)
    assert counts(home) == expected(2)


def test_nights_land_in_any_order(home: Home) -> None:
    spool_night(home.spool, 1, SHAPE)
    land(home)
    spool_night(home.spool, 0, SHAPE)
    land(home)
    assert counts(home) == expected(2)
    with open_history(home) as history:
        newest = history.sql("SELECT DISTINCT run_id FROM latest").rows
    assert newest == ((run_id_of(1),),)


def test_the_same_folder_landed_twice_is_there_once(home: Home, tmp_path: Path) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    shutil.copytree(folders[0], tmp_path / "again")
    land(home)
    (home.spool / run_id_of(0)).mkdir(parents=True)
    shutil.copytree(tmp_path / "again", folders[0])
    report = land(home)
    assert report.already == [f"{run_id_of(0)}/starter"]
    assert counts(home) == expected(1)
    assert list(home.spool.iterdir()) == []


def test_other_content_under_a_landed_name_is_refused(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    spool_night(home.spool, 0, Shape(targets=("starter",), samples=1))
    report = land(home)
    assert any("ingested before, with other content" in d.reason for d in report.damaged)
    assert count(home, "accuracy_samples") == expected(1)["accuracy_samples"]


def test_a_truncated_parquet_is_named_and_the_rest_lands(home: Home) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    cut = folders[0] / "load_levels.parquet"
    cut.write_bytes(cut.read_bytes()[:-10])
    report = land(home)
    assert [d.folder for d in report.damaged] == [folders[0]]
    assert "load_levels.parquet has" in report.damaged[0].reason
    assert len(report.landed) == 2
    assert folders[0].exists()


def test_a_changed_byte_is_noticed(home: Home) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    path = folders[0] / "load_levels.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "digest" in land(home).damaged[0].reason


def test_a_damaged_manifest_is_named(home: Home) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    (folders[0] / "manifest.json").write_text("{")
    assert "manifest.json cannot be read" in land(home).damaged[0].reason


def test_a_folder_that_could_not_be_taken_leaves_no_row(home: Home) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    (folders[0] / "load_requests.parquet").unlink()
    land(home)
    with open_history(home) as history:
        targets = history.sql("SELECT DISTINCT target FROM load_levels").rows
    assert targets == (("other",),)


def test_a_repaired_folder_lands_the_next_time(home: Home, tmp_path: Path) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    path = folders[0] / "load_levels.parquet"
    shutil.copy(path, tmp_path / "whole")
    path.write_bytes(b"")
    land(home)
    shutil.copy(tmp_path / "whole", path)
    assert len(land(home).landed) == 1
    assert counts(home) == expected(1)


def test_landing_with_nothing_to_land_changes_nothing(home: Home) -> None:
    assert land(home).published is False
    spool_night(home.spool, 0, SHAPE)
    land(home)
    before = HistoryPlaces.of(home).published.stat()
    report = land(home)
    assert (report.published, report.landed) == (False, [])
    assert HistoryPlaces.of(home).published.stat().st_ino == before.st_ino


def test_a_reader_neither_blocks_landing_nor_is_broken_by_it(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    with open_history(home) as reader:
        spool_night(home.spool, 1, SHAPE)
        land(home)
        assert reader.sql("SELECT count(*) FROM load_requests").rows == (
            (expected(1)["load_requests"],),
        )
    assert counts(home) == expected(2)


def test_a_lander_waits_no_longer_than_asked_and_names_the_holder(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    spool_night(home.spool, 1, SHAPE)
    places = HistoryPlaces.of(home)
    script = (
        "import sys, duckdb; c = duckdb.connect(sys.argv[1]); "
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(places.landing)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(HistoryError, match=rf"\(pid {holder.pid}\)"):
            land(home, deadline_s=0.3)
    finally:
        holder.communicate()
    land(home)
    assert counts(home) == expected(2)


def test_two_landers_are_told_apart_by_the_lock(home: Home) -> None:
    from nightbench.history.locks import held

    spool_night(home.spool, 0, SHAPE)
    places = HistoryPlaces.of(home)
    places.make()
    with (
        held(places.lock, deadline_s=1),
        pytest.raises(HistoryError, match=r"locked by pid \d+ \("),
    ):
        land(home, deadline_s=0.2)


def test_a_copy_that_was_not_published_is_published_next_time(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    HistoryPlaces.of(home).published.unlink()
    assert land(home).published
    assert counts(home) == expected(1)


def test_crashed_folders_land_as_crashed(home: Home) -> None:
    from datetime import date

    from nightbench.history.spool.manifest import SpoolIdentity

    identity = SpoolIdentity(run_id="r9", target="t", night=date(2026, 1, 1))
    spool = Spool.open(home.spool, identity)
    for row in list(rows_of(0, "t", SHAPE))[:-1]:
        spool.append(row)  # type: ignore[arg-type]
    spool.abandon()
    recover(home.spool)
    land(home)
    with open_history(home) as history:
        assert history.sql("SELECT status FROM targets").rows == (("crashed",),)
        assert history.sql("SELECT status FROM landings").rows == (("crashed",),)


def test_rows_without_their_target_are_found(home: Home) -> None:
    from datetime import date

    from nightbench.history.spool.manifest import SpoolIdentity

    identity = SpoolIdentity(run_id="r9", target="t", night=date(2026, 1, 1))
    spool = Spool.open(home.spool, identity)
    for row in list(rows_of(0, "t", SHAPE))[1:-1]:
        spool.append(row)  # type: ignore[arg-type]
    spool.seal("completed")
    findings = land(home).findings
    assert {f.check for f in findings} == {"orphan_rows"}
    assert any("table_name load_levels" in f.detail for f in findings)


def test_the_history_is_its_owners_alone(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    for path in home.history.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_duckdb_alone_opens_the_published_file(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    with duckdb.connect(str(home.history / "history.duckdb"), read_only=True) as connection:
        connection.execute(f"SET VARIABLE nightbench_history = '{home.history}/'")
        found = connection.execute("SELECT count(*) FROM load_requests").fetchall()
    assert found == [(expected(1)["load_requests"],)]


def test_a_notebook_opens_it_in_one_line(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    history = nightbench.history.open(home.root)
    frame = history.query("trend", target="starter", metric="output_throughput")
    history.close()
    assert list(frame["max_concurrency"]) == [1, 4, 8]


def test_landing_one_target_leaves_the_others_of_its_run_alone(home: Home) -> None:
    from datetime import date

    from nightbench.history.spool.manifest import SpoolIdentity

    first, second = (
        SpoolIdentity(run_id="r9", target=name, night=date(2026, 1, 1)) for name in ("a", "b")
    )
    still_spooling = Spool.open(home.spool, second)
    with Spool.open(home.spool, first) as spool:
        for row in rows_of(0, "a", SHAPE):
            spool.append(row)  # type: ignore[arg-type]
    assert land(home).landed == ["r9/a"]
    for row in rows_of(0, "b", SHAPE):
        still_spooling.append(row)  # type: ignore[arg-type]
    still_spooling.seal("completed")
    assert land(home).landed == ["r9/b"]
    assert count(home, "targets") == 2


def test_a_copy_of_a_folder_in_the_same_landing_is_there_once(home: Home) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    shutil.copytree(folders[0], folders[0].with_name("copy.sealed"))
    report = land(home)
    assert len(report.landed) == 3
    assert len(report.already) == 1
    assert counts(home) == expected(1)
    assert list(home.spool.iterdir()) == []


def test_one_folder_that_cannot_be_inserted_does_not_keep_its_batch_out(home: Home) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    manifest = folders[0] / "manifest.json"
    members = json.loads(manifest.read_text())
    del members[checked_json.DIGEST]
    levels = next(entry for entry in members["files"] if entry["table"] == "load_levels")
    levels["row_count"] += 1
    manifest.write_text(checked_json.text_of(checked_json.signed(members)))
    report = land(home)
    assert [damaged.folder for damaged in report.damaged] == [folders[0]]
    assert "3 rows of load_levels, the manifest says 4" in report.damaged[0].reason
    assert len(report.landed) == 2
    with open_history(home) as history:
        assert history.sql("SELECT DISTINCT target FROM load_levels").rows == (("other",),)


def test_more_folders_than_a_transaction_takes_all_land(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "FOLDERS_AT_ONCE", 2)
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
    assert len(land(home).landed) == 9
    assert counts(home) == expected(3)


def test_verdicts_and_annotations_land_after_their_night_and_are_kept_with_it(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    spool_judgement(home.spool, 0, SHAPE)
    report = land(home)
    assert (report.landed, report.findings) == ([f"{run_id_of(0)}/_judged"], [])
    for _ in range(2):
        with open_history(home) as history:
            verdicts = history.sql(
                "SELECT run_id, target, night, hardware_class, verdict, since FROM verdicts"
                " ORDER BY target"
            ).rows
            annotations = history.sql("SELECT target, kind, reason FROM annotations").rows
        night = FIRST_NIGHT
        assert verdicts == tuple(
            (run_id_of(0), target, night, "cpu x 2", "regressed", night)
            for target in ("other", "starter")
        )
        assert annotations == (("starter", "accepted", "new driver"),)
        rebuild(home)


def test_a_verdict_on_a_target_that_never_ran_is_found(home: Home) -> None:
    spool_judgement(home.spool, 0, SHAPE)
    assert {finding.check for finding in land(home).findings} == {"orphan_rows"}


@pytest.mark.parametrize("name", ["d'q", "e\\x", "f{1,2}", "a:b", "x#y%20", " 夜"])
def test_a_home_may_have_a_strange_name(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name / "home")
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
        assert (land(home).damaged, land(home).findings) == ([], [])
    assert counts(home) == expected(3)
    rebuild(home)
    assert counts(home) == expected(3)


@pytest.mark.parametrize("name", ["a[1]", "b*", "c?", "night=2020-01-01"])
def test_a_home_that_duckdb_would_take_for_a_pattern_is_refused_before_anything_runs(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadInput, match=r"reads .* in a path as a glob") as told:
        Home.from_env({"NIGHTBENCH_HOME": str(tmp_path / name)})
    assert "NIGHTBENCH_HOME" in str(told.value.hint)
