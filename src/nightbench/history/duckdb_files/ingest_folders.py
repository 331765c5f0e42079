"""From sealed folders into the tables: many in one transaction, because each one costs a commit.

A folder comes in whole or not at all. Where a batch cannot be taken, its folders are taken one by
one: the damaged one is named, the others land.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.damage import Damaged, is_no_room, reason_of
from nightbench.history.duckdb_files.database import Database
from nightbench.history.duckdb_files.landed_at import LANDED_NAME, write_landed_at
from nightbench.history.duckdb_files.ledger import (
    fact_rows,
    insert_rows,
    ledger_row,
    record_fact_files,
    record_landings,
)
from nightbench.history.duckdb_files.parquet_footers import check_contents
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import is_folder, names_in
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.folders import LOCK_NAME
from nightbench.history.spool.identity import check_place
from nightbench.history.spool.manifest import Manifest
from nightbench.history.sql_files import statement
from nightbench.history.store import StorageError
from nightbench.home.private_files import make_private


@dataclass(frozen=True, slots=True)
class Sorted:
    """A batch of folders, looked through. Those `again` wait: another of their name was before."""

    fresh: tuple[Sealed, ...]
    already: tuple[Sealed, ...]
    damaged: tuple[Damaged, ...]
    again: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed folder, what it says of itself, and where it will stay."""

    folder: Path
    manifest: Manifest
    digest: str
    kept: Path

    @property
    def name(self) -> str:
        """run/target, as it lies in the spool."""
        return f"{self.folder.parent.name}/{self.folder.name.removesuffix('.sealed')}"

    @property
    def is_named_rightly(self) -> bool:
        """Whether it lies where its manifest says. A copy under another name is let go when it has
        landed; landing itself takes none."""
        return self.name == "/".join(self.key)

    @property
    def key(self) -> tuple[str, str]:
        """What the ledger knows it by."""
        return self.manifest.identity.run_id, self.manifest.identity.target


def stage(database: Database, places: HistoryPlaces, folders: Sequence[Path]) -> Sorted:
    """Find what has not landed yet, move what has to `nights/`. The landing lock must be held.

    A folder may lie in `nights/` already, where the ledger has lost it: then it is taken there.

    Raises:
        StorageError: the history itself cannot be written.
    """
    sealed, damaged = _read(folders, places)
    known = _landed_digests(database, sealed)
    already, fresh, again = [], {}, []
    for one in sorted(sealed, key=lambda one: not one.is_named_rightly):
        try:
            if one.digest in known.get(one.key, ()):
                manifests.verify(one.folder, one.manifest)
                _keep(one)
                already.append(one)
            elif one.key in known:
                raise _other_content(one.folder)
            elif one.key in fresh:
                again.append(one.folder)
            else:
                _verify(one)
                fresh[one.key] = one
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one folder
            damaged.append(_damaged(one.folder, error))
    return Sorted(tuple(fresh.values()), tuple(already), tuple(damaged), tuple(again))


def commit(
    database: Database, places: HistoryPlaces, fresh: tuple[Sealed, ...], *, moment: datetime
) -> tuple[tuple[Sealed, ...], tuple[Damaged, ...]]:
    """Take folders in, then move them to `nights/`: what landed, and what could not or is not moved
    yet. The landing lock must be held.

    Raises:
        StorageError: the history itself cannot be written.
    """
    landed, refused = _insert(database, places, fresh, moment)
    return landed, (*refused, *_keep_all(landed))


def _damaged(folder: Path, error: Exception) -> Damaged:
    if isinstance(error, StorageError) or (isinstance(error, OSError) and is_no_room(error)):
        raise error
    return Damaged(folder, reason_of(folder, error))


def _read(
    folders: Sequence[Path], places: HistoryPlaces
) -> tuple[tuple[Sealed, ...], list[Damaged]]:
    sealed, damaged = [], []
    for folder in folders:
        try:
            manifest, digest = manifests.read(folder)
            identity = manifest.identity
            kept = places.kept(identity.night, identity.run_id, identity.target)
            sealed.append(Sealed(folder, manifest, digest, kept))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one folder
            damaged.append(Damaged(folder, reason_of(folder, error)))
    return tuple(sealed), damaged


def _landed_digests(
    database: Database, sealed: Sequence[Sealed]
) -> dict[tuple[str, str], set[str]]:
    known: dict[tuple[str, str], set[str]] = {}
    run_ids = sorted({one.key[0] for one in sealed})
    for run_id, target, digest in database.run(
        statement("landed_digests"), {"run_ids": run_ids}
    ).rows:
        known.setdefault((str(run_id), str(target)), set()).add(str(digest))
    return known


