"""Files and folders where other users can write too, used so that none of them leads us astray.

In a shared folder any name may be anybody's link, pipe, device, or a file of a terabyte. Nothing
is opened here through a link, nothing that is no regular file, and nothing waits for a writer. Who
made a file is what the kernel says of it. Standard library only: the supervisor uses it too.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

_MOST_LINKS = 40  # as the kernel counts them
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotARegularFile(OSError):
    """A link, a pipe, a socket, a device or a folder, where a file was expected."""


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that is there. Raises NotARegularFile, or the OSError of open(2).

    It is looked at before it is opened, since opening a device may do something, and afterwards,
    since it may have been replaced in between.
    """
    _refuse_irregular(os.lstat(path), path)
    try:
        fd = os.open(path, flags | _SAFELY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotARegularFile(error.errno, "it was replaced", str(path)) from None
        raise
    try:
        _refuse_irregular(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _refuse_irregular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotARegularFile(errno.EINVAL, f"it is {kind_of(found.st_mode)}", str(path))


def read_at_most(fd: int, max_bytes: int) -> bytes | None:
    """The whole content; None where it is longer than that."""
    content = b""
    while len(content) <= max_bytes:
        part = os.pread(fd, max_bytes + 1 - len(content), len(content))
        if not part:
            return content
        content += part
    return None


def open_lock(path: Path, mode: int = 0o644) -> int:
    """Open or make a file to be locked (flock). Raises NotARegularFile, or the OSError of open(2).

    One that another user made is opened for reading, which is enough to lock it. O_CREAT comes
    second: in a sticky folder the kernel may refuse it on somebody else's file.
    """
    while True:
        try:
            return open_regular(path, os.O_RDWR)
        except PermissionError:
            return open_regular(path)
        except FileNotFoundError:
            pass
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, mode)
        except FileExistsError:
            continue


# ---------------------------------------------------------------- who it is


def owner_name(uid: int) -> str:
    """The user's name, or the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def is_trusted(uid: int) -> bool:
    """Whether it is this user or root."""
    return uid in (0, os.geteuid())


def _may_be_root(uid: int) -> bool:
    """In a user namespace that does not map root, the kernel shows root as the overflow uid."""
    return uid == _overflow_uid() and not _root_is_mapped()


def _overflow_uid() -> int:
    return int(Path("/proc/sys/kernel/overflowuid").read_text())


def _root_is_mapped() -> bool:
    """Whether this user namespace knows the machine's root by any number."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(int(outside) == 0 for _, outside, _ in ranges)


def kind_of(mode: int) -> str:
    """What a name stands for, in words."""
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a folder",
        stat.S_IFREG: "a file",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


# ---------------------------------------------------------------- folders


def distrust(folder: Path) -> tuple[Path, str] | None:
    """Where on the way to a folder others could put something else in its place, and why; None
    where only this user and root can. What is not there yet is no reason.
    """
    steps = list(_way_to(folder))
    for step, found in steps:
        is_last = step == steps[-1][0]
        if not (is_trusted(found.st_uid) or (_may_be_root(found.st_uid) and not is_last)):
            return step, f"it is {kind_of(found.st_mode)} of {owner_name(found.st_uid)}"
        if stat.S_ISLNK(found.st_mode):
            continue
        if not stat.S_ISDIR(found.st_mode):
            return step, f"it is {kind_of(found.st_mode)}, not a folder"
        if _others_write(found) and not found.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(found.st_mode)
            return step, f"other users may rename its entries (mode {mode:04o}, not sticky)"
    return None


def _way_to(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link from the root to `folder`, as far as there are any."""
    here, links = Path("/"), 0
    todo = list(folder.absolute().parts[1:])
    yield here, os.lstat(here)
    while todo:
        part = todo.pop(0)
        if part == "..":
            here = here.parent  # `here` has no links in it
            continue
        step = here / part
        try:
            found = os.lstat(step)
        except (FileNotFoundError, NotADirectoryError):
            return
        yield step, found
        if not stat.S_ISLNK(found.st_mode):
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
        target = step.readlink()
        todo = [*(part for part in target.parts if part != "/"), *todo]
        here = Path("/") if target.is_absolute() else here


def _others_write(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_of_one(found.st_gid)


def _is_of_one(gid: int) -> bool:
    """Whether a group is root's, or has nobody in it but the user it is named after: with those,
    a umask of 002 shares nothing."""
    if gid == 0:
        return True
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return (
        gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    )
