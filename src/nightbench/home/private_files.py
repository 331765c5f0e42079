"""Who may read what nightbench writes: its owner alone, and the history a group where one is named.

A file that a person asked for (`--json FILE`) is theirs, with their own umask.
"""

from __future__ import annotations

import grp
import os
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import BadInput

PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600
PRIVATE_UMASK = 0o077
_GROUP_DIR = 0o750
_GROUP_FILE = 0o640


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


@dataclass(frozen=True, slots=True)
class Readers:
    """Who reads a history besides its owner: the members of a group, or nobody (`gid` None)."""

    gid: int | None = None

    @classmethod
    def of(cls, group: str) -> Readers:
        """The group of that name or number; "" is nobody.

        Raises:
            BadInput: there is no such group, or we are not in it and so cannot give it anything.
        """
        if not group:
            return cls()
        gid = _gid_of(group)
        if os.geteuid() != 0 and gid not in (os.getegid(), *os.getgroups()):
            raise BadInput(
                f"NIGHTBENCH_GROUP is {group}, of which you are no member",
                hint="Become one (`usermod -aG`, then log in again), or name a group of yours.",
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

    def have(self, stat: os.stat_result, mode: int) -> bool:
        """Whether a path of this state is theirs with exactly this mode."""
        return stat.st_mode & 0o7777 == mode and self.gid in (None, stat.st_gid)

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
            f"NIGHTBENCH_GROUP is {group}, a group that this machine does not know",
            hint="`getent group` lists those there are.",
        ) from None
