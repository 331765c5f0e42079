"""Processes that score: what goes in and what comes out, in bounded time and memory."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

_PART_BYTES = 65536


def exchange(
    process: subprocess.Popen[bytes],
    said: bytes,
    *,
    most_bytes: int,
    within_s: float,
    one_line: bool = False,
) -> bytes | None:
    """Say `said` and hear the answer: a line, or until the process closes its end.

    Not `one_line`: nothing more will be said. None where the answer is longer than `most_bytes`,
    has not ended in time, or where the process went before a line had its end.
    """
    assert process.stdin is not None  # noqa: S101 - both are pipes, for the type checker
    assert process.stdout is not None  # noqa: S101
    os.set_blocking(process.stdin.fileno(), False)
    ends_at_s = time.monotonic() + within_s
    unsaid, heard = memoryview(said), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while True:
            ready = selector.select(max(0.0, ends_at_s - time.monotonic()))
            if not ready:
                return None
            if any(key.fileobj is process.stdin for key, _ in ready):
                unsaid = unsaid[_written(process.stdin.fileno(), unsaid) :]
                if not unsaid:
                    selector.unregister(process.stdin)
                    if not one_line:
                        process.stdin.close()
            if any(key.fileobj is process.stdout for key, _ in ready):
                part = os.read(process.stdout.fileno(), _PART_BYTES)
                heard += part
                if len(heard) > most_bytes:
                    return None
                if not part or (one_line and part.endswith(b"\n")):
                    return bytes(heard) if part or not one_line else None


def _written(descriptor: int, said: memoryview) -> int:
    """How much of it was taken: all, where nobody is there to take it."""
    try:
        return os.write(descriptor, said)
    except BrokenPipeError:
        return len(said)


def started_to_stay(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a process in a thread that lives as long as it does.

    A process that is to end with its starter ends with the *thread* that started it (prctl(2),
    PR_SET_PDEATHSIG), and the threads that score come and go.
    """
    started: SimpleQueue[subprocess.Popen[bytes] | BaseException] = SimpleQueue()

    def keep() -> None:
        try:
            process = start()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asked for it
            started.put(error)
            return
        started.put(process)
        with contextlib.suppress(ChildProcessError):
            process.wait()

    threading.Thread(target=keep, name="scoring-process", daemon=True).start()
    answer = started.get()
    if isinstance(answer, BaseException):
        raise answer
    return answer
