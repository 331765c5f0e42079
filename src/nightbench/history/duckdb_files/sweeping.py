"""Removing what merging has replaced and retention has retired, once nobody can want it.

Nothing is removed by a name that a file gives. What may go is worked out anew from what lies in
`nights/`: a folder whose very content the newest merged one holds, whole, and a fact file that
carries its mark; neither may still be listed by the ledger. Of it only files known by name are
removed, so that whatever else a folder holds stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.damage import reason_of
from nightbench.history.duckdb_files.compacted_night import (
    MERGED_NAME,
    name_of,
    newest_merged,
    read_merged,
)
from nightbench.history.duckdb_files.kept_nights import KeptNight
from nightbench.history.duckdb_files.landed_at import LANDED_NAME
from nightbench.history.duckdb_files.retired import MARK, is_retired
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import is_folder, is_regular, names_in, remove_files
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.folders import IDENTITY_NAME, LOCK_NAME
from nightbench.history.spool.manifest import FileEntry


@dataclass(frozen=True, slots=True)
class Removal:
    """Files of a folder that are to go. `path` names it, relative to the history; `holder` is the
    merged folder that holds their rows, which must be whole before they go."""

    path: str
    folder: Path
    files: tuple[str, ...]
    holder: Path | None = None


def removals(
    places: HistoryPlaces, nights: Sequence[KeptNight], *, listed: Set[str], past: Set[str]
) -> tuple[list[Removal], list[str]]:
    """What may be removed, and what stands in the way of more. `listed`: paths that the ledger
    lists; `past`: those that are past their retention, by the clock of now."""
    found: list[Removal] = []
    problems: list[str] = []
    for night in nights:
        try:
            of_night = [*_replaced(places, night, problems), *_unfinished(places, night)]
            found += [one for one in of_night if not _is_listed(places, one, listed)]
        except (HistoryError, OSError) as error:
            problems.append(reason_of(night.root, error))
    return [*found, *_retired(places, past - listed)], problems


def _is_listed(places: HistoryPlaces, removal: Removal, listed: Set[str]) -> bool:
    folder = _path(places, removal.folder)
    return any(f"{folder}/{name}" in listed for name in removal.files)


def _unfinished(places: HistoryPlaces, night: KeptNight) -> Iterator[Removal]:
    for name in night.unfinished:
        folder = night.root / name
        yield Removal(_path(places, folder), folder, tuple(names_in(folder)))


def _retired(places: HistoryPlaces, past: Set[str]) -> list[Removal]:
    paths = [places.root / path for path in sorted(past)]
    return [
        Removal(_path(places, path), path.parent, (path.name,))
        for path in paths
        if is_retired(path) and is_regular(path)
    ]


def _replaced(places: HistoryPlaces, night: KeptNight, problems: list[str]) -> Iterator[Removal]:
    newest = None if night.is_one_merged else newest_merged(night)
    if newest is None:
        return
    holder, merged = newest
    for name in night.merged[:-1]:
        folder = night.root / name
        before = read_merged(folder)
        if before.digests <= merged.digests:
            files = (*_with_marks(before.files), MERGED_NAME)
            yield Removal(_path(places, folder), folder, files, holder)
        else:
            problems.append(f"{folder} has folders that {holder.name} lacks: not removed")
    held = {one.name: one for one in merged.folders}
    for folder in night.loose():
        one = held.get(name_of(folder))
        if one is not None and manifests.digest_of(folder) == one.digest:
            own = (IDENTITY_NAME, LOCK_NAME, LANDED_NAME, manifests.FILE_NAME)
            files = (*_with_marks(one.manifest.files), *own)
            yield Removal(_path(places, folder), folder, files, holder)
        elif one is not None:
            problems.append(
                f"{folder} does not match what was compacted into {holder.name}: not removed"
            )


def _with_marks(entries: Iterable[FileEntry]) -> list[str]:
    names = [entry.path for entry in entries]
    return [*names, *(f"{name.removesuffix('.parquet')}{MARK}" for name in names)]


def _path(places: HistoryPlaces, path: Path) -> str:
    return str(path.relative_to(places.root))


def sweep(
    found: list[Removal], due: Mapping[str, float], *, elapsed_s: float, grace_s: float
) -> tuple[int, dict[str, float], list[str]]:
    """Remove what has been waiting for the grace period; the others wait on.

    Returns how many went, what waits now and since when, and what stood in the way.
    """
    removed, problems = 0, []
    waiting: dict[str, float] = {}
    whole: dict[Path, bool] = {}
    for removal in found:
        since = due.get(removal.path, elapsed_s)
        if removal.path not in due or elapsed_s - since < grace_s:
            waiting[removal.path] = since
            continue
        try:
            _check_holder(removal.holder, whole)
            _remove(removal)
            removed += 1
        except (HistoryError, OSError) as error:
            waiting[removal.path] = since
            problems.append(f"{removal.folder} was not removed: {error}")
    return removed, waiting, problems


def _check_holder(holder: Path | None, whole: dict[Path, bool]) -> None:
    """Hold the merged folder against its digests before what it replaces goes."""
    if holder is None:
        return
    if holder not in whole:
        whole[holder] = False
        entries = read_merged(holder).files
        there = [e for e in entries if not is_retired(holder / e.path)]
        manifests.verify_files(holder, there)
        whole[holder] = True
    if not whole[holder]:
        raise HistoryError(f"{holder} is incomplete")


def _remove(removal: Removal) -> None:
    is_whole_folder = removal.holder is not None or removal.folder.name.endswith(".new")
    if not is_whole_folder:
        (removal.folder / removal.files[0]).unlink(missing_ok=True)
        return
    remove_files(removal.folder, removal.files)
    parent = removal.folder.parent
    if not parent.name.startswith("night=") and is_folder(parent) and not names_in(parent):
        parent.rmdir()
