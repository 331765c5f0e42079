"""A temporary folder for one launch, which goes with its server: sockets, caches, whatever an
engine leaves under TMPDIR. The supervisor removes it.

It is locked (flock) as long as guard or supervisor live. One of ours that nobody has locked is what
a killed pair left, and is removed by the next launch or reaper. No record names it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nightbench.serving.supervise.supervised_files import is_at, remove_folder

# Short: the path of a Unix socket has 107 bytes, and Ray takes 68 below its temporary folder.
_PREFIX = "nightbench."
_NAME = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{8}", re.ASCII)
_LONGEST_BASE = 19
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Scratch:
    """The folder, kept as long as `fd` or an inherited copy of it is open."""

    path: Path
    fd: int

    def hand_over(self) -> None:
        """Close our copy: from now on who inherited the other one keeps it."""
        os.close(self.fd)


def make() -> Scratch:
    """A new one, open to this user only. Raises OSError."""
    for _ in range(100):
        path = _base() / f"{_PREFIX}{secrets.token_hex(4)}"
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        fd = _lock_ours(path)
        if fd is not None:
            return Scratch(path, fd)
    raise FileExistsError(errno.EEXIST, "no private folder can be created in", str(_base()))


def _base() -> Path:
    """The machine's temporary folder, unless sockets could not have their names below it."""
    named = Path(tempfile.gettempdir())
    return named if len(os.fsencode(named)) <= _LONGEST_BASE else Path("/tmp")  # noqa: S108


def sweep() -> None:
    """Remove those of this user that nobody keeps."""
    for base in {Path(tempfile.gettempdir()), Path("/tmp")}:  # noqa: S108
        try:
            names = [name for name in os.listdir(base) if _NAME.fullmatch(name)]  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            fd = _lock_ours(base / name)
            if fd is not None:
                remove_folder(base / name, fd)
                os.close(fd)


def _lock_ours(path: Path) -> int | None:
    """Its descriptor, locked, if it is a folder of this user that nobody keeps."""
    try:
        fd = os.open(path, _OPEN)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and found.st_mode & 0o777 == 0o700:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(path, fd):
                return fd
    except OSError:
        pass
    os.close(fd)
    return None
