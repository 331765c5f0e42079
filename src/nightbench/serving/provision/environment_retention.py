"""How long engine environments are kept: while the disk that they may take holds them.

The accepted configuration of a target is booted beside an upgrade, so the environment of before is
kept too. Where all together take more than NIGHTBENCH_KEEP_ENGINES_GB, those go that no server ran
from for longest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nightbench.history.clock import Now, utc_now
from nightbench.home.paths import Home
from nightbench.serving.file_locks import locked

READY = "ready.json"  # its date is when a server was last started from the environment
REMOVING = ".removing"  # behind the name of what is half gone
AT_WORK = timedelta(days=7)  # used this recently, it is not removed


@dataclass(frozen=True, slots=True)
class KeptEnvironment:
    """An environment on the disk."""

    key: str
    size_bytes: int
    used: datetime


def mark_used(root: Path, *, now: Now = utc_now) -> None:
    """Note that a server is started from it."""
    moment = now().timestamp()
    with suppress(OSError):  # of another user, or gone
        os.utime(root / READY, (moment, moment))


def to_remove(
    kept: Sequence[KeptEnvironment], most_bytes: int, now: datetime, *, but: str = ""
) -> list[str]:
    """Which environments go, the longest unused first, until the others take no more than that.
    Never `but`, nor what was used within a week: then they take more."""
    left = sum(one.size_bytes for one in kept)
    going = []
    for one in sorted(kept, key=lambda one: one.used):
        if left <= most_bytes:
            break
        if one.key != but and now - one.used > AT_WORK:
            going.append(one.key)
            left -= one.size_bytes
    return going


def make_room(home: Home, built: str, most_bytes: int, *, now: Now = utc_now) -> list[str]:
    """Remove what is too much once `built` has been; the keys of what went. What a removal that was
    killed has left goes first."""
    for half in home.engines.glob(f"*{REMOVING}"):
        shutil.rmtree(half, ignore_errors=True)
    kept = [
        KeptEnvironment(ready.parent.name, size_of(ready.parent), _date_of(ready, now()))
        for ready in home.engines.glob(f"*/{READY}")
    ]
    used = {one.key: one.used for one in kept}
    going = to_remove(kept, most_bytes, now(), but=built)
    return [key for key in going if remove(home, key, unless_used_since=used[key])]


def remove(
    home: Home,
    key: str,
    *,
    unless_used_since: datetime | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> bool:
    """Remove an environment, all at once; whether it was. `unless_used_since`: leave it where a
    server has been started from it since then, or runs from it now."""
    root = home.engines.resolve() / key
    going = root.with_name(f"{key}{REMOVING}")
    with locked(home.engines / f"{key}.lock", on_wait=on_wait):
        if unless_used_since is not None:
            used = _date_of(root / READY, unless_used_since)
            if used > unless_used_since or runs_from(root):
                return False
        shutil.rmtree(going, ignore_errors=True)
        if root.exists():
            root.rename(going)
    shutil.rmtree(going, ignore_errors=True)
    return True


def runs_from(root: Path) -> bool:
    """Whether a process of this machine was started by a file of that folder."""
    start = os.fsencode(root) + b"/"
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if any(word.startswith(start) for word in cmdline.read_bytes().split(b"\0")[:2]):
                return True
    return False


def size_of(root: Path) -> int:
    """The bytes of a folder's files on the disk; links count as links."""
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - fast
    return total


def _date_of(ready: Path, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(ready.stat().st_mtime, tz=now.tzinfo)
    except OSError:
        return now
