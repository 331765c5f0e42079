"""What the kept folders hold, gathered and held against its digests before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.damage import reason_of
from nightbench.history.duckdb_files.compacted_night import (
    LandedFolder,
    MergedNight,
    name_of,
    read_merged,
)
from nightbench.history.duckdb_files.kept_nights import KeptNight, kept_nights
from nightbench.history.duckdb_files.landed_at import read_landed_at
from nightbench.history.duckdb_files.ledger import LedgerRow, fact_row, ledger_row
from nightbench.history.duckdb_files.parquet_footers import check_contents
from nightbench.history.duckdb_files.retired import is_retired
from nightbench.history.places import HistoryPlaces
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.manifest import FileEntry


@dataclass(slots=True)
class Gathered:
    """Rows of the ledgers, and the files of each table and schema version with their row counts.

    `damaged` names what is left out; `notes` tell of what is of no use, because other folders hold
    the same.
    """

    landings: list[LedgerRow] = field(default_factory=list)
    facts: list[LedgerRow] = field(default_factory=list)
    files: dict[tuple[str, int], list[tuple[Path, int]]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(places: HistoryPlaces) -> Gathered:
    """Everything that is kept, night by night.

    Raises:
        OSError: `nights/` itself cannot be listed.
    """
    gathered = Gathered()
    nights, strange = kept_nights(places)
    gathered.damaged += [one.reason for one in strange]
    for night in nights:
        gathered.damaged += [f"{night.root / n} is not the folder of a run" for n in night.strange]
        try:
            gathered.damaged += [f"{path} has no {manifests.FILE_NAME}" for path in night.unknown()]
            _Night(places, night, gathered).gather()
        except OSError as error:  # a folder of it may not be listed
            gathered.damaged.append(reason_of(night.root, error))
    return gathered


@dataclass(frozen=True, slots=True)
class _Source:
    """A kept folder, what it says of itself, and those of its files that are as it says."""

    folder: Path
    found: MergedNight
    whole: tuple[FileEntry, ...]


@dataclass(slots=True)
class _Night:
    """One night, being gathered. `taken`: run/target of a landed folder -> its digest; `partly`:
    folders of which some files are damaged."""

    places: HistoryPlaces
    night: KeptNight
    into: Gathered
    taken: dict[str, str] = field(default_factory=dict)
    partly: list[_Source] = field(default_factory=list)

    def gather(self) -> None:
        """The newest merged folder, then what it does not hold: older merged ones, loose ones.
        Those that are whole come first: what a damaged one has replaced is there for a while."""
        replaced: tuple[str, ...] = ()
        for name in reversed(self.night.merged):
            folder = self.night.root / name
            if name in replaced and _is_unreadable(folder):
                self.into.notes.append(f"{folder} cannot be read; a newer one has its rows")
            else:
                replaced += self._consider(folder)
        for folder in self.night.loose():
            held = self.taken.get(name_of(folder))
            if held is None:
                self._consider(folder)
            elif manifests.digest_of(folder) != held:
                self.into.notes.append(f"{folder} does not match what was compacted from it")
        for source in self.partly:
            if source.found.names.isdisjoint(self.taken):
                self._take(source)

    def _consider(self, folder: Path) -> tuple[str, ...]:
        """Take a kept folder that is whole, put off one that is damaged in part, name one that is
        damaged in whole. Returns the names of folders that it says it has replaced."""
        try:
            found = self._read(folder)
            if found.names <= self.taken.keys():
                return found.replaces
            self._check(folder, found)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one folder
            self.into.damaged.append(reason_of(folder, error))
            return ()
        wanted = [entry for entry in found.files if not is_retired(folder / entry.path)]
        whole = tuple(entry for entry in wanted if self._is_whole(folder, entry, found))
        source = _Source(folder, found, whole)
        if len(whole) < len(wanted):
            self.partly.append(source)
        else:
            self._take(source)
        return found.replaces

    def _read(self, folder: Path) -> MergedNight:
        """What a kept folder says of itself; one that lies as it landed as if it were merged."""
        if folder.name.startswith("+"):
            return read_merged(folder)
        manifest, digest = manifests.read(folder)
        identity = manifest.identity
        if name_of(folder) != f"{identity.run_id}/{identity.target}":
            raise HistoryError(f"{folder} says that it is {identity.run_id}/{identity.target}")
        landed = LandedFolder(manifest, digest, self._landed_at(folder))
        return MergedNight(manifest.schema_version, (landed,), manifest.files, ())

    def _landed_at(self, folder: Path) -> datetime:
        """When a folder landed; where it does not say, when it was moved here."""
        try:
            said = read_landed_at(folder)
        except HistoryError as error:
            self.into.notes.append(f"{error.message}; it landed when the folder was moved")
            said = None
        moved = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        return tables.naive_utc(moved) if said is None else said

    def _check(self, folder: Path, found: MergedNight) -> None:
        """Whether a kept folder is of this night, and nothing of it is in already."""
        for one in found.folders:
            if one.manifest.identity.night != self.night.night:
                raise HistoryError(f"{folder} holds {one.name} of {one.manifest.identity.night}")
            if one.name in self.taken:
                raise HistoryError(f"{folder} holds {one.name}, which another folder holds too")
        if len(found.names) != len(found.folders):
            raise HistoryError(f"{folder} holds a folder twice")

    def _is_whole(self, folder: Path, entry: FileEntry, found: MergedNight) -> bool:
        """Whether a file is what its manifest says; one that is not is named."""
        try:
            manifests.verify_files(folder, (entry,))
            if not folder.name.startswith("+"):
                check_contents(folder, (entry,), found.folders[0].manifest.identity)
        except Exception as error:  # noqa: BLE001 - whatever a Parquet reader makes of one file
            self.into.damaged.append(reason_of(folder / entry.path, error))
            return False
        return True

    def _take(self, source: _Source) -> None:
        """The rows of a source's whole files, and that its folders have landed."""
        into, found = self.into, source.found
        self.taken |= {one.name: one.digest for one in found.folders}
        into.landings += [ledger_row(o.manifest, o.digest, o.landed_at) for o in found.folders]
        relative = source.folder.relative_to(self.places.root)
        for entry in source.whole:
            if tables.BY_NAME[entry.table].bulky:
                row = fact_row(entry, self.night.night, found.schema_version, relative)
                into.facts.append(row)
            else:
                alike = into.files.setdefault((entry.table, found.schema_version), [])
                alike.append((source.folder / entry.path, entry.row_count))


def _is_unreadable(merged: Path) -> bool:
    try:
        read_merged(merged)
    except HistoryError:
        return True
    return False
