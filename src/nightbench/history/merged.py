"""What a merged night says of itself, and which folders together hold a night."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import manifest as manifests
from nightbench.history.manifest import FileEntry, Manifest
from nightbench.history.places import HistoryPlaces

MERGED_NAME = "merged.json"


@dataclass(frozen=True, slots=True)
class LandedFolder:
    """What the ledger says of one folder, with its manifest."""

    manifest: Manifest
    digest: str
    landed_at: datetime


@dataclass(frozen=True, slots=True)
class MergedNight:
    """What a merged folder says of itself. `replaces`: names of folders beside it."""

    schema_version: int
    folders: tuple[LandedFolder, ...]
    files: tuple[FileEntry, ...]
    replaces: tuple[str, ...]


def read_merged(folder: Path) -> MergedNight:
    """What a merged folder says of itself.

    Raises:
        HistoryError: it cannot be read.
    """
    try:
        raw = json.loads((folder / MERGED_NAME).read_text(encoding="utf-8"))
        return MergedNight(
            schema_version=raw["schema_version"],
            folders=tuple(
                LandedFolder(
                    manifests.parse(json.dumps(one["manifest"])),
                    one["digest"],
                    datetime.fromisoformat(one["landed_at"]),
                )
                for one in raw["folders"]
            ),
            files=tuple(FileEntry(**entry) for entry in raw["files"]),
            replaces=tuple(raw["replaces"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"{folder / MERGED_NAME} cannot be read: {error!r}") from error


def sources_of(places: HistoryPlaces, night: date) -> list[Path]:
    """The folders that together hold a night: the newest merged one, those it does not replace."""
    root = places.night(night)
    merged = places.merged(night)
    newest = merged[-1:]
    replaced = {root / name for name in read_merged(newest[0]).replaces} if newest else set()
    loose = {path.parent for path in root.glob(f"*/*/{manifests.FILE_NAME}")}
    return [*newest, *sorted(loose - replaced)]


def entries_of(source: Path) -> tuple[int, tuple[FileEntry, ...]]:
    """Schema version and files of a kept folder, merged or not; without what was retired."""
    if (source / MERGED_NAME).exists():
        merged = read_merged(source)
        version, files = merged.schema_version, merged.files
    else:
        manifest, _ = manifests.read(source)
        version, files = manifest.schema_version, manifest.files
    return version, tuple(e for e in files if not marker_of(source / e.path).exists())


def marker_of(path: Path) -> Path:
    """The file that says that a fact file was retired on purpose."""
    return path.with_suffix(".retired")


def write_merged(aside: Path, merged: MergedNight) -> None:
    """Say what a merged folder holds; written last."""
    members = {
        "schema_version": merged.schema_version,
        "folders": [
            {
                "manifest": json.loads(one.manifest.to_json()),
                "digest": one.digest,
                "landed_at": one.landed_at.isoformat(),
            }
            for one in merged.folders
        ],
        "files": [asdict(entry) for entry in merged.files],
        "replaces": list(merged.replaces),
    }
    path = aside / MERGED_NAME
    with path.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(members, file)
        file.flush()
        os.fsync(file.fileno())