def _other_content(folder: Path) -> HistoryError:
    return HistoryError(
        f"{folder}: this run and target were ingested before, with other content",
        hint="Nothing was ingested. Compare it with nights/, then move it away.",
    )


def _verify(one: Sealed) -> None:
    """Whether a folder is whole, holds what it says, and may have the place that it asks for."""
    if one.folder != one.kept:
        check_place(one.folder, one.manifest.identity)
        if os.path.lexists(one.kept) and manifests.digest_of(one.kept) != one.digest:
            raise HistoryError(f"{one.folder}: its destination is occupied: {one.kept}")
    manifests.verify(one.folder, one.manifest)
    check_contents(one.folder, one.manifest.files, one.manifest.identity)


def _insert(
    database: Database, places: HistoryPlaces, sealed: tuple[Sealed, ...], moment: datetime
) -> tuple[tuple[Sealed, ...], tuple[Damaged, ...]]:
    """All of them in one transaction; where that fails, each in its own."""
    try:
        _insert_together(database, places, sealed, moment)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one folder
        damaged = _damaged(sealed[0].folder, error)
        if len(sealed) == 1:
            return (), (damaged,)
        parts = [_insert(database, places, (one,), moment) for one in sealed]
        landed = tuple(one for part in parts for one in part[0])
        return landed, tuple(one for part in parts for one in part[1])
    return sealed, ()


def _insert_together(
    database: Database, places: HistoryPlaces, sealed: Sequence[Sealed], moment: datetime
) -> None:
    if not sealed:
        return
    for one in sealed:
        _make_room(places, one)
        write_landed_at(one.folder, moment)
    with database.transaction():
        insert_rows(database, [(one.folder, one.manifest) for one in sealed])
        record_landings(database, [ledger_row(one.manifest, one.digest, moment) for one in sealed])
        record_fact_files(
            database,
            [
                row
                for one in sealed
                for row in fact_rows(one.manifest, one.kept.relative_to(places.root))
            ],
        )


def _make_room(places: HistoryPlaces, one: Sealed) -> None:
    """The folders that a landed one will lie in, none of them a link."""
    for folder in (places.night(one.manifest.identity.night), one.kept.parent):
        make_private(folder)
        if not is_folder(folder):
            raise HistoryError(f"{folder} is not a folder, so {one.folder} cannot be moved there")


def _keep_all(sealed: Sequence[Sealed]) -> list[Damaged]:
    """Move what has landed. One that cannot be moved is in the ledger: the next landing does."""
    problems = []
    for one in sealed:
        try:
            _keep(one)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one folder
            problems.append(_damaged(one.folder, error))
    return problems


def _keep(one: Sealed) -> None:
    """Move a landed folder out of the spool. A second copy of one that is kept is removed."""
    if one.folder == one.kept:
        return
    if os.path.lexists(one.kept):
        _drop(one)
    else:
        make_private(one.kept.parent)
        _move(one)
    with suppress(OSError):  # not empty: other targets of the run are still spooling
        one.folder.parent.rmdir()


def _drop(one: Sealed) -> None:
    """Remove a copy, once the one that is kept was found to be the same, and whole."""
    if manifests.digest_of(one.kept) != one.digest:
        raise HistoryError(f"{one.folder}: its destination is occupied: {one.kept}")
    manifests.verify(one.kept, one.manifest)
    own = {manifests.FILE_NAME, LANDED_NAME, LOCK_NAME, manifests.REJECTED_NAME}
    own |= {entry.path for entry in one.manifest.files} | set(one.manifest.unreadable)
    strange = set(names_in(one.folder)) - own
    if strange:
        raise HistoryError(
            f"{one.folder} was ingested, and contains files its manifest does not list:"
            f" {', '.join(sorted(strange)[:3])}",
            hint="Inspect it, then move it away.",
        )
    shutil.rmtree(one.folder)


def _move(one: Sealed) -> None:
    folder, kept = one.folder, one.kept
    try:
        folder.rename(kept)
    except OSError as error:
        if error.errno != errno.EXDEV:  # else the spool is on another file system
            raise
        aside = kept.with_name(f".{kept.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside, symlinks=True)
        manifests.verify(aside, one.manifest)
        aside.rename(kept)
        shutil.rmtree(folder)
