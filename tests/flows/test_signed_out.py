"""What the server that `nightbench up` starts answers to those who may not: every route there is.

The routes are read from Prefect's own OpenAPI document, so that one which a later Prefect opens is
noticed here.
"""

from __future__ import annotations

import re
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import psutil
import pytest
from fastapi.routing import APIWebSocketRoute
from house import NIGHTBENCH
from prefect.server.api.server import API_ROUTERS, create_app
from prefect.workers.process import ProcessWorker
from up_house import UpHouse
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from nightbench.home.paths import Home
from tests.terminal import on_a_terminal, sign_in_address

pytestmark = [pytest.mark.up, pytest.mark.timeout(900)]

# Whether it is there and whether its database is: for probes, which say no password.
OPEN = {("get", "/health"), ("get", "/ready")}
# Prefect's pages and what they are made of; the description of the API; and the door's own page.
OPEN_PAGES = ["/", "/v2/", "/ui-settings", "/openapi.json", "/docs", "/redoc", "/sign-in"]
FOREIGN_ORIGINS = ["http://elsewhere.example", "http://127.0.0.1:9", "null"]
FOREIGN_HOSTS = ["elsewhere.example", "127.0.0.1.elsewhere.example", "10.0.0.7"]


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, give_database: Callable[[Home], None]
) -> Iterator[UpHouse]:
    folder = tmp_path_factory.mktemp("signed-out")
    give_database(Home(folder / "home"))
    up_house = UpHouse(folder)
    up_house.write_suite()
    try:
        up_house.up()
        yield up_house
    finally:
        up_house.end()


@pytest.fixture
def client(house: UpHouse) -> Iterator[httpx.Client]:
    """Somebody who says nothing but what a test has them say."""
    root = house.url.removesuffix("/api")
    with httpx.Client(base_url=root, timeout=30, trust_env=False) as opened:
        yield opened


@pytest.fixture
def routes(client: httpx.Client) -> list[tuple[str, str]]:
    """Every route of the API: its method and its path, with parameters that are of its kind."""
    paths = client.get("/openapi.json").json()["paths"]
    found = [
        (method, re.sub(r"{\w+}", str(UUID(int=0)), path))
        for path, methods in paths.items()
        for method in methods
    ]
    assert len(found) > 150
    assert set(found) >= OPEN
    return found


def test_without_the_password_no_route_answers_but_two_probes(
    house: UpHouse, client: httpx.Client, routes: list[tuple[str, str]]
) -> None:
    user, password = house.auth or ("", "")
    for auth in (None, (user, "wrong"), (user, password[:-1]), ("", ""), (password, user)):
        answered = {
            (method, path)
            for method, path in routes
            if client.request(method, f"/api{path}", json={}, auth=auth).status_code != 401
        }
        assert answered == {("get", "/health"), ("get", "/ready")}


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_another_origin_is_refused_everywhere_whatever_it_says(
    house: UpHouse, client: httpx.Client, routes: list[tuple[str, str]], origin: str
) -> None:
    pages = [("get", page) for page in OPEN_PAGES]
    for method, path in [*((m, f"/api{p}") for m, p in routes), *pages]:
        headers = {"Origin": origin}
        for one in (method, "options"):
            answer = client.request(one, path, headers=headers, auth=house.auth)
            assert answer.status_code == 403, (one, path)
            assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_another_name_is_refused_everywhere_whatever_it_says(
    house: UpHouse, client: httpx.Client, routes: list[tuple[str, str]], host: str
) -> None:
    pages = [("get", page) for page in OPEN_PAGES]
    for method, path in [*((m, f"/api{p}") for m, p in routes), *pages]:
        answer = client.request(method, path, headers={"Host": host}, auth=house.auth)
        assert answer.status_code == 403, (method, path)


def test_no_answer_is_another_origins_to_read_or_to_frame(
    house: UpHouse, client: httpx.Client
) -> None:
    own = {"Origin": house.url.removesuffix("/api")}
    answers = [client.get(page, headers=own) for page in OPEN_PAGES]
    answers.append(client.post("/api/deployments/filter", json={}, headers=own, auth=house.auth))
    assert answers[-1].is_success
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["x-frame-options"] == "DENY"


def test_what_is_open_tells_nothing_of_this_house(house: UpHouse, client: httpx.Client) -> None:
    for page in [*OPEN_PAGES, *(f"/api{path}" for _, path in OPEN)]:
        text = client.get(page, follow_redirects=True).text
        for secret in (str(house.folder), "smollm2", *(house.auth or ())[1:]):
            assert secret not in text, page


def test_prefect_has_no_further_apps_beside_its_api_and_its_pages() -> None:
    app = create_app(ephemeral=True, ignore_cache=True)
    there = {route.path for route in app.routes}  # type: ignore[attr-defined]
    documents = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
    assert there == documents | {"/api", ""}
    [pages] = [route.app for route in app.routes if route.path == ""]  # type: ignore[attr-defined]
    assert {route.path for route in pages.routes} == documents | {"/ui-settings"}


SOCKETS = [
    re.sub(r"{\w+}", "cpu", route.path)
    for router in API_ROUTERS
    for route in router.routes
    if isinstance(route, APIWebSocketRoute)
]


