"""One run at a time at a server that nobody here starts: two at once would measure each other.

The lease is of the server's address, in the folder where this machine's hardware is leased, so that
every user and worker sees it. It is gone with the process that has it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from nightbench.addresses import is_this_machine
from nightbench.errors import LeaseError
from nightbench.progress import OnProgress, Progress
from nightbench.serving.file_locks import Sleep
from nightbench.serving.hardware import lease_folder, leases
from nightbench.terminal_text import safe_line

POLL_S = 1.0
_PORTS = {"http": 80, "https": 443}


def resource_of(base_url: str) -> str:
    """What a server is leased as: its host and port, however they are written."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".").lower()
    host = "127.0.0.1" if is_this_machine(base_url) else host
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return f"endpoint-{hashlib.sha256(f'{host}:{port}'.encode()).hexdigest()[:16]}"


@contextmanager
def alone_at(
    base_url: str,
    where: Path,
    subject: str,
    *,
    wait: bool,
    within_s: float,
    on_progress: OnProgress,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Hold the lease of a server's address until the block is left.

    Raises LeaseError where another run has it and it is not to be waited for, or for longer.
    """
    lease_folder.ready(where)
    resource, began, told = resource_of(base_url), clock(), ""
    while isinstance(taken := leases.take(where, [resource], subject), str):
        if not wait or clock() - began >= within_s:
            raise LeaseError(
                f"{subject}: {safe_line(base_url)} is under load by {taken}",
                hint="Wait for it to end; `shared: true` in the engine allows several at once.",
            )
        if taken != told:
            told = taken
            on_progress(Progress("lease", subject, f"waiting: {taken} is measuring this server"))
        sleep(POLL_S)
    try:
        yield
    finally:
        for claim in taken:
            claim.withdraw()
