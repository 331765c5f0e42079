"""What lies in `nights/`: each night's landed folders, one by one or merged.

    nights/night=2026-11-21/<run_id>/<target>/    as it landed
    nights/night=2026-11-21/+merged-0001/         the whole night, once it is over

Only real folders under proper names count. Whatever else is there is named and left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from nightbench.history.damage import Damaged, reason_of
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import is_folder, names_in
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.identity import FIRST_NIGHT, LAST_NIGHT, is_name

_NIGHT = re.compile(r"night=(\d{4}-\d\d-\d\d)")
_MERGED = re.compile(r"\+merged-(\d{4,18})")
MERGING_SUFFIX = ".new"  # of a merged folder that is being written


@dataclass(frozen=True, slots=True)
class KeptNight:
    """The folder of a night. `merged`: names of merged folders, the newest last; `unfinished`:
    merged folders whose writer was killed; `runs`: folders of runs; `strange`: neither."""

    night: date
    root: Path
    merged: tuple[str, ...]
    unfinished: tuple[str, ...]
    runs: tuple[str, ...]
    strange: tuple[str, ...]

    @property
    def is_one_merged(self) -> bool:
        """Whether one merged folder is all there is."""
        return len(self.merged) == 1 and not (self.unfinished or self.runs or self.strange)

    def loose(self) -> Iterator[Path]:
        """Folders that lie as they landed, by run and target."""
        return (path for path in self._in_runs() if _is_landed(path))

    def unknown(self) -> Iterator[Path]:
        """What lies among them and is none, but holds facts. (What sealing rejected stays there
        when the folder has been merged.)"""
        for path in self._in_runs():
            if not _is_landed(path) and not (is_folder(path) and _holds_no_facts(path)):
                yield path

    def _in_runs(self) -> Iterator[Path]:
        for run in self.runs:
            names = names_in(self.root / run)
            yield from (self.root / run / name for name in names if not name.startswith("."))


def _is_landed(path: Path) -> bool:
    return is_name(path.name) and is_folder(path) and os.path.lexists(path / manifests.FILE_NAME)


def _holds_no_facts(folder: Path) -> bool:
    return not any(name.endswith(".parquet") for name in names_in(folder))


def kept_nights(places: HistoryPlaces) -> tuple[list[KeptNight], list[Damaged]]:
    """The nights that are kept, oldest first; and what is in `nights/` besides.

    Raises:
        OSError: `nights/` itself may not be listed.
    """
    nights, strange = [], []
    if not places.nights.is_dir():
        return [], []
    with os.scandir(places.nights) as entries:
        folders = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    for name, is_real in sorted(folders.items()):
        path, night = places.nights / name, night_of(name)
        try:
            if night is not None and is_real:
                nights.append(_listed(night, path))
            elif not name.startswith("."):
                strange.append(Damaged(path, f"{path} is not the folder of a night"))
        except OSError as error:
            strange.append(Damaged(path, reason_of(path, error)))
    return nights, strange


def night_of(name: str) -> date | None:
    """The night that a folder is called after."""
    match = _NIGHT.fullmatch(name)
    try:
        night = date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
    return night if night is not None and FIRST_NIGHT <= night <= LAST_NIGHT else None


def kept_night(places: HistoryPlaces, night: date) -> KeptNight:
    """What lies in the folder of a night; nothing where there is none.

    Raises:
        OSError: it may not be listed.
    """
    root = places.night(night)
    return _listed(night, root) if is_folder(root) else KeptNight(night, root, (), (), (), ())


def _listed(night: date, root: Path) -> KeptNight:
    merged, unfinished, runs, strange = [], [], [], []
    with os.scandir(root) as entries:
        folders = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    for name, is_real in sorted(folders.items()):
        if is_real and _MERGED.fullmatch(name):
            merged.append(name)
        elif is_real and _MERGED.fullmatch(name.removesuffix(MERGING_SUFFIX)):
            unfinished.append(name)
        elif is_real and is_name(name):
            runs.append(name)
        elif not name.startswith("."):
            strange.append(name)
    merged.sort(key=_number)
    return KeptNight(night, root, tuple(merged), tuple(unfinished), tuple(runs), tuple(strange))


def next_merged_name(night: KeptNight, known: Iterable[str] = ()) -> str:
    """What the next merged folder of a night is called: later than all there are, and than those
    that were: `known` are paths that name such a folder. A reader may still have one of them open,
    and what waits to be removed waits by its name."""
    parts = [part for path in known for part in Path(path).parts]
    numbers = map(_number, (*night.merged, *night.unfinished, *parts))
    return f"+merged-{max(numbers, default=0) + 1:04d}"


def _number(name: str) -> int:
    match = _MERGED.fullmatch(name.removesuffix(MERGING_SUFFIX))
    return int(match[1]) if match else 0
