"""Whose a home is: one that another user may have laid out is neither written nor, unnamed, read.

Decisions over lstat(2), no file is opened. Kept from the same trap as git's `safe.directory`: a
`.nightbench` that somebody put into a folder in which you type a command.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from nightbench.errors import BadInput

FOLDERS = ("history", "spool", "engines", "models", "logs", "dashboards", "prefect")
# Folders of many other things are called `models` and `logs`.
_TELLING = ("history", "spool", "engines", "dashboards", "prefect")
_ROOT = 0


def refuse_unsafe(root: Path, *, named: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to look into a home that anybody may have written into, or that another user put in
    the way: one that was not `named` has to be one's own.

    Raises:
        BadInput: says whose it is, and what to do.
    """
    home = _stat(root)
    trusted = {_ROOT, os.geteuid()} | ({home.st_uid} if home else set())
    for link, owner in _links(root):
        if owner not in trusted:
            raise BadInput(
                f"{link} is a symbolic link owned by {name_of(owner)}, who can redirect it",
                hint="Set NIGHTBENCH_HOME to the folder itself.",
            )
    if home is None:
        return
    if home.st_mode & stat.S_IWOTH:
        raise BadInput(
            f"{root} is writable by every user, so its contents cannot be trusted",
            hint=f"Check its contents, then: chmod 700 {root}",
        )
    own = {_ROOT, os.geteuid()} | ({sudo} if (sudo := _sudo_uid(environ)) is not None else set())
    if not named and home.st_uid not in own:
        raise BadInput(
            f"{root} belongs to {name_of(home.st_uid)}, and was not set explicitly",
            hint=f"To read its history anyway, set NIGHTBENCH_HOME={root}",
        )


def refuse_to_write(root: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to write into a home that is not one's own: what root made in a user's home, the user
    could not read, and what is written into another's is theirs to change.

    Raises:
        BadInput: says whose it is, and what to do.
    """
    home = _stat(root)
    if home is None:
        _refuse_to_make(root, _sudo_uid(environ))
        return
    if not stat.S_ISDIR(home.st_mode):
        raise BadInput(f"{root} is not a folder", hint="Set NIGHTBENCH_HOME to one.")
    me, owner = os.geteuid(), home.st_uid
    if owner != me and me == _ROOT:
        raise BadInput(
            f"{root} belongs to {name_of(owner)}, who could not read files that root writes there",
            hint=f"Run it as that user: `sudo -u {name_of(owner)} nightbench …`; or set "
            f"NIGHTBENCH_HOME"
            " to a folder of root's own.",
        )
    if owner != me:
        raise BadInput(
            f"{root} belongs to {name_of(owner)}: only that user runs nights in it",
            hint="`nightbench history`, `show` and `sql` can read it if permitted; set"
            " NIGHTBENCH_HOME to a folder of your own for the rest.",
        )
    for name in FOLDERS:
        inner = _lstat(root / name)
        if inner is not None and stat.S_ISDIR(inner.st_mode) and inner.st_uid != me:
            raise BadInput(
                f"{root / name} belongs to {name_of(inner.st_uid)}, but the home around it to you",
                hint=f"Check its contents, then: sudo chown -R {name_of(me)} {root / name}",
            )


def is_a_home(root: Path) -> bool:
    """Whether a folder is nightbench's: empty as yet, or holding what only a home has."""
    inside = set(os.listdir(root))  # noqa: PTH208
    return not inside or not inside.isdisjoint(_TELLING)


def name_of(uid: int) -> str:
    """A user as a person knows them."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _refuse_to_make(root: Path, sudo_uid: int | None) -> None:
    """`sudo nightbench` in a user's folder would make a home there that the user cannot open."""
    above = next(stat for folder in root.parents if (stat := _stat(folder)) is not None)
    if os.geteuid() == _ROOT and sudo_uid is not None and above.st_uid == sudo_uid:
        raise BadInput(
            f"{root} would belong to root, in a folder of {name_of(sudo_uid)}, who could not "
            f"open it",
            hint="Run it without sudo; or set NIGHTBENCH_HOME to a folder of root's own.",
        )


def _links(path: Path) -> Iterator[tuple[Path, int]]:
    """Every symbolic link on the way to a path, and who owns it."""
    for step in (*reversed(path.parents), path):
        found = _lstat(step)
        if found is not None and stat.S_ISLNK(found.st_mode):
            yield step, found.st_uid


def _sudo_uid(environ: Mapping[str, str]) -> int | None:
    """The user behind sudo; None without it, or where root itself typed it."""
    uid = environ.get("SUDO_UID", "")
    if os.geteuid() != _ROOT or not (uid.isascii() and uid.isdigit()):
        return None
    return int(uid) or None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except PermissionError:
        raise BadInput(
            f"permission denied: {path.parent}",
            hint="Ask its owner, or set NIGHTBENCH_HOME to a folder of your own.",
        ) from None
    except OSError:
        return None


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
