"""How Prefect's database grows, night after night, with our retention and without.

    python -m tests.benchmarks.prefect_growth [--days 12] [--maintenance 4] [--json FILE]

Real nights of the reference server and real maintenance, in a Prefect server that is started anew
for each day; between two days everything in its database is made a day older. Nights are to be
forgotten after 3 days here (the newest 2 stay) and maintenance after 1, so that a fortnight shows
what a year would; events go by the server's own hand, as they do everywhere. What is printed is the
bytes in use (pages that are free for the next night do not count) and the bytes on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.flows.house import House

SHORT = (
    "tuple(Retention(f, d, n) for f, d, n in "
    '(("nightly", 3, 2), ("benchmark-target", 3, 2), ("maintenance", 1, 4)))'
)
DAY = f"""
import os, sys, time
from nightbench.cli.prefect_api import prefect_api, prefect_settings
from nightbench.home.paths import Home

home = Home.from_env()
os.environ.update(prefect_settings(home))
with prefect_api(home) as access:
    os.environ.update(access.environment())
    if sys.argv[3] == "without":
        del os.environ["NIGHTBENCH_OWN_PREFECT"]
    from flows.maintenance import maintenance
    from flows.nightly import nightly
    from tasks import prefect_retention
    from tasks.prefect_retention import Retention
    from tasks.reporting import flush_logs

    prefect_retention.retentions = lambda: {SHORT}
    nightly(sys.argv[1], return_state=True)
    for _ in range(int(sys.argv[2])):
        maintenance()
    flush_logs()
    time.sleep(10)  # Prefect writes events down, and removes logs, in its own time
"""
PREFECTS_OWN = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": (
        '{"prefect.flow-run.heartbeat": 604800}'
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--days", type=int, default=12)
    parser.add_argument("--maintenance", type=int, default=4, help="runs of it a day")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found: dict[str, list[tuple[int, int]]] = {}
    for how in ("with", "without"):
        with tempfile.TemporaryDirectory(prefix="nightbench-") as folder:
            found[how] = []
            for used, on_disk in _grow(Path(folder), how, args.days, args.maintenance):
                found[how].append((used, on_disk))
                day = f"{how:8} day {len(found[how]):3}"
                print(f"{day}  {used / 1e6:6.2f} MB in use  {on_disk / 1e6:6.2f} MB", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return 0


def _grow(folder: Path, how: str, days: int, maintenance: int) -> Iterator[tuple[int, int]]:
    house = House(folder)
    house.env |= PREFECTS_OWN if how == "without" else {}
    database = folder / "home" / "prefect" / "prefect.db"
    suite = str(house.suite())
    for _ in range(days):
        argv = [sys.executable, "-c", DAY, suite, str(maintenance), how]
        subprocess.run(argv, env=house.env, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with closing(sqlite3.connect(database, timeout=60)) as opened:
            yield _bytes(opened)
            with opened:
                _age(opened)


def _bytes(database: sqlite3.Connection) -> tuple[int, int]:
    def pragma(name: str) -> int:
        return int(database.execute(f"PRAGMA {name}").fetchone()[0])

    pages, free, size = pragma("page_count"), pragma("freelist_count"), pragma("page_size")
    return (pages - free) * size, pages * size


def _age(database: sqlite3.Connection) -> None:
    """Everything is a day older."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
            if kind in ("DATETIME", "TIMESTAMP"):
                earlier = f"""strftime('%Y-%m-%d %H:%M:%S', "{column}", '-1 day')"""
                older = f'{earlier} || substr("{column}", 20)'  # the microseconds
                database.execute(
                    f'UPDATE "{table}" SET "{column}" = {older} WHERE "{column}" IS NOT NULL'
                )


if __name__ == "__main__":
    os.environ.pop("PREFECT_API_URL", None)
    sys.exit(main())