@pytest.mark.parametrize("path", SOCKETS)
def test_a_websocket_wants_the_password_and_an_own_page(house: UpHouse, path: str) -> None:
    url = f"{house.url}{path}".replace("http://", "ws://")
    own = house.url.removesuffix("/api")
    password = house.access.auth
    assert opens(url, token=password)
    assert opens(url, token=password, origin=own)
    assert not opens(url, token="wrong")
    assert not opens(url, token=None)
    assert not opens(url, protocol=None, token=password)
    for origin in FOREIGN_ORIGINS:
        assert not opens(url, token=password, origin=origin)
    for host in FOREIGN_HOSTS:
        assert not opens(url, token=password, host=host)


def opens(
    url: str,
    *,
    token: str | None,
    protocol: str | None = "prefect",
    origin: str | None = None,
    host: str | None = None,
) -> bool:
    """Whether a websocket lets somebody in: Prefect asks for the password in its first message."""
    try:
        with connect(
            url,
            subprotocols=[protocol] if protocol else None,  # type: ignore[list-item]
            origin=origin,  # type: ignore[arg-type]
            additional_headers={"Host": host} if host else None,
            proxy=None,
        ) as socket:
            socket.send(f'{{"type": "auth", "token": "{token}"}}' if token else '{"type": "auth"}')
            return '"auth_success"' in str(socket.recv(timeout=20))
    except (ConnectionClosed, InvalidStatus):
        return False


def test_a_request_that_chooses_what_is_run_is_refused(house: UpHouse) -> None:
    maintenance = house.deployment("maintenance/maintenance")["id"]
    for chosen in ({"command": "true"}, {"env": {"PATH": "/tmp"}}, {"working_dir": "/tmp"}):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            house.ask(
                "POST", f"/deployments/{maintenance}/create_flow_run", {"job_variables": chosen}
            )
        assert "Additional properties are not allowed" in refused.value.response.text


def test_what_a_deployment_chooses_is_not_run(house: UpHouse) -> None:
    """The server takes that down unseen; the worker makes nothing of it."""
    maintenance, ran = house.deployment("maintenance/maintenance")["id"], house.folder / "ran"
    soon = (datetime.now(UTC) + timedelta(seconds=15)).isoformat()
    scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": soon}}
    path = f"/deployments/{maintenance}"
    run = house.ask("POST", f"{path}/create_flow_run", {"state": scheduled})["id"]
    house.ask("PATCH", path, {"job_variables": {"command": f"touch {ran}"}})
    house.wait_for(run, "COMPLETED")
    assert not ran.exists()


def test_a_pool_that_lets_runs_choose_is_set_back_by_the_next_up(house: UpHouse) -> None:
    ours = house.ask("GET", "/work_pools/cpu")["base_job_template"]
    older = ProcessWorker.get_default_base_job_template()
    house.ask("PATCH", "/work_pools/cpu", {"base_job_template": older})
    again = house("up", "--nightly", "reference")
    assert "was changed by hand: restored" in again.stdout
    assert house.ask("GET", "/work_pools/cpu")["base_job_template"] == ours


def test_the_password_is_in_no_command_line_and_in_no_log(house: UpHouse) -> None:
    _, password = house.auth or ("", "")
    assert len(password) >= 32
    assert [line for line in command_lines() if password in line] == []
    told = [path for path in house.home.prefect.rglob("*.log") if password in path.read_text()]
    assert told == []
    assert password not in house.said()


def command_lines() -> Iterator[str]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield " ".join(process.cmdline())


def test_another_terminal_gets_an_address_that_signs_in_once(
    house: UpHouse, client: httpx.Client
) -> None:
    said = on_a_terminal([*NIGHTBENCH, "up"], house.env)
    token = sign_in_address(said).partition("#")[2]
    answer = client.post("/sign-in", content=token)
    assert b64decode(answer.text).decode() == house.access.auth
    assert client.post("/sign-in", content=token).status_code == 403


def test_a_run_finds_the_server_and_its_password(house: UpHouse) -> None:
    night = house("run", "reference", "--target", "reference")
    assert night.returncode == 0, night.stderr
    assert house.sql("SELECT DISTINCT trigger FROM runs") == [{"trigger": "cli"}]


def test_a_run_that_lacks_the_password_says_so_before_it_measures(house: UpHouse) -> None:
    elsewhere = {"PREFECT_API_URL": house.url, "NIGHTBENCH_HOME": str(house.folder / "elsewhere")}
    for auth, said in (({}, "asks for"), ({"PREFECT_API_AUTH_STRING": "a:b"}, "refuses the")):
        refused = subprocess.run(
            [*NIGHTBENCH, "run", str(house.suites / "reference.yaml")],
            env=house.env | elsewhere | auth,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 1
        assert f"{said} " in refused.stderr
        assert "PREFECT_API_AUTH_STRING" in refused.stderr


def test_a_node_that_lacks_the_password_is_told_where_it_is(house: UpHouse) -> None:
    joined = house("up", "--join", house.url.removesuffix("/api"), "--pool", "gpu4")
    assert joined.returncode == 1
    assert "answered 401" in joined.stderr
    assert "NIGHTBENCH_HOME/prefect/password" in joined.stderr


def test_nothing_of_prefects_is_for_others_to_read(house: UpHouse) -> None:
    folder = house.home.prefect
    assert folder.stat().st_mode & 0o777 == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"password", "prefect.db", "server.log", "worker-cpu.log"} <= {p.name for p in files}
    assert [path for path in files if path.stat().st_mode & 0o077] == []
