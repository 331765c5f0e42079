"""A second store, as small as one can be: a folder of JSON lines, one line a landed folder.

It knows the spool and the protocol, and nothing of the files that nightbench keeps. Its readers
load what was published into a database in memory, since a reader answers the SQL of sql/.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from nightbench.errors import HistoryError
from nightbench.history import sql_files
from nightbench.history.clock import Now, utc_now
from nightbench.history.damage import Damaged, reason_of
from nightbench.history.locks import held
from nightbench.history.spool import manifest as manifests
from nightbench.history.store import (
    Committed,
    Finding,
    RebuildReport,
    Result,
    Retention,
    Staged,
    WriterTerms,
)
from nightbench.history.tables import BY_NAME, TABLES

Line = dict[str, Any]


class JsonLines:
    """Keeps a history in `kept.jsonl`; readers see `published.jsonl`."""

    def __init__(self, root: Path) -> None:
        self.kept, self.published = root / "kept.jsonl", root / "published.jsonl"

    def is_empty(self) -> bool:
        return not self.kept.exists()

    @contextmanager
    def write(self, terms: WriterTerms) -> Iterator[JsonLinesWriter]:
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        with held(self.kept.with_suffix(".lock"), deadline_s=terms.deadline_s):
            yield JsonLinesWriter(self)

    def rebuild(
        self, *, without_damaged: bool = False, deadline_s: float = 60.0, now: Now = utc_now
    ) -> RebuildReport:
        if self.is_empty():
            raise HistoryError("nothing is kept")
        put(self.published, lines_of(self.kept))
        lines = lines_of(self.kept)
        return RebuildReport(len(lines), sum(line["row_count"] for line in lines), ())

    def read(self) -> InMemory:
        if not self.published.exists():
            raise HistoryError("nothing has landed yet")
        return InMemory(lines_of(self.published))

    def holds(self, night: date, run_id: str) -> bool:
        return any(line["name"].startswith(f"{run_id}/") for line in lines_of(self.kept))

    def share(self) -> bool:
        return False

    def condition(self, clock: datetime) -> list[tuple[str, str]]:
        return [("history", f"{len(lines_of(self.kept))} folders")]


class JsonLinesWriter:
    """Each commit writes the whole file anew."""

    def __init__(self, store: JsonLines) -> None:
        self._store = store
        self._staged: dict[Path, Line] = {}

    def is_current(self, *, thorough: bool) -> bool:
        return lines_of(self._store.kept) == lines_of(self._store.published)

    def lost(self) -> list[Path]:
        return []

    def stage(self, folders: Sequence[Path]) -> Staged:
        known = {line["digest"] for line in lines_of(self._store.kept)}
        already, damaged = [], []
        for folder in folders:
            try:
                line = read_sealed(folder)
            except (HistoryError, OSError) as error:
                damaged.append(Damaged(folder, reason_of(folder, error)))
                continue
            if line["digest"] in known:
                already.append(line["name"])
                shutil.rmtree(folder)
            else:
                self._staged[folder] = line
        return Staged(already=tuple(already), damaged=tuple(damaged))

    def commit(self) -> Committed:
        staged, self._staged = self._staged, {}
        put(self._store.kept, [*lines_of(self._store.kept), *staged.values()])
        for folder in staged:
            shutil.rmtree(folder)
        return Committed(
            landed=tuple(line["name"] for line in staged.values()),
            row_count=sum(line["row_count"] for line in staged.values()),
        )

    def compact(self) -> list[date]:
        return []

    def expire(self, retention: Retention) -> int:
        lines, count = lines_of(self._store.kept), 0
        for table, nights in retention.nights.items():
            newest = sorted({line["night"] for line in lines})[-nights:]
            for line in lines:
                count += line["night"] not in newest and bool(line["tables"].pop(table, ()))
        put(self._store.kept, lines)
        return count

    def publish(self, run_ids: set[str]) -> list[Finding]:
        put(self._store.published, lines_of(self._store.kept))
        return []


class InMemory:
    """The published lines in the tables of the schema."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._connection = duckdb.connect()
        for migration in sql_files.migrations():
            self._connection.execute(migration.text)
        for table in (table.name for table in TABLES if table.bulky):
            self._connection.execute(f"CREATE TABLE {table} AS FROM shape.{table}")
        for table, rows in [pair for line in lines for pair in line["tables"].items()]:
            names = ", ".join(rows[0])
            places = ", ".join("?" * len(rows[0]))
            self._connection.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({places})",
                [list(row.values()) for row in rows],
            )
        for view in sql_files.views():
            self._connection.execute(view.text)

    def read(self, sql: str, params: Mapping[str, object] | None = None) -> Result:
        cursor = self._connection.execute(sql, dict(params) if params else None)
        return Result(tuple(column[0] for column in cursor.description), tuple(cursor.fetchall()))

    def frame(self, sql: str, params: Mapping[str, object] | None = None) -> Any:
        return self._connection.execute(sql, dict(params) if params else None).df()

    def close(self) -> None:
        self._connection.close()


def read_sealed(folder: Path) -> Line:
    """A sealed folder of the spool as one line."""
    manifest, digest = manifests.read(folder)
    manifests.verify(folder, manifest)
    tables = {
        entry.table: pq.read_table(folder / entry.path).select(BY_NAME[entry.table].columns)
        for entry in manifest.files
        if entry.row_count
    }
    identity = manifest.identity
    return {
        "name": f"{identity.run_id}/{identity.target}",
        "night": identity.night.isoformat(),
        "digest": digest,
        "row_count": manifest.row_count,
        "tables": {name: rows.to_pylist() for name, rows in tables.items()},
    }


def lines_of(path: Path) -> list[Line]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def put(path: Path, lines: Sequence[Line]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text("".join(f"{json.dumps(line, default=str)}\n" for line in lines), "utf-8")
    aside.rename(path)
