"""The folders of the spool: which there are, whose lock is held, what each says it is of."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from nightbench.errors import HistoryError
from nightbench.history.damage import Damaged, reason_of
from nightbench.history.regular_files import is_folder, names_in, read_regular, write_whole
from nightbench.history.spool import checked_json
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.checked_json import DIGEST
from nightbench.history.spool.identity import SpoolIdentity, check_identity, check_place
from nightbench.history.sql_files import schema_version
from nightbench.home.owned_files import NotARegularFile, open_lock
from nightbench.home.private_files import PRIVATE_FILE

LOCK_NAME = "lock"
IDENTITY_NAME = "identity.json"
OPEN, SEALED, BROKEN = ".open", ".sealed", ".broken"


@dataclass(frozen=True, slots=True)
class SpoolListing:
    """What lies in a spool, by run and then by name. `strange`: what is no folder of ours."""

    open: tuple[Path, ...]
    sealed: tuple[Path, ...]
    broken: tuple[Path, ...]
    strange: tuple[Damaged, ...]


def list_spool(spool: Path) -> SpoolListing:
    """Every folder of the spool. One that cannot be listed is named, and the others are there."""
    found: dict[str, list[Path]] = {OPEN: [], SEALED: [], BROKEN: []}
    strange = []
    for entry in _entries(spool):
        if isinstance(entry, Damaged):
            strange.append(entry)
        elif entry.suffix in found and is_folder(entry):
            found[entry.suffix].append(entry)
        elif entry.is_symlink():
            strange.append(Damaged(entry, f"{entry} is a link: it was not followed"))
        else:
            strange.append(Damaged(entry, f"{entry} is not a folder of the spool"))
    return SpoolListing(
        tuple(found[OPEN]), tuple(found[SEALED]), tuple(found[BROKEN]), tuple(strange)
    )


def _entries(spool: Path) -> Iterator[Path | Damaged]:
    """What lies in each run's folder. The spool itself may be a link: a person made it one."""
    for run in sorted(os.listdir(spool)) if spool.is_dir() else ():  # noqa: PTH208
        folder = spool / run
        if run.startswith(".") or (not folder.is_symlink() and not is_folder(folder)):
            continue  # being made, or somebody's note
        if folder.is_symlink():
            yield Damaged(folder, f"{folder} is a link: it was not followed")
            continue
        try:
            yield from (folder / name for name in names_in(folder) if not name.startswith("."))
        except OSError as error:
            yield Damaged(folder, reason_of(folder, error))


def sealed_folders(spool: Path) -> list[Path]:
    """Sealed folders that wait to be landed: a run's own first, then its targets."""
    return list(list_spool(spool).sealed)


def broken_folders(spool: Path) -> list[Path]:
    """Folders that say of no run and target: only a person can tell what they are."""
    return list(list_spool(spool).broken)


def why_broken(folder: Path) -> str:
    """What a person must know of a folder that was put aside."""
    try:
        read_identity(folder)
        why = "it was, and is complete again: `nightbench land` ingests it"
    except (HistoryError, OSError) as error:
        why = error.message if isinstance(error, HistoryError) else str(error)
    return f"{folder} has no readable identity ({why}): inspect it, then move it away"


def sealed_path(folder: Path) -> Path:
    """What a folder is called once it is sealed."""
    return folder.with_suffix(SEALED)


def lock_folder(folder: Path) -> int | None:
    """The folder's lock, or None where a living writer holds it. Ends with the file descriptor.

    Raises:
        HistoryError, OSError: the folder or its lock is none.
    """
    if not is_folder(folder):
        raise HistoryError(f"{folder} is not a folder")
    try:
        fd = open_lock(folder / LOCK_NAME, PRIVATE_FILE)
    except FileNotFoundError:
        return None  # sealed under our eyes
    except NotARegularFile as error:
        raise HistoryError(f"{folder / LOCK_NAME} is not a lock: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if not folder.exists():  # renamed between open and flock
        os.close(fd)
        return None
    return fd


def write_identity(folder: Path, identity: SpoolIdentity) -> None:
    """Say what an open folder is of, and under which schema its rows are written."""
    members = asdict(identity) | {
        "night": identity.night.isoformat(),
        "schema_version": schema_version(),
    }
    content = checked_json.text_of(checked_json.signed(members))
    write_whole(folder / IDENTITY_NAME, content.encode())


@cache
def _adapter() -> TypeAdapter[SpoolIdentity]:
    return TypeAdapter(SpoolIdentity)


def read_identity(folder: Path) -> SpoolIdentity:
    """What a folder of the spool is of.

    Raises:
        HistoryError: it does not say, a newer nightbench wrote it, or its name says otherwise.
        OSError: it cannot be read.
    """
    path = folder / IDENTITY_NAME
    if not path.is_symlink() and not path.exists():  # died between manifest and rename
        identity = manifests.read(folder)[0].identity
    else:
        content = read_regular(path)
        members = checked_json.parse_members(content)
        if "schema_version" in members:
            checked_json.check_version(members, schema_version())
            checked_json.check_digest(members)
        rest = {n: v for n, v in members.items() if n not in (DIGEST, "schema_version")}
        identity = checked_json.validated(_adapter(), rest)
    check_identity(identity)
    check_place(folder, identity)
    return identity
