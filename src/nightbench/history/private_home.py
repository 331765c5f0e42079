"""The home as every process that writes into it takes it: one's own, and nobody else's to read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping

from nightbench.errors import BadInput
from nightbench.history.open_store import open_store
from nightbench.home.paths import Home
from nightbench.home.private_files import PRIVATE_DIR, PRIVATE_UMASK, GroupAccess, make_private
from nightbench.home.safety import FOLDERS, is_a_home, refuse_to_write

_THROUGH = 0o710  # the group may pass on to the history, and list nothing
_OTHERS = 0o077


def own_home(environ: Mapping[str, str] = os.environ, *, say: Callable[[str], None]) -> Home:
    """The home that the environment names, for a process that is about to write.

    Whatever the process and its children create from here on is its owner's alone (umask 077). A
    home that an earlier release left open is closed, which `say` is told once; only its root and
    the folders in it are looked at, however much is in them. With NIGHTBENCH_GROUP its history is
    open to the group, and nothing else.

    Raises:
        BadInput: it is another user's, others may write into it, or there is no such group.
    """
    home = Home.from_env(environ)
    refuse_to_write(home.root, environ)
    os.umask(PRIVATE_UMASK)
    readers = GroupAccess.of(home.group)
    if readers.gid is not None:
        make_private(home.root)
    if not home.root.exists():
        return home
    if _close_root(home, readers):
        say(f"{home.root} was open to other users and is now private")
    _close_folders(home)
    if open_store(home).share():
        whose = "closed to others" if readers.gid is None else f"open to the group {home.group}"
        say(f"{home.history} is {whose} now (NIGHTBENCH_GROUP)")
    return home


def _close_root(home: Home, readers: GroupAccess) -> bool:
    """The root for its owner; whether more could be done with it than is to be."""
    state = home.root.stat()
    wanted = PRIVATE_DIR if readers.gid is None else _THROUGH
    if readers.have(state, wanted):
        return False
    beyond = bool(stat.S_IMODE(state.st_mode) & _OTHERS & ~_THROUGH)
    if beyond and not is_a_home(home.root):
        raise BadInput(
            f"other users may read {home.root}, which contains more than a nightbench home",
            hint="Set NIGHTBENCH_HOME to a dedicated folder (or: chmod 700, if everything in it may"
            " become private).",
        )
    readers.give(home.root, wanted)
    return beyond


def _close_folders(home: Home) -> None:
    """The folders in the root for their owner. The history is apart; a link is a person's own."""
    with os.scandir(home.root) as entries:
        for entry in entries:
            state = entry.stat(follow_symlinks=False)
            ours = entry.name in FOLDERS and entry.name != "history"
            if ours and stat.S_ISDIR(state.st_mode) and state.st_mode & _OTHERS:
                os.chmod(entry.path, PRIVATE_DIR)  # noqa: PTH101
