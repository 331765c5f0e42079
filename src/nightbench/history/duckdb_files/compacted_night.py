"""What a merged night says of itself, and which folders together hold a night."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from nightbench.errors import HistoryError
from nightbench.history.duckdb_files.kept_nights import KeptNight
from nightbench.history.regular_files import is_regular, read_regular, write_whole
from nightbench.history.spool import checked_json
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.checked_json import DIGEST
from nightbench.history.spool.manifest import FileEntry, Manifest
from nightbench.history.sql_files import schema_version

MERGED_NAME = "merged.json"
_STRICT = ConfigDict(extra="forbid", strict=True)
# A folder beside it: run/target, or another merged one.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}"
_BESIDE = rf"^(\+merged-[0-9]{{4,9}}|{_NAME}/{_NAME})$"
_FOLDER_DIGEST = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class LandedFolder:
    """What the ledger says of one folder, with its manifest."""

    manifest: Manifest
    digest: str
    landed_at: datetime

    @property
    def name(self) -> str:
        """Where it lay beside the merged folder: run/target."""
        return f"{self.manifest.identity.run_id}/{self.manifest.identity.target}"


@dataclass(frozen=True, slots=True)
class MergedNight:
    """What a merged folder says of itself. `replaces`: names of folders beside it."""

    schema_version: int
    folders: tuple[LandedFolder, ...]
    files: tuple[FileEntry, ...]
    replaces: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """run/target of the folders that it holds."""
        return {one.name for one in self.folders}

    @property
    def digests(self) -> set[str]:
        """Of the folders that it holds."""
        return {one.digest for one in self.folders}


@dataclass(frozen=True, slots=True)
class _Rest:
    """What of a merged.json is no manifest."""

    __pydantic_config__ = _STRICT

    schema_version: int
    files: tuple[FileEntry, ...]
    replaces: tuple[Annotated[str, Field(pattern=_BESIDE)], ...]


@cache
def _adapter() -> TypeAdapter[_Rest]:
    return TypeAdapter(_Rest)


def read_merged(folder: Path) -> MergedNight:
    """What a merged folder says of itself.

    Raises:
        HistoryError: it cannot be read, a newer nightbench wrote it, it names what it may not, or
            it was changed after it was written.
    """
    path = folder / MERGED_NAME
    try:
        return _parse(read_regular(path))
    except HistoryError as error:
        raise HistoryError(f"{path} cannot be read: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error}") from error


@lru_cache(maxsize=64)
def _parse(content: bytes) -> MergedNight:
    """One landing reads the same few again and again: for merging, for retention, for sweeping."""
    members = checked_json.parse_members(content)
    checked_json.check_version(members, schema_version())
    rest = {name: value for name, value in members.items() if name not in (DIGEST, "folders")}
    checked = checked_json.validated(_adapter(), rest)
    manifests.check_files(checked.files)
    folders = members.get("folders")
    if not isinstance(folders, list):
        raise HistoryError("it has no list of folders")
    merged = MergedNight(
        schema_version=checked.schema_version,
        folders=tuple(map(_parse_folder, folders)),
        files=checked.files,
        replaces=checked.replaces,
    )
    checked_json.check_digest(members)
    return merged


def _parse_folder(members: Any) -> LandedFolder:
    try:
        manifest, digest, landed_at = (members[n] for n in ("manifest", "digest", "landed_at"))
        if len(members) != 3 or not _FOLDER_DIGEST.fullmatch(digest):
            raise HistoryError("its list of folders is wrong")
        return LandedFolder(manifests.parse(manifest), digest, datetime.fromisoformat(landed_at))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HistoryError(f"its list of folders is wrong: {error!r}") from error


def newest_merged(night: KeptNight) -> tuple[Path, MergedNight] | None:
    """The merged folder that counts, with what it says; None where the night is not merged.

    Raises:
        HistoryError: it cannot be read.
    """
    if not night.merged:
        return None
    folder = night.root / night.merged[-1]
    return folder, read_merged(folder)


def sources_of(night: KeptNight) -> list[Path]:
    """The folders that together hold a night: the newest merged one, those it does not replace.

    Raises:
        HistoryError: the merged one cannot be read.
    """
    newest = newest_merged(night)
    if newest is None:
        return list(night.loose())
    folder, merged = newest
    held = {one.name for one in merged.folders}
    return [folder, *(loose for loose in night.loose() if name_of(loose) not in held)]


def name_of(loose: Path) -> str:
    """run/target of a folder that lies as it landed."""
    return f"{loose.parent.name}/{loose.name}"


def entries_of(source: Path) -> tuple[int, tuple[FileEntry, ...]]:
    """Schema version and files of a kept folder, merged or not, with what was retired.

    Raises:
        HistoryError: what it says of itself cannot be read.
    """
    if is_merged(source):
        merged = read_merged(source)
        return merged.schema_version, merged.files
    manifest, _ = manifests.read(source)
    return manifest.schema_version, manifest.files


def is_merged(source: Path) -> bool:
    """Whether a kept folder is a merged one."""
    return source.name.startswith("+") and is_regular(source / MERGED_NAME)


def write_merged(aside: Path, merged: MergedNight) -> None:
    """Say what a merged folder holds; written last.

    Raises:
        OSError: the disk did not take it.
    """
    members = {
        "schema_version": merged.schema_version,
        "folders": [
            {
                "manifest": one.manifest.members(),
                "digest": one.digest,
                "landed_at": one.landed_at.isoformat(),
            }
            for one in merged.folders
        ],
        "files": [asdict(entry) for entry in merged.files],
        "replaces": list(merged.replaces),
    }
    content = checked_json.text_of(checked_json.signed(members))
    write_whole(aside / MERGED_NAME, content.encode())
