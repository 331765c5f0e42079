"""A home that was copied or moved answers and lands where it is now, for whoever has it."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from nightbench.errors import HistoryError
from nightbench.history.duckdb_files.kept_nights import KeptNight, next_merged_name
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, began, spool_night

SHAPE = Shape(targets=("starter", "second"), levels=(1,), requests=3)
FACTS = "SELECT count(*) FROM load_requests"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
    land(home)
    return home


def rows(home: Home) -> object:
    with open_history(home) as history:
        return history.sql(FACTS).rows[0][0]


def test_a_copy_is_read_as_it_lies_even_where_nothing_may_be_written(
    home: Home, tmp_path: Path
) -> None:
    expected = rows(home)
    copied = Home(tmp_path / "the copy, it's another's")
    shutil.copytree(home.root, copied.root)
    shutil.rmtree(home.root)
    copied.history.chmod(0o500)
    before = {path: path.stat().st_mtime_ns for path in copied.root.rglob("*")}
    assert rows(copied) == expected
    assert {path: path.stat().st_mtime_ns for path in copied.root.rglob("*")} == before


def test_a_copy_never_answers_with_the_files_of_what_it_was_copied_from(
    home: Home, tmp_path: Path
) -> None:
    copied = Home(tmp_path / "copied")
    shutil.copytree(home.root, copied.root)
    shutil.rmtree(next(copied.history.glob("nights/night=*")))
    with open_history(copied) as history, pytest.raises(Exception, match="copied/history/nights"):
        history.sql(FACTS)


def test_a_copy_lands_what_comes_after(home: Home, tmp_path: Path) -> None:
    expected = rows(home)
    copied = Home(tmp_path / "copied")
    shutil.copytree(home.root, copied.root)
    shutil.rmtree(home.root)
    spool_night(copied.spool, 3, SHAPE)
    assert land(copied).damaged == []
    assert isinstance(expected, int)
    assert rows(copied) == expected // 3 * 4


def test_a_merged_night_is_never_called_as_one_that_was(tmp_path: Path) -> None:
    night = KeptNight(date(2026, 1, 1), tmp_path, ("+merged-9999", "+merged-10000"), (), (), ())
    assert next_merged_name(night) == "+merged-10001"
    gone = ("nights/night=2026-01-01/+merged-0007/load_requests.parquet", "run/target")
    empty = KeptNight(date(2026, 1, 1), tmp_path, (), (), (), ())
    assert next_merged_name(empty, gone) == "+merged-0008"
    assert next_merged_name(empty) == "+merged-0001"


def test_a_night_may_be_merged_ten_thousand_times(home: Home) -> None:
    merged = next(home.history.glob("nights/night=*/+merged-*"))
    merged.rename(merged.with_name("+merged-10000"))
    with pytest.raises(HistoryError):  # a person moved it: the views do not know
        rows(home)
    rebuild(home)
    assert rows(home) == 3 * per_night(home)


def per_night(home: Home) -> int:
    with open_history(home) as history:
        (counts,) = history.sql(
            "SELECT list(DISTINCT n) FROM (SELECT count(*) AS n FROM load_requests GROUP BY night)"
        ).rows
    (count,) = counts[0]  # type: ignore[misc]
    return int(count)


def test_late_folders_of_a_night_that_was_merged_and_swept_land(tmp_path: Path) -> None:
    shape = Shape(targets=("starter", "second", "third"), levels=(1,), requests=3)
    home = Home(tmp_path / "home")
    late = spool_night(home.spool, 0, shape)[1:3]
    held_back = [(folder, folder.rename(tmp_path / folder.name)) for folder in late]
    landed = 1

    def next_night() -> None:
        nonlocal landed
        spool_night(home.spool, landed, shape)
        assert land(home, now=lambda: began(2 * landed)).damaged == []
        landed += 1

    for folder, aside in held_back:
        for _ in range(3):
            next_night()
        folder.parent.mkdir(exist_ok=True)
        aside.rename(folder)
    for _ in range(3):
        next_night()
    assert rows(home) == landed * 9
    rebuild(home)
    assert rows(home) == landed * 9


@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 20_000])
def test_a_rebuild_does_not_care_what_became_of_the_landing_file(
    home: Home, content: bytes
) -> None:
    expected = rows(home)
    (home.history / "landing.duckdb").write_bytes(content)
    (home.history / "landing.duckdb.wal").write_bytes(content)
    rebuild(home)
    assert rows(home) == expected


def test_a_night_that_cannot_be_listed_is_left_out_by_name(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: KeptNight) -> object:
        if self.night == first:
            raise PermissionError(13, "Permission denied", str(self.root))
        return iter(())

    first = min(date.fromisoformat(p.name[-10:]) for p in home.history.glob("nights/night=*"))
    monkeypatch.setattr(KeptNight, "unknown", refused)
    report = rebuild(home, without_damaged=True)
    assert [str(first) in said for said in report.damaged] == [True]
    assert rows(home) == 2 * per_night(home)
