"""A history of some age with everything in it, to be damaged; and what it must still say.

Everything in it follows from numbers that are the same every time, so that two of them are equal to
the last byte, and any row of one can be looked for in another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from nightbench.errors import NightbenchError
from nightbench.history import tables
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import LandingReport, land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.history.spool import recovery
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.history.store import Retention
from nightbench.history.tables import TABLES
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import FIRST_NIGHT, Shape, began, rows_of, spool_night

SHAPE = Shape(targets=("starter", "other"), levels=(1,), requests=3, chunks=2, samples=3)
NIGHTS = 4  # landed; the next one waits in the spool
CRASHED = "crashed-run"
NAMES = (*(table.name for table in TABLES), "landings", "fact_files", "schema_migrations")
Rows = dict[str, Counter[str]]


def moment(night: int) -> datetime:
    """When the n-th night lands: the next noon."""
    return began(night) + timedelta(hours=12)


def make(home: Home) -> None:
    """Nights merged, replaced, loose and partly retired; a sealed night and a crashed run wait."""
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
        land(home, now=lambda: moment(night), retention=Retention({"load_chunks": 3}))  # noqa: B023
    spool_night(home.spool, NIGHTS, SHAPE)
    spool_crashed(home)
    make_canaries(home.root.parent)


def spool_crashed(home: Home) -> None:
    """A run that died: rows in lines, requests in a part."""
    identity = SpoolIdentity(
        run_id=CRASHED, target="starter", night=FIRST_NIGHT + timedelta(days=NIGHTS)
    )
    spool = Spool.open(home.spool, identity, now=lambda: moment(NIGHTS))
    rows = list(rows_of(NIGHTS, "starter", SHAPE))
    requests = [row for row in rows if type(row).__name__ == "LoadRequest"]
    for row in rows[:-1]:
        if row not in requests:
            spool.append(row)  # type: ignore[arg-type]
    part = home.root / "part.parquet"
    write_part(part, requests)
    spool.add_parquet("load_requests", part)
    spool.abandon()


def write_part(path: Path, requests: list[object]) -> None:
    """Requests as the load generator writes them: with a checksum of every page."""
    import pyarrow as pa

    table = tables.BY_NAME["load_requests"]
    schema = tables.field_schema(table, tables.spooled_fields(table))
    members = [tables.encode(row) for row in requests]  # type: ignore[arg-type]
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(pa.Table.from_pylist(members, schema=schema))


def make_canaries(around: Path) -> None:
    """Files around the home that nothing may touch; a folder that looks like one of ours too."""
    for name in ("canary/manifest.json", "canary/runs.parquet", "canary/merged.json", "elsewhere"):
        (around / name).parent.mkdir(exist_ok=True)
        (around / name).write_text(f"I am {name}\n")


def canaries(around: Path) -> dict[str, tuple[str, int]]:
    """What the canaries are now: content and time of the last change."""
    home = {path for path in around.iterdir() if path.name.startswith("home")}
    return {
        str(path.relative_to(around)): (path.read_text(), path.lstat().st_mtime_ns)
        for path in sorted(around.rglob("*"))
        if not path.is_dir() and not any(path.is_relative_to(one) for one in home)
    }


def copy(home: Home, to: Path) -> Home:
    """The same history elsewhere. Its times of change are kept: they say what is published."""
    shutil.copytree(home.root, to, symlinks=True)
    return Home(to)


def recover_and_land(home: Home, night: int = NIGHTS) -> tuple[LandingReport, list[str]]:
    """What `nightbench land` does, by the clock of that night; and all that was said."""
    damaged: list[recovery.Damaged] = []
    recovery.recover(home.spool, now=lambda: moment(night), on_damaged=damaged.append)
    report = land(
        home,
        now=lambda: moment(night),
        retention=Retention({"load_chunks": 3}),
        check_copy=True,
        deadline_s=5,
    )
    said = [one.reason for one in (*damaged, *report.damaged)]
    return report, said + [f"{one.check}: {one.detail}" for one in report.findings]


def rebuild_saying(home: Home) -> list[str]:
    """The history anew; without what is damaged, where that is refused. What was said."""
    try:
        report = rebuild(home, now=lambda: moment(NIGHTS), deadline_s=5)
    except NightbenchError as error:
        again = rebuild(home, without_damaged=True, now=lambda: moment(NIGHTS), deadline_s=5)
        return [str(error), *again.damaged, *again.notes]
    return [*report.damaged, *report.notes]


def rows(home: Home) -> Rows:
    """Every row of every table, each as often as it is there."""
    root = str(HistoryPlaces.of(home).root)
    with open_history(home) as history:
        return {
            name: Counter(
                repr(row).replace(root, "") for row in history.sql(f"SELECT * FROM {name}").rows
            )
            for name in NAMES
        }


def lost(before: Rows, now: Rows) -> Rows:
    """Rows that were there and are not."""
    return {name: before[name] - now[name] for name in before if before[name] - now[name]}


def added(before: Rows, now: Rows) -> Rows:
    """Rows that are there and were not, or not so often."""
    return lost(now, before)


def nightbench(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as a person types it."""
    return subprocess.run(
        [sys.executable, "-m", "nightbench.cli.main", *arguments],
        env=os.environ | {"NIGHTBENCH_HOME": str(home.root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def utc(year: int, month: int, day: int) -> datetime:
    """A noon."""
    return datetime(year, month, day, 12, tzinfo=UTC)
