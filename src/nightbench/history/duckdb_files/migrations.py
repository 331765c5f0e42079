"""The schema, step by step: each migration in one transaction with its ledger row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.duckdb_files.database import Database
from nightbench.history.sql_files import Migration, migrations, schema_version, statement


def migrate(
    database: Database,
    *,
    now: Callable[[], datetime],
    steps: Sequence[Migration] | None = None,
    applied_at: Mapping[int, datetime] | None = None,
) -> list[Migration]:
    """Bring the schema to the newest version; returns what was applied now.

    `applied_at`: when steps were applied to the file that this one takes the place of.

    Raises:
        HistoryError: a newer nightbench wrote the file, or an applied migration was edited.
    """
    wanted = migrations() if steps is None else steps
    database.run(statement("create_migration_ledger"))
    applied = {
        int(str(version)): str(digest)
        for version, _, digest in database.run(statement("applied_migrations")).rows
    }
    _refuse_a_strange_past(database, applied, wanted)
    todo = [step for step in wanted if step.version not in applied]
    for step in todo:
        with database.transaction():
            database.script(step.text)
            database.run(
                statement("record_migration"),
                {
                    "version": step.version,
                    "name": step.name,
                    "digest": digest_of(step),
                    "applied_at": (applied_at or {}).get(step.version) or now(),
                },
            )
    return todo


def digest_of(step: Migration) -> str:
    """What tells that an applied migration was not edited afterwards."""
    return hashlib.sha256(step.text.encode()).hexdigest()


def refuse_the_future(path: Path, version: int) -> None:
    """Whether this nightbench may write in the place of a file of that schema version.

    Raises:
        HistoryError: a newer one wrote it.
    """
    newest = schema_version()
    if version > newest:
        raise HistoryError(
            f"{path} has schema version {version}, this nightbench supports up to {newest}",
            hint="Upgrade nightbench: it does not write to a newer schema.",
        )


def _refuse_a_strange_past(
    database: Database, applied: dict[int, str], wanted: Sequence[Migration]
) -> None:
    refuse_the_future(database.path, max(applied, default=0))
    for step in wanted:
        if step.version in applied and applied[step.version] != digest_of(step):
            raise HistoryError(
                f"migration {step.version:04d}_{step.name} was edited after it was applied",
                hint="Undo the edit and write a new migration.",
            )
