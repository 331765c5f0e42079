"""The Prefect API that a run reports to: the one `nightbench up` started, else one of our own.

Prefect's own temporary server outlives a killed process and dies first on Ctrl-C, before the run
could report that it was interrupted. So ours is started under nightbench's supervisor: out of the
terminal's reach, gone when we are, however we go, and started again should it go first.

Whoever starts it, it stands behind a door of ours (`nightbench.web`): it answers its own names and
pages only, and who says its password.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from nightbench.cli.passwords import new_auth
from nightbench.cli.prefect_access import (
    AUTH_NAMES,
    PrefectAccess,
    auth_string,
    basic,
    known_auth,
    password_file,
)
from nightbench.cli.prefect_rest import WANTED
from nightbench.errors import NightbenchError
from nightbench.home.paths import Home
from nightbench.home.private_files import close_to_others
from nightbench.secrets.child_env import FOR_PREFECT, environment_for, past_proxies
from nightbench.secrets.values import secrets_of
from nightbench.serving.probing import free_port
from nightbench.serving.supervise.supervisor_client import Order, Supervised, tail_of
from nightbench.web.door import Door
from nightbench.web.listening import is_ours

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
        # What finds no API must not start a server of its own: that one would ask for no password.
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
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


# What a server forgets, and when; what the environment says goes before it. Flow runs are the
# maintenance flow's to forget; this removes the logs and pages of those that are gone.
SERVER_DEFAULTS = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P3D",
    # One every 30 s and run, and nobody asks for one of yesterday.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": (
        '{"prefect.flow-run.heartbeat": 86400}'
    ),
}


@contextmanager
def prefect_api(home: Home, environ: Mapping[str, str] = os.environ) -> Iterator[PrefectAccess]:
    """An API that answers: PREFECT_API_URL's, else `nightbench up`'s, else our own."""
    given = environ.get("PREFECT_API_URL")
    if given:
        access = PrefectAccess(given, auth_string(environ))
        refuse_wrong_password(access, environ)
        yield access
        return
    running = running_api(home)
    if running:
        access = PrefectAccess(running, known_auth(home, environ), is_ours=True)
        refuse_wrong_password(access, environ)
        yield access
        return
    server = OwnServer(home, environ)
    try:
        wait_until_healthy(server.access.url, server.running, server.log_path)
        server.keep()
        yield server.access
    finally:
        server.stop()


def refuse_wrong_password(access: PrefectAccess, environ: Mapping[str, str]) -> None:
    """Before anything is measured that could not be reported. (A key is for Prefect's cloud.)"""
    if environ.get("PREFECT_API_KEY"):
        return
    try:
        answer = httpx.get(
            f"{access.url}/admin/version", auth=basic(access.auth), timeout=5, trust_env=False
        )
    except httpx.HTTPError:
        return  # one that is away for a moment is waited for
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        what = "refuses the password" if access.auth else "asks for a password"
        raise NightbenchError(f"the Prefect server at {access.url} {what}", hint=WANTED)


class OwnServer:
    """A server of our own, under the supervisor that keeps engines.

    A flow run waits for an API that is away for a while; so one that died is started again, on the
    same port and database, and neither the measurement nor its record in Prefect comes to harm.
    """

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        port = free_port()
        # For this run alone: nobody else ever has to say it.
        auth = auth_string(environ) or new_auth()
        url = f"http://127.0.0.1:{port}/api"
        self.access = PrefectAccess(url, auth, is_ours=True, is_of_one_run=True)
        close_to_others(home.prefect, but=password_file(home))
        self._order = Order(
            argv=server_argv(Door(port=port)),
            env={
                **SERVER_DEFAULTS,
                **environment_for(FOR_PREFECT, environ),
                **prefect_settings(home),
                **dict.fromkeys(AUTH_NAMES, auth),
                **past_proxies(environ),
                "PREFECT_UI_ENABLED": "0",
            },
            secrets=tuple(sorted({auth, *secrets_of(environ)})),
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


def server_argv(door: Door) -> tuple[str, ...]:
    """The Prefect server as one process, without its command line's start-up cost."""
    return door.argv("prefect.server.api.server:create_app")


def address_file(home: Home) -> Path:
    """Where `nightbench up` writes the URL of its server."""
    return home.prefect / "api-url"


def running_api(home: Home) -> str | None:
    """The URL of the server that `nightbench up` runs for this home, where it answers.

    None where another user has that port now: it must not hear our password.
    """
    file = address_file(home)
    url = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    return url if url and is_ours(url) and is_healthy(url) else None


def is_healthy(url: str) -> bool:
    """Whether a Prefect API answers there."""
    return not why_not_healthy(url)


def why_not_healthy(url: str) -> str:
    """What is there instead of a Prefect API that answers; "" where one does."""
    try:
        answer = httpx.get(f"{url}/health", timeout=5, trust_env=False)
    except httpx.HTTPError as error:
        return str(error)
    said = answer.text.strip()[:200]
    return "" if answer.status_code == httpx.codes.OK else f"{answer.status_code} {said}"


def wait_until_healthy(url: str, is_alive: Callable[[], bool], log_path: Path) -> None:
    """Poll until the API answers. Raises NightbenchError with its log's end if it never does."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (is_healthy(url) and is_ours(url)):
        if not is_alive() or time.monotonic() > deadline:
            tail = "\n".join(f"  | {line}" for line in tail_of(log_path, 15).splitlines())
            raise NightbenchError(
                f"the Prefect server did not start at {url}:\n{tail}",
                hint=f"Its whole log is {log_path}.",
            )
        time.sleep(POLL_S)
