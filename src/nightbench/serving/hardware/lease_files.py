"""Lease files: what a user holds or has left, in a folder where every user may write.

    core-0.1f0c3a5b7d9e2468.lease     one file per lease and holder, never used again
    ^resource ^at random

* A holder makes a file of its own, locks it, and only then gives it its name: it *announces*. Then
  it looks for other locked files of the same resource. Who has announced and sees no other has the
  resource; who sees one withdraws. Of two that announce, at least one does so before the other
  looks: two never have it, whatever the order, and no file is shared.
* The lock is a write lock of an open file description (F_OFD_SETLK). It takes a descriptor that may
  write, which only the file's owner can get (mode 0644), and anybody who may read can see it
  (F_OFD_GETLK) without touching it. So a lock that is seen was taken by the user who owns the file.
* In a sticky folder only its owner (and root) can remove, rename or replace a file.
* The first line is the file's own name: a hard link under another name is no lease.
* An inherited descriptor keeps the lock: it is gone when the last process that has one is.

What anybody else makes in the folder therefore holds at most what a living process of theirs holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import struct
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightbench.home import owned_files
from nightbench.serving.supervise.supervised_files import header, lease_bytes, remove_lease

MAX_BYTES = 64 << 10
LINE = "line"
_NAME = re.compile(
    r"(line|core-[0-9]{1,5}|gpu-[A-Za-z0-9-]{1,80}|endpoint-[0-9a-f]{16})\.[0-9a-f]{16}\.lease",
    re.ASCII,
)
_EARLIER = re.compile(r"(core-[0-9]{1,5}|gpu-[A-Za-z0-9-]{1,80})\.lock", re.ASCII)
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux
_WHOLE_FILE = (os.SEEK_SET, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease file of ours, locked as long as `fd` or an inherited copy of it is open."""

    resource: str
    path: Path
    fd: int

    def withdraw(self) -> None:
        """Give it up."""
        with contextlib.suppress(OSError):  # a file that nobody holds is no lease either
            remove_lease(self.path, self.fd)
        os.close(self.fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseFile:
    """A lease file as it was found: whose, whether locked, and what it says (None: too much)."""

    path: Path
    resource: str
    owner: int
    held: bool
    body: bytes | None
    earlier: bool = False  # a lock of an earlier release, which nobody says anything in

    @property
    def is_mine(self) -> bool:
        """Whether this user wrote it."""
        return self.owner == os.geteuid()


@dataclass(frozen=True, slots=True)
class Stray:
    """Something else in the folder: left alone, and named."""

    path: Path
    what: str


# ---------------------------------------------------------------- ours


def announce(where: Path, resource: str, record: Mapping[str, Any]) -> Claim:
    """Make a lease file that is locked before anybody can see it. Raises OSError."""
    path, fd = _create(where, resource, record)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, *_WHOLE_FILE))
        _give_name(fd, path)
    except BaseException:
        os.close(fd)
        _unfinished(path).unlink(missing_ok=True)
        raise
    return Claim(resource, path, fd)


def leave(where: Path, resource: str, record: Mapping[str, Any]) -> None:
    """Make a lease file that nobody holds: a note for the reaper. Raises OSError."""
    path, fd = _create(where, resource, record)
    try:
        _give_name(fd, path)
    finally:
        os.close(fd)


def _create(where: Path, resource: str, record: Mapping[str, Any]) -> tuple[Path, int]:
    path = where / f"{resource}.{secrets.token_hex(8)}.lease"
    if not _NAME.fullmatch(path.name):
        raise ValueError(f"{path.name} is not a valid name of a lease file")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(_unfinished(path), flags, 0o600)
    try:
        os.pwrite(fd, lease_bytes(path.name, record), 0)
    except BaseException:
        os.close(fd)
        _unfinished(path).unlink(missing_ok=True)
        raise
    return path, fd


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _give_name(fd: int, path: Path) -> None:
    os.fchmod(fd, 0o644)  # whatever the umask says: everybody looks, its owner writes
    _unfinished(path).rename(path)


# ---------------------------------------------------------------- everybody's


def listing(
    where: Path, wanted: Container[str] | None = None
) -> tuple[list[LeaseFile], list[Stray]]:
    """The lease files in a folder (of the `wanted` resources), and what else lies there.

    Raises OSError for a folder that cannot be read, and where this process cannot open any more
    files: it must not take that for a resource that is free.
    """
    files: list[LeaseFile] = []
    strays: list[Stray] = []
    with os.scandir(where) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        match = _NAME.fullmatch(name) or _EARLIER.fullmatch(name)
        if match is None:
            if not _is_unfinished(name):
                strays.append(Stray(where / name, _what_else(where / name)))
        elif wanted is None or match[1] in wanted:
            found = _look_at(where / name, match[1])
            if isinstance(found, LeaseFile):
                files.append(found)
            else:
                strays.append(found)
    return files, [stray for stray in strays if stray.what]


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") and name.endswith(".new")


def _what_else(path: Path) -> str:
    try:
        found = os.lstat(path)
    except OSError:
        return ""
    return f"{owned_files.kind_of(found.st_mode)} of {owned_files.owner_name(found.st_uid)}"


def _look_at(path: Path, resource: str) -> LeaseFile | Stray:
    """One file, as far as it is what its name says. A stray without words is gone meanwhile."""
    try:
        fd = owned_files.open_regular(path)
    except FileNotFoundError:
        return Stray(path, "")
    except (owned_files.NotARegularFile, PermissionError, BlockingIOError) as error:
        # No lease: every honest one is a regular file that everybody may read.
        return Stray(path, _what_else(path) or str(error.strerror))
    try:
        found = os.fstat(fd)
        if path.suffix == ".lock":
            return _of_an_earlier_release(path, resource, fd, found.st_uid)
        line = header(path.name)
        if os.pread(fd, len(line), 0) != line:
            return Stray(
                path,
                f"a file of {owned_files.owner_name(found.st_uid)} without nightbench's header",
            )
        content = owned_files.read_at_most(fd, MAX_BYTES)
        return LeaseFile(
            path=path,
            resource=resource,
            owner=found.st_uid,
            held=_is_write_locked(fd),
            body=content[len(line) :] if content is not None else None,
        )
    finally:
        os.close(fd)


def _of_an_earlier_release(path: Path, resource: str, fd: int, owner: int) -> LeaseFile | Stray:
    """It counts while a run of that release has it locked; what it says is never read."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return LeaseFile(
            path=path, resource=resource, owner=owner, held=True, body=None, earlier=True
        )
    return Stray(path, f"an unused lock of an earlier release, of {owned_files.owner_name(owner)}")


def _is_write_locked(fd: int) -> bool:
    """Whether somebody else's descriptor has the owner's lock. A read lock would be refused by
    nothing else: readers, whoever they are, do not count."""
    probe = _FLOCK.pack(fcntl.F_RDLCK, *_WHOLE_FILE)
    lock_type: int = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, probe))[0]
    return lock_type != fcntl.F_UNLCK
