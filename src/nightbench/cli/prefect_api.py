"""The Prefect API that a run reports to: the one `nightbench up` started, else one of our own.

Prefect's own temporary server outlives a killed process and dies first on Ctrl-C, before the run
could report that it was interrupted. So ours is started under nightbench's supervisor: out of the
terminal's reach, gone when we are, however we go, and started again should it go first.
"""

from __future__ import annotations

import os
import sys
import threading
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
LOOK_EVERY_S = 0.5
MOST_RESTARTS = 20  # one that dies of its own database would go on for ever


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
        # The silence after which a run counts as crashed is a few of these (prefect-server.yaml).
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # A server that restarts is back within seconds; 6 waits, doubling, are two minutes.
        "PREFECT_CLIENT_MAX_RETRIES": "6",
        # What is said meanwhile of events that find no server is for nobody on a terminal.
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
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
    server = OwnServer(home, environ)
    try:
        wait_until_healthy(server.url, server.running, server.log_path)
        server.keep()
        yield server.url
    finally:
        server.stop()


class OwnServer:
    """A server of our own, under the supervisor that keeps engines.

    A flow run waits for an API that is away for a while; so one that died is started again, on the
    same port and database, and neither the measurement nor its record in Prefect comes to harm.
    """

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        port = free_port()
        self.url = f"http://{HOST}:{port}/api"
        self._order = Order(
            argv=server_argv(port),
            env=dict(environ) | prefect_settings(home) | {"PREFECT_UI_ENABLED": "0"},
            secrets=(),
            run_dir=home.prefect / "run-server",
            grace_s=STOP_S,
        )
        self.log_path = self._order.log_path
        self._supervised = Supervised(self._order)
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="prefect-server", daemon=True)

    def running(self) -> bool:
        """Whether it runs."""
        return self._supervised.running()

    def keep(self) -> None:
        """From now on, start it again when it has died."""
        self._keeper.start()

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self._supervised.request_stop()
        self._supervised.wait(2 * STOP_S)

    def _keep(self) -> None:
        for _ in range(MOST_RESTARTS):
            while self.running():
                if self._stopping.wait(LOOK_EVERY_S):
                    return
            self._supervised.request_stop()
            self._supervised.wait(STOP_S)
            if self._stopping.is_set():
                return
            self._supervised = Supervised(self._order)


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
