"""A home that was copied or moved answers and lands where it is now, for whoever has it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nightbench.history.duckdb_files.ingest import land
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night

FACTS = "SELECT count(*) FROM load_requests"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for night in range(3):
        spool_night(home.spool, night, Shape())
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
    spool_night(copied.spool, 3, Shape())
    assert land(copied).damaged == []
    assert isinstance(expected, int)
    assert rows(copied) == expected // 3 * 4
