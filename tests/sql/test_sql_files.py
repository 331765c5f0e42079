"""sql/ is whole: migrations build the dumped schema, every column is explained, all of it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from nightbench.errors import HistoryError
from nightbench.history import sql_files, tables
from nightbench.history.duckdb_files import schema_dump
from nightbench.history.duckdb_files.database import Database, open_writer
from nightbench.history.duckdb_files.migrations import migrate
from nightbench.history.duckdb_files.publishing import make_views
from nightbench.history.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import History, complete, open_history
from nightbench.home.paths import Home
from nightbench.resources import sql_dir
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night


def moment() -> datetime:
    return datetime(2026, 1, 1)  # noqa: DTZ001


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    places = HistoryPlaces.of(Home(tmp_path))
    places.make()
    database = open_writer(places.landing, deadline_s=1)
    migrate(database, now=moment)
    make_views(database, places)
    yield database
    database.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    home = Home(tmp_path_factory.mktemp("home"))
    shape = Shape(targets=("starter", "other"), drop_from=2, judged=True)
    for night in range(3):
        spool_night(home.spool, night, shape)
    land(home)
    with open_history(home) as opened:
        yield opened


def test_the_committed_dump_is_what_the_migrations_build(fresh: Database) -> None:
    assert (sql_dir() / "schema.sql").read_text() == schema_dump.dump(fresh), (
        "write it again: python -m nightbench.history.duckdb_files.schema_dump"
    )


def test_the_tables_have_the_columns_of_their_rows(fresh: Database) -> None:
    built = schema_dump.columns(fresh)
    for table in tables.TABLES:
        assert sorted(built[table.name]) == sorted(table.columns), table.name


def test_every_column_is_explained(fresh: Database) -> None:
    explained: dict[str, set[str]] = {}
    for line in (sql_dir() / "README.md").read_text().splitlines():
        if heading := re.match(r"^### `(\w+)`", line):
            explained[heading[1]] = set()
        elif (row := re.match(r"^\| `(\w+)` \| ([^|]*) \| (.+) \|$", line)) and row[3].strip():
            explained[list(explained)[-1]].add(row[1])
    for name, columns in schema_dump.columns(fresh).items():
        assert set(columns) == explained.get(name, set()), name


def test_nothing_is_constrained_beyond_not_null(fresh: Database) -> None:
    """What a DuckLake could not have: keys, checks, indexes, sequences, computed defaults."""
    kinds = fresh.run("SELECT DISTINCT constraint_type FROM duckdb_constraints()").rows
    assert kinds == (("NOT NULL",),)
    for of in (
        "duckdb_indexes()",
        "duckdb_sequences()",
        "(FROM duckdb_columns() WHERE NOT internal AND column_default IS NOT NULL)",
        "(FROM duckdb_types() WHERE NOT internal)",
    ):
        assert fresh.run(f"SELECT count(*) FROM {of}").rows == ((0,),), of


def test_a_migration_that_fails_leaves_nothing_and_no_ledger_row(tmp_path: Path) -> None:
    database = open_writer(tmp_path / "x.duckdb", deadline_s=1)
    good = sql_files.migrations()
    broken = sql_files.Migration(len(good) + 1, "broken", "CREATE TABLE half (i INT); SELECT nope;")
    with pytest.raises(HistoryError, match="nope"):
        migrate(database, now=moment, steps=[*good, broken])
    assert "half" not in schema_dump.columns(database)
    assert migrate(database, now=moment) == []
    database.close()


def test_an_edited_migration_is_refused(tmp_path: Path) -> None:
    database = open_writer(tmp_path / "x.duckdb", deadline_s=1)
    first = sql_files.migrations()[0]
    edited = sql_files.Migration(1, first.name, first.text + "\n-- edited")
    migrate(database, now=moment, steps=[edited])
    with pytest.raises(HistoryError, match="was edited after it was applied"):
        migrate(database, now=moment)
    database.close()


def test_a_history_from_the_future_is_refused(tmp_path: Path) -> None:
    database = open_writer(tmp_path / "x.duckdb", deadline_s=1)
    ahead = sql_files.Migration(len(sql_files.migrations()) + 1, "ahead", "SELECT 1;")
    migrate(database, now=moment, steps=[*sql_files.migrations(), ahead])
    with pytest.raises(HistoryError, match="Upgrade nightbench"):
        migrate(database, now=moment)
    database.close()


PARAMS: dict[str, object] = {
    "target": "starter",
    "run_id": run_id_of(2),
    "a": run_id_of(1),
    "b": run_id_of(2),
    "level": "c4",
    "benchmark": "starter",
}


@pytest.mark.parametrize("name", [q.name for q in sql_files.queries()])
def test_every_named_query_answers(history: History, name: str) -> None:
    query = sql_files.query(name)
    assert query.about
    given = {p.name: PARAMS[p.name] for p in query.parameters if p.name in PARAMS}
    assert len(history.query(name, **given)) > 0
    assert complete(query, given).keys() == {p.name for p in query.parameters}


@pytest.mark.parametrize("view", [v.name for v in sql_files.views()])
def test_every_view_has_rows(history: History, view: str) -> None:
    assert history.sql(f"FROM {view}").rows


@pytest.mark.parametrize("check", sql_files.checks(), ids=lambda check: check.name)
def test_checks_are_silent_on_a_sound_history(history: History, check: sql_files.SqlFile) -> None:
    runs = [run_id_of(night) for night in range(3)]
    assert history.sql(check.text, run_ids=runs).rows == ()


def test_no_sql_hides_in_python() -> None:
    keyword = re.compile(r"""["'](SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|COPY)\s""")
    source = Path(sql_files.__file__).parent
    found = [p.name for p in source.glob("*.py") if keyword.search(p.read_text())]
    assert found == []
