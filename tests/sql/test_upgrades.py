"""A history of any age comes up to date with every row it had."""

from __future__ import annotations

import lzma
import re
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from nightbench.history import sql_files
from nightbench.history.duckdb_files import schema_dump
from nightbench.history.duckdb_files.database import Database, open_writer
from nightbench.history.duckdb_files.migrations import migrate
from nightbench.history.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night

HISTORIES = Path(__file__).parent / "histories"
FILES = sorted(HISTORIES.glob("*.duckdb.xz"))


COLUMN = re.compile(r"ALTER TABLE (?P<table>[\w.]+) ADD COLUMN (?P<column>\w+) [\w\[\]]+")
TABLE = re.compile(r"CREATE TABLE (?P<table>[\w.]+) \(.*\)", re.DOTALL)
Columns = dict[str, tuple[str, ...]]  # of each table, `shape.` before those that are Parquet


@dataclass(frozen=True)
class Named:
    """What the migrations after a version say that they add; they may say nothing else."""

    tables: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]


def named_after(version: int) -> Named:
    texts = [step.text for step in sql_files.migrations() if step.version > version]
    code = re.sub(r"--.*", "", "".join(texts))
    statements = [one.strip() for one in code.split(";") if one.strip()]
    tables = [found["table"] for one in statements if (found := TABLE.fullmatch(one))]
    columns = [found.groups() for one in statements if (found := COLUMN.fullmatch(one))]
    assert len(tables) + len(columns) == len(statements), "a migration changes what was there"
    return Named(tuple(tables), tuple((str(table), str(column)) for table, column in columns))


def tables_of(database: Database) -> Columns:
    """Every real table and its columns, but for the ledger of the steps themselves."""
    found: dict[str, list[str]] = {}
    asked = "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE NOT internal"
    real = "(SELECT schema_name, table_name FROM duckdb_tables())"
    for schema, table, column in database.run(
        f"{asked} AND (schema_name, table_name) IN {real} ORDER BY column_index"
    ).rows:
        if table != "schema_migrations":
            name = str(table) if schema == "main" else f"{schema}.{table}"
            found.setdefault(name, []).append(str(column))
    return {name: tuple(columns) for name, columns in found.items()}


def rows_of_columns(database: Database, columns: Columns) -> dict[str, Counter[str]]:
    """Every row of these tables, as far as these columns say it."""
    return {
        name: Counter(
            repr(row) for row in database.run(f"SELECT {', '.join(chosen)} FROM {name}").rows
        )
        for name, chosen in columns.items()
    }


def moment() -> datetime:
    return datetime(2026, 1, 1)  # noqa: DTZ001


def row_counts(database: Database) -> dict[str, object]:
    """Rows of every real table. (Views over Parquet have no files here.)"""
    names = database.run("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'").rows
    return {
        str(name): database.run(f"SELECT count(*) FROM {name}").rows[0][0]
        for (name,) in names
        if name != "schema_migrations"
    }


def test_there_is_a_file_of_every_version() -> None:
    assert [int(path.name[:4]) for path in FILES] == [m.version for m in sql_files.migrations()]


