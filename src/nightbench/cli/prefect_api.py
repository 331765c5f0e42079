"""The Prefect API that a run reports to: the one `nightbench up` started, else one of our own.

Prefect's own temporary server outlives a killed process and dies first on Ctrl-C, before the run
could report that it was interrupted. So ours is started under nightbench's supervisor: out of the
terminal's reach, and gone when we are, however we go.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from nightbench.errors import NightbenchError
from nightbench.home import Home
from nightbench.serving.probing import free_port
from nightbench.serving.supervision import Order, Supervised, tail_of

HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
POLL_S = 0.1
STOP_S = 10.0


def prefect_settings(home: Home) -> dict[str, str]:
    """The settings every Prefect process of this home runs with."""
    return {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Two processes of one night write at once; SQLite lets the second one wait.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "30",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
        # The terminal shows progress; Prefect's lines go to its API and to the server's log.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


@contextmanager
def prefect_api(home: Home, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """The URL of an API that answers: PREFECT_API_URL, else `nightbench up`'s, else our own."""
    given = environ.get("PREFECT_API_URL")
    if given:
        yield given
        return
    running = running_api(home)
    if running:
        yield running
        return
    port = free_port()
    url = f"http://{HOST}:{port}/api"
    server = Supervised(
        Order(
            argv=server_argv(port),
            env=dict(environ) | prefect_settings(home) | {"PREFECT_UI_ENABLED": "0"},
            secrets=(),
            run_dir=home.prefect / "run-server",
            lock_fds=(),
            record={},
            grace_s=STOP_S,
        )
    )
    try:
        wait_until_healthy(url, server.running, server.order.log_path)
        yield url
    finally:
        server.request_stop()
        server.wait(2 * STOP_S)


def server_argv(port: int, host: str = HOST) -> tuple[str, ...]:
    """The Prefect server as one process, without its command line's start-up cost."""
    return (
        *(sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"),
        *("--host", host, "--port", str(port), "--log-level", "error", "--lifespan", "on"),
    )


def address_file(home: Home) -> Path:
    """Where `nightbench up` writes the URL of its server."""
    return home.prefect / "api-url"


def running_api(home: Home) -> str | None:
    """The URL of the server that `nightbench up` runs for this home, where it answers."""
    file = address_file(home)
    url = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    return url if url and is_healthy(url) else None


def is_healthy(url: str) -> bool:
    """Whether a Prefect API answers there."""
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def wait_until_healthy(url: str, is_alive: Callable[[], bool], log_path: Path) -> None:
    """Poll until the API answers. Raises NightbenchError with its log's end if it never does."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_healthy(url):
        if not is_alive() or time.monotonic() > deadline:
            tail = "\n".join(f"  | {line}" for line in tail_of(log_path, 15).splitlines())
            raise NightbenchError(
                f"the Prefect server did not start at {url}:\n{tail}",
                hint=f"Its whole log is {log_path}.",
            )
        time.sleep(POLL_S)
