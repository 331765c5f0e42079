"""The settings that `nightbench up` starts Prefect's processes with: decisions over values."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit, urlunsplit

from nightbench.cli.prefect_access import AUTH_NAMES, PrefectAccess
from nightbench.cli.prefect_api import SERVER_DEFAULTS, prefect_settings
from nightbench.errors import BadInput
from nightbench.home.paths import Home
from nightbench.secrets.child_env import (
    FOR_PREFECT,
    SERVERS_ALONE,
    environment_for,
    without_variables,
)

DATABASE_NAME = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
PYTHON_NAME = "NIGHTBENCH_PYTHON"  # what the pools' command (prefect-server.yaml) starts
ALLOWED_NAME = "NIGHTBENCH_ALLOWED_HOSTS"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.IGNORECASE)
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a person may ask for


def node_pool(num_gpus: int) -> str:
    """The work pool of a machine with so many GPUs."""
    return f"gpu{num_gpus}" if num_gpus else "cpu"


def client_host(host: str) -> str:
    """The address at which this machine itself reaches what binds to `host`."""
    reached = _EVERYWHERE.get(host, host)
    return f"[{reached}]" if ":" in reached else reached


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what binds there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def database_url(given: str | None, environ: Mapping[str, str]) -> str | None:
    """The URL of the server's database, None for SQLite.

    Raises BadInput where it is not a Postgres URL, or was typed with a password in it.
    """
    if given is None:
        return environ.get(DATABASE_NAME)
    parts = urlsplit(given)
    if parts.scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise BadInput(
            f"--database-url: {parts.scheme or given}:// is not a Postgres URL",
            hint="Use the form postgresql://user@host:5432/prefect.",
        )
    if parts.password:
        raise BadInput(
            "--database-url has a password in it, which every user of this machine can read",
            hint=f"Put it into PGPASSWORD or ~/.pgpass, or the whole URL into {DATABASE_NAME}.",
        )
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg"))


def machine_names(host: str) -> tuple[str, ...]:
    """What this machine is called by those who reach what binds to `host`."""
    reached = client_host(host)
    if is_loopback(host):
        return (reached,)
    return tuple(dict.fromkeys((reached, socket.gethostname(), socket.getfqdn())))


def allowed_hosts(given: Iterable[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Further names of the server, from the command line and from NIGHTBENCH_ALLOWED_HOSTS.

    Raises BadInput where one is no `name` or `name:port`.
    """
    names = (*given, *environ.get(ALLOWED_NAME, "").replace(",", " ").split())
    for name in names:
        if not _HOST.fullmatch(name):
            raise BadInput(
                f"--allowed-host: {name!r} is not a host name",
                hint="Write it as in a browser's address bar: nights.example.org, or with :port.",
            )
    return names


def worker_settings(
    home: Home, access: PrefectAccess, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of a worker and of the flow runs it starts.

    Which variables suites name is known when one is run: all of ours, but what is the server's.
    """
    env = without_variables((*SERVERS_ALONE, *AUTH_NAMES), environ)
    env |= prefect_settings(home) | {"NIGHTBENCH_HOME": str(home.root)}
    env[PYTHON_NAME] = sys.executable
    # A click is to be seen at work, not to be waited for.
    env.setdefault("PREFECT_WORKER_QUERY_SECONDS", "3")
    return env | access.environment() | access.past_proxies(environ)


def server_settings(
    home: Home, access: PrefectAccess, database: str | None, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of the Prefect server. It asks for the password that `access` has, if any."""
    env = SERVER_DEFAULTS | environment_for(FOR_PREFECT, environ) | prefect_settings(home)
    env |= {"NIGHTBENCH_HOME": str(home.root), "PREFECT_API_URL": access.url}
    # What the server holds in memory is forgotten when it restarts in the middle of a night.
    env["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] = (
        "prefect.server.concurrency.lease_storage.filesystem"
    )
    # A browser asks where it got the page from, under whatever name that was.
    env.setdefault("PREFECT_UI_API_URL", "/api")
    # The UI is unpacked where this user may write; an installation may be root's, or everybody's.
    env.setdefault("PREFECT_UI_STATIC_DIRECTORY", str(home.prefect / "ui"))
    if database is not None:
        env[DATABASE_NAME] = database
    env = {name: value for name, value in env.items() if name not in AUTH_NAMES}
    env |= access.past_proxies(environ)
    return env | (dict.fromkeys(AUTH_NAMES, access.auth) if access.auth else {})
