"""The schema as text: what sql/schema.sql holds and what tests compare with."""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime
from pathlib import Path

from nightbench.history.duckdb_files.database import Database, open_writer
from nightbench.history.duckdb_files.migrations import migrate
from nightbench.history.duckdb_files.publishing import make_views
from nightbench.history.places import HistoryPlaces
from nightbench.history.sql_files import statement
from nightbench.home.paths import Home
from nightbench.resources import sql_dir

_HEADER = (
    "-- Made from the migrations and views by\n"
    "-- `python -m nightbench.history.duckdb_files.schema_dump`; a test holds it.\n"
    "-- Views over Parquet are shown as their empty tables in `shape`.\n"
)


def columns(database: Database) -> dict[str, dict[str, str]]:
    """Table or view → column → type, of everything people can ask."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind, _ in database.run(statement("all_columns")).rows:
        found.setdefault(str(table), {})[str(column)] = str(kind)
    return found


def dump(database: Database) -> str:
    """Every table and view with its columns, types and NOT NULLs."""
    by_table: dict[str, list[str]] = {}
    for table, column, kind, nullable in database.run(statement("all_columns")).rows:
        null = "" if nullable else " NOT NULL"
        by_table.setdefault(str(table), []).append(f"    {column} {kind}{null}")
    parts = [f"{table} (\n" + ",\n".join(lines) + "\n);" for table, lines in by_table.items()]
    return _HEADER + "".join(f"\n{part}\n" for part in parts)


def main() -> int:
    """Write sql/schema.sql again."""
    with tempfile.TemporaryDirectory() as folder:
        places = HistoryPlaces.of(Home(Path(folder)))
        places.make()
        database = open_writer(places.landing, deadline_s=1)
        migrate(database, now=lambda: datetime(2026, 1, 1))  # noqa: DTZ001  (thrown away)
        make_views(database, places)
        (sql_dir() / "schema.sql").write_text(dump(database), encoding="utf-8")
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
