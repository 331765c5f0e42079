"""Advisory file locks (flock): free when their holder is gone, however it went."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Sleep = Callable[[float], None]
POLL_S = 0.25


def open_shared(path: Path) -> int:
    """Open or create a lock file that every user of the machine may lock.

    In a sticky folder the kernel refuses O_CREAT on somebody else's file, so that comes second.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.fchmod(fd, 0o666)  # whatever the umask says
        return fd


def try_lock(fd: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None], sleep: Sleep = time.sleep) -> Iterator[None]:
    """Hold the lock of `path`; `on_wait` is called once if it has to be waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = open_shared(path)
    try:
        if not try_lock(fd):
            on_wait()
            while not try_lock(fd):
                sleep(POLL_S)
        yield
    finally:
        os.close(fd)
