"""The settings of Prefect's processes: who knows which secret, and who is let in."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nightbench.cli.prefect_access import PrefectAccess
from nightbench.cli.up_settings import (
    allowed_hosts,
    client_host,
    database_url,
    is_loopback,
    machine_names,
    node_pool,
    server_settings,
    worker_settings,
)
from nightbench.errors import BadInput
from nightbench.home.paths import Home

HOME = Home(Path("/srv/nightbench"))
URL = "http://127.0.0.1:4200/api"
SECRET = "night:owl"
ACCESS = PrefectAccess(URL, SECRET)


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


def test_one_secret_opens_the_server_to_its_clients() -> None:
    server = server_settings(HOME, ACCESS, None, {})
    worker = worker_settings(HOME, ACCESS, {})
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == SECRET
    assert worker["PREFECT_API_AUTH_STRING"] == SECRET
    assert "PREFECT_SERVER_API_AUTH_STRING" not in worker


def test_without_a_password_none_is_left_over_from_the_environment() -> None:
    environ = dict.fromkeys(["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"], SECRET)
    for settings in (
        server_settings(HOME, PrefectAccess(URL), None, environ),
        worker_settings(HOME, PrefectAccess(URL), environ),
    ):
        assert SECRET not in settings.values()


def test_no_process_of_ours_starts_a_prefect_server_that_asks_for_nothing() -> None:
    for settings in (
        server_settings(HOME, ACCESS, None, {}),
        worker_settings(HOME, ACCESS, {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true"}),
    ):
        assert settings["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"


def test_the_ui_asks_where_it_is_from_whatever_that_is_called() -> None:
    assert server_settings(HOME, ACCESS, None, {})["PREFECT_UI_API_URL"] == "/api"


def test_a_machine_that_others_reach_has_a_name_and_one_that_they_do_not_has_none() -> None:
    assert machine_names("127.0.0.1") == ("127.0.0.1",)
    assert machine_names("::1") == ("[::1]",)
    assert socket.gethostname() in machine_names("10.0.0.7")


def test_further_names_come_from_both_sides() -> None:
    environ = {"NIGHTBENCH_ALLOWED_HOSTS": "server, nights.example.org:8443"}
    assert allowed_hosts(["proxy"], environ) == ("proxy", "server", "nights.example.org:8443")
    assert allowed_hosts([], {}) == ()


@pytest.mark.parametrize("name", ["http://proxy", "proxy/", "*", "a b", "me@proxy", ""])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is not a host name"):
        allowed_hosts([name], {})


# What each of the two has no use for, and what both or only one of them gets.
SERVERS = {
    "PGPASSWORD": "pw",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql://me:pw@db/prefect",
    "PREFECT_SERVER_DATABASE_PASSWORD": "pw",
    "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql://me:pw@db/prefect",
    "PREFECT_API_DATABASE_PASSWORD": "pw",
    "PREFECT_SERVER_ENCRYPTION_KEY": "key",
    "PREFECT_REDIS_MESSAGING_PASSWORD": "pw",
}
FLOW_RUNS = {
    "OPENAI_API_KEY": "key",
    "LLM_LOGIN": "key",
    "NIGHTBENCH_ALERT_URL": "https://hooks.example/T0",
    "NIGHTBENCH_KEEP_NIGHTS": "9",
    "NIGHTBENCH_SUITES": "/srv/suites",
    "HF_TOKEN": "key",
    "SWANLAB_API_KEY": "key",
    "AWS_SECRET_ACCESS_KEY": "key",
    "PREFECT_API_KEY": "key",
}
BOTH = {"PATH": "/bin", "PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_WORKER_HEARTBEAT_SECONDS": "9"}


def test_the_database_is_known_to_the_server_alone() -> None:
    database = database_url(None, SERVERS)
    server = server_settings(HOME, ACCESS, database, SERVERS | BOTH)
    worker = worker_settings(HOME, ACCESS, SERVERS | BOTH)
    assert SERVERS.items() <= server.items()
    assert not SERVERS.keys() & worker.keys()
    assert BOTH.items() <= server.items()
    assert BOTH.items() <= worker.items()


def test_what_suites_name_is_known_to_flow_runs_and_not_to_the_server() -> None:
    environ = FLOW_RUNS | BOTH
    assert FLOW_RUNS.items() <= worker_settings(HOME, ACCESS, environ).items()
    assert not FLOW_RUNS.keys() & server_settings(HOME, ACCESS, None, environ).keys()


def test_the_password_reaches_a_server_of_ours_past_every_proxy() -> None:
    proxy = {"http_proxy": "http://proxy"}
    ours = PrefectAccess("http://10.0.0.7:4200/api", SECRET, is_ours=True)
    for settings in (worker_settings(HOME, ours, proxy), server_settings(HOME, ours, None, proxy)):
        assert settings["NO_PROXY"] == "127.0.0.1,localhost,::1,10.0.0.7"
    elsewhere = worker_settings(HOME, PrefectAccess("http://prefect.example/api", SECRET), proxy)
    assert "prefect.example" not in elsewhere["NO_PROXY"]


def test_a_server_keeps_what_its_database_and_prefect_are_set_up_with() -> None:
    given = {
        **dict.fromkeys(
            ("PGHOST", "PGUSER", "PGPASSFILE", "PGSSLMODE", "PGSSLKEY", "PGSERVICE"), "x"
        ),
        "KRB5CCNAME": "/tmp/krb5cc",
        "FORWARDED_ALLOW_IPS": "10.0.0.1",
        "PREFECT_SERVER_API_CSRF_TOKEN_EXPIRATION": "30",
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_TLS_KEY_FILE": "/key.pem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "false",
        "https_proxy": "http://proxy",
    }
    assert given.items() <= server_settings(HOME, ACCESS, None, given).items()


def test_a_postgres_is_asked_by_the_driver_prefect_has() -> None:
    asked = database_url("postgresql://me@db:5432/prefect", {})
    assert asked == "postgresql+asyncpg://me@db:5432/prefect"
    assert database_url(asked, {}) == asked


def test_a_password_that_everybody_could_read_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput) as refused:
        database_url("postgresql://me:hush-hush@db/prefect", {})
    assert "hush-hush" not in str(refused.value)
    assert "PGPASSWORD" in str(refused.value)
