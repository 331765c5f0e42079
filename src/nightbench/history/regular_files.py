"""Files and folders as they should be: regular files, real folders, no links anywhere.

What lies in the spool and in `nights/` is named by manifests, and a manifest is text that anybody
with access to the folder may have written. So nothing here follows a link, opens a pipe or a
device, or removes anything but files that are known by name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from nightbench.errors import HistoryError
from nightbench.home.private_files import PRIVATE_FILE

MOST_JSON_BYTES = 64 << 20  # of a manifest or what else is read whole: no healthy one comes near


def open_regular(path: Path) -> BinaryIO:
    """A regular file, to be read.

    Raises:
        HistoryError: it is a link, a folder, a pipe or a device.
        OSError: it is not there or may not be read.
    """
    if path.is_symlink():
        raise HistoryError(f"{path} is a link, not a file")
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise HistoryError(f"{path} is not a regular file")
    return os.fdopen(fd, "rb")


def read_regular(path: Path, *, most_bytes: int = MOST_JSON_BYTES) -> bytes:
    """The content of a small regular file.

    Raises:
        HistoryError: it is no regular file, or larger than `most_bytes`.
        OSError: it is not there or may not be read.
    """
    with open_regular(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise HistoryError(f"{path} is larger than {most_bytes} bytes")
    return content


def create_anew(path: Path) -> BinaryIO:
    """A new private file in the place of whatever file or link was there.

    Raises:
        OSError: a folder is in the way, or the disk does not take it.
    """
    with suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb")


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Put a file in its place with all of its content, or leave the old one. `sync`: whether it
    must outlast a power cut.

    Raises:
        OSError: the disk does not take it.
    """
    aside = path.with_name(f"{path.name}.new")
    with create_anew(aside) as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    aside.rename(path)


def is_folder(path: Path) -> bool:
    """Whether it is a folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def is_regular(path: Path) -> bool:
    """Whether it is a regular file itself, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it is no folder itself.

    Raises:
        OSError: it may not be listed.
    """
    return sorted(os.listdir(folder)) if is_folder(folder) else []  # noqa: PTH208  (no paths in vain)


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove these files of a folder; what else is in it stays, and so does the folder with it.

    Raises:
        OSError: a file could not be removed.
    """
    if not is_folder(folder):
        return
    for name in names:
        path = folder / name
        if path.name == name and not is_folder(path):
            path.unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it: it is kept
        folder.rmdir()
