"""Sealing: by the writer at the end, or by somebody else after the writer died."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.clock import Now, utc_now
from nightbench.history.damage import Damaged, reason_of
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool import sealing
from nightbench.history.spool.checked_json import NewerFormat
from nightbench.history.spool.folders import (
    BROKEN,
    IDENTITY_NAME,
    LOCK_NAME,
    list_spool,
    lock_folder,
    read_identity,
    sealed_path,
)
from nightbench.history.spool.identity import SpoolIdentity


def _ignore(damaged: Damaged) -> None:
    """Whoever lands the spool says it again."""


def recover(
    spool: Path, *, now: Now = utc_now, on_damaged: Callable[[Damaged], None] = _ignore
) -> list[Path]:
    """Seal what dead writers left open, as `crashed`; folders whose writer lives are left alone.

    A folder that cannot be sealed is told to `on_damaged` and stays where it is, to be tried again
    the next time; one that does not say what it is of is put aside as `.broken`. Neither keeps the
    others from being sealed.
    """
    listing = list_spool(spool)
    for strange in listing.strange:
        on_damaged(strange)
    sealed = []
    for folder in (*listing.open, *listing.broken):
        try:
            done = _recover(folder, now())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one folder
            on_damaged(Damaged(folder, reason_of(folder, error)))
        else:
            sealed += [] if done is None else [done]
    return sealed


def _recover(folder: Path, moment: datetime) -> Path | None:
    """Seal one folder; None where its writer lives or nobody can say what it is of."""
    lock_fd = lock_folder(folder)
    if lock_fd is None:
        return None
    try:
        identity = _identity_or_none(folder)
        if identity is not None:
            return seal(folder, identity, "crashed", moment)
        if folder.suffix != BROKEN:
            folder.rename(folder.with_suffix(BROKEN))
        return None
    finally:
        os.close(lock_fd)


def _identity_or_none(folder: Path) -> SpoolIdentity | None:
    try:
        return read_identity(folder)
    except NewerFormat:
        raise
    except HistoryError:
        return None


def seal(folder: Path, identity: SpoolIdentity, status: str, moment: datetime) -> Path:
    """Parquet per table, the manifest last, then the name `.sealed`. The lock must be held.

    Raises:
        HistoryError: it could not be written; the rows stay in the open folder.
    """
    sealed = sealed_path(folder)
    try:
        if not (folder / manifests.FILE_NAME).exists():
            sealing.compact(folder, identity, status=status, sealed_at=moment)
        sealing.remove_working_files(folder)
        (folder / IDENTITY_NAME).unlink(missing_ok=True)
        folder.rename(sealed)
    except OSError as error:
        raise HistoryError(
            f"{folder} could not be sealed: {error}",
            hint="The rows are safe: free some space and run `nightbench land`.",
        ) from error
    with contextlib.suppress(OSError):  # last: whoever finds the folder open finds it locked
        (sealed / LOCK_NAME).unlink()
    return sealed
