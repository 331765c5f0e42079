"""The settings of Prefect's processes: who knows which secret, and who is let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.cli.up_settings import (
    client_host,
    database_url,
    is_loopback,
    node_pool,
    server_settings,
    worker_settings,
)
from nightbench.errors import BadInput
from nightbench.home import Home

HOME = Home(Path("/srv/nightbench"))
URL = "http://127.0.0.1:4200/api"
SECRET = "night:owl"


def test_a_machine_is_known_by_its_gpus() -> None:
    assert [node_pool(0), node_pool(4)] == ["cpu", "gpu4"]


@pytest.mark.parametrize(
    ("host", "loopback", "reached"),
    [
        ("127.0.0.1", True, "127.0.0.1"),
        ("localhost", True, "localhost"),
        ("::1", True, "[::1]"),
        ("0.0.0.0", False, "127.0.0.1"),  # noqa: S104
        ("::", False, "[::1]"),
        ("10.0.0.7", False, "10.0.0.7"),
        ("node.example", False, "node.example"),
    ],
)
def test_what_binds_everywhere_is_open_and_reached_at_home(
    host: str, loopback: bool, reached: str
) -> None:
    assert is_loopback(host) is loopback
    assert client_host(host) == reached


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"])
def test_one_secret_opens_the_server_to_its_clients(name: str) -> None:
    environ = {name: SECRET}
    server = server_settings(HOME, URL, "10.0.0.7", None, environ)
    worker = worker_settings(HOME, URL, environ)
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == SECRET
    assert worker["PREFECT_API_AUTH_STRING"] == SECRET


def test_the_database_is_known_to_the_server_alone() -> None:
    environ = {"PGPASSWORD": "pw", "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql://…"}
    database = database_url(None, environ)
    server = server_settings(HOME, URL, "127.0.0.1", database, environ)
    worker = worker_settings(HOME, URL, environ)
    assert server["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == "postgresql://…"
    assert not {"PGPASSWORD", "PREFECT_SERVER_DATABASE_CONNECTION_URL"} & set(worker)


def test_a_postgres_is_asked_by_the_driver_prefect_has() -> None:
    asked = database_url("postgresql://me@db:5432/prefect", {})
    assert asked == "postgresql+asyncpg://me@db:5432/prefect"
    assert database_url(asked, {}) == asked


def test_a_password_that_everybody_could_read_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput) as refused:
        database_url("postgresql://me:hush-hush@db/prefect", {})
    assert "hush-hush" not in str(refused.value)
    assert "PGPASSWORD" in str(refused.value)
