"""From sealed folders into the tables: many in one transaction, because each one costs a commit.

A folder comes in whole or not at all. Where a batch cannot be taken, its folders are taken one by
one: the damaged one is named, the others land.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import manifest as manifests
from nightbench.history.database import Database, StorageError
from nightbench.history.ledger import (
    fact_rows,
    insert_rows,
    ledger_row,
    record_fact_files,
    record_landings,
)
from nightbench.history.manifest import Manifest
from nightbench.history.places import HistoryPlaces
from nightbench.history.sql_files import statement
from nightbench.private_files import make_private


@dataclass(frozen=True, slots=True)
class Damaged:
    """A sealed folder that was not taken, and why. It stays where it is."""

    folder: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch of folders. Those `again` wait: another of their name was before."""

    landed: tuple[Sealed, ...]
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
    def key(self) -> tuple[str, str]:
        """What the ledger knows it by."""
        return self.manifest.identity.run_id, self.manifest.identity.target


def take(
    database: Database, places: HistoryPlaces, folders: Sequence[Path], *, moment: datetime
) -> Taken:
    """Take what has not landed yet, move what has to `nights/`. The landing lock must be held.

    Raises:
        StorageError: the history itself cannot be written.
    """
    sealed, damaged = _read(folders, places)
    known = _landed_digests(database, sealed)
    already = tuple(one for one in sealed if one.digest in known.get(one.key, ()))
    for one in already:
        _keep(one)
    fresh: dict[tuple[str, str], Sealed] = {}
    again = []
    for one in sealed:
        if one.key in known:
            if one not in already:
                damaged.append(Damaged(one.folder, str(_other_content(one.folder))))
        elif one.key in fresh:
            again.append(one.folder)
        else:
            fresh[one.key] = one
    whole, broken = _verify(tuple(fresh.values()))
    landed, refused = _insert(database, places, whole, moment)
    return Taken(landed, already, (*damaged, *broken, *refused), tuple(again))


def _read(
    folders: Sequence[Path], places: HistoryPlaces
) -> tuple[tuple[Sealed, ...], list[Damaged]]:
    sealed, damaged = [], []
    for folder in folders:
        try:
            manifest, digest = manifests.read(folder)
        except HistoryError as error:
            damaged.append(Damaged(folder, str(error)))
        else:
            identity = manifest.identity
            kept = places.kept(identity.night, identity.run_id, identity.target)
            sealed.append(Sealed(folder, manifest, digest, kept))
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
        f"{folder}: this run and target have landed before, with other content",
        hint="Nothing was taken. Compare it with what is in nights/, then move it away.",
    )


def _verify(sealed: Sequence[Sealed]) -> tuple[tuple[Sealed, ...], tuple[Damaged, ...]]:
    whole, broken = [], []
    for one in sealed:
        try:
            manifests.verify(one.folder, one.manifest)
            whole.append(one)
        except HistoryError as error:
            broken.append(Damaged(one.folder, str(error)))
    return tuple(whole), tuple(broken)


def _insert(
    database: Database, places: HistoryPlaces, sealed: tuple[Sealed, ...], moment: datetime
) -> tuple[tuple[Sealed, ...], tuple[Damaged, ...]]:
    """All of them in one transaction; where that fails, each in its own."""
    try:
        _insert_together(database, places, sealed, moment)
    except StorageError:
        raise
    except HistoryError as error:
        if len(sealed) == 1:
            return (), (Damaged(sealed[0].folder, str(error)),)
        parts = [_insert(database, places, (one,), moment) for one in sealed]
        landed = tuple(one for part in parts for one in part[0])
        return landed, tuple(one for part in parts for one in part[1])
    return sealed, ()


def _insert_together(
    database: Database, places: HistoryPlaces, sealed: Sequence[Sealed], moment: datetime
) -> None:
    if not sealed:
        return
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
    for one in sealed:
        _keep(one)


def _keep(one: Sealed) -> None:
    """Move a landed folder out of the spool. A second copy of one that is kept is removed."""
    if one.kept.exists():
        shutil.rmtree(one.folder)
    else:
        make_private(one.kept.parent)
        _move(one.folder, one.kept)
    with suppress(OSError):  # not empty: other targets of the run are still spooling
        one.folder.parent.rmdir()


def _move(folder: Path, kept: Path) -> None:
    try:
        folder.rename(kept)
    except OSError:  # the spool is on another file system
        aside = kept.with_name(f".{kept.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside)
        aside.rename(kept)
        shutil.rmtree(folder)
