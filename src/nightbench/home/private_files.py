"""Who may read what nightbench writes: its owner alone, and the history a group where one is named.

A file that a person asked for (`--json FILE`) is theirs, with their own umask. A secret's file is
opened without following links, and looked at once it is open: what lies under its name may have
changed since.
"""

from __future__ import annotations

import grp
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nightbench.errors import BadInput, NightbenchError

PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600
PRIVATE_UMASK = 0o077
_GROUP_DIR = 0o750
_GROUP_FILE = 0o640
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(folder: Path) -> None:
    """A folder and those above it that are missing, for their owner only."""
    if not folder.exists():
        make_private(folder.parent)
        folder.mkdir(mode=PRIVATE_DIR, exist_ok=True)


def write_as_asked(path: Path, text: str, umask: int) -> None:
    """Write a file that a person named, as their umask would have it; one that is there keeps its
    permissions."""
    is_new = not path.exists()
    path.write_text(text, encoding="utf-8")
    if is_new:
        path.chmod(0o666 & ~umask)


def private_folder(folder: Path, *, but: Path | None = None) -> None:
    """Have the folder, and everything in it, for ourselves alone; `but` as of `close_to_others`.

    Raises:
        NightbenchError: it is another user's, who could change what is in it.
    """
    close_to_others(folder, but=but)
    if {folder.stat().st_uid, folder.lstat().st_uid} != {os.geteuid()}:
        raise NightbenchError(
            f"{folder} belongs to another user",
            hint="Run nightbench as its owner, or set NIGHTBENCH_HOME to a folder of your own.",
        )


def close_to_others(folder: Path, *, but: Path | None = None) -> None:
    """Make the folder, and take away what others may do with it and with everything in it; `but`
    stays as it is, to be refused by who reads it: closed now, it would look as if it always was."""
    make_private(folder)
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
        if mine and mode & _FOR_OTHERS:
            path.chmod(mode & ~_FOR_OTHERS)
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
            f"{path} cannot be read: {error.strerror}", hint="Remove it; a new one is created."
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
            f"{path} does not belong to this user",
            hint="Somebody else may have put it there. Remove it; a new one is created.",
        )
    if found.st_mode & _FOR_OTHERS:
        raise NightbenchError(
            f"{path} is accessible to other users",
            hint=f"Remove it, and a new one is created; or, if nobody has read it: chmod 600 "
            f"{path}",
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
    return os.fdopen(os.open(path, wanted, PRIVATE_FILE), "wb")


@dataclass(frozen=True, slots=True)
class GroupAccess:
    """Who reads a history besides its owner: the members of a group, or nobody (`gid` None)."""

    gid: int | None = None

    @classmethod
    def of(cls, group: str) -> GroupAccess:
        """The group of that name or number; "" is nobody.

        Raises:
            BadInput: there is no such group, or we are not in it and so cannot give it anything.
        """
        if not group:
            return cls()
        gid = _gid_of(group)
        if os.geteuid() != 0 and gid not in (os.getegid(), *os.getgroups()):
            raise BadInput(
                f"NIGHTBENCH_GROUP is {group}, of which you are not a member",
                hint="Join it (`usermod -aG`, then log in again), or name one of your groups.",
            )
        return cls(gid)

    @property
    def dir_mode(self) -> int:
        """What a folder they may read has."""
        return PRIVATE_DIR if self.gid is None else _GROUP_DIR

    @property
    def file_mode(self) -> int:
        """What a file they may read has."""
        return PRIVATE_FILE if self.gid is None else _GROUP_FILE

    def have(self, found: os.stat_result, mode: int) -> bool:
        """Whether a path of this state is theirs with exactly this mode."""
        return found.st_mode & 0o7777 == mode and self.gid in (None, found.st_gid)

    def give(self, path: Path | int, mode: int) -> None:
        """Give them a path, or what a descriptor is open on, with this mode."""
        if self.gid is not None:
            os.chown(path, -1, self.gid)
        os.chmod(path, mode)  # noqa: PTH101  (takes a descriptor too)


def _gid_of(group: str) -> int:
    if group.isascii() and group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise BadInput(
            f"NIGHTBENCH_GROUP is {group}, which does not exist on this machine",
            hint="`getent group` lists the groups.",
        ) from None
