"""Files of the history that are damaged, of before, of the future, or gone: it helps itself, or
says the command that does, and that command works."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nightbench.errors import HistoryError
from nightbench.history import sql_files
from nightbench.history.duckdb_files.database import open_writer
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.locks import held
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.history.spool import checked_json
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import FIRST_NIGHT, Shape, run_id_of, spool_night
from tests.history import forging, worlds
from tests.history.worlds import nightbench

SHAPE = Shape(targets=("starter", "other"), levels=(1,), requests=3, samples=3)
ASKED = (
    "sql",
    "SELECT count(*) AS n, sum(hash(t)) AS digest FROM load_levels AS t",
    "--format",
    "json",
)
FACTS = ("sql", "SELECT count(*) AS n FROM load_requests", "--format", "json")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
        land(home)
    return home


def answer(home: Home, asked: tuple[str, ...] = ASKED) -> object:
    said = nightbench(home, *asked)
    assert (said.returncode, said.stderr) == (0, ""), said.stderr
    return json.loads(said.stdout)


def refused(home: Home, *arguments: str) -> str:
    said = nightbench(home, *arguments)
    assert said.returncode == 1, said.stdout
    assert "Traceback" not in said.stderr
    return said.stderr


def commands_in(text: str) -> list[list[str]]:
    """The commands that a message names."""
    return [found.split() for found in re.findall(r"`?nightbench (land[a-z -]*[a-z])`?", text)]


def flip_middle(path: Path) -> None:
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip_a_bit_a_block(path: Path) -> None:
    """One in each block of DuckDB's (some hold nothing, and nobody would notice)."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    for place in range(3 * 4096 + 100, len(content), 1 << 18):
        content[place] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def let_the_replaced_go(home: Home) -> None:
    """The folders that merging replaced, as a day later."""
    shutil.rmtree(HistoryPlaces.of(home).night(FIRST_NIGHT) / run_id_of(0))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped bits": flip_a_bit_a_block,
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a text": lambda path: path.write_text("I am no database\n" * 1000),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_read_copy_is_made_again_by_whoever_asks(home: Home, damage: str) -> None:
    expected = answer(home)
    DAMAGE[damage](HistoryPlaces.of(home).published)
    assert answer(home) == expected


def test_a_read_copy_whose_rows_alone_are_damaged_is_made_again_when_they_are_asked_for(
    home: Home,
) -> None:
    expected = worlds.rows(home)
    places = HistoryPlaces.of(home)
    size = places.published.stat().st_size
    for place in range(3 * 4096 + 100, size, size // 25):
        times = places.published.stat()
        content = bytearray(places.landing.read_bytes())
        content[place] ^= 1
        places.published.write_bytes(content)
        os.utime(places.published, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert worlds.rows(home) == expected


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "gone"])
def test_a_damaged_landing_file_leads_to_the_command_that_makes_it_again(
    home: Home, damage: str
) -> None:
    expected = answer(home)
    DAMAGE[damage](HistoryPlaces.of(home).landing)
    spool_night(home.spool, 2, SHAPE)
    said = refused(home, "land")
    (command,) = commands_in(said)
    assert command == ["land", "--rebuild"]
    assert nightbench(home, *command).returncode == 0
    assert answer(home) == expected
    assert nightbench(home, "land").returncode == 0
    assert answer(home) != expected


def test_with_both_files_damaged_the_message_leads_to_the_same_command(home: Home) -> None:
    expected = answer(home)
    places = HistoryPlaces.of(home)
    flip_a_bit_a_block(places.landing)
    shutil.copy2(places.landing, places.published)
    (command,) = commands_in(refused(home, *ASKED))
    assert nightbench(home, *command).returncode == 0
    assert answer(home) == expected


def test_a_missing_landing_file_is_made_again_from_what_is_kept(home: Home) -> None:
    expected = worlds.rows(home)
    HistoryPlaces.of(home).landing.unlink()
    spool_night(home.spool, 2, SHAPE)
    assert land(home).damaged == []
    now = worlds.rows(home)
    assert worlds.lost(expected, now).keys() <= {"fact_files", "schema_migrations"}
    assert len(worlds.added(expected, now)["runs"]) == 1


