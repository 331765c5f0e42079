"""The manifest of a sealed spool folder: what is in it, and how to tell that it is whole."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from nightbench.errors import HistoryError

FILE_NAME = "manifest.json"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolIdentity:
    """What a spool folder is about: the columns its rows do not carry."""

    run_id: str
    target: str
    night: date
    hardware_class: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One Parquet file of a sealed folder."""

    table: str
    path: str  # relative to the folder
    row_count: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a sealed folder says of itself. `status`: completed, failed, cancelled or crashed.

    `torn_lines` counts rows that a crash cut in two, `unreadable` names part files it left broken.
    """

    schema_version: int
    identity: SpoolIdentity
    status: str
    sealed_at: datetime
    files: tuple[FileEntry, ...]
    torn_lines: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows of all tables."""
        return sum(entry.row_count for entry in self.files)

    def to_json(self) -> str:
        """As it is written: one object, times and dates in ISO 8601."""
        return json.dumps(asdict(self), indent=1, default=_iso, sort_keys=True) + "\n"


def _iso(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")


def parse(text: str) -> Manifest:
    """A manifest from its JSON.

    Raises:
        HistoryError: it is not one.
    """
    try:
        raw = json.loads(text)
        identity = raw["identity"]
        return Manifest(
            schema_version=raw["schema_version"],
            identity=SpoolIdentity(**identity | {"night": date.fromisoformat(identity["night"])}),
            status=raw["status"],
            sealed_at=datetime.fromisoformat(raw["sealed_at"]),
            files=tuple(FileEntry(**entry) for entry in raw["files"]),
            torn_lines=raw["torn_lines"],
            unreadable=tuple(raw["unreadable"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"not a manifest: {error!r}") from error


def read(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a sealed folder and the folder's digest (that of its manifest).

    Raises:
        HistoryError: there is none, or it is damaged.
    """
    path = folder / FILE_NAME
    try:
        content = path.read_bytes()
        return parse(content.decode()), hashlib.sha256(content).hexdigest()
    except (OSError, UnicodeDecodeError, HistoryError) as error:
        raise HistoryError(
            f"{path} cannot be read: {error}", hint="The folder is kept where it is; look into it."
        ) from error


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest whole or not at all."""
    aside = folder / f"{FILE_NAME}.new"
    with aside.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(manifest.to_json())
        file.flush()
        os.fsync(file.fileno())
    aside.rename(folder / FILE_NAME)


def verify(folder: Path, manifest: Manifest) -> None:
    """Hold every file against its size and digest.

    Raises:
        HistoryError: a file is missing, cut or changed; says which.
    """
    for entry in manifest.files:
        path = folder / entry.path
        hint = "Nothing of this folder was taken; restore the file or move the folder away."
        if Path(entry.path).name != entry.path:
            raise HistoryError(f"{folder}: a manifest names no file elsewhere ({entry.path})")
        if not path.is_file():
            raise HistoryError(f"{path} is in the manifest but not there", hint=hint)
        size = path.stat().st_size
        if size != entry.size_bytes:
            raise HistoryError(
                f"{path} has {size} bytes, its manifest says {entry.size_bytes}", hint=hint
            )
        if sha256_of(path) != entry.sha256:
            raise HistoryError(f"{path} does not have the digest of its manifest", hint=hint)


def sha256_of(path: Path) -> str:
    """The hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
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