@pytest.mark.parametrize("file", FILES, ids=[path.name for path in FILES])
def test_an_old_history_keeps_every_row(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "landing.duckdb"
    path.write_bytes(lzma.decompress(file.read_bytes()))
    database = open_writer(path, deadline_s=1)
    before = row_counts(database)
    assert before["load_levels"]
    applied = migrate(database, now=moment)
    assert [m.version for m in applied] == [
        m.version for m in sql_files.migrations() if m.version > int(file.name[:4])
    ]
    after = row_counts(database)
    assert {name: after[name] for name in before} == before
    built = schema_dump.columns(database)
    fresh = open_writer(tmp_path / "fresh.duckdb", deadline_s=1)
    migrate(fresh, now=moment)
    assert {n: built[n] for n in schema_dump.columns(fresh)} == schema_dump.columns(fresh)
    database.close()
    fresh.close()


@pytest.mark.parametrize("file", FILES, ids=[path.name for path in FILES])
def test_an_upgrade_changes_nothing_but_what_it_names(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "landing.duckdb"
    path.write_bytes(lzma.decompress(file.read_bytes()))
    named = named_after(int(file.name[:4]))
    database = open_writer(path, deadline_s=1)
    columns = tables_of(database)
    before = rows_of_columns(database, columns)
    ledger = database.run("SELECT * FROM schema_migrations ORDER BY version").rows
    assert before["runs"]

    migrate(database, now=moment)

    assert rows_of_columns(database, columns) == before
    upgraded = tables_of(database)
    added = {
        (name, column)
        for name, chosen in upgraded.items()
        for column in chosen
        if name in columns and column not in columns[name]
    }
    assert added == set(named.columns)
    assert upgraded.keys() - columns.keys() == set(named.tables)
    for name, column in named.columns:
        assert database.run(f"SELECT count({column}) FROM {name}").rows == ((0,),)
    for name in named.tables:
        assert database.run(f"SELECT count(*) FROM {name}").rows == ((0,),)
    steps = database.run("SELECT * FROM schema_migrations ORDER BY version").rows
    assert steps[: len(ledger)] == ledger
    database.close()


@pytest.mark.parametrize("version", [1, sql_files.schema_version() - 1])
def test_a_home_of_before_answers_as_it_did_after_the_next_landing(
    version: int, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shape = Shape(targets=("starter", "second"), levels=(1,), judged=True)
    for night in range(2):
        spool_night(home.spool, night, shape)
        land(home)
    named = named_after(version)
    set_back(home, version, named)
    kept = {
        name: ", ".join(columns)
        for name, columns in asked_of(home).items()
        if name not in (*named.tables, "fact_files")  # a landing merges the files of past nights
    }
    before = answers(home, kept)

    spool_night(home.spool, 2, shape)
    assert land(home).damaged == []

    with open_history(home) as history:
        (newest,) = history.sql("SELECT max(version) FROM schema_migrations").rows[0]
    assert newest == sql_files.schema_version()
    after = answers(home, kept)
    for name, rows in before.items():
        assert rows - after[name] == Counter(), name
    assert sum(after["runs"].values()) == 3


def set_back(home: Home, version: int, named: Named) -> None:
    """Make the landing file one that a nightbench of that schema version has written."""
    database = open_writer(HistoryPlaces.of(home).landing, deadline_s=1)
    for name, column in named.columns:
        database.run(f"ALTER TABLE {name} DROP COLUMN {column}")
    for name in named.tables:
        database.run(f"DROP TABLE {name}")
    database.run(f"DELETE FROM schema_migrations WHERE version > {version}")
    database.close()


def asked_of(home: Home) -> Columns:
    """What is kept of each table of the landing file, as people ask for it."""
    database = open_writer(HistoryPlaces.of(home).landing, deadline_s=1)
    columns = {name.removeprefix("shape."): found for name, found in tables_of(database).items()}
    database.close()
    return columns


def answers(home: Home, asked: dict[str, str]) -> dict[str, Counter[str]]:
    """What the history answers for the nights that were there before."""
    with open_history(home) as history:
        return {
            name: Counter(repr(row) for row in history.sql(f"SELECT {columns} FROM {name}").rows)
            for name, columns in asked.items()
        }


def write_newest() -> None:
    """Keep a small history of the newest version, where there is none yet: `make generated`."""
    import tempfile

    kept = HISTORIES / f"{sql_files.schema_version():04d}.duckdb.xz"
    if kept.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        for night in range(2):
            spool_night(home.spool, night, Shape(judged=True))
        land(home)
        content = (home.history / "landing.duckdb").read_bytes()
    kept.write_bytes(lzma.compress(content, preset=9))


if __name__ == "__main__":
    sys.exit(write_newest())
