"""The manifest of a sealed spool folder: what is in it, and how to tell that it is whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from nightbench.errors import HistoryError
from nightbench.history.regular_files import open_regular, read_regular, write_whole
from nightbench.history.spool import checked_json
from nightbench.history.spool.checked_json import DIGEST, Members
from nightbench.history.spool.identity import SpoolIdentity, Text
from nightbench.history.sql_files import schema_version
from nightbench.history.tables import BY_NAME, naive_utc

__all__ = ["FILE_NAME", "REJECTED_NAME", "FileEntry", "Manifest", "Rejected", "SpoolIdentity"]

FILE_NAME = "manifest.json"
REJECTED_NAME = "rejected.jsonl"
_BLOCK = 1 << 20
_STRICT = ConfigDict(extra="forbid", strict=True)

Count = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Status = Annotated[str, Field(pattern="^(completed|failed|skipped|cancelled|crashed)$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One Parquet file of a sealed folder, `path` in it: the table's name and .parquet."""

    __pydantic_config__ = _STRICT

    table: Text
    path: Text
    row_count: Count
    size_bytes: Count
    sha256: Sha256

    @classmethod
    def of(cls, path: Path, table: str, row_count: int) -> FileEntry:
        """That of a file as it lies there, whole."""
        return cls(
            table=table,
            path=path.name,
            row_count=row_count,
            size_bytes=path.stat().st_size,
            sha256=sha256_of(path),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What a table cannot hold: rows that were kept out, and numbers that became null in rows that
    were not. The rows as they were lie in `rejected.jsonl`."""

    __pydantic_config__ = _STRICT

    table: Text
    row_count: Count
    value_count: Count
    problem: Text  # of the first of them

    def __str__(self) -> str:
        kept_out = f"{self.row_count} rows of {self.table} were not sealed" * bool(self.row_count)
        made_null = f"{self.value_count} numbers of {self.table} are null" * bool(self.value_count)
        return f"{' and '.join(filter(None, (kept_out, made_null)))} ({self.problem})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a sealed folder says of itself. `status`: completed, failed, skipped, cancelled or
    crashed.

    `torn_lines` counts rows that a crash cut in two; `unreadable` names working files that could
    not be read, whole or in part, and stay beside what was sealed.
    """

    __pydantic_config__ = _STRICT

    schema_version: Count
    identity: SpoolIdentity
    status: Status
    sealed_at: datetime
    files: tuple[FileEntry, ...]
    torn_lines: Count = 0
    unreadable: tuple[Text, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows of all tables."""
        return sum(entry.row_count for entry in self.files)

    def members(self) -> Members:
        """As they are written: times and dates in ISO 8601, and the digest of all."""
        return checked_json.signed(json.loads(json.dumps(asdict(self), default=_iso)))

    def to_json(self) -> str:
        """One JSON object."""
        return checked_json.text_of(self.members())


def _iso(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def parse(members: Members) -> Manifest:
    """A manifest from its members.

    Raises:
        HistoryError: it is none, a newer nightbench wrote it, it names what no manifest names, or
            it was changed after it was written.
    """
    checked_json.check_version(members, schema_version())
    rest = {name: value for name, value in members.items() if name != DIGEST}
    manifest = checked_json.validated(_adapter(), rest)
    check_files(manifest.files)
    checked_json.check_digest(members)
    return replace(manifest, sealed_at=naive_utc(manifest.sealed_at))


def check_files(files: tuple[FileEntry, ...]) -> None:
    """Whether they are files of the folder itself, one a table at most.

    Raises:
        HistoryError: a table nobody knows, a file that is not its table's, or a table twice.
    """
    for entry in files:
        if entry.table not in BY_NAME:
            raise HistoryError(f"there is no table {entry.table!r}")
        if entry.path != file_name(entry.table):
            raise HistoryError(
                f"the file of {entry.table} is {file_name(entry.table)}, not {entry.path!r}"
            )
    if len({entry.table for entry in files}) != len(files):
        raise HistoryError("it names the file of a table twice")


def file_name(table: str) -> str:
    """The file that holds a table's rows in a sealed folder."""
    return f"{table}.parquet"


def read(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a sealed folder and the folder's digest (that of its manifest).

    Raises:
        HistoryError: there is none, or it is damaged.
    """
    path = folder / FILE_NAME
    try:
        content = read_regular(path)
        members = checked_json.parse_members(content)
        manifest = parse(members)
    except HistoryError as error:
        hint = error.hint or "The folder was left in place; inspect it."
        raise HistoryError(f"{path} cannot be read: {error.message}", hint=hint) from error
    except OSError as error:
        raise HistoryError(
            f"{path} cannot be read: {error}", hint="The folder was left in place; inspect it."
        ) from error
    return manifest, _digest_of(members, content)


def digest_of(folder: Path) -> str | None:
    """The digest of a folder, be its manifest a good one or not; None where there is none."""
    try:
        content = read_regular(folder / FILE_NAME)
    except (OSError, HistoryError):
        return None
    try:
        members = checked_json.parse_members(content)
        checked_json.check_digest(members)
    except HistoryError:
        members = {}
    return _digest_of(members, content)


def _digest_of(members: Members, content: bytes) -> str:
    """What a manifest is signed with; of one of before, the digest of its text."""
    signed = members.get(DIGEST)
    return signed if isinstance(signed, str) else hashlib.sha256(content).hexdigest()


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest whole or not at all."""
    write_whole(folder / FILE_NAME, manifest.to_json().encode())


def verify(folder: Path, manifest: Manifest) -> None:
    """Hold every file against its size and digest.

    Raises:
        HistoryError: a file is missing, cut, changed or cannot be read; says which.
    """
    verify_files(folder, manifest.files)


def verify_files(folder: Path, files: Iterable[FileEntry]) -> None:
    """The same for some files of a folder."""
    for entry in files:
        try:
            _verify_file(folder / entry.path, entry)
        except FileNotFoundError as error:
            raise _not_whole(f"{folder / entry.path} is in the manifest but missing") from error
        except OSError as error:
            raise _not_whole(f"{folder / entry.path} cannot be read: {error}") from error


def _verify_file(path: Path, entry: FileEntry) -> None:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry.size_bytes:
            raise _not_whole(f"{path} has {size} bytes, its manifest says {entry.size_bytes}")
        if _sha256(file) != entry.sha256:
            raise _not_whole(f"{path} does not have the digest of its manifest")


def _not_whole(message: str) -> HistoryError:
    return HistoryError(
        message,
        hint="Nothing of this folder was ingested; restore the file or move the folder away.",
    )


def sha256_of(path: Path) -> str:
    """The hex digest of a file."""
    with open_regular(path) as file:
        return _sha256(file)


def _sha256(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Make a file private and see it onto the disk."""
    path.chmod(0o600)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
