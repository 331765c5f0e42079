"""Advisory file locks (flock): free when their holder is gone, however it went."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nightbench.errors import NightbenchError
from nightbench.home.owned_files import NotARegularFile, open_lock
from nightbench.home.private_files import make_private

Sleep = Callable[[float], None]
POLL_S = 0.25


def try_lock(fd: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None], sleep: Sleep = time.sleep) -> Iterator[None]:
    """Hold the lock of `path`; `on_wait` is called once if it has to be waited for.

    Raises NightbenchError where something else has its name.
    """
    make_private(path.parent)
    try:
        fd = open_lock(path)
    except NotARegularFile as error:
        raise NightbenchError(
            f"{path} cannot be locked: {error.strerror}", hint="Check who owns it, and remove it."
        ) from error
    try:
        if not try_lock(fd):
            on_wait()
            while not try_lock(fd):
                sleep(POLL_S)
        yield
    finally:
        os.close(fd)
