"""One lander at a time: a file lock that says who holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.home.owned_files import NotARegularFile, open_lock
from nightbench.home.private_files import PRIVATE_FILE
from nightbench.terminal_text import safe_line

_RETRY_S = 0.05
_PID_BYTES = 16


@contextmanager
def held(path: Path, *, deadline_s: float) -> Iterator[None]:
    """Hold the lock of a file; its holder's pid is written into it. Ends with the process.

    Raises:
        HistoryError: another process holds it past the deadline (named), or it is no file.
    """
    fd = _open(path)
    try:
        _wait(fd, path, time.monotonic() + deadline_s, deadline_s)
        _sign(fd)
        yield
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    try:
        return open_lock(path, PRIVATE_FILE)
    except NotARegularFile as error:
        raise HistoryError(
            f"{path} cannot be locked: {error.strerror}", hint="Remove it and try again."
        ) from error
    except OSError as error:
        raise HistoryError(f"the lock {path} cannot be taken: {error}") from error


def _sign(fd: int) -> None:
    """Say who holds it, for those who wait. A full disk has no room for that: never mind."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _wait(fd: int, path: Path, give_up: float, deadline_s: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise HistoryError(
                    f"the history has been locked by {_describe(path)} for more than "
                    f"{deadline_s:g} s",
                    hint="Wait for it, or end that process; then run `nightbench land`.",
                ) from None
            time.sleep(_RETRY_S)
        else:
            return


def _describe(path: Path) -> str:
    """The holder as the lock file and /proc tell it."""
    with path.open("rb") as file:
        pid = file.read(_PID_BYTES).decode("ascii", errors="replace").strip()
    if not (pid.isascii() and pid.isdigit()):
        return "another process"
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return f"pid {pid}"
    command = safe_line(raw.replace(b"\0", b" ").decode(errors="replace"), max_chars=120)
    return f"pid {pid} ({command})" if command else f"pid {pid}"
