"""Files that nobody else on this machine may read or write, and what they are told from.

A file is opened without following links, and looked at once it is open: what lies under its name
may have changed since.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import IO

from nightbench.errors import NightbenchError

FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(folder: Path, *, but: Path | None = None) -> None:
    """Have the folder, and everything in it, for ourselves alone; `but` as of `close_to_others`.

    Raises:
        NightbenchError: it is another user's, who could change what is in it.
    """
    close_to_others(folder, but=but)
    if {folder.stat().st_uid, folder.lstat().st_uid} != {os.geteuid()}:
        raise NightbenchError(
            f"{folder} is another user's",
            hint="Run nightbench as its owner, or set NIGHTBENCH_HOME to a folder of your own.",
        )


def close_to_others(folder: Path, *, but: Path | None = None) -> None:
    """Make the folder, and take away what others may do with it and with everything in it; `but`
    stays as it is, to be refused by who reads it: closed now, it would look as if it always was."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close(folder.resolve())
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (path := Path(place, name)) != but:
                _close(path)


def _close(path: Path) -> None:
    """A link's own mode means nothing, and its end is not ours to change."""
    try:
        found = path.lstat()
        mode = stat.S_IMODE(found.st_mode)
        mine = found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)
        if mine and mode & FOR_OTHERS:
            path.chmod(mode & ~FOR_OTHERS)
    except FileNotFoundError:
        pass  # a database's journal comes and goes


def read_private(path: Path) -> str | None:
    """What the file says, None where there is none.

    Raises:
        NightbenchError: others may read or write it, or have made it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NightbenchError(
            f"{path} cannot be read: {error.strerror}", hint="Remove it; another one is made."
        ) from error
    try:
        _refuse_others(path, os.fstat(descriptor))
        with os.fdopen(descriptor, encoding="utf-8", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _refuse_others(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise NightbenchError(
            f"{path} is not a file of this user's own",
            hint="Somebody else may have put it there. Remove it; another one is made.",
        )
    if found.st_mode & FOR_OTHERS:
        raise NightbenchError(
            f"{path} may be read or written by others",
            hint=f"Remove it, and another one is made; or, if nobody has: chmod 600 {path}",
        )


def write_private_once(path: Path, text: str) -> bool:
    """Make the file, whole or not at all. False where there is one already."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open_private(draft, os.O_EXCL) as file:
        file.write(text.encode())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def open_private(path: Path, flags: int) -> IO[bytes]:
    """Open for writing, made for ourselves alone where it is new; `flags` as of os.open."""
    wanted = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags
    return os.fdopen(os.open(path, wanted, 0o600), "wb")