def test_the_log_of_a_landing_file_that_is_gone_is_not_played_into_another(home: Home) -> None:
    expected = worlds.rows(home)
    places = HistoryPlaces.of(home)
    spool_night(home.spool, 2, SHAPE)
    script = (
        "import sys; from tests.history.test_flipped_bytes import KILLED_AFTER_COMMIT as k\nexec(k)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(home.root)], check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 9
    assert (places.root / "landing.duckdb.wal").stat().st_size
    places.landing.unlink()
    land(home)
    now = worlds.rows(home)
    assert len(worlds.added(expected, now)["runs"]) == 1
    assert max(now["load_levels"].values()) == 1


def test_a_kept_file_that_is_gone_is_named_and_left_out_where_a_person_says_so(home: Home) -> None:
    places = HistoryPlaces.of(home)
    kept = places.night(FIRST_NIGHT) / "+merged-0001" / "load_requests.parquet"
    kept.unlink()
    let_the_replaced_go(home)
    said = refused(home, *FACTS)
    assert str(kept) in said
    (command,) = commands_in(said)
    again = refused(home, *command)
    assert str(kept) in again
    assert commands_in(again)[-1] == ["land", "--rebuild", "--without-damaged"]
    last = refused(home, *commands_in(again)[-1])  # it says what was left out
    assert str(kept) in last
    assert answer(home, FACTS) == [{"n": 6}]
    assert answer(home) != []


def test_landing_leaves_a_file_that_is_gone_out_of_the_views_and_says_so(home: Home) -> None:
    places = HistoryPlaces.of(home)
    (places.night(FIRST_NIGHT) / "+merged-0001" / "load_requests.parquet").unlink()
    spool_night(home.spool, 2, SHAPE)
    report = land(home)
    assert any("load_requests.parquet" in f.detail for f in report.findings)
    assert answer(home, FACTS) == [{"n": 12}]


# --------------------------------------------------------------------- of before, of the future


def newer_schema(path: Path) -> None:
    """A step that this nightbench has never heard of."""
    database = open_writer(path, deadline_s=1)
    database.run(
        sql_files.statement("record_migration"),
        {"version": 99, "name": "wings", "digest": "d", "applied_at": worlds.utc(2030, 1, 1)},
    )
    database.close()


def test_a_landing_file_of_the_future_is_refused_by_name_and_not_replaced(home: Home) -> None:
    places = HistoryPlaces.of(home)
    newer_schema(places.landing)
    before = places.landing.read_bytes()
    spool_night(home.spool, 2, SHAPE)
    for arguments in (("land",), ("land", "--rebuild"), ("land", "--rebuild", "--without-damaged")):
        said = refused(home, *arguments)
        assert "schema version 99" in said
        assert "Upgrade nightbench" in said
    assert places.landing.read_bytes() == before


def test_a_read_copy_of_the_future_is_refused_by_name(home: Home) -> None:
    places = HistoryPlaces.of(home)
    newer_schema(places.landing)
    shutil.copy(places.landing, places.published)
    said = refused(home, *ASKED)
    assert "history.duckdb has schema version 99" in said
    assert "Upgrade nightbench" in said


def test_a_merged_night_of_the_future_is_refused_by_name(home: Home) -> None:
    merged = HistoryPlaces.of(home).night(FIRST_NIGHT) / "+merged-0001" / "merged.json"
    forging.rewrite(merged, lambda members: members.update(schema_version=99))
    expected = answer(home)
    said = refused(home, "land", "--rebuild")
    assert "merged.json cannot be read: it has schema version 99" in said
    assert answer(home) == expected


def test_a_sealed_folder_of_the_future_waits_for_an_upgrade(home: Home) -> None:
    folders = spool_night(home.spool, 2, SHAPE)
    path = folders[0] / "manifest.json"
    forging.rewrite(path, lambda members: members.update(schema_version=99, wings=True))
    said = refused(home, "land")
    assert "it has schema version 99, this nightbench supports" in said
    assert "Upgrade nightbench, then run `nightbench land`" in said
    forging.rewrite(
        path, lambda m: (m.update(schema_version=sql_files.schema_version()), m.pop("wings"))
    )
    assert land(home).landed == [f"{run_id_of(2)}/starter"]


HISTORIES = sorted((Path(__file__).parents[1] / "sql" / "histories").glob("*.duckdb.xz"))


@pytest.mark.parametrize("file", HISTORIES, ids=[path.name for path in HISTORIES])
def test_a_history_of_an_older_release_is_brought_up_to_date_by_whoever_asks_first(
    file: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    places = HistoryPlaces.of(home)
    places.make()
    for path in (places.landing, places.published):
        path.write_bytes(lzma.decompress(file.read_bytes()))
    with open_history(home) as history:
        assert len(history.sql("SELECT pass_at_k FROM accuracy_results").rows) > 0
        versions = history.sql("SELECT max(version) FROM schema_migrations").rows
    assert versions == ((sql_files.schema_version(),),)


def test_a_history_that_was_moved_reads_its_facts_where_they_are_now(home: Home) -> None:
    moved = Home(home.root.with_name("moved"))
    home.root.rename(moved.root)
    assert answer(moved, FACTS) == [{"n": 12}]


def test_a_database_of_somebody_else_is_no_read_copy(home: Home) -> None:
    expected = answer(home)
    places = HistoryPlaces.of(home)
    places.published.unlink()
    stranger = open_writer(places.published, deadline_s=1)
    stranger.script("CREATE TABLE load_levels (i INT)")
    stranger.close()
    assert answer(home) == expected


def test_an_empty_database_in_the_landing_files_place_hides_no_night_silently(home: Home) -> None:
    places = HistoryPlaces.of(home)
    places.landing.unlink()
    open_writer(places.landing, deadline_s=1).close()
    said = nightbench(home, "land").stderr
    assert str(FIRST_NIGHT) in said
    (command,) = commands_in(said)
    assert nightbench(home, *command).returncode == 0
    assert answer(home, FACTS) == [{"n": 12}]


def test_a_read_copy_that_cannot_be_made_again_says_who_is_in_the_way(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nightbench.history.duckdb_files import renewing

    places = HistoryPlaces.of(home)
    places.published.unlink()
    monkeypatch.setattr(renewing.renew, "__kwdefaults__", {"deadline_s": 0.1, "now": None})
    with held(places.lock, deadline_s=1), pytest.raises(HistoryError) as told:
        open_history(home)
    assert f"pid {os.getpid()}" in told.value.message
    assert "`nightbench land`" in told.value.hint


@pytest.mark.parametrize("name", ["history.duckdb", "landing.duckdb", "landing.lock"])
def test_a_folder_or_a_link_in_the_place_of_a_file_is_said_and_nothing_follows_it(
    home: Home, name: str
) -> None:
    path = home.history / name
    worlds.make_canaries(home.root.parent)
    canaries = worlds.canaries(home.root.parent)
    path.unlink()
    path.symlink_to(home.root.parent / "elsewhere")
    spool_night(home.spool, 2, SHAPE)
    said = nightbench(home, "land")
    assert "Traceback" not in said.stderr
    assert (said.returncode == 0) is (name == "history.duckdb")  # a new copy takes its place
    assert worlds.canaries(home.root.parent) == canaries
    path.unlink()
    path.mkdir()
    said = nightbench(home, "land")
    assert (said.returncode, "Traceback" in said.stderr) == (1, False)
    assert name in said.stderr


# ------------------------------------------------------------------------------------- rebuilding


def test_a_rebuilt_history_is_the_same_in_every_row_of_every_table(home: Home) -> None:
    spool_night(home.spool, 2, Shape(targets=("starter",), judged=True))
    land(home)
    expected = worlds.rows(home)
    for path in home.history.rglob("*"):  # nothing of it is read from the times of files
        os.utime(path, (1e9, 1e9))
    rebuild(home)
    assert worlds.rows(home) == expected


def test_a_rebuild_compares_digests_and_not_sizes(home: Home) -> None:
    kept = HistoryPlaces.of(home).night(FIRST_NIGHT) / "+merged-0001" / "load_levels.parquet"
    flip_middle(kept)
    let_the_replaced_go(home)
    with pytest.raises(HistoryError, match="does not have the digest of its manifest") as told:
        rebuild(home)
    assert str(kept) in told.value.message
    report = rebuild(home, without_damaged=True)
    assert [str(kept) in named for named in report.damaged] == [True]
    with open_history(home) as history:  # the other tables of the night are in
        assert history.sql("SELECT count(*) FROM targets").rows == ((4,),)
        assert history.sql("SELECT count(*) FROM load_levels").rows == ((2,),)


def test_a_rebuild_takes_what_a_damaged_merged_night_had_replaced_while_it_is_there(
    home: Home,
) -> None:
    expected = worlds.rows(home)
    merged = HistoryPlaces.of(home).night(FIRST_NIGHT) / "+merged-0001"
    for path in (merged / "load_levels.parquet", merged / "merged.json"):
        whole = path.read_bytes()
        flip_middle(path)
        report = rebuild(home, without_damaged=True)
        assert len(report.damaged) == 1
        assert worlds.lost(expected, worlds.rows(home)).keys() <= {"fact_files"}
        path.write_bytes(whole)
    rebuild(home)
    assert worlds.rows(home) == expected


def test_a_rebuild_names_what_lies_in_nights_and_is_none_of_it(home: Home) -> None:
    nights = HistoryPlaces.of(home).nights
    root = HistoryPlaces.of(home).night(FIRST_NIGHT)
    (nights / "night=2026-13-45").mkdir()
    (nights / "nighu=2026-01-07").mkdir()
    (nights / "night=2026-01-08").symlink_to(root)
    (root / "notes.txt").write_text("")
    (root / "run" / "target").mkdir(parents=True)
    (root / "run" / "target" / "runs.parquet").write_text("")
    with pytest.raises(HistoryError) as told:
        rebuild(home)
    for name in ("2026-13-45", "nighu=", "night=2026-01-08", "notes.txt", "run/target"):
        assert name in told.value.message
    assert len(rebuild(home, without_damaged=True).damaged) == 5


def test_a_rebuild_doubles_no_row_of_a_folder_that_lies_twice(home: Home) -> None:
    expected = worlds.rows(home)
    root = HistoryPlaces.of(home).night(FIRST_NIGHT)
    forging.rewrite(root / "+merged-0001" / "merged.json", lambda m: m.update(replaces=[]))
    rebuild(home)
    assert worlds.rows(home) == expected
    assert checked_json.DIGEST in json.loads((root / "+merged-0001" / "merged.json").read_text())
