"""A history of any age comes up to date with every row it had."""

from __future__ import annotations

import lzma
import sys
from datetime import datetime
from pathlib import Path

import pytest

from nightbench.history import sql_files
from nightbench.history.duckdb_files import schema_dump
from nightbench.history.duckdb_files.database import Database, open_writer
from nightbench.history.duckdb_files.migrations import migrate

HISTORIES = Path(__file__).parent / "histories"
FILES = sorted(HISTORIES.glob("*.duckdb.xz"))


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


def write_newest() -> None:
    """Keep a small history of the newest version, where there is none yet: `make generated`."""
    import tempfile

    from nightbench.history.ingest import land
    from nightbench.home.paths import Home
    from tests.benchmarks.synthetic_nights import Shape, spool_night

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
