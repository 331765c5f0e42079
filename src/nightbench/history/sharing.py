"""Who may read a history besides its owner: the published copy and the landed Parquet, no more.

A landed folder is opened when it is there in full, and its own permissions say so: a pass over a
thousand nights looks at a thousand folders and opens none of them twice.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.places import HistoryPlaces
from nightbench.home.private_files import PRIVATE_DIR, PRIVATE_FILE, GroupAccess

_FACTS = ".parquet"


def share(places: HistoryPlaces) -> bool:
    """Have the history as its readers are to have it; whether it was not open to them, or was
    open and is not to be.

    Raises:
        BadInput: there is no such group, or its owner is not in it.
        HistoryError: permissions could not be changed.
    """
    readers = places.readers
    try:
        root = places.root.stat()
    except FileNotFoundError:
        return False
    changes = not readers.have(root, readers.dir_mode)
    try:
        if readers.gid is None:
            if changes:
                _close(places.root)
        else:
            _open(places, readers, anew=changes)
    except PermissionError as error:
        raise HistoryError(
            f"the permissions of {places.root} could not be changed: {error}",
            hint="Its files must be yours and on a file system with permissions.",
        ) from error
    return changes


def _close(root: Path) -> None:
    """All of it for its owner, the root first: nothing below can be reached after that."""
    root.chmod(PRIVATE_DIR)
    for folder, folders, files in os.walk(root):
        for name in folders:
            _set(Path(folder, name), GroupAccess(), PRIVATE_DIR)
        for name in files:
            _set(Path(folder, name), GroupAccess(), PRIVATE_FILE)


def _open(places: HistoryPlaces, readers: GroupAccess, *, anew: bool) -> None:
    """What has landed for its readers, the root last: it says that the rest is done."""
    if places.nights.exists():
        for night in _folders(places.nights):
            for folder in _folders(night):
                for landed in [folder] if folder.name.startswith("+") else _folders(folder):
                    _open_landed(landed, readers)
                _set(folder, readers, readers.dir_mode)
            _set(night, readers, readers.dir_mode)
        _set(places.nights, readers, readers.dir_mode)
    if anew:
        for path in (p for p in places.root.iterdir() if p != places.nights):
            _close_other(path)
        if places.published.exists():
            _set(places.published, readers, readers.file_mode)
        readers.give(places.root, readers.dir_mode)


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, without those that are still being made."""
    try:
        with os.scandir(folder) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and not entry.name.startswith(".")
                and not entry.name.endswith(".new")
            ]
    except FileNotFoundError:  # merged and swept under our eyes
        return []


def _open_landed(folder: Path, readers: GroupAccess) -> None:
    """A landed folder and the facts in it; its manifest stays its owner's."""
    try:
        if readers.have(folder.stat(), readers.dir_mode):
            return
        for path in folder.iterdir():
            if path.suffix == _FACTS:
                _set(path, readers, readers.file_mode)
            else:
                _close_other(path)
        readers.give(folder, readers.dir_mode)
    except FileNotFoundError:
        return


def _close_other(path: Path) -> None:
    """What is not for readers, were it left open by an earlier release."""
    _set(path, GroupAccess(), PRIVATE_DIR if path.is_dir() else PRIVATE_FILE)


def _set(path: Path, readers: GroupAccess, mode: int) -> None:
    """Give a path exactly this mode, where it has another; a link is left alone."""
    try:
        state = path.lstat()
        if not stat.S_ISLNK(state.st_mode) and not readers.have(state, mode):
            readers.give(path, mode)
    except FileNotFoundError:
        return  # a lander took it away meanwhile
