"""Landing: from sealed spool folders into the history, each in one transaction, none twice.

A folder's rows and its ledger row commit together; then the folder moves to `nights/`, where the
views read its bulky files in place. A lander killed anywhere leaves either a folder that is not in
the ledger (it lands next time) or one that is (it only moves next time).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import manifest as manifests
from nightbench.history import publishing, tables
from nightbench.history.database import Database, open_writer
from nightbench.history.locks import held
from nightbench.history.manifest import FileEntry, Manifest
from nightbench.history.migrations import migrate
from nightbench.history.places import HistoryPlaces, make_private
from nightbench.history.spool import sealed_folders
from nightbench.history.sql_files import checks, statement
from nightbench.home import Home
from nightbench.progress import OnProgress, Progress, ignore

Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Damaged:
    """A sealed folder that was not taken, and why. It stays where it is."""

    folder: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a check found wrong in what has just landed."""

    check: str
    detail: str


@dataclass(slots=True)
class LandingReport:
    """What one landing did. Folders are named run/target."""

    landed: list[str] = field(default_factory=list)
    row_count: int = 0
    already: list[str] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    published: bool = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


def land(
    home: Home,
    *,
    deadline_s: float = 60.0,
    now: Now = _utc_now,
    on_progress: OnProgress = ignore,
) -> LandingReport:
    """Land every sealed folder, check what landed, publish the read copy.

    A damaged folder is reported and left alone; the others land.

    Raises:
        HistoryError: somebody holds the history past the deadline (named), or it cannot be written.
    """
    places = HistoryPlaces.of(home)
    report = LandingReport()
    if not sealed_folders(home.spool) and not places.landing.exists():
        return report
    places.make()
    with held(places.lock, deadline_s=deadline_s):
        folders = sealed_folders(home.spool)
        publishing.remove_leftovers(places)
        if not folders and publishing.is_published(places):
            return report
        _land_all(folders, places, report, deadline_s=deadline_s, now=now, on_progress=on_progress)
        publishing.publish(places)
        report.published = True
    return report


def _land_all(
    folders: Sequence[Path],
    places: HistoryPlaces,
    report: LandingReport,
    *,
    deadline_s: float,
    now: Now,
    on_progress: OnProgress,
) -> None:
    database = open_writer(places.landing, deadline_s=deadline_s)
    try:
        migrate(database, now=lambda: tables.naive_utc(now()))
        for number, folder in enumerate(folders):
            name = f"{folder.parent.name}/{folder.name.removesuffix('.sealed')}"
            on_progress(Progress("land", name, done=number, total=len(folders)))
            try:
                moment = tables.naive_utc(now())
                _land_one(database, places, folder, name=name, moment=moment, report=report)
            except HistoryError as error:
                report.damaged.append(Damaged(folder, str(error)))
        publishing.make_views(database, places)
        report.findings.extend(check(database, {name.split("/")[0] for name in report.landed}))
    finally:
        database.close()


def _land_one(
    database: Database,
    places: HistoryPlaces,
    folder: Path,
    *,
    name: str,
    moment: datetime,
    report: LandingReport,
) -> None:
    manifest, digest = manifests.read(folder)
    identity = manifest.identity
    kept = places.kept(identity.night, identity.run_id, identity.target)
    ledger = database.run(
        statement("landed_digests"), {"run_id": identity.run_id, "target": identity.target}
    )
    if (digest,) in ledger.rows:
        _keep(folder, kept)
        report.already.append(name)
        return
    if ledger.rows:
        raise HistoryError(
            f"{folder}: this run and target have landed before, with other content",
            hint="Nothing was taken. Compare it with what is in nights/, then move it away.",
        )
    manifests.verify(folder, manifest)
    with database.transaction():
        _insert(database, folder, manifest, kept.relative_to(places.root))
        database.run(statement("record_landing"), _ledger_row(manifest, digest, moment))
    _keep(folder, kept)
    report.landed.append(name)
    report.row_count += manifest.row_count


def _insert(database: Database, folder: Path, manifest: Manifest, kept: Path) -> None:
    for entry in manifest.files:
        table = tables.BY_NAME.get(entry.table)
        if table is None:
            raise HistoryError(f"{folder}: there is no table {entry.table!r}")
        if table.bulky:
            database.run(
                statement("record_fact_file"),
                {
                    "table_name": table.name,
                    "night": manifest.identity.night,
                    "path": str(kept / entry.path),
                    "schema_version": manifest.schema_version,
                    "row_count": entry.row_count,
                    "size_bytes": entry.size_bytes,
                    "sha256": entry.sha256,
                },
            )
        else:
            _insert_rows(database, table.name, folder / entry.path, entry)


def _insert_rows(database: Database, table: str, path: Path, entry: FileEntry) -> None:
    sql = statement("insert_rows").replace("{table}", table)
    inserted = database.run(sql, {"paths": [str(path)]}).rows[0][0]
    if inserted != entry.row_count:
        raise HistoryError(
            f"{path} has {inserted} rows, its manifest says {entry.row_count}",
            hint="Nothing of this folder was taken.",
        )


def _ledger_row(manifest: Manifest, digest: str, moment: datetime) -> dict[str, object]:
    identity = manifest.identity
    return {
        "run_id": identity.run_id,
        "target": identity.target,
        "night": identity.night,
        "folder_digest": digest,
        "schema_version": manifest.schema_version,
        "status": manifest.status,
        "row_count": manifest.row_count,
        "sealed_at": manifest.sealed_at,
        "landed_at": moment,
    }


def _keep(folder: Path, kept: Path) -> None:
    """Move a landed folder out of the spool. A second copy of one that is kept is removed."""
    if kept.exists():
        shutil.rmtree(folder)
    else:
        make_private(kept.parent)
        _move(folder, kept)
    _remove_if_empty(folder.parent)


def _move(folder: Path, kept: Path) -> None:
    try:
        folder.rename(kept)
    except OSError:  # the spool is on another file system
        aside = kept.with_name(f".{kept.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside)
        aside.rename(kept)
        shutil.rmtree(folder)


def _remove_if_empty(folder: Path) -> None:
    if not os.listdir(folder):  # noqa: PTH208  (no need for paths)
        folder.rmdir()


def check(database: Database, run_ids: set[str]) -> list[Finding]:
    """Run sql/checks over these runs: a finding per row they return."""
    if not run_ids:
        return []
    findings = []
    for file in checks():
        result = database.run(file.text, {"run_ids": sorted(run_ids)})
        for row in result.rows:
            told = zip(result.columns, row, strict=True)
            detail = ", ".join(f"{name} {value}" for name, value in told if value is not None)
            findings.append(Finding(file.name, detail))
    return findings
